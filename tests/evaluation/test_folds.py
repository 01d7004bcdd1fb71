import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegfoundation.errors import TaskError
from eegfoundation.evaluation.folds import (
    PROTOCOLS,
    Fold,
    folds_from_json,
    folds_to_json,
    make_folds,
    sorted_names,
    thin,
)
from eegfoundation.evaluation.leakage import check_folds
from eegfoundation.tasks import Split
from evaluation_helpers import make_trials

SPLIT = Split(train=("P0", "P1", "P2"), validation=("P3",), test=("P4", "P5"))
TRIALS = make_trials(n_sessions=3, n_runs=3, n_times=20)


def folds_of(trials, protocol, seed=0, n_splits=5):
    return make_folds(trials, protocol, SPLIT, n_splits=n_splits, seed=seed)


@settings(max_examples=25, deadline=None)
@given(
    protocol=st.sampled_from(sorted(set(PROTOCOLS) - {"split"})),
    n_subjects=st.integers(2, 7),
    n_sessions=st.integers(2, 3),
    n_runs=st.integers(1, 3),
    n_classes=st.integers(2, 3),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_folds_part_the_windows(protocol, n_subjects, n_sessions, n_runs, n_classes, seed, data):
    trials = make_trials(n_subjects, n_sessions, n_runs, 2, n_classes, n_chans=1, n_times=4)
    trials = trials.select(np.random.default_rng(seed).permutation(len(trials)))
    n_splits = data.draw(st.integers(2, n_subjects))
    folds = folds_of(trials, protocol, seed, n_splits)
    unit = trials.group(PROTOCOLS[protocol])
    tested = np.concatenate([fold.test for fold in folds])
    assert len(np.unique(tested)) == len(tested)
    if protocol != "session":
        assert len(tested) == len(trials)
    for fold in folds:
        parts = [fold.train, fold.validation, fold.test]
        everything = np.concatenate(parts)
        assert len(np.unique(everything)) == len(everything)
        assert all((np.diff(part) > 0).all() for part in parts)
        assert not set(unit[fold.design]) & set(unit[fold.test])
        assert set(trials.y[fold.train]) == set(range(n_classes))
        assert len(fold.validation) <= len(fold.train)
        people = set(trials.subject[fold.test])
        if PROTOCOLS[protocol] == "subject":
            assert len(everything) == len(trials)
        else:  # of one person, all that the person has
            assert len(people) == 1
            assert len(everything) == (trials.subject == people.pop()).sum()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_folds_depend_on_the_seed_alone(protocol):
    def as_text(seed):
        np.random.default_rng().normal(size=3)
        return json.dumps(
            folds_to_json(TRIALS, folds_of(TRIALS, protocol, seed), protocol)["folds"]
        )

    assert as_text(0) == as_text(0)
    if protocol not in ("split",):
        assert len({as_text(seed) for seed in range(8)}) > 1  # who validates


def test_the_last_session_is_tested():
    trials = make_trials(n_subjects=2, n_sessions=11, per_class=1, n_times=8)
    for fold in folds_of(trials, "session"):
        assert set(trials.session[fold.test]) == {"11"}  # not 9
        assert len(set(trials.session[fold.validation])) == 2


def test_numbers_in_names_are_sorted_as_numbers():
    names = np.array(["s10", "s2", "s2b10", "s2b9", "", "10", "9"])
    assert sorted_names(names) == ["", "9", "10", "s2", "s2b9", "s2b10", "s10"]


def test_a_person_with_one_session_is_left_out():
    trials = TRIALS.select((TRIALS.subject != "P2") | (TRIALS.session == "1"))
    assert "P2" not in {trials.subject[fold.test[0]] for fold in folds_of(trials, "session")}
    with pytest.raises(TaskError, match="Nobody has two sessions"):
        folds_of(trials.select(trials.session == "1"), "session")


def test_one_session_to_learn_from_validates_by_its_runs():
    fold = folds_of(TRIALS.select(TRIALS.session != "3"), "session")[0]
    assert len(set(TRIALS.select(TRIALS.session != "3").run[fold.validation])) == 1


def test_with_nothing_whole_to_set_apart_the_last_windows_validate():
    trials = make_trials(n_subjects=1, n_runs=2, per_class=10, n_times=8)
    for fold in folds_of(trials, "run"):
        assert trials.select(fold.validation).counts() == (2, 2)
        assert fold.validation.min() > np.sort(fold.train)[-5]


def test_patients_and_controls_are_in_every_fold():
    """Each person has one class: folds drawn blindly would lack one."""
    trials = make_trials(n_subjects=20, per_class=2, n_times=8)
    number = np.array([int(name[1:]) for name in trials.subject])
    trials = trials.select(trials.y == number % 2)
    for seed in range(5):
        for fold in folds_of(trials, "kfold", seed):
            for part in (fold.train, fold.validation, fold.test):
                assert min(trials.select(part).counts()) > 0


def test_a_split_is_taken_by_its_subjects():
    (fold,) = folds_of(TRIALS, "split")
    for part in ("train", "validation", "test"):
        assert set(TRIALS.subject[getattr(fold, part)]) == set(getattr(SPLIT, part))


def test_a_split_without_validation_sets_some_subjects_apart():
    split = Split(train=("P0", "P1", "P2", "P3"), test=("P4", "P5"))
    (fold,) = make_folds(TRIALS, "split", split)
    assert len(set(TRIALS.subject[fold.validation])) == 1
    assert len(set(TRIALS.subject[fold.train])) == 3


def test_a_split_must_have_the_windows_that_it_says():
    found = TRIALS.select(TRIALS.subject == "P3").counts()
    make_folds(TRIALS, "split", dataclasses.replace(SPLIT, counts={"validation": found}))
    wrong = dataclasses.replace(SPLIT, counts={"validation": (found[0], 35)})
    with pytest.raises(TaskError, match=r"validation part has \(36, 36\) .* expected \(36, 35\)"):
        make_folds(TRIALS, "split", wrong)
    with pytest.raises(TaskError, match="No recording of subject P9 was found"):
        make_folds(TRIALS, "split", dataclasses.replace(SPLIT, test=("P4", "P9")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": "holdout"}, "protocol='holdout' is unknown"),
        ({"protocol": "split", "split": None}, "no fixed split"),
        ({"protocol": "kfold", "n_splits": 7}, "6 subjects for 7 folds"),
        ({"protocol": "run", "n_splits": 1}, "expected at least 2"),
    ],
)
def test_what_cannot_be_divided_is_refused(change, message):
    with pytest.raises(TaskError, match=message):
        make_folds(TRIALS, **{"split": SPLIT, **change})


# Leakage, tried


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("part", ["train", "validation"])
def test_who_is_on_both_sides_is_found(protocol, part):
    fold = folds_of(TRIALS, protocol)[0]
    moved = fold.test[:1]
    leaking = {part: np.sort(np.append(getattr(fold, part), moved)), "test": fold.test[1:]}
    bad = dataclasses.replace(fold, **leaking)
    with pytest.raises(TaskError, match=f"is in {part} and in test"):
        check_folds(TRIALS, [bad], PROTOCOLS[protocol])


def test_a_subject_in_train_and_validation_is_found():
    fold = folds_of(TRIALS, "loso")[0]
    bad = dataclasses.replace(
        fold, train=fold.train[1:], validation=np.sort(np.append(fold.validation, fold.train[0]))
    )
    with pytest.raises(TaskError, match="is in train and in validation"):
        check_folds(TRIALS, [bad], "subject")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("part", ["train", "validation"])
@pytest.mark.parametrize("disguise", [None, "channels in another order", "a channel missing"])
def test_a_copied_file_under_another_name_is_found(protocol, part, disguise):
    fold = folds_of(TRIALS, protocol)[0]
    x = TRIALS.x.copy()
    copied = x[fold.test[-2:]]
    if disguise == "channels in another order":
        copied = copied[:, ::-1]
    elif disguise == "a channel missing":
        copied[:, 0] = np.nan
    x[getattr(fold, part)[:2]] = copied
    with pytest.raises(TaskError, match=f"2 windows of test have the same samples as .* {part}"):
        folds_of(dataclasses.replace(TRIALS, x=x), protocol)


def test_a_subject_twice_under_two_names_is_found():
    renamed = np.where(TRIALS.subject == "P1", "P1 again", TRIALS.subject)
    again = TRIALS.select(TRIALS.subject == "P1")
    both = dataclasses.replace(
        TRIALS,
        **{
            name: np.concatenate([getattr(TRIALS, name), getattr(again, name)])
            for name in ("x", "y", "session", "run")
        },
        subject=np.concatenate([TRIALS.subject, renamed[TRIALS.subject == "P1"]]),
    )
    for protocol in ("loso", "kfold"):
        with pytest.raises(TaskError, match=r"P1.* and P1.*is a file there twice"):
            folds_of(both, protocol)


def test_windows_without_signal_are_no_copies():
    x = TRIALS.x.copy()
    x[::5] = 0
    x[1::5] = np.nan
    x[2::5, 0] = 7  # one dead channel
    folds_of(dataclasses.replace(TRIALS, x=x), "loso")


def test_a_window_twice_or_nowhere_is_found():
    fold = folds_of(TRIALS, "loso")[0]
    twice = dataclasses.replace(fold, train=np.append(fold.train, fold.train[0]))
    with pytest.raises(TaskError, match="more than once"):
        check_folds(TRIALS, [twice], "subject")
    nowhere = dataclasses.replace(fold, test=np.append(fold.test, len(TRIALS)))
    with pytest.raises(TaskError, match="do not exist"):
        check_folds(TRIALS, [nowhere], "subject")
    with pytest.raises(TaskError, match="no window to test on"):
        check_folds(TRIALS, [dataclasses.replace(fold, test=fold.test[:0])], "subject")


def test_runs_of_one_class_each_cannot_be_tested_on_each_other():
    trials = make_trials(n_subjects=1, n_runs=2, n_times=8)
    trials = trials.select(trials.y + 1 == trials.run.astype(int))
    with pytest.raises(TaskError, match="no training window of class a"):
        folds_of(trials, "run")


# Few labelled windows


@settings(max_examples=30, deadline=None)
@given(shots=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_shots_are_drawn_evenly_and_alike_for_all_classes(shots, seed):
    fold = folds_of(TRIALS, "loso")[2]
    few = thin(TRIALS, fold, shots, seed)
    assert set(few.design) <= set(fold.design)
    assert set(few.validation) <= set(fold.validation) or not len(few.validation)
    np.testing.assert_array_equal(few.test, fold.test)
    assert TRIALS.select(few.design).counts() == (shots, shots)
    assert min(TRIALS.select(few.train).counts()) > 0
    per_class = []
    for label in (0, 1):
        of_class = few.design[TRIALS.y[few.design] == label]
        names, n = np.unique(TRIALS.subject[of_class], return_counts=True)
        assert n.max() - n.min() <= 1
        assert len(names) == min(5, shots)
        per_class.append(dict(zip(names, n, strict=True)))
    assert per_class[0] == per_class[1]  # who it is says nothing about the class


def test_draws_differ_between_seeds_and_not_otherwise():
    fold = folds_of(TRIALS, "loso")[0]
    draws = [tuple(thin(TRIALS, fold, 5, seed).design) for seed in (0, 0, 1, 2)]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3


def test_more_shots_than_windows_are_refused():
    fold = folds_of(TRIALS, "split")[0]
    with pytest.raises(TaskError, match=r"144 windows of class a .* shots=145"):
        thin(TRIALS, fold, 145, 0)
    with pytest.raises(TaskError, match="shots=0; it must be at least 1"):
        thin(TRIALS, fold, 0, 0)


# For other programs


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_folds_travel_as_json(protocol):
    folds = folds_of(TRIALS, protocol)
    content = json.loads(json.dumps(folds_to_json(TRIALS, folds, protocol)))
    again = folds_from_json(content, TRIALS)
    assert len(again) == len(folds)
    for one, other in zip(folds, again, strict=True):
        assert one.name == other.name
        for part in ("train", "validation", "test"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
    assert set(content["folds"][0]["test"]) == {"subjects", "sessions", "positions"}


def test_folds_are_refused_for_other_windows():
    content = folds_to_json(TRIALS, folds_of(TRIALS, "loso"), "loso")
    other = dataclasses.replace(TRIALS, x=TRIALS.x * 2)
    with pytest.raises(TaskError, match="their samples differ"):
        folds_from_json(content, other)
    folds_from_json(content, other, signals=False)
    with pytest.raises(TaskError, match="their labels differ"):
        folds_from_json(content, dataclasses.replace(TRIALS, y=1 - TRIALS.y), signals=False)
    content["folds"][0]["train"]["positions"].append(content["folds"][0]["test"]["positions"][0])
    with pytest.raises(TaskError, match="more than once"):
        folds_from_json(content, TRIALS)


def test_design_is_train_and_validation():
    fold = Fold(name="f", train=np.array([4, 1]), validation=np.array([2]), test=np.array([3]))
    assert fold.design.tolist() == [1, 2, 4]
