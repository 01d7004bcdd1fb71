"""Linear probe: logistic regression on fixed features, its penalty chosen on other subjects.

What every frozen row of an evaluation is scored by, ours and the baselines' alike: the same folds,
the same penalties, nothing else to tune. With more features than windows the solution lies in the
span of the windows, so it is sought there: exact, and the long axis is dealt with once instead of
once per penalty and iteration.

The held-out subjects also say how sure the probe may be: a strong penalty, which few windows ask
for, leaves it far less sure than it is right. Its logits are divided by a temperature (Guo et al.
2017, On calibration of modern neural networks), which changes no decision of its own, but what an
average with others decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eegfoundation.errors import TaskError

#: Inverse strength of the ridge, for features of mean square 1.
PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)
N_FOLDS = 5
#: Deviation of the log-normal that keeps the temperature in bounds.
_SHIFT = 0.5


@dataclass(frozen=True, kw_only=True)
class LinearProbe:
    """A fitted probe: ``softmax((features - mean) * scale @ weight + bias)``.

    Weight and bias are those of the regression divided by the temperature.

    Features that are NaN count as the mean of the training windows.
    """

    mean: np.ndarray
    """(d,) of the training windows."""
    scale: np.ndarray
    """(d,) inverse deviation; 0 where a feature never varied."""
    weight: np.ndarray
    """(d, n_classes)"""
    bias: np.ndarray
    """(n_classes,)"""
    penalty: float
    temperature: float
    """Less than 1 where the regression was less sure of held-out groups than it was right."""
    validation_score: float
    """Balanced accuracy over the held-out groups at that penalty."""

    def predict_log_proba(self, features: np.ndarray) -> np.ndarray:
        """Log probabilities (n, n_classes) of windows (n, d)."""
        from scipy.special import log_softmax

        x = np.nan_to_num((features - self.mean) * self.scale, nan=0.0)
        return log_softmax(x @ self.weight + self.bias, axis=1)


def fit_probe(
    features: np.ndarray, y: np.ndarray, group: np.ndarray, n_classes: int
) -> LinearProbe:
    """Choose the penalty by cross-validation over groups, then fit on all windows.

    Parameters
    ----------
    features : ndarray, shape (n, d)
        NaN where there is no value.
    y : ndarray, shape (n,)
        Classes 0 to n_classes - 1; all of them must occur.
    group : ndarray, shape (n,)
        Subjects: nobody is in the fitted and in the held-out part. With a single group the folds
        are stratified by class instead.
    n_classes : int

    Returns
    -------
    probe : LinearProbe
        Classes weigh alike, whatever their number of windows.

    Raises
    ------
    TaskError
        If a class does not occur, or nothing is usable.
    """
    from sklearn.metrics import recall_score
    from sklearn.model_selection import GroupKFold, StratifiedKFold

    if missing := sorted(set(range(n_classes)) - set(y.tolist())):
        raise TaskError(f"No window to learn from is of class {missing}; add some, or drop it.")
    features = features.astype(np.float32, copy=False)
    if not _moments(features)[1].any():
        raise TaskError(
            "The windows to learn from have no usable sample, or are all alike to the encoder; "
            "look at the recordings with eegfoundation report."
        )
    groups = np.unique(group)
    if len(groups) > 1:
        folds = GroupKFold(min(N_FOLDS, len(groups))).split(features, y, group)
    else:
        n_folds = min(N_FOLDS, int(np.bincount(y).min()))
        stratified = StratifiedKFold(max(2, n_folds), shuffle=True, random_state=0)
        folds = stratified.split(features, y) if n_folds > 1 else iter(())  # nothing to hold out
    scores = np.full((len(PENALTIES), len(y), n_classes), -np.inf)
    for train, held_out in folds:
        if len(np.unique(y[train])) < n_classes:
            continue
        mean, scale = _moments(features[train])
        if not scale.any():
            continue
        fits = _fits(_scaled(features[train], mean, scale), y[train], n_classes, PENALTIES)
        asked = _scaled(features[held_out], mean, scale)
        for row, (weight, bias) in zip(scores, fits, strict=True):
            row[held_out] = asked @ weight + bias
    tried = np.isfinite(scores[0, :, 0])
    found = [
        float(recall_score(y[tried], row[tried].argmax(1), average="macro", zero_division=0))
        if tried.any()
        else 0.0
        for row in scores
    ]
    best = int(np.argmax(found))
    temperature = _temperature(scores[best][tried], y[tried])
    mean, scale = _moments(features)
    ((weight, bias),) = _fits(
        _scaled(features, mean, scale), y, n_classes, PENALTIES[best : best + 1]
    )
    return LinearProbe(
        mean=mean,
        scale=scale,
        weight=weight / temperature,
        bias=bias / temperature,
        penalty=PENALTIES[best],
        temperature=temperature,
        validation_score=found[best],
    )


def _temperature(logits: np.ndarray, y: np.ndarray) -> float:
    """Temperature under which the classes (n,) are likeliest, by logits (n, n_classes).

    Classes weigh alike. Where windows are few it stays near one that gives logits a deviation of 1:
    the likelihood is multiplied by a log-normal around it.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    spread = np.std(logits - logits.mean(1, keepdims=True)) if len(y) else 0.0
    if spread == 0:
        return 1.0
    count = np.bincount(y, minlength=logits.shape[1])
    weight = len(y) / (np.count_nonzero(count) * count[y])

    def loss(shift: float) -> float:
        likely = log_softmax(logits / (spread * np.exp(shift)), axis=1)[np.arange(len(y)), y]
        return float((shift / _SHIFT) ** 2 / 2 - weight @ likely)

    found = minimize_scalar(loss, bounds=(-10 * _SHIFT, 10 * _SHIFT), method="bounded")
    return float(spread * np.exp(found.x))


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and inverse deviation of each feature; features together have mean square 1."""
    known = np.isfinite(x)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, x, 0).sum(0) / count
    deviation = np.sqrt((np.where(known, x - mean, 0) ** 2).sum(0) / count)
    scale = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0) / np.sqrt(x.shape[1])
    return mean.astype(np.float32), scale.astype(np.float32)


def _scaled(x: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.nan_to_num((x - mean) * scale, nan=0.0).astype(np.float64)


def _fits(
    x: np.ndarray, y: np.ndarray, n_classes: int, penalties: tuple[float, ...]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights (d, n_classes) and biases (n_classes,) for every penalty."""
    from sklearn.linear_model import LogisticRegression

    given, turn = x, None
    if x.shape[1] > len(x):
        values, vectors = np.linalg.eigh(x @ x.T)
        kept = values > 1e-9 * values[-1]
        vectors, root = vectors[:, kept], np.sqrt(values[kept])
        turn = vectors / root  # (n, rank): given.T @ turn has orthonormal columns
        x = vectors * root
    found = []
    for penalty in penalties:
        model = LogisticRegression(C=penalty, class_weight="balanced", max_iter=5000).fit(x, y)
        weight, bias = model.coef_.T, model.intercept_
        if n_classes == 2:  # one row of coefficients: the second class against the first
            weight, bias = np.hstack([0 * weight, weight]), np.array([0.0, bias[0]])
        found.append((weight if turn is None else given.T @ (turn @ weight), bias))
    return found
