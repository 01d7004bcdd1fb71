"""The picture of all results: which rows it shows, and that it shows their numbers."""

import hashlib
import json

import pytest

from eegfoundation.evaluation.picture import chosen, plot_results
from eegfoundation.outputs import write_json


def row(model, accuracy, validation, kind="baseline", strategy="logistic regression", **more):
    return {
        **{"model": model, "kind": kind, "strategy": strategy, "alignment": "none"},
        **{"balanced_accuracy": accuracy, "validation_balanced_accuracy": validation},
        **{"interval": [accuracy - 0.1, accuracy + 0.1], **more},
    }


ROWS = [
    row("band power, 7 bands", 0.9, 0.6),
    row("band power, 1-Hz bins, Welch", 0.7, 0.8, alignment="standardise"),
    row("band power, 7 bands", 0.65, 0.5, strategy="logistic regression, self-trained"),
    row("canonical correlation", 0.95, 0.9, strategy="training-free", only_classes=[1, 2]),
    row("EEGFoundation small", 0.8, 0.7, kind="ours", strategy="probe"),
    row("EEGFoundation small, random weights", 0.6, 0.7, kind="random twin", strategy="probe"),
]


def test_validation_chooses_within_a_kind_and_a_strategy():
    found = [(one["model"], one["balanced_accuracy"]) for one in chosen(ROWS)]
    assert found == [
        ("EEGFoundation small, random weights", 0.6),
        ("band power, 7 bands", 0.65),
        ("band power, 1-Hz bins, Welch", 0.7),
        ("EEGFoundation small", 0.8),
    ]


@pytest.fixture
def results(tmp_path):
    """Two results, one of them with a network beside it and people too few for an interval."""
    one = {"title": "flicker that is looked at: none, 13 or 21 Hz", "classes": ["a", "b", "c"]}
    write_json(tmp_path / "toy.json", {**one, "rows": ROWS})
    peers = [row("EEGNet", 0.3, 0.4, strategy="from scratch", interval=None)]
    folds = tmp_path / "toy" / "folds.json"
    write_json(folds, {"folds": []})
    digest = hashlib.sha256(folds.read_bytes()).hexdigest()
    beside = {"peers_of": "toy", "folds_sha256": digest, "rows": peers}
    write_json(tmp_path / "toy-peers.json", beside)
    other = {"title": "rhythm or none", "classes": ["a", "b"], "rows": [ROWS[0]]}
    write_json(tmp_path / "zoo.json", other)
    return tmp_path


def test_a_panel_shows_a_results_rows_with_intervals_and_chance(results):
    first, second = plot_results(results).axes
    assert first.get_title("left") == "toy: flicker that is looked at"
    assert [label.get_text() for label in first.get_yticklabels()] == [
        "EEGNet, from scratch",
        "EEGFoundation small, random weights, probe",
        "band power, self-trained",
        "band power (standardise)",
        "EEGFoundation small, probe",
    ]
    drawn = [line.get_xdata() for line in first.lines]
    points = [float(x[0]) for x in drawn if len(x) == 1]
    assert points == [0.3, 0.6, 0.65, 0.7, 0.8]
    pairs = [pytest.approx([x - 0.1, x + 0.1]) for x in points[1:]]
    assert [list(x) for x in drawn if len(x) == 2 and x[0] != x[1]] == pairs
    assert [x[0] for x in drawn if len(x) == 2 and x[0] == x[1]] == [pytest.approx(1 / 3)]
    assert len(second.get_yticklabels()) == 1


def test_labels_may_hold_anything(results):
    content = json.loads((results / "zoo.json").read_text())
    content["title"] = "$1 and 脑电"
    write_json(results / "zoo.json", content, overwrite=True)
    plot_results(results).canvas.draw()
