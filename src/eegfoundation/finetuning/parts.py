"""Who is learnt from, who validates, who is tested; and which windows teach without a label.

What has no label is what a table leaves without one and what few shots leave out. None of it is of
somebody who is tested, so that the test stays one of people never seen.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from eegfoundation.errors import TaskError
from eegfoundation.evaluation.folds import Fold, make_folds, thin
from eegfoundation.evaluation.leakage import check_folds
from eegfoundation.tasks.task import PARTS, UNLABELLED

if TYPE_CHECKING:
    from eegfoundation.tasks import Task, Trials


def labelled_fold(trials: Trials, task: Task, shots: int | None, seed: int) -> Fold:
    """Divide the windows that have a label: by the task's split, or one of five parts is tested.

    Parameters
    ----------
    trials : Trials
    task : Task
        From `Task.for_split`.
    shots : int | None
        Keep so many per class; None: all.
    seed : int

    Returns
    -------
    fold : Fold

    Raises
    ------
    TaskError
        If there are too few subjects or windows, or somebody would be on both sides.
    """
    known = np.flatnonzero(trials.y != UNLABELLED)
    labelled = trials.select(known)
    n_subjects = len(set(labelled.subject.tolist()))
    if task.splits:
        (fold,) = make_folds(labelled, "split", next(iter(task.splits.values())), seed=seed)
    elif n_subjects < 2:
        raise TaskError(
            "All windows are of one subject; a classifier is tested on others: add recordings of "
            "more subjects."
        )
    else:
        fold = make_folds(labelled, "kfold", n_splits=min(5, n_subjects), seed=seed)[0]
    if shots is not None:
        fold = thin(labelled, fold, shots, seed)
    return dataclasses.replace(fold, **{part: known[getattr(fold, part)] for part in PARTS})


def with_unlabelled(trials: Trials, fold: Fold) -> Fold:
    """Add to a fold's parts what teaches without a label.

    Parameters
    ----------
    trials : Trials
    fold : Fold
        From `labelled_fold`.

    Returns
    -------
    whole : Fold
        In validation also the other windows of those who validate, in train those of everybody
        else who is not tested.

    Raises
    ------
    TaskError
        If there is no such window, or one is a copy of a window that is tested.
    """

    def of(part: str) -> np.ndarray:
        return np.isin(trials.subject, trials.subject[getattr(fold, part)])

    validates = of("validation") & ~of("train")
    everybody = np.arange(len(trials))
    whole = dataclasses.replace(
        fold,
        train=np.setdiff1d(everybody[~of("test") & ~validates], fold.validation),
        validation=np.union1d(everybody[validates], fold.validation),
    )
    if len(whole.design) == len(fold.design):
        raise TaskError(
            "Self-training finds no window without a label to learn from; leave labels of the "
            "table empty, or give shots."
        )
    learnt = dataclasses.replace(whole, train=whole.design, validation=whole.test[:0])
    check_folds(trials, [learnt], "subject")
    return whole
