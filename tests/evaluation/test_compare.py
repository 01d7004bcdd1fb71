import numpy as np
import pytest

from eegfoundation.evaluation.compare import as_text, compare
from eegfoundation.evaluation.folds import make_folds
from eegfoundation.evaluation.row import Row
from evaluation_helpers import make_trials

TRIALS = make_trials(n_subjects=6, per_class=20, n_chans=1, n_times=8)
FOLDS = make_folds(TRIALS, "loso")


def row(model, kind="baseline", skill=0.0, validation=0.5, alignment="none", **more):
    """Guesses right with a probability of (1 + skill) / 2."""

    def predict(fold, seed):
        rng = np.random.default_rng([seed, fold.test[0], len(model)])
        right = rng.random(len(fold.test)) < (1 + skill) / 2
        guess = np.where(right, TRIALS.y[fold.test], 1 - TRIALS.y[fold.test])
        return np.log(np.where(np.eye(2)[guess] > 0, 0.8, 0.2)), validation

    return Row(model=model, kind=kind, strategy="s", alignment=alignment, predict=predict, **more)


def by_name(results):
    return {(result["model"], result["alignment"]): result for result in results}


@pytest.fixture(scope="module")
def results():
    rows = [
        row("chosen", skill=0.2, validation=0.8),
        row("lucky!", skill=0.6, validation=0.6),
        row("lucky!", skill=0.4, validation=0.7, alignment="euclidean"),
        row("twin", kind="random twin", skill=0.1, validation=0.55, seeded=True),
        row("ours", kind="ours", skill=0.8, validation=0.75),
        row("ours", kind="ours", skill=0.9, validation=0.7, alignment="standardise"),
    ]
    return compare(rows, TRIALS, FOLDS, seeds=3)


def test_without_a_terminal_progress_is_a_line_per_row(capsys):
    rows = [row("one", skill=1), row("other", skill=-1, alignment="standardise")]
    compare(rows, TRIALS, FOLDS)
    assert capsys.readouterr().err.splitlines() == [
        "row 1 of 2: one, s, none: balanced accuracy 1.000",
        "row 2 of 2: other, s, standardise: balanced accuracy 0.000",
    ]
    compare(rows, TRIALS, FOLDS, progress=False)
    assert not capsys.readouterr().err


def test_the_best_row_of_a_model_is_chosen_by_validation(results):
    best = {name for name, result in by_name(results).items() if result["best"]}
    assert best == {
        ("chosen", "none"),
        ("lucky!", "euclidean"),
        ("twin", "none"),
        ("ours", "none"),
    }


def test_ours_is_compared_with_the_best_the_highest_and_the_twin(results):
    found = by_name(results)
    differences = found["ours", "none"]["differences"]
    assert {name: other["model"] for name, other in differences.items()} == {
        "best baseline": "chosen",
        "highest baseline": "lucky!",
        "random twin": "twin",
    }
    assert differences["highest baseline"]["alignment"] == "none"
    for other in differences.values():
        one = found["ours", "none"]["balanced_accuracy"]
        reference = found[other["model"], other["alignment"]]["balanced_accuracy"]
        assert other["mean"] == pytest.approx(one - reference, abs=1e-4)
        low, high = other["interval"]
        assert low < other["mean"] < high
    assert "random twin" not in found["ours", "standardise"]["differences"]
    assert all("differences" not in r for r in results if r["kind"] != "ours")


def test_what_has_seeds_is_repeated(results):
    seeds = {name: result["seeds"] for name, result in by_name(results).items()}
    assert seeds.pop(("twin", "none")) == 3
    assert set(seeds.values()) == {1}
    assert by_name(results)["twin", "none"]["balanced_accuracy_sd"] > 0
    assert by_name(results)["ours", "none"]["balanced_accuracy_sd"] == 0


def test_scores_are_of_all_test_windows_together(results):
    accuracy = by_name(results)["ours", "none"]["balanced_accuracy"]
    assert accuracy == pytest.approx(0.9, abs=0.05)
    assert by_name(results)["ours", "none"]["calibration"]["ece"] == pytest.approx(
        abs(0.8 - accuracy), abs=1e-3
    )


def test_one_person_has_no_interval():
    trials = make_trials(n_subjects=1, n_runs=3, per_class=4, n_times=8)
    folds = make_folds(trials, "run")

    def predict(fold, seed):
        return np.log(np.eye(2)[trials.y[fold.test]] * 0.8 + 0.1), 0.5

    rows = [
        Row(model=kind, kind=kind, strategy="s", alignment="none", predict=predict)
        for kind in ("baseline", "ours")
    ]
    result = compare(rows, trials, folds)[1]
    assert result["interval"] is None
    assert result["differences"]["best baseline"]["interval"] is None
    assert result["differences"]["best baseline"]["mean"] == 0
    assert "ours" in as_text([result])


def test_the_table_is_sorted_and_marked(results):
    lines = as_text(results).splitlines()
    assert len(lines) == 7
    assert lines[1].split()[:3] == ["ours", "s", "standardise"]
    assert lines[2].startswith("*  ours")
    assert " ± " in next(line for line in lines if "twin" in line)
