"""Fine-tuning behind scikit-learn's interface: signals and labels in, a classifier out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from eegfoundation.errors import ConfigError, ModelInputError
from eegfoundation.estimators.signals import TakesSignals

if TYPE_CHECKING:
    from eegfoundation.samples import Samples
    from eegfoundation.tasks.trials import Trials

logger = logging.getLogger("eegfoundation")


class EEGFoundationClassifier(ClassifierMixin, TakesSignals):
    """Classifier of EEG on top of a pretrained encoder.

    Parameters
    ----------
    model : str | Path | EEGFoundationModel
        An encoder, or what `load_encoder` takes.
    strategy : {"probe", "probe+covariance", "head", "lora", "full"}
        What is learned, see `eegfoundation.finetuning.settings.FinetuneSettings`: a logistic
        regression on frozen features (seconds), beside it another one on how channels go together
        (for SSVEP and movement, where that matters), fusion and head (minutes on a laptop), these
        and additions to the encoder's attention, or everything.
    alignment : {"none", "standardise", "euclidean", "euclidean+standardise", "components"}
        What is done to each recording without labels: its features standardised, its signals
        whitened, both, or both and (in a probe) beside its channels those mixtures of them in which
        a band stands out, see `eegfoundation.evaluation.components`. All samples of one call to
        `predict` count as one recording, unless `sessions` or the epochs' metadata say otherwise:
        with alignment, a prediction depends on what it is predicted together with.
    flicker_hz : sequence of float | None
        Hz: flickers for components and covariance (SSVEP), instead of bands.
    self_training : bool
        Let samples without a label teach the probe too: those of label -1, as in
        `sklearn.semi_supervised`, or "" where labels are texts. Worth most where labels are few.
    sfreq : float | None
        Sampling rate in Hz. Arrays need it; epochs and files know theirs.
    ch_names : sequence of str | None
        Names of an array's channels, or the channels to use of epochs and files. An array without
        them has electrodes of unknown position.
    units : {"V", "mV", "uV", "nV"} | None
        None: microvolts for arrays, volts for MNE objects, what the file says for files.
    window : float | None
        Seconds. Samples are cut into windows of this length, all of which bear the sample's label;
        its probabilities are their average. None: arrays and epochs stay whole, files are cut into
        10 s.
    line_freq : float | None
        Mains frequency in Hz; None: what epochs and files say, else what is detected.
    validation : float
        Share of the subjects (of the samples, if there is one subject) that decides when to stop;
        the probe, which never stops, does not need it.
    epochs, patience, batch_size : int
        Of all strategies but the probe.
    learning_rate, weight_decay : float | None
        Likewise; None: the published defaults.
    augmentation : bool
        Likewise.
    random_state : int | RandomState | None
        Of initialisation, order and dropout, and of who validates.
    device : str | torch.device | None
        Of the encoder; None: where it is, or the CPU.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        Labels, sorted; of any type.
    model_ : EEGFoundationForClassification
        What was trained; `save_downstream_model` saves it.
    preprocessing_ : Preprocessing
        Done to every sample.

    Notes
    -----
    Whom a sample is from is said by ``groups`` in `fit`, else by a column "subject" of the epochs'
    metadata (MOABB fills it), else by the files. Penalties and stopping are then decided on
    subjects that are not learned from. With metadata routing, ``groups`` and ``sessions`` are asked
    for as usual: ``EEGFoundationClassifier().set_fit_request(groups=True)``.

    Examples
    --------
    >>> from eegfoundation.estimators import EEGFoundationClassifier
    >>> from eegfoundation.synthetic import simulate_motor_imagery
    >>> session = simulate_motor_imagery(["C3", "Cz", "C4"], n_trials_per_class=6)
    >>> x, y = session.trials()
    >>> classifier = EEGFoundationClassifier(sfreq=250, ch_names=session.ch_names)
    >>> classifier.fit(x[:12], y[:12]).predict(x[12:]).shape
    (12,)
    """

    def __init__(
        self,
        model: Any = "small",
        *,
        strategy: str = "probe",
        alignment: str = "none",
        flicker_hz: Sequence[float] | None = None,
        self_training: bool = False,
        sfreq: float | None = None,
        ch_names: Sequence[str] | None = None,
        units: str | None = None,
        window: float | None = None,
        line_freq: float | None = None,
        validation: float = 0.2,
        epochs: int = 30,
        patience: int = 5,
        batch_size: int = 16,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        augmentation: bool = False,
        random_state: Any = 0,
        device: Any = None,
    ) -> None:
        self.model = model
        self.strategy = strategy
        self.alignment = alignment
        self.flicker_hz = flicker_hz
        self.self_training = self_training
        self.sfreq = sfreq
        self.ch_names = ch_names
        self.units = units
        self.window = window
        self.line_freq = line_freq
        self.validation = validation
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.augmentation = augmentation
        self.random_state = random_state
        self.device = device

    def fit(self, X: Any, y: Any, groups: Any = None, sessions: Any = None) -> Self:
        """Train.

        Parameters
        ----------
        X : ndarray (n, n_chans, n_times) | mne.Epochs | sequence of paths
            Arrays in microvolts, NaN where unusable. A path is one sample.
        y : sequence of length n
            Labels; with ``self_training`` some may be absent.
        groups : sequence of length n | None
            Subject of each sample.
        sessions : sequence of length n | None
            Recording of each sample, unique within its subject, for alignment.

        Returns
        -------
        self

        Raises
        ------
        EEGFoundationError
            If `X` cannot be read or does not fit `y`; the message says what to do.
        """
        from sklearn.utils import assert_all_finite, check_random_state, column_or_1d
        from sklearn.utils.multiclass import check_classification_targets

        from eegfoundation.finetuning.fitting import fit
        from eegfoundation.finetuning.settings import FinetuneSettings

        if not 0 < self.validation < 1:
            raise ConfigError(f"validation={self.validation}; a share between 0 and 1 is needed.")
        if y is None:
            raise ModelInputError("requires y to be passed, but the target y is None: give labels.")
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31)
        flicker_hz = self.flicker_hz
        settings = FinetuneSettings(
            strategy=self.strategy,
            alignment=self.alignment,
            flicker_hz=flicker_hz.tolist() if isinstance(flicker_hz, np.ndarray) else flicker_hz,
            epochs=self.epochs,
            patience=self.patience,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            augmentation=self.augmentation,
            seed=int(seed),
        )
        y = column_or_1d(y, warn=True)
        if y.dtype.kind == "f":
            assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        labelled = np.ones(len(y), dtype=bool)
        if self.self_training:
            labelled = np.array([label not in (-1, "") for label in y.tolist()], dtype=bool)
        self.classes_ = np.unique(y[labelled])
        if len(self.classes_) < 2:
            raise ModelInputError(
                f"y has 1 class at most, {self.classes_.tolist()}; at least two classes are needed."
            )
        codes = np.zeros(len(y), dtype=int)  # of what has no label it is not looked at
        codes[labelled] = np.searchsorted(self.classes_, y[labelled])
        encoder = self._encoder()
        samples = self._read_first(X, encoder)
        trials = self._trials(samples, codes, groups, sessions)
        known = labelled[samples.sample]
        train, others = np.flatnonzero(known), np.flatnonzero(~known)
        validation = train[:0]
        if not settings.probes and not len(others):
            train, validation = _split(trials, samples, self.validation, settings.seed)
        self.model_ = fit(trials, train, validation, encoder, settings, unlabelled=others)
        return self

    def predict_proba(self, X: Any, sessions: Any = None) -> np.ndarray:
        """Probability of each class.

        Parameters
        ----------
        X
            As in `fit`; other channels are accepted. The probe reads each of its electrodes from
            the nearest one, 4 cm away at most.
        sessions : sequence of length n | None
            Recording of each sample, for alignment.

        Returns
        -------
        probability : ndarray, shape (n, n_classes)
            In the order of `classes_`. Samples without any usable channel get what the classifier
            answers to an average one.

        Raises
        ------
        ModelInputError
            If the probe knows none of the channels.
        """
        from eegfoundation.finetuning.predicting import predict_trials

        check_is_fitted(self)
        samples = self._read(X, self.preprocessing_)
        trials = self._trials(samples, np.zeros(samples.n_samples, dtype=int), None, sessions)
        found = predict_trials(self.model_, trials).astype(np.float64)
        usable = np.isfinite(samples.x).any((1, 2))
        # windows of nothing do not vote where others of the sample do
        mean = samples.mean(np.where(usable[:, None], found, np.nan))
        mean = np.where(np.isfinite(mean), mean, samples.mean(found))
        return mean / mean.sum(1, keepdims=True)

    def predict(self, X: Any, sessions: Any = None) -> np.ndarray:
        """Label of each sample.

        Parameters
        ----------
        X, sessions
            As in `predict_proba`.

        Returns
        -------
        labels : ndarray, shape (n,)
        """
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X, sessions).argmax(1)]

    def score(self, X: Any, y: Any, sample_weight: Any = None, sessions: Any = None) -> float:
        """Share of right predictions.

        Parameters
        ----------
        X, sessions
            As in `predict_proba`.
        y : sequence of length n
            True labels.
        sample_weight : sequence of length n | None

        Returns
        -------
        accuracy : float
        """
        from sklearn.metrics import accuracy_score

        return float(accuracy_score(y, self.predict(X, sessions), sample_weight=sample_weight))

    def _trials(self, samples: Samples, codes: np.ndarray, groups: Any, sessions: Any) -> Trials:
        """Windows with their labels and owners."""
        from eegfoundation.tasks.trials import Trials

        n = samples.n_samples
        columns = {"y": codes, "groups": groups, "sessions": sessions}
        for name, values in columns.items():
            if values is not None and len(values) != n:
                raise ModelInputError(
                    f"{name} has {len(values)} entries for {n} samples; expected one for each."
                )

        def texts(given: Any, found: np.ndarray | None) -> np.ndarray:
            values = found if given is None else np.asarray(given)
            if values is None:
                values = np.zeros(n, dtype=int)
            return values.astype(str)[samples.sample]

        return Trials(
            x=samples.x,
            y=codes[samples.sample],
            subject=texts(groups, samples.subject),
            session=texts(sessions, samples.session),
            run=samples.sample.astype(str),
            classes=tuple(str(label) for label in self.classes_),
            ch_names=samples.ch_names,
            positions=samples.positions,
            preprocessing=samples.preprocessing,
        )


def _split(
    trials: Trials, samples: Samples, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Windows to learn from and windows that say when to stop: of other subjects, or samples.

    With too few of them for both parts to hold every class, all are learned from.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    together = trials.subject
    if len(np.unique(together)) == 1:
        together = samples.sample.astype(str)
    n_classes = len(trials.classes)
    smallest = min(len(np.unique(together[trials.y == label])) for label in range(n_classes))
    n_folds = min(round(1 / share), smallest)
    if n_folds > 1:
        folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
        for train, validation in folds.split(trials.x[:, 0, 0], trials.y, together):
            if all(len(np.unique(trials.y[part])) == n_classes for part in (train, validation)):
                return train, validation
    logger.warning(
        f"{len(np.unique(together))} subjects or samples are too few to set some aside for "
        "validation: training runs through all epochs"
    )
    everything = np.arange(len(trials))
    return everything, everything[:0]
