"""Two tables of the same folds in one section of the page: ours, and that of `make baselines`."""

import hashlib
import json

import pytest

from eegfoundation.errors import TaskError
from eegfoundation.evaluation.page import make_page
from eegfoundation.outputs import write_json


def row(model, kind, accuracy):
    return {
        **{"model": model, "kind": kind, "strategy": "from scratch", "alignment": "none"},
        **{"best": True, "validation_balanced_accuracy": 0.5, "seeds": 1, "interval": [0.1, 0.9]},
        **{"balanced_accuracy": accuracy, "balanced_accuracy_sd": 0.0, "auroc": None},
        **{"auc_pr": None, "kappa": 0.0, "weighted_f1": 0.5},
        "calibration": {"ece": 0.1, "brier": 0.2},
    }


@pytest.fixture
def results(tmp_path):
    """A result with two rows, and its peers with two."""
    folds = tmp_path / "toy-ours" / "folds.json"
    write_json(folds, {"folds": []})
    content = {
        **{"command": "eegfoundation evaluate --task toy", "title": "rhythm or none"},
        **{"classes": ["a", "b"], "window_seconds": 1.5, "channels": ["Cz"], "left_out": []},
        **{"protocol": "split", "split": "ours", "shots": None, "seeds": 1},
        **{"versions": {"numpy": "2"}, "citation": "Nobody (2020)."},
        "trial_counts": {"split": {"test": {"a": 2, "b": 2}}},
        "subjects": {"split": {"test": ["P1"]}},
        "rows": [row("ours", "ours", 0.6), row("band power", "baseline", 0.7)],
    }
    write_json(tmp_path / "toy-ours.json", content)
    peers = {
        **content,
        **{"command": "python benchmarks/peers.py", "versions": {"braindecode": "1.8.1"}},
        "peers_of": "toy-ours",
        "folds_sha256": hashlib.sha256(folds.read_bytes()).hexdigest(),
        "rows": [row("ATCNet", "baseline", 0.5), row("EEGNet", "baseline", 0.8)],
    }
    write_json(tmp_path / "toy-ours-peers.json", peers)
    return tmp_path


def test_the_peers_stand_below_our_table(results):
    page = make_page(results)
    assert page.count("\n## ") == 1
    places = [page.index(f"| {name} |") for name in ("band power", "ours", "EEGNet", "ATCNet")]
    assert places == sorted(places)
    between = page[places[1] : places[2]]
    assert "eegfoundation evaluate --task toy" in between
    assert "Networks of braindecode" in between
    end = page[places[3] :]
    assert end.index("python benchmarks/peers.py") < end.index("braindecode 1.8.1.")
    assert page.count("Recordings: Nobody") == 1


def test_without_peers_the_page_does_not_speak_of_them(results):
    (results / "toy-ours-peers.json").unlink()
    assert "braindecode" not in make_page(results)


def test_peers_of_other_folds_are_refused(results):
    folds = results / "toy-ours" / "folds.json"
    before = folds.read_bytes()
    write_json(folds, {"folds": [1]}, overwrite=True)
    with pytest.raises(TaskError, match=r"toy-ours-peers\.json was made for other folds"):
        make_page(results)
    folds.write_bytes(before)
    make_page(results)
    (results / "toy-ours.json").unlink()
    with pytest.raises(TaskError, match="was made for other folds"):
        make_page(results)


@pytest.mark.parametrize("changes", [{"versions": None}, {"rows": [[]]}, {"trial_counts": 3}])
def test_what_is_no_result_is_named(results, changes):
    path = results / "toy-ours.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(TaskError, match=r"toy-ours\.json is not a result of"):
        make_page(results)
