"""What a row of results is, and how a linear model makes one of features.

A row says what it is and how it predicts the test windows of a fold. Whatever can learn from
``fold.design`` and predict ``fold.test`` can be one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from eegfoundation import alignments
from eegfoundation.evaluation.folds import Fold
from eegfoundation.evaluation.scores import balanced_accuracy
from eegfoundation.probe import fit_probe
from eegfoundation.self_training import average_log_proba, fit_self_trained

if TYPE_CHECKING:
    from eegfoundation.models import DownstreamConfig, EEGFoundationModel
    from eegfoundation.tasks import Trials

KINDS = ("ours", "baseline", "random twin")
STRATEGIES = ("probe", "probe+covariance", "self-training", "head", "lora", "full")
#: Of those that suit a row, the later looks at more.
ALIGNMENTS = (*alignments.ALIGNMENTS[:-1], "riemann", "components")

#: Features of all windows (n, d) for a fold and a seed.
Features = Callable[[Fold, int], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table of results."""

    model: str
    kind: str
    """"ours", "baseline" or "random twin"."""
    strategy: str
    """What is fitted, and how."""
    alignment: str
    """What was done to each session without labels, its test windows included; "none": nothing."""
    predict: Callable[[Fold, int], tuple[np.ndarray, float]]
    """Log probabilities (n, n_classes) of the fold's test windows, and a balanced accuracy that
    its test windows had no part in; for a seed."""
    seeded: bool = False
    """Whether another seed predicts otherwise on the same windows."""
    classes: tuple[int, ...] | None = None
    """Only windows of these are scored, and the log probabilities are theirs; None: all."""
    note: str = ""
    """What a reader has to know beside it."""
    members: tuple[Features, ...] = ()
    """Kinds of features that its probes are fitted to; none if it has no probe."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """What all rows share."""

    given: Trials
    """Windows as the encoder gets them."""
    plain: Trials | None
    """The same windows in the recordings' own reference; None: the encoder's is no other."""
    encoder: EEGFoundationModel
    model: str
    """Name of the encoder."""
    level: str
    """What penalties are chosen over: "subject", "session" or "run"."""
    flicker_hz: tuple[float, ...] = ()
    """As in `Task`."""
    config: DownstreamConfig | None = None
    """Of the classifier that is fine-tuned; None: the default."""
    epochs: int | None = None
    """Of fine-tuning at most; None: the default."""

    @functools.cached_property
    def session(self) -> np.ndarray:
        """(n,) what is aligned together."""
        return self.given.group("session")

    @functools.cached_property
    def unit(self) -> np.ndarray:
        """(n,) what is never split when penalties are chosen."""
        return self.given.group(self.level)

    @property
    def y(self) -> np.ndarray:
        """(n,) classes."""
        return self.given.y

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.given.classes)

    def sources(self) -> Iterator[tuple[str, Trials]]:
        """Windows for the baselines, with what to append to their names."""
        if self.plain is not None:
            yield "", self.plain
        reference = self.given.preprocessing.reference
        yield "" if self.plain is None else f", {reference}", self.given


def linear_row(
    material: Material,
    model: str,
    kind: str,
    alignment: str,
    features: Features,
    *,
    strategy: str = "logistic regression",
    seeded: bool = False,
) -> Row:
    """A row of `fit_probe`."""

    def predict(fold: Fold, seed: int) -> tuple[np.ndarray, float]:
        found = features(fold, seed)
        probe = fit_probe(
            found[fold.design],
            material.y[fold.design],
            material.unit[fold.design],
            material.n_classes,
        )
        return probe.predict_log_proba(found[fold.test]), probe.validation_score

    return Row(
        model=model,
        kind=kind,
        strategy=strategy,
        alignment=alignment,
        predict=predict,
        seeded=seeded,
        members=(features,),
    )


def ensemble(
    material: Material, members: Sequence[Features], *, self_training: bool = False
) -> Callable[[Fold, int], tuple[np.ndarray, float]]:
    """Average the probabilities of a probe on each of several kinds of features.

    With self-training they learn from every window that has no label for them too: those that are
    tested, and those to learn from that few shots leave out. What validates never sees the former.
    """
    from sklearn.model_selection import GroupKFold, StratifiedKFold

    y, unit, n_classes = material.y, material.unit, material.n_classes
    everything = np.arange(len(y))
    n_folds = 2 if self_training else 5  # a fit takes long then

    def averaged(
        found: Sequence[np.ndarray], train: np.ndarray, asked: np.ndarray, known: np.ndarray
    ) -> np.ndarray:
        if self_training:
            others = np.setdiff1d(known, train)
            probes = fit_self_trained(found, y, unit, train, others, n_classes)
        else:
            probes = [fit_probe(x[train], y[train], unit[train], n_classes) for x in found]
        return average_log_proba(probes, found, asked)

    def predict(fold: Fold, seed: int) -> tuple[np.ndarray, float]:
        found = [features(fold, seed) for features in members]
        design = fold.design
        tried, guesses = [], []
        n_groups = len(np.unique(unit[design]))
        folds = GroupKFold(min(n_folds, n_groups)) if n_groups > 1 else StratifiedKFold(2)
        untested = np.setdiff1d(everything, fold.test)
        for inner, held_out in folds.split(design, y[design], unit[design]):
            if len(np.unique(y[design[inner]])) == n_classes:
                asked = design[held_out]
                tried.append(asked)
                guesses.append(averaged(found, design[inner], asked, untested).argmax(1))
        validation = 0.0
        if tried:
            index = np.concatenate(tried)
            validation = accuracy(y[index], np.concatenate(guesses), n_classes)
        return averaged(found, design, fold.test, everything), validation

    return predict


def accuracy(y: np.ndarray, guess: np.ndarray, n_classes: int) -> float:
    """Balanced accuracy of guesses."""
    matrix = np.bincount(y * n_classes + guess, minlength=n_classes**2)
    return float(balanced_accuracy(matrix.reshape(n_classes, n_classes)))
