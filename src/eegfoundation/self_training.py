"""Windows without labels teach as well: a probe of few labels labels the others for the next one.

Class-balanced self-training (Zou et al. 2018, Unsupervised domain adaptation for semantic
segmentation via class-balanced self-training): of the windows that are taken for a class only the
surest are learnt from, and of every class as many at most. Probes on several kinds of features
teach each other, since what labels is their average (Blum and Mitchell 1998, Combining labeled and
unlabeled data with co-training).

Trade-off: it takes all classes to be about as frequent, and a first probe that is wrong about most
windows stays so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eegfoundation.probe import LinearProbe, fit_probe

#: Of the windows without a label, the share that is learnt from, round by round.
SHARES = (0.3, 0.6)


def fit_self_trained(
    members: Sequence[np.ndarray],
    y: np.ndarray,
    group: np.ndarray,
    labelled: np.ndarray,
    unlabelled: np.ndarray,
    n_classes: int,
) -> list[LinearProbe]:
    """Fit a probe on each kind of features, by labelled windows and then by the others too.

    Parameters
    ----------
    members : sequence of ndarray, each of shape (n, d)
        Kinds of features of all windows.
    y : ndarray, shape (n,)
        Classes; those of ``unlabelled`` are not looked at.
    group : ndarray, shape (n,)
        As for `fit_probe`.
    labelled, unlabelled : ndarray of integers
        Windows.
    n_classes : int

    Returns
    -------
    probes : list of LinearProbe
        One per member; they predict by `average_log_proba`.
    """
    learnt, classes = labelled, y[labelled]
    probes = _fit(members, classes, group, learnt, n_classes)
    for share in SHARES if len(unlabelled) else ():
        log_proba = average_log_proba(probes, members, unlabelled)
        guess, sure = log_proba.argmax(1), log_proba.max(1)
        most = int(share * len(unlabelled) / n_classes)
        taken = []
        for label in range(n_classes):
            of_class = np.flatnonzero(guess == label)
            taken.append(of_class[np.argsort(-sure[of_class], kind="stable")[:most]])
        chosen = np.concatenate(taken)
        learnt = np.concatenate([labelled, unlabelled[chosen]])
        classes = np.concatenate([y[labelled], guess[chosen]])
        probes = _fit(members, classes, group, learnt, n_classes)
    return probes


def average_log_proba(
    probes: Sequence[LinearProbe], members: Sequence[np.ndarray], asked: np.ndarray
) -> np.ndarray:
    """Log of the mean of the probes' probabilities, (len(asked), n_classes)."""
    parts = [
        probe.predict_log_proba(features[asked])
        for probe, features in zip(probes, members, strict=True)
    ]
    mean: np.ndarray = np.logaddexp.reduce(parts) - np.log(len(parts))
    return mean


def _fit(
    members: Sequence[np.ndarray],
    classes: np.ndarray,
    group: np.ndarray,
    learnt: np.ndarray,
    n_classes: int,
) -> list[LinearProbe]:
    return [fit_probe(x[learnt], classes, group[learnt], n_classes) for x in members]
