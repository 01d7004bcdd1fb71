"""Who teaches, with a label and without one."""

import dataclasses

import numpy as np
import pytest

from eegfoundation.errors import TaskError
from eegfoundation.finetuning.parts import labelled_fold, with_unlabelled
from eegfoundation.tasks.task import UNLABELLED, Split, Task

TASK = Task(name="eyes", title="", classes=("open", "closed"), window=2.0, find=lambda _: [])


def without_labels(trials, index):
    y = trials.y.copy()
    y[index] = UNLABELLED
    return dataclasses.replace(trials, y=y)


def subjects(trials, index):
    return set(trials.subject[index].tolist())


@pytest.fixture
def mixed(trials):
    """One person without any label, the others without that of every third window."""
    nobody = trials.subject == "s0"
    return without_labels(trials, nobody | (np.arange(len(trials)) % 3 == 0))


@pytest.mark.parametrize("seed", range(4))
def test_windows_without_a_label_teach_and_are_nowhere_else(mixed, seed):
    fold = labelled_fold(mixed, TASK, None, seed)
    parts = (fold.train, fold.validation, fold.test)
    assert (mixed.y[np.concatenate(parts)] != UNLABELLED).all()
    assert set().union(*(subjects(mixed, part) for part in parts)) == {f"s{i}" for i in range(1, 6)}

    whole = with_unlabelled(mixed, fold)
    tested = subjects(mixed, fold.test)
    assert tested.isdisjoint(subjects(mixed, whole.design))
    assert "s0" in subjects(mixed, whole.train)
    assert subjects(mixed, whole.validation) == subjects(mixed, fold.validation)
    others = np.setdiff1d(whole.design, fold.design)
    assert (mixed.y[others] == UNLABELLED).all()
    expected = (mixed.y == UNLABELLED) & ~np.isin(mixed.subject, list(tested))
    np.testing.assert_array_equal(others, np.flatnonzero(expected))
    np.testing.assert_array_equal(whole.test, fold.test)


def test_what_few_shots_leave_out_teaches_too(trials):
    fold = labelled_fold(trials, TASK, 3, seed=0)
    assert trials.select(fold.design).counts() == (3, 3)
    whole = with_unlabelled(trials, fold)
    untested = ~np.isin(trials.subject, trials.subject[fold.test])
    np.testing.assert_array_equal(whole.design, np.flatnonzero(untested))
    assert subjects(trials, whole.train).isdisjoint(subjects(trials, whole.validation))


def test_one_person_to_learn_from_whose_last_windows_validate(mixed):
    split = Split(train=("s1",), test=("s2",))
    fold = labelled_fold(mixed, dataclasses.replace(TASK, splits={"split": split}), None, seed=0)
    assert subjects(mixed, fold.validation) == {"s1"}
    whole = with_unlabelled(mixed, fold)
    np.testing.assert_array_equal(whole.validation, fold.validation)
    assert subjects(mixed, whole.train) == {"s0", "s1", "s3", "s4", "s5"}


def test_nothing_without_a_label_is_a_mistake(trials):
    with pytest.raises(TaskError, match="finds no window without a label"):
        with_unlabelled(trials, labelled_fold(trials, TASK, None, seed=0))


def test_a_copy_of_the_test_under_another_name_does_not_teach(mixed):
    fold = labelled_fold(mixed, TASK, None, seed=0)
    x = mixed.x.copy()
    own = np.flatnonzero(mixed.subject == "s0")
    x[own[: len(fold.test)]] = x[fold.test[: len(own)]]
    with pytest.raises(TaskError, match="windows of test have the same samples"):
        with_unlabelled(dataclasses.replace(mixed, x=x), fold)


def test_too_few_people_with_labels(trials):
    with pytest.raises(TaskError, match="All windows are of one subject"):
        labelled_fold(without_labels(trials, trials.subject != "s3"), TASK, None, seed=0)
