import json
import sys

import frozen_probe
import numpy as np
import pytest

from eegfoundation.evaluation.scores import Predictions
from evaluation_helpers import make_trials
from shared_data import shared_path


def predictions_of(guess, y, subject):
    log_proba = np.log(np.where(np.eye(2)[guess] == 1, 0.9, 0.1))
    return Predictions(log_proba=log_proba[None], y=y, subject=subject)


def test_the_table_gives_means_over_tasks_and_pairs_subjects():
    y, subject = np.tile([0, 1], 40), np.repeat(np.arange(10), 8)
    right, half = (predictions_of(guess, y, subject) for guess in (y, 0 * y))
    ours, theirs = ("ours", "small", "none"), ("baseline", "band power", "none")
    tasks = {"stress": {theirs: half, ours: right}, "ssvep": {theirs: right, ours: right}}
    other, own = frozen_probe.table(tasks)
    assert (other["stress"], other["ssvep"], other["mean"]) == (0.5, 1.0, 0.75)
    assert other["ours_above"] == 0.25
    # whoever is drawn, ours is 0.5 above on one task and 0 on the other
    assert other["interval"] == [0.25, 0.25]
    assert own["mean"] == 1.0
    assert "ours_above" not in own
    assert (own["stress_auroc"], own["standardised"]) == (1.0, False)


DESIGN, TEST = set(range(1, 9)), set(range(9, 13))


def numbers(subjects):
    return {int(name[-2:]) for name in subjects}


@pytest.mark.parametrize(("split", "expected"), [("design", DESIGN), ("test", TEST)])
def test_who_is_tested_and_what_is_compared(split, expected, encoder):
    material, folds = frozen_probe.load("ssvep", shared_path("compact"), encoder, split)
    tested = np.concatenate([fold.test for fold in folds])
    assert numbers(material.given.subject[tested]) == expected
    for fold in folds:
        learnt = numbers(material.given.subject[fold.design])
        assert learnt <= DESIGN, "test subjects decide nothing"
        assert not learnt & numbers(material.given.subject[fold.test])
    if split == "design":
        assert numbers(material.given.subject) == DESIGN
    rows = frozen_probe.rows_of(material)
    assert {row.kind for row in rows} == {"baseline", "random twin", "ours"}
    assert {row.alignment for row in rows} == {"none", "standardise"}
    assert {row.model for row in rows if row.kind == "baseline"} == {
        f"band power, {bins}{kind}" for bins in ("1-Hz bins", "7 bands") for kind in ("", ", Welch")
    }


def test_the_last_line_is_json(encoder, monkeypatch, capsys):
    """The command, on one task, with a small encoder and without band power."""
    monkeypatch.setattr("eegfoundation.probe.PENALTIES", (0.1, 1.0))
    monkeypatch.setattr(frozen_probe, "N_TWINS", 2)
    monkeypatch.setattr(frozen_probe, "load_encoder", lambda _name: encoder)
    monkeypatch.setattr(frozen_probe, "TASKS", {"ssvep": frozen_probe.TASKS["ssvep"]})
    original = frozen_probe.rows_of
    monkeypatch.setattr(frozen_probe, "rows_of", lambda material: original(material)[-4:])
    data = str(shared_path("compact"))
    monkeypatch.setattr(sys, "argv", ["frozen_probe.py", "--split", "test", "--data", data])
    frozen_probe.main()
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["split"] == "test"
    assert len(last["rows"]) == 4
    for row in last["rows"]:
        assert 0 <= row["ssvep"] == row["mean"] <= 1
        low, high = row.get("interval", (0, 0))
        assert low <= row.get("ours_above", 0) <= high
    assert sum("interval" not in row for row in last["rows"]) == 2


def test_design_scores_are_those_of_the_features(encoder, monkeypatch):
    """A rhythm that tells the classes apart is found, its absence too."""
    for effect, expected in ((30.0, 1.0), (0.0, 0.5)):
        made = make_trials(
            n_subjects=8, effect=effect, n_times=200, preprocessing=encoder.preprocessing
        )
        windows = {name: made for name in frozen_probe.TASKS}
        monkeypatch.setattr(frozen_probe, "design_windows", lambda *_, found=windows: found)
        scores = frozen_probe.design_scores(encoder, None)
        assert scores["mean"] == pytest.approx(expected, abs=0.25)
        assert scores["mean_standardised"] == pytest.approx(expected, abs=0.25)


def test_design_windows_are_those_of_the_design_subjects(encoder, monkeypatch):
    monkeypatch.setattr(frozen_probe, "TASKS", {"ssvep": frozen_probe.TASKS["ssvep"]})
    windows = frozen_probe.design_windows(shared_path("compact"), encoder.preprocessing)
    assert numbers(windows["ssvep"].subject) == DESIGN
