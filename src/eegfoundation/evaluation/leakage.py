"""Nobody on both sides: what every fold has to pass before anything is learnt from it.

Two things are looked at. Names: no subject (session, run: what the protocol separates) may be
tested who was learnt from, nor one whose name is another spelling of theirs. And signals: a file
that was copied under another subject's name has another name and the same samples, so windows are
compared byte by byte, channel by channel, which also finds a copy whose channels were reordered or
left out. A copy that was filtered or cut differently is not found.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from eegfoundation.errors import TaskError
from eegfoundation.tasks.task import PARTS, check_apart

if TYPE_CHECKING:
    from eegfoundation.evaluation.folds import Fold
    from eegfoundation.tasks import Trials


def check_folds(trials: Trials, folds: Sequence[Fold], level: str) -> None:
    """Refuse folds that leak or that cannot be learnt from.

    Parameters
    ----------
    trials : Trials
    folds : sequence of Fold
    level : str
        What may not be on both sides: "subject", "session" or "run".

    Raises
    ------
    TaskError
        If one is on both sides, if a window occurs twice or two windows of different parts are
        copies of each other, if a part to learn from lacks a class, or nothing is tested.
    """
    unit = trials.group(level)
    digests = _digests(trials.x)
    for fold in folds:
        _check_positions(fold, len(trials))
        _check_classes(trials, fold)
        named = {part: set(unit[getattr(fold, part)].tolist()) for part in PARTS}
        pairs = [("train", "test"), ("validation", "test")]
        if level == "subject" and len(named["train"] | named["validation"]) > 1:
            pairs.append(("train", "validation"))
        for one, other in pairs:
            if shared := sorted(named[one] & named[other]):
                raise TaskError(
                    f"Fold {fold.name}: {level} {shared[0]} is in {one} and in {other}; a {level} "
                    "may be in one part only."
                )
            if level == "subject":
                check_apart(one, named[one], other, named[other])
        for one, other in itertools.combinations(PARTS, 2):
            _check_copies(trials, digests, fold, one, other)


def _check_positions(fold: Fold, n: int) -> None:
    """Every position exists and occurs once."""
    positions = np.concatenate([fold.train, fold.validation, fold.test])
    if len(np.unique(positions)) < len(positions):
        raise TaskError(f"Fold {fold.name} has windows more than once; each belongs to one part.")
    if len(positions) and not 0 <= positions.min() <= positions.max() < n:
        raise TaskError(f"Fold {fold.name} names windows that do not exist; there are {n}.")


def _check_classes(trials: Trials, fold: Fold) -> None:
    if not len(fold.test):
        raise TaskError(f"Fold {fold.name} has no window to test on; use fewer folds.")
    known = set(trials.y[fold.train].tolist())
    if missing := [name for i, name in enumerate(trials.classes) if i not in known]:
        raise TaskError(
            f"Fold {fold.name} has no training window of class {', '.join(missing[:10])}; expected "
            f"all of {', '.join(trials.classes[:10])}: choose another protocol or fewer folds."
        )


def _check_copies(trials: Trials, digests: np.ndarray, fold: Fold, one: str, other: str) -> None:
    """No window of one part has most of its channels' samples in the other part."""
    first, second = getattr(fold, one), getattr(fold, other)
    known, asked = digests[first], digests[second]
    copied = np.isin(asked, known[known != 0]) & (asked != 0)
    is_copy = copied.sum(1) * 2 > (asked != 0).sum(1)
    if is_copy.any():
        row = int(np.argmax(is_copy))
        origin = int(first[np.argwhere(np.isin(known, asked[row][copied[row]]))[0, 0]])
        name = trials.group("run")
        raise TaskError(
            f"Fold {fold.name}: {int(is_copy.sum())} windows of {other} have the same samples as "
            f"windows of {one}, the first in {name[second[row]]} and {name[origin]} "
            "(subject/session/run); is a file there twice under two names?"
        )


def _digests(x: np.ndarray) -> np.ndarray:
    """(n, n_chans) numbers that are alike for alike samples, 0 for a channel that never varies."""
    result = np.zeros(x.shape[:2], dtype=np.uint64)
    usable = np.isfinite(x)
    varies = np.where(usable, x, -np.inf).max(-1) > np.where(usable, x, np.inf).min(-1)
    for i, j in np.argwhere(varies):
        digest = hashlib.blake2b(np.ascontiguousarray(x[i, j]).tobytes(), digest_size=8).digest()
        result[i, j] = int.from_bytes(digest, "little") | 1
    return result
