"""Networks of braindecode on the folds of a result.

braindecode has an environment of its own: `make test-integrations`.
"""

import dataclasses
import json
import sys

import numpy as np
import peer_models
import peers
import pytest
import torch
from peer_models import PEERS, load_weights, peer_rows
from peer_training import Training, train

from eegfoundation import Preprocessing, load_encoder
from eegfoundation.errors import CheckpointError, TaskError
from eegfoundation.evaluation.folds import Fold, folds_from_json, folds_to_json, make_folds
from eegfoundation.evaluation.page import make_page
from eegfoundation.outputs import write_json
from eegfoundation.tasks import TASKS, Split, load_trials

TINY = ("--seeds", "2", "--epochs", "1", "--batch_size", "8")
SIMULATED = TASKS["simulated-2a"]
NAMES = tuple(f"simulated-{n:03d}" for n in range(4))
torch.set_num_threads(1)


def without_braindecode(monkeypatch):
    """As on a machine that does not have it."""
    monkeypatch.setitem(sys.modules, "braindecode.models", None)


@pytest.fixture
def braindecode():
    try:
        import braindecode.models
    except ImportError:
        pytest.skip("braindecode is not installed: make test-integrations")
    return braindecode.models


def find(folder):
    """The first session of four people."""
    found = SIMULATED.find(folder)
    return [one for one in found if one.subject in NAMES and one.session == "1"]


SPLIT = Split(train=NAMES[:2], validation=NAMES[2:3], test=NAMES[3:])
FEW = dataclasses.replace(SIMULATED, name="few", find=find, splits={"split": SPLIT})


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setitem(TASKS, "few", FEW)


@pytest.fixture(scope="module")
def windows():
    """What the folds are made of: filtered as for the shipped encoder, in their own reference."""
    settings = load_encoder("small", weights="random").preprocessing
    return load_trials(FEW, None, dataclasses.replace(settings, reference="as recorded"))


