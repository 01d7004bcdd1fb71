"""The command, on a user's own recordings: another montage, another rate."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch

from eegfoundation import load_downstream_model, predict
from eegfoundation.models import DownstreamConfig, EEGFoundationForClassification
from eegfoundation.synthetic import simulate_resting
from samples import files_in, write_edf

MONTAGE = ["Fp1", "F8", "C3", "Cz", "C4", "P7", "Oz"]
NARROW = {
    "patch_size": 100,
    "stride": 100,
    "d_model": 32,
    "projection_embedding_dim": 24,
    "classification_hidden_dim": 20,
    "classification_dropout": 0.3,
    "learning_rate": 3e-3,
    "model_type": DownstreamConfig.model_type,
}
FILES = {"run.json", "own_model.pth", "own_config.json", "model", "confusion.png", "attention.png"}


def resting(subject, eyes, names=MONTAGE, sfreq=128):
    seed = int(eyes == "closed")
    return simulate_resting(
        names, duration=20, sfreq=sfreq, subject=subject, seed=seed, eyes=eyes
    ).data


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Ten files of five people at 128 Hz, and their table."""
    folder = tmp_path_factory.mktemp("own")
    rows = []
    for subject in range(5):
        for eyes in ("open", "closed"):
            name = f"p{subject}_{eyes}.edf"
            write_edf(folder / name, resting(subject, eyes), MONTAGE, 128)
            rows.append({"path": name, "subject": f"p{subject}", "label": eyes})
    with (folder / "own.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "subject", "label"])
        writer.writeheader()
        writer.writerows(rows)
    (folder / "narrow.json").write_text(json.dumps(NARROW))
    return folder


@pytest.fixture
def arguments(own, trained_folder, tmp_path):
    """Of a command; further ones replace them."""

    def make(**changes):
        values = {
            "task": own / "own.csv",
            "out": tmp_path / "run",
            "model": trained_folder,
            "model_config": own / "narrow.json",
            "window": 2,
            **changes,
        }
        return ["finetune", *(f"--{name}={value}" for name, value in values.items())]

    return make


def weights(out):
    return torch.load(out / "own_model.pth", weights_only=True)["state_dict"]


@pytest.mark.parametrize(
    ("strategy", "alignment"),
    [
        ("probe", "none"),
        ("probe", "euclidean"),
        ("probe", "components"),
        ("probe+covariance", "none"),
        ("probe+covariance", "components"),
        ("head", "standardise"),
        ("lora", "none"),
    ],
)
def test_from_a_table_to_predictions_of_a_new_recording(
    command, arguments, tmp_path, strategy, alignment
):
    call = arguments(strategy=strategy, alignment=alignment, epochs=6)
    code, out, err = command(*call)
    assert (code, err) == (0, [])
    folder = tmp_path / "run"
    assert out[-1].startswith(f"{folder / 'own_model.pth'}: balanced accuracy validation ")
    assert {path.name for path in folder.iterdir()} == FILES | (
        set() if strategy.startswith("probe") else {"curves.png"}
    )

    run = json.loads((folder / "run.json").read_text())
    assert run["settings"]["strategy"] == strategy
    assert ("bf16" in run) is not strategy.startswith("probe")
    assert str(tmp_path) not in json.dumps(run)
    assert run["trials"] == {
        "train": {"closed": 30, "open": 30},
        "validation": {"closed": 10, "open": 10},
        "test": {"closed": 10, "open": 10},
    }
    everybody = [name for part in run["subjects"].values() for name in part]
    assert sorted(everybody) == [f"p{i}" for i in range(5)]  # each in one part
    assert set(run["scores"]) == {"validation", "test"}
    assert run["scores"]["test"]["balanced_accuracy"] > 0.6
    assert {"balanced_accuracy", "kappa", "auroc"} <= set(run["scores"]["validation"])
    assert len(run["history"]) == (0 if strategy.startswith("probe") else 6)

    pair = folder / "own_model.pth", folder / "own_config.json"
    model = load_downstream_model(*pair)  # any warning would be an error
    assert model.config.trained_on.startswith("own (closed or open): ")
    same = EEGFoundationForClassification.from_pretrained(folder / "model").eval()

    few, rate = ["C3", "C4", "Oz"], 256  # fewer channels, another rate
    recording = str(write_edf(tmp_path / "new.edf", resting(9, "closed", few, rate), few, rate))
    code, out, err = command(
        *("predict", recording, "--out", tmp_path / "predicted"),
        *("--classifier", pair[0], "--classifier_config", pair[1]),
    )
    assert (code, err) == (0, [])
    table = pd.read_csv(tmp_path / "predicted" / "new_predictions.csv")
    assert len(table) == 10
    p = table[["p_closed", "p_open"]].to_numpy()
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-4)
    np.testing.assert_allclose(predict(recording, same)["p_closed"], p[:, 0], atol=1e-4)
    if strategy == "probe" and alignment == "none":
        assert (table["predicted"] == "closed").mean() > 0.5

    before = files_in(folder), (folder / "run.json").read_bytes()
    code, out, _ = command(*call)
    assert (code, out) == (
        0,
        [f"{folder} holds this run, finished; remove the folder to run it anew."],
    )
    assert (files_in(folder), (folder / "run.json").read_bytes()) == before


