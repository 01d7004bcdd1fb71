"""The encoder and its classifiers as scikit-learn knows them: `fit`, `transform`, `predict`.

`EEGFoundationFeatures` turns EEG into a table for any estimator; `EEGFoundationClassifier` is
`eegfoundation.finetuning.fitting.fit` behind scikit-learn's interface, so that pipelines,
`GridSearchCV` and MOABB take it as it is.

Both take whole signals, unlike other estimators: arrays (n, n_chans, n_times), `mne.Epochs`, or
lists of paths. scikit-learn's own checks speak of tables (n, n_features); which of them apply, and
why others cannot, is listed in docs/scikit_learn.md and run by the tests.

Trade-off: a fitted estimator holds its encoder, so that its pickle is complete (25 MB) and goes on
giving the same numbers where another version of the package is installed.
"""

from eegfoundation.estimators.classifier import EEGFoundationClassifier
from eegfoundation.estimators.features import EEGFoundationFeatures

__all__ = ["EEGFoundationClassifier", "EEGFoundationFeatures"]
