import dataclasses

import numpy as np
import pytest

from eegfoundation.errors import TaskError
from eegfoundation.evaluation.compare import compare
from eegfoundation.evaluation.folds import PROTOCOLS, make_folds
from eegfoundation.evaluation.row import ALIGNMENTS, KINDS, Material, Row
from eegfoundation.evaluation.rows import make_rows
from eegfoundation.tasks import Split
from evaluation_helpers import make_trials


@pytest.fixture(autouse=True)
def quick(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("EEGFOUNDATION_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setattr("eegfoundation.probe.PENALTIES", (0.1, 1.0))


def material_of(trials, encoder, level="subject", **more):
    return Material(
        given=trials,
        plain=dataclasses.replace(trials, x=trials.x + 1),
        encoder=encoder,
        model="EEGFoundation tiny",
        level=level,
        **more,
    )


def results_of(trials, encoder, strategies=("probe",), protocol="kfold", keep=None, **more):
    folds = make_folds(trials, protocol, n_splits=2)
    flicker_hz = more.pop("flicker_hz", ())
    material = material_of(trials, encoder, PROTOCOLS[protocol], flicker_hz=flicker_hz)
    rows = [row for row in make_rows(material, strategies) if keep is None or keep(row)]
    return compare(rows, trials, folds, **{"seeds": 2, **more})


def some(row):
    """One kind of each: band power, tangent space, twin and ours."""
    names = ("band power, 7 bands, Welch", "tangent space", "canonical correlation")
    return row.kind != "baseline" or row.model in names


def test_everything_is_compared_with_and_without_alignment(encoder):
    trials = make_trials(preprocessing=encoder.preprocessing)
    rows = make_rows(
        material_of(trials, encoder, flicker_hz=(0, 13.0)),
        ["probe", "probe+covariance", "head", "lora", "full"],
    )
    names = [(row.model, row.strategy, row.alignment) for row in rows]
    assert len(set(names)) == len(names)
    assert {row.kind for row in rows} == set(KINDS)
    for model, strategy in {(row.model, row.strategy) for row in rows}:
        of_row = [row.alignment for row in rows if (row.model, row.strategy) == (model, strategy)]
        assert "none" in of_row
        assert len(of_row) > 1 or strategy == "training-free"
    reference = encoder.preprocessing.reference
    for name in ("band power, 1-Hz bins", "band power, 7 bands, Welch", "tangent space"):
        assert {name, f"{name}, {reference}"} <= {row.model for row in rows}
    for model, alignment in (("tangent space", "components"), ("EEGFoundation tiny", "riemann")):
        assert {row.alignment for row in rows if row.model == model} == {*ALIGNMENTS} - {alignment}
    only_none = make_rows(material_of(trials, encoder), ["probe"], ["none"])
    assert {row.alignment for row in only_none} == {"none"}


def test_self_training_is_offered_to_all_alike(encoder):
    """Once more every row that is aligned in full, so that it is no privilege of ours."""
    material = material_of(make_trials(preprocessing=encoder.preprocessing), encoder)
    plain = [
        row
        for row in make_rows(material, ["probe", "probe+covariance"])
        if row.alignment == ("riemann" if "tangent" in row.model else "components")
    ]
    rows = make_rows(material, ["self-training"])
    taught = [row for row in rows if row.strategy.endswith(", self-trained")]
    assert [(row.model, row.alignment) for row in plain] == [
        (row.model, row.alignment) for row in taught
    ]
    assert {row.model for row in plain} == {row.model for row in make_rows(material, ["probe"])}
    assert {row.kind for row in taught} == set(KINDS)
    assert {row.kind for row in rows if row not in taught} == {"baseline", "random twin"}
    # of the alignments that were asked for
    whitened = make_rows(material, ["self-training"], ["none", "euclidean+standardise"])
    taught = [row for row in whitened if row.strategy.endswith(", self-trained")]
    assert {row.model for row in taught} == {row.model for row in plain}
    assert {row.alignment for row in taught} == {"euclidean+standardise"}


def test_self_training_helps_where_labels_are_few(encoder):
    trials = make_trials(6, per_class=40, effect=10, preprocessing=encoder.preprocessing)
    found = {}
    for result in results_of(
        trials,
        encoder,
        ["self-training"],
        keep=lambda row: (
            (row.model == "band power, 7 bands, Welch" and "self" in row.strategy)
            or (row.model, row.alignment) == ("band power, 7 bands, Welch", "components")
        ),
        shots=4,
    ):
        found[result["strategy"]] = result
    plain, taught = found["logistic regression"], found["logistic regression, self-trained"]
    assert taught["balanced_accuracy"] > plain["balanced_accuracy"]
    assert taught["validation_balanced_accuracy"] > 0.6


@pytest.mark.parametrize(
    ("strategies", "alignments"),
    [(["knn"], ["none"]), (["probe"], ["riemannian"]), ([], ["none"])],
)
def test_unknown_names_are_refused(encoder, strategies, alignments):
    trials = make_trials(preprocessing=encoder.preprocessing)
    with pytest.raises(TaskError, match="choose some of"):
        make_rows(material_of(trials, encoder), strategies, alignments)


STRATEGIES = ("probe", "probe+covariance")


def fixed(row):
    """Without what repeats others: the twin is the same code with other weights."""
    if row.strategy == "probe+covariance":
        return True
    return some(row) and row.kind != "random twin" and row.alignment in ("none", "standardise")


def test_clear_classes_are_found(encoder):
    trials = make_trials(6, per_class=50, effect=20, preprocessing=encoder.preprocessing)
    for result in results_of(trials, encoder, STRATEGIES, keep=fixed):
        name = result["model"], result["strategy"], result["alignment"]
        # a channel's covariance hardly knows the class; weights of the encoder are random
        if "band power" in result["model"]:
            assert result["balanced_accuracy"] > 0.75, name
            assert result["validation_balanced_accuracy"] > 0.75, name
        elif (result["strategy"], result["alignment"]) == ("probe", "standardise"):
            assert result["balanced_accuracy"] > 0.65, name


def test_shuffled_labels_give_chance(encoder):
    """The same windows, labels shuffled within each person, so that there is nothing to find.

    One shuffle scatters by 0.03 around chance; the mean of many has to be at chance.
    """
    trials = make_trials(6, per_class=30, effect=20, preprocessing=encoder.preprocessing)
    test, validation = {}, {}
    for seed in range(10):
        rng = np.random.default_rng(seed)
        shuffled = trials.y.copy()
        for subject in np.unique(trials.subject):
            index = np.flatnonzero(trials.subject == subject)
            shuffled[index] = rng.permutation(shuffled[index])
        told = dataclasses.replace(trials, y=shuffled)
        # with flicker, for whose sake there are no covariances in seven bands, which take long
        for result in results_of(told, encoder, STRATEGIES, keep=fixed, flicker_hz=(0, 13.0)):
            name = result["model"], result["strategy"], result["alignment"]
            test.setdefault(name, []).append(result["balanced_accuracy"])
            validation.setdefault(name, []).append(result["validation_balanced_accuracy"])
    assert len(test) == 11
    for name in test:
        assert np.mean(test[name]) == pytest.approx(0.5, abs=0.04), name
        # the best of several penalties: a little above
        assert np.mean(validation[name]) == pytest.approx(0.51, abs=0.04), name


def test_test_labels_change_no_prediction(encoder):
    """Also not by way of alignment, which sees the test windows."""
    trials = make_trials(4, per_class=6, effect=10, preprocessing=encoder.preprocessing)
    split = Split(train=("P0", "P1"), validation=("P2",), test=("P3",))
    (fold,) = make_folds(trials, "split", split)
    lies = trials.y.copy()
    lies[fold.test] = 1 - lies[fold.test]
    strategies = ["probe", "probe+covariance", "self-training"]
    told = material_of(dataclasses.replace(trials, y=lies), encoder)
    for one, other in zip(
        filter(some, make_rows(material_of(trials, encoder), strategies)),
        filter(some, make_rows(told, strategies)),
        strict=True,
    ):
        if "self-trained" in one.strategy and one.alignment == "riemann":
            continue  # takes long, and is the same code
        first, score = one.predict(fold, 0)
        second, same = other.predict(fold, 0)
        np.testing.assert_array_equal(first, second)
        assert score == same


@pytest.mark.parametrize("alignment", ["none", "standardise"])
def test_rows_without_alignment_know_one_test_window_at_a_time(encoder, alignment):
    """Those with it do not, which is why they are marked."""
    trials = make_trials(4, per_class=6, effect=10, preprocessing=encoder.preprocessing)
    split = Split(train=("P0", "P1"), validation=("P2",), test=("P3",))
    (fold,) = make_folds(trials, "split", split)
    x = trials.x.copy()
    x[fold.test[1:]] *= 3
    changed = dataclasses.replace(trials, x=x)
    for one, other in zip(
        filter(some, make_rows(material_of(trials, encoder), ["probe"], [alignment])),
        filter(some, make_rows(material_of(changed, encoder), ["probe"], [alignment])),
        strict=True,
    ):
        first, second = (row.predict(fold, 0)[0][0] for row in (one, other))
        assert np.allclose(first, second, atol=1e-4) == (alignment == "none"), one.model


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_rows_serve_every_protocol(encoder, protocol):
    trials = make_trials(4, 2, 2, 4, n_classes=3, effect=20, preprocessing=encoder.preprocessing)
    split = Split(train=("P0", "P1"), validation=("P2",), test=("P3",))
    rows = make_rows(material_of(trials, encoder, PROTOCOLS[protocol]), ["probe"], ["none"])
    folds = make_folds(trials, protocol, split, n_splits=2)
    for result in compare([row for row in rows if some(row)], trials, folds, seeds=1):
        assert result["balanced_accuracy"] > 0.4 or "tangent" in result["model"], result["model"]


def test_absent_channels_and_gaps_do_no_harm(encoder):
    trials = make_trials(4, per_class=5, effect=15, preprocessing=encoder.preprocessing)
    trials.x[3, 0, :30] = np.nan
    trials.x[7] = np.nan
    trials.x[trials.subject == "P1", 2] = np.nan
    for result in results_of(trials, encoder, ("probe", "probe+covariance"), keep=some, seeds=1):
        assert 0.2 <= result["balanced_accuracy"] <= 1


def test_few_shots_are_the_same_windows_for_every_row(encoder):
    trials = make_trials(4, per_class=10, preprocessing=encoder.preprocessing)
    seen = {}

    def row(name):
        def predict(fold, seed):
            seen.setdefault(name, []).append((seed, *fold.design.tolist()))
            return np.zeros((len(fold.test), 2)), 0.5

        return Row(model=name, kind="ours", strategy="s", alignment="none", predict=predict)

    folds = make_folds(trials, "kfold", n_splits=2)
    results = compare([row("one"), row("other")], trials, folds, seeds=3, shots=4)
    assert seen["one"] == seen["other"]
    assert len(set(seen["one"])) == 6  # three draws of two folds
    assert all(len(one) == 1 + 2 * 4 for one in seen["one"])
    assert [result["seeds"] for result in results] == [3, 3]
    for result in results_of(trials, encoder, shots=3, keep=some, seeds=1):
        assert 0 <= result["balanced_accuracy"] <= 1


def test_rest_is_not_asked_of_what_cannot_know_it(encoder):
    """Class a is rest, b flickers at 20 Hz, c at 30 Hz."""
    trials = make_trials(
        4, per_class=8, n_classes=3, effect=20, n_times=200, preprocessing=encoder.preprocessing
    )
    material = material_of(trials, encoder, flicker_hz=(0, 20, 30))
    rows = [row for row in make_rows(material, ["probe"]) if "canonical" in row.model]
    results = compare(rows, trials, make_folds(trials, "loso"), seeds=1)
    free = [result for result in results if result["strategy"] == "training-free"]
    assert len(free) == 2
    for result in free:
        assert result["only_classes"] == [1, 2]
        assert result["note"] == "only windows of b, c"
        assert result["balanced_accuracy"] > 0.9
        assert result["validation_balanced_accuracy"] > 0.9
        assert result["auroc"] > 0.9
        assert result["calibration"] == {"ece": None, "brier": None}
        assert not result["best"]
    assert all(r["balanced_accuracy"] > 0.6 for r in results if r not in free)
    assert sum(result["best"] for result in results) == 2


def test_fine_tuned_rows_are_those_of_finetuning(encoder):
    trials = make_trials(4, per_class=3, effect=20, preprocessing=encoder.preprocessing)
    material = material_of(trials, encoder, epochs=1)
    rows = [row for row in make_rows(material, ["head", "lora"], ["none"]) if row.kind == "ours"]
    assert [row.strategy for row in rows] == ["head", "lora"]
    assert all(row.seeded for row in rows)
    fold = make_folds(trials, "kfold", n_splits=2)[0]
    log_proba, validation = rows[0].predict(fold, 0)
    again, _ = rows[0].predict(fold, 0)
    np.testing.assert_array_equal(log_proba, again)
    assert log_proba.shape == (len(fold.test), 2)
    np.testing.assert_allclose(np.exp(log_proba).sum(1), 1, rtol=1e-5)
    assert 0 <= validation <= 1


@pytest.mark.parametrize("has_units", [True, False])
def test_fine_tuned_rows_say_that_they_were_trained_in_bfloat16(encoder, monkeypatch, has_units):
    module = "eegfoundation.finetuning.training.multiplies_bfloat16"
    monkeypatch.setattr(module, lambda device: has_units)
    trials = make_trials(4, per_class=3, preprocessing=encoder.preprocessing)
    rows = make_rows(material_of(trials, encoder, epochs=1), ["probe", "full"], ["none"])
    noted = {row.strategy: row.note for row in rows if row.kind == "ours"}
    assert noted == {"probe": "", "full": "trained in bfloat16" if has_units else ""}