def test_few_labels_and_the_task_s_own_widths(command, arguments, own, tmp_path):
    call = [c for c in arguments(strategy="head", epochs=1, shots=3) if "model_config" not in c]
    code, _, err = command(*call)
    assert (code, err) == (0, [])
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    learned = [sum(run["trials"][part].values()) for part in ("train", "validation")]
    assert sum(learned) == 6
    assert run["trials"]["test"] == {"closed": 10, "open": 10}
    assert json.loads((tmp_path / "run" / "own_config.json").read_text())["d_model"] == 512


def test_windows_without_labels_teach_a_probe(command, arguments, own, tmp_path):
    header, *rows = (own / "own.csv").read_text().splitlines()
    few = own / "few.csv"
    lines = [row if row[:2] in ("p0", "p1", "p2") else row.rpartition(",")[0] + "," for row in rows]
    few.write_text("\n".join([header, *lines]))
    code, _, err = command(*arguments(task=few))
    expected = "line 8: label is empty; only `finetune --self_training true` takes such rows."
    assert (code, err) == (2, [f"eegfoundation: few.csv, {expected}"])

    told = {"task": few, "self_training": "true", "alignment": "euclidean"}
    assert command(*arguments(**told))[0] == 0
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert sorted(name for part in run["subjects"].values() for name in part) == ["p0", "p1", "p2"]
    assert run["unlabelled"] == 40
    assert run["scores"]["test"]["balanced_accuracy"] > 0.6
    config = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert config["trained_on"].endswith(" and 40 windows without a label")

    only_labels = [row for row in rows if row[:2] in ("p0", "p1", "p2")]
    few.write_text("\n".join([header, *only_labels]))
    assert command(*arguments(task=few, alignment="euclidean", out=tmp_path / "plain"))[0] == 0
    plain = torch.load(tmp_path / "plain" / "few_model.pth", weights_only=True)["state_dict"]
    taught = torch.load(tmp_path / "run" / "few_model.pth", weights_only=True)["state_dict"]
    assert not torch.equal(plain["readout.weight"], taught["readout.weight"])
    code, _, err = command(*arguments(**{**told, "out": tmp_path / "none"}))
    assert (code, len(err)) == (2, 1)
    assert "finds no window without a label" in err[0]


