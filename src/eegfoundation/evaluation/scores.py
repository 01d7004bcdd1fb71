"""How good, and how sure: scores of predictions, with intervals over subjects.

The windows of one person resemble each other, so a score is as sure as the number of subjects
allows, not of windows: subjects are drawn with replacement, 2,000 times, and the same draws serve
every row, so that differences are paired. Balanced accuracy of a draw is a sum of the subjects'
confusion matrices, so all draws are one matrix product.

Several predictions of the same windows (one per seed) are scored one by one, then averaged: what
is reported is what one run can be expected to give, not what an ensemble would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

N_DRAWS = 2000
N_BINS = 15
#: Percentiles of the draws that make an interval.
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """Predictions of some windows, once per seed."""

    log_proba: np.ndarray
    """(n_seeds, n, n_classes)"""
    y: np.ndarray
    """(n,)"""
    subject: np.ndarray
    """(n,)"""

    @property
    def guess(self) -> np.ndarray:
        """(n_seeds, n) most probable class."""
        return self.log_proba.argmax(-1)

    @property
    def n_classes(self) -> int:
        """Columns of `log_proba`."""
        return int(self.log_proba.shape[-1])

    def confusion(self) -> np.ndarray:
        """Windows by seed, subject, class and guess: (n_seeds, n_subjects, n_classes, n_classes).

        Subjects ascend.
        """
        names, who = np.unique(self.subject, return_inverse=True)
        shape = (len(names), self.n_classes, self.n_classes)
        cells = [np.ravel_multi_index((who, self.y, guess), shape) for guess in self.guess]
        size = int(np.prod(shape))
        return np.stack([np.bincount(cell, minlength=size).reshape(shape) for cell in cells])


def scores(predictions: Predictions, *, calibration: bool = True) -> dict[str, float | None]:
    """Score predictions.

    Parameters
    ----------
    predictions : Predictions
    calibration : bool
        Whether the predictions are meant as probabilities.

    Returns
    -------
    found : dict
        Means over seeds of ``balanced_accuracy, kappa, weighted_f1, auroc, auc_pr``
        (one against the rest, averaged over classes), ``ece`` (15 bins) and ``brier`` (sum over
        classes, 0 to 2); ``balanced_accuracy_sd`` over seeds. None where it has no meaning: areas
        if a class was not tested, calibration if it was not asked for.
    """
    matrices = predictions.confusion().sum(1)
    accuracy = balanced_accuracy(matrices)
    found: dict[str, float | None] = {
        "balanced_accuracy": float(accuracy.mean()),
        "balanced_accuracy_sd": float(accuracy.std(ddof=1)) if len(accuracy) > 1 else 0.0,
        "kappa": float(np.mean([_kappa(matrix) for matrix in matrices])),
        "weighted_f1": float(np.mean([_weighted_f1(matrix) for matrix in matrices])),
    }
    by_name: dict[str, Callable[[np.ndarray, np.ndarray], float | None]] = {
        "auroc": _auroc,
        "auc_pr": _auc_pr,
        "ece": expected_calibration_error,
        "brier": _brier,
    }
    for name, score in by_name.items():
        values = [score(np.exp(one), predictions.y) for one in predictions.log_proba]
        asked = calibration or name not in ("ece", "brier")
        known = [value for value in values if value is not None]
        found[name] = float(np.mean(known)) if asked and known else None
    return found


def balanced_accuracy(matrices: np.ndarray) -> np.ndarray:
    """Mean recall of the classes that occur, of confusion matrices (..., n_classes, n_classes)."""
    n = matrices.sum(-1)
    hits = np.diagonal(matrices, axis1=-2, axis2=-1)
    recall = np.where(n > 0, hits / np.maximum(n, 1e-12), 0)
    return recall.sum(-1) / np.maximum((n > 0).sum(-1), 1)


def subject_draws(n_subjects: int, n_draws: int = N_DRAWS, seed: int = 0) -> np.ndarray:
    """How often each subject was drawn, (n_draws, n_subjects)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_subjects, np.full(n_subjects, 1 / n_subjects), size=n_draws)


def bootstrap(predictions: Predictions, n_draws: int = N_DRAWS, seed: int = 0) -> np.ndarray:
    """Balanced accuracy, averaged over seeds, of every draw of subjects, (n_draws,).

    Predictions of the same subjects get the same draws: subtract for a paired difference.
    """
    matrices = predictions.confusion()
    draws = subject_draws(matrices.shape[1], n_draws, seed)
    return balanced_accuracy(np.tensordot(draws, matrices, axes=(1, 1))).mean(1)


def interval(values: np.ndarray) -> list[float]:
    """Lower and upper end of the 95% interval of bootstrap draws."""
    return [float(value) for value in np.percentile(values, INTERVAL)]


def expected_calibration_error(probability: np.ndarray, y: np.ndarray) -> float:
    """Mean distance between confidence and accuracy over `N_BINS` bins of confidence.

    Parameters
    ----------
    probability : ndarray, shape (n, n_classes)
    y : ndarray, shape (n,)

    Returns
    -------
    error : float
        Guo et al. 2017, equation 3.
    """
    confidence, right = probability.max(1), probability.argmax(1) == y
    which = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    gap = np.bincount(which, confidence - right, N_BINS)
    return float(np.abs(gap).sum() / len(y))


def _brier(probability: np.ndarray, y: np.ndarray) -> float:
    """Brier 1950: 0 to 2."""
    return float(((probability - np.eye(probability.shape[1])[y]) ** 2).sum(1).mean())


def _kappa(matrix: np.ndarray) -> float:
    n = matrix.sum()
    by_chance = (matrix.sum(0) * matrix.sum(1)).sum() / n**2
    return float((np.trace(matrix) / n - by_chance) / (1 - by_chance)) if by_chance < 1 else 0.0


def _weighted_f1(matrix: np.ndarray) -> float:
    n = matrix.sum(1)
    f1 = 2 * np.diagonal(matrix) / np.maximum(n + matrix.sum(0), 1)
    return float((f1 * n).sum() / n.sum())


def _auroc(probability: np.ndarray, y: np.ndarray) -> float | None:
    from sklearn.metrics import roc_auc_score

    return _over_classes(probability, y, roc_auc_score)


def _auc_pr(probability: np.ndarray, y: np.ndarray) -> float | None:
    from sklearn.metrics import average_precision_score

    return _over_classes(probability, y, average_precision_score)


def _over_classes(
    probability: np.ndarray, y: np.ndarray, score: Callable[..., float]
) -> float | None:
    """Mean over classes, each against the rest; of two classes, the second."""
    n_classes = probability.shape[1]
    if len(np.unique(y)) < n_classes:
        return None
    asked = [1] if n_classes == 2 else range(n_classes)
    return float(np.mean([score(y == k, probability[:, k]) for k in asked]))