@pytest.fixture
def result(tmp_path, windows):
    """What `eegfoundation evaluate` leaves, with one row."""
    folds = make_folds(windows, "split", SPLIT)
    row = {
        **{"model": "EEGFoundation small", "kind": "ours", "strategy": "probe"},
        **{"alignment": "none", "best": True, "validation_balanced_accuracy": 0.5, "seeds": 1},
        **{"balanced_accuracy": 0.5, "balanced_accuracy_sd": 0.0, "interval": None},
        **{name: None for name in ("auroc", "auc_pr", "kappa", "weighted_f1")},
        "calibration": {"ece": None, "brier": None},
    }
    content = {
        **{"command": "eegfoundation evaluate --task few", "task": "few", "title": "hands"},
        **{"classes": list(FEW.classes), "window_seconds": FEW.window, "protocol": "split"},
        **{"channels": list(windows.ch_names), "split": "split", "shots": None, "seeds": 1},
        **{"encoder": {"name": "small"}, "versions": {"numpy": "2"}, "left_out": []},
        "trial_counts": {"split": {"test": dict.fromkeys(FEW.classes, 6)}},
        "subjects": {"split": {"test": ["simulated-003"]}},
        "rows": [row],
    }
    path = tmp_path / "results" / "few-split.json"
    write_json(path, content)
    write_json(path.with_suffix("") / "folds.json", folds_to_json(windows, folds, "split"))
    return path


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def refused(capsys, *arguments):
    assert peers.main([str(argument) for argument in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_the_windows_of_a_result_are_loaded_again(result, windows):
    content, folds_file = peers.read_result(result)
    again = peers.load_windows(content, None)
    assert again.preprocessing.reference == "as recorded"
    (fold,) = folds_from_json(read(folds_file), again)
    np.testing.assert_array_equal(again.x[fold.test], windows.x[fold.test])


@pytest.mark.parametrize(("name", "what"), [("signals", "samples"), ("labels", "labels")])
def test_other_windows_are_refused_before_anything_is_trained(
    result, monkeypatch, capsys, name, what
):
    without_braindecode(monkeypatch)
    folds = result.with_suffix("") / "folds.json"
    write_json(folds, {**read(folds), f"{name}_sha256": "0" * 64}, overwrite=True)
    assert f"their {what} differ" in refused(capsys, result)
    if name == "signals":  # what differs on another processor may be let through, if asked
        assert "braindecode cannot be imported" in refused(capsys, result, "--labels_only")
    assert not result.with_name("few-split-peers.json").exists()


def test_other_filters_are_other_windows(result, monkeypatch, capsys):
    def load(task, data, preprocessing, **more):
        return load_trials(task, data, Preprocessing(highpass=1.0), **more)

    monkeypatch.setattr(peers, "load_trials", load)
    assert "their samples differ" in refused(capsys, result)


def test_mistakes_are_one_sentence(result, tmp_path, monkeypatch, capsys):
    without_braindecode(monkeypatch)
    assert "run `make baselines`" in refused(capsys, result)
    assert "make it with `eegfoundation evaluate`" in refused(capsys, tmp_path / "no.json")
    assert "seeds=0" in refused(capsys, result, "--seeds", 0)
    for wrong in ("EEGNet=x.pt", "Labram=nowhere.pt", "Labram"):
        assert "expected Labram or CBraMod" in refused(capsys, result, "--weights", wrong)
    write_json(result, {"task": "few"}, overwrite=True)
    assert "has no title" in refused(capsys, result)
    folds = result.with_suffix("") / "folds.json"
    folds.unlink()
    assert "folds.json does not exist" in refused(capsys, result)


def test_every_network_gets_its_rate_scale_and_length(windows):
    index = [0, 2]
    absent = dataclasses.replace(windows, x=windows.x.copy())
    absent.x[0, 0] = np.nan
    for peer in PEERS.values():
        x = peer_models._inputs(peer, absent, index, "none")
        n_times = round(windows.x.shape[-1] * peer.sfreq / windows.sfreq)
        assert x.shape == (len(windows), 2, n_times + -n_times % peer.patch)
        assert x.dtype == np.float32
        assert not x[0, 0].any()
        ratio = x[1:, 1, :n_times].std() / windows.x[1:, 2].std()
        assert ratio == pytest.approx(1, abs=0.02)  # microvolts still
    x = peer_models._inputs(PEERS["Labram"], windows, index, "euclidean")
    assert not np.allclose(x[..., : windows.x.shape[-1]], windows.x[:, index])


def test_training_stops_and_keeps_the_best_epoch():
    torch.manual_seed(0)
    x, y = torch.randn(40, 1, 5), torch.arange(40) % 2
    x[:, 0, 0] += 2 * y
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(5, 2))
    wrong = (x[:10], 1 - y[:10])  # the better it learns, the worse it gets
    setting = Training(epochs=50, patience=3, batch_size=8)
    losses = train(network, (x, y), wrong, setting, 0.1, 0.0)
    assert len(losses) == np.argmin(losses) + 1 + 3 < 50
    with torch.no_grad():
        found = torch.nn.functional.cross_entropy(network(wrong[0]), wrong[1])
    assert float(found) == pytest.approx(min(losses), abs=1e-5)
    assert train(network, (x, y), None, setting, 0.1, 0.0) == []


# of braindecode and what it imports
@pytest.mark.filterwarnings("default")
def test_rows_are_written_and_shown(braindecode, result, capsys):
    arguments = [str(result), *TINY, "--models", "EEGNet"]
    assert peers.main(arguments) == 0
    target = result.with_name("few-split-peers.json")
    content = read(target)
    assert str(result.parent) not in json.dumps(content)
    assert content["peers_of"] == "few-split"
    assert [row["alignment"] for row in content["rows"]] == ["none", "euclidean"]
    for row in content["rows"]:
        assert (row["model"], row["kind"]) == ("EEGNet", "baseline")
        assert (row["strategy"], row["seeds"]) == ("from scratch", 2)
        assert row["versions"]["braindecode"] == content["versions"]["braindecode"]
        assert "128 Hz" in row["input"]
        assert 0 <= row["balanced_accuracy"] <= 1
    before = target.read_bytes()
    assert peers.main(arguments) == 0  # is there already
    assert target.read_bytes() == before
    assert peers.main([*arguments, "--overwrite"]) == 0
    assert target.read_bytes() == before  # everything is drawn from seeds
    capsys.readouterr()
    assert "rows of other training" in refused(capsys, *arguments, "--epochs", 2)
    page = make_page(result.parent)
    assert page.count("| EEGNet | baseline | from scratch |") == 2
    assert page.count("## ") == 1
    assert content["command"] in page


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", PEERS)
def test_every_network_learns_from_windows(braindecode, windows, name):
    """Two windows a part, of 1.5 s."""
    some = windows.select(np.arange(8))
    some = dataclasses.replace(some, x=some.x[..., :300], y=np.arange(8) % 2, classes=("a", "b"))
    content = {"train": np.arange(4), "validation": np.array([4, 5]), "test": np.array([6, 7])}
    fold = Fold(name="x", **content)
    (row, _) = peer_rows(PEERS[name], some, Training(epochs=1, batch_size=2))
    log_proba, score = row.predict(fold, 0)
    assert log_proba.shape == (2, 2)
    np.testing.assert_allclose(np.exp(log_proba).sum(1), 1)
    assert score in (0, 0.5, 1)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", ["Labram", "CBraMod"])
def test_weights_are_loaded_strictly(braindecode, tmp_path, name):
    ch_names = ["Fz", "Cz"]
    one, other, longer = (
        peer_models.build(PEERS[name], ch_names, n_times, n_outputs)
        for n_times, n_outputs in ((400, 3), (400, 2), (800, 3))
    )
    path = tmp_path / "weights.pt"
    torch.save(longer.state_dict(), path)
    head = {key: value.clone() for key, value in other.final_layer.state_dict().items()}
    load_weights(other, path)
    for key, value in other.final_layer.state_dict().items():
        torch.testing.assert_close(value, head[key])
    for key in ("norm.weight", "encoder.layers.3.linear1.weight", "blocks.3.mlp.0.weight"):
        if key in other.state_dict():
            torch.testing.assert_close(other.state_dict()[key], longer.state_dict()[key])
    state = one.state_dict()
    state["what"] = state.pop(next(iter(state)))
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"1 missing .*; 1 unknown \(such as what\)"):
        load_weights(other, path)
    path.write_text("no weights")
    with pytest.raises(CheckpointError, match="cannot be read as weights"):
        load_weights(other, path)


@pytest.mark.filterwarnings("default")
def test_channels_that_labram_does_not_know_are_left_out(braindecode, windows):
    names = ("X1", "X2", *windows.ch_names[2:])
    (row, _) = peer_rows(PEERS["Labram"], dataclasses.replace(windows, ch_names=names), Training())
    assert row.note == "without 2 channels that it does not know"
    nowhere = tuple(f"X{i}" for i in range(len(names)))
    with pytest.raises(TaskError, match="Labram knows none of the channels"):
        peer_rows(PEERS["Labram"], dataclasses.replace(windows, ch_names=nowhere), Training())