def test_a_split_of_the_table_is_kept(command, arguments, own, tmp_path):
    rows = (own / "own.csv").read_text().splitlines()
    parts = {"p0": "test", "p1": "validation"}
    lines = [rows[0] + ",split"] + [
        f"{row},{parts.get(row.split(',')[1], 'train')}" for row in rows[1:]
    ]
    table = own / "split.csv"
    table.write_text("\n".join(lines))
    code, _, err = command(*arguments(task=table))
    assert (code, err) == (0, [])
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["subjects"] == {"train": ["p2", "p3", "p4"], "validation": ["p1"], "test": ["p0"]}


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_and_resumed_is_uninterrupted(command, arguments, tmp_path):
    settings = {"strategy": "head", "augmentation": "true", "epochs": 30, "patience": 30}
    assert command(*arguments(**settings))[0] == 0
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "eegfoundation.cli", *arguments(**settings, out=killed)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + 120
        while not list(killed.glob("checkpoint-*")) and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.01)
        time.sleep(0.3)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert "scores" not in json.loads((killed / "run.json").read_text()), "it was through"

    code, _, err = command(*arguments(**settings, out=killed, seed=1))
    assert code == 2
    assert err == [
        f"eegfoundation: {killed} holds a run with other values of ['seed']; continue it with the "
        "same values or choose another folder."
    ]
    code, out, err = command(*arguments(**settings, out=killed))
    assert (code, err) == (0, [])
    assert not out[0].startswith("epoch 1:")  # it went on
    expected, found = weights(tmp_path / "run"), weights(killed)
    for key, value in expected.items():
        assert torch.equal(found[key], value), key
    runs = [json.loads((folder / "run.json").read_text()) for folder in (tmp_path / "run", killed)]
    assert runs[0]["history"] == runs[1]["history"]
    assert runs[0]["scores"] == runs[1]["scores"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "everything"}, "strategy='everything'; choose one of"),
        ({"task": "nothing"}, "there is no task 'nothing'"),
        ({"task": "stress", "window": 3}, "stress has its own window"),
        ({"split": "other"}, "own has no split 'other'"),
        ({"strategy": "head", "self_training": "true"}, "self_training is for a probe, found"),
        ({"shots": 500}, "expected at least shots=500"),
        ({"model": "nowhere"}, "No encoder is called 'nowhere'"),
        ({"model_config": "none.json"}, "Configuration none.json not found"),
    ],
)
def test_a_wrong_value_is_one_sentence(command, arguments, tmp_path, changes, message):
    code, out, err = command(*arguments(**changes))
    assert (code, out, len(err)) == (2, [], 1)
    assert message in err[0]
    assert not (tmp_path / "run" / "own_model.pth").exists()


def test_a_folder_of_something_else_is_left_alone(command, arguments, tmp_path):
    path = tmp_path / "run" / "run.json"
    path.parent.mkdir()
    path.write_text('{"settings": {"steps": 3}}')
    code, _, err = command(*arguments())
    assert (code, len(err)) == (2, 1)
    assert "is damaged, or not of a fine-tuning; choose another folder." in err[0]
    assert files_in(path.parent) == ["run.json"]


def test_one_subject_is_too_few(command, arguments, own):
    rows = (own / "own.csv").read_text().splitlines()
    (own / "one.csv").write_text("\n".join(rows[:3]))
    code, _, err = command(*arguments(task=own / "one.csv"))
    assert (code, len(err)) == (2, 1)
    assert "All windows are of one subject" in err[0]


def test_flickers_of_a_table_reach_the_classifier(command, arguments, tmp_path):
    told = {"strategy": "probe+covariance", "alignment": "components", "flicker_hz": "[10, 0]"}
    code, _, err = command(*arguments(**told))
    assert (code, err) == (0, [])
    model = load_downstream_model(tmp_path / "run/own_model.pth", tmp_path / "run/own_config.json")
    assert model.config.flicker_hz == [10.0]  # with the eyes closed
    assert model.covariance.n_features == 1
    for unused in ({"strategy": "probe", "flicker_hz": "[10, 0]"}, {**told, "flicker_hz": "[10]"}):
        code, _, err = command(*arguments(**unused, out=tmp_path / "other"))
        assert (code, len(err)) == (2, 1)
        assert "flicker_hz" in err[0]
