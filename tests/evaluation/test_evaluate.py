"""The command, and the page that is made of what it writes."""

import hashlib
import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image

from eegfoundation.errors import TaskError
from eegfoundation.evaluation.folds import folds_from_json
from eegfoundation.evaluation.page import main, make_page
from eegfoundation.evaluation.run import command as command_line
from eegfoundation.evaluation.run import evaluate, load_both
from eegfoundation.recording import read_recording
from eegfoundation.tasks import TASKS, Split, Task
from eegfoundation.tasks.task import LabelledRecording, Span
from shared_data import ROOT

ROW_KEYS = {
    *("model", "kind", "strategy", "alignment", "best", "validation_balanced_accuracy"),
    *("balanced_accuracy", "balanced_accuracy_sd", "interval", "auroc", "auc_pr", "kappa"),
    *("weighted_f1", "calibration", "seeds"),
}
KEYS = {
    *("command", "task", "title", "classes", "window_seconds", "channels", "protocol", "split"),
    *("shots", "seeds", "encoder", "versions", "trial_counts", "subjects", "left_out", "rows"),
}


def person(number):
    """6 s of noise, then 6 s with a rhythm, at four electrodes."""
    rng = np.random.default_rng(number)
    x = rng.normal(0, 10, (4, 2400))
    x[:, 1200:] += 15 * np.sin(2 * np.pi * 20 * np.arange(1200) / 200)
    return read_recording(x, sfreq=200, ch_names=["Fz", "Cz", "Pz", "Oz"], units="uV")


def find(folder, copied=False):
    spans = [Span(start=0, stop=6, label=0), Span(start=6, stop=None, label=1)]
    return [
        LabelledRecording(
            name=f"{n}",
            open=partial(person, 1 if copied and n == 5 else n),
            subject=f"P{n}",
            spans=spans,
        )
        for n in range(6)
    ]


SPLIT = {"train": ("P0", "P1", "P2"), "validation": ("P3",), "test": ("P4", "P5")}


@pytest.fixture(autouse=True)
def toy(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("EEGFOUNDATION_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setattr("eegfoundation.probe.PENALTIES", (0.1, 1.0))
    task = Task(
        name="toy",
        title="rhythm or none",
        classes=("noise", "rhythm"),
        window=1.5,
        find=find,
        needs_data=False,
        splits={
            "ours": Split(**SPLIT, counts={"train": (12, 12), "test": (8, 8)}),
            "wrong": Split(**SPLIT, counts={"test": (8, 9)}),
            "copied": Split(**SPLIT, find=partial(find, copied=True)),
        },
        citation="Nobody (2020).",
    )
    monkeypatch.setitem(TASKS, "toy", task)
    return task


@pytest.fixture
def run(command, encoder_folder, tmp_path):
    def run(*more):
        code, out, err = command(
            *("evaluate", "--task", "toy", "--model", encoder_folder, "--seeds", 2),
            *("--alignments", "[standardise]", *more),
        )
        return code, out, [line for line in err if not line.startswith("row ")]  # its progress

    return run


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_same_command_gives_the_same_files(run, tmp_path):
    for name in ("one", "other"):
        code, out, err = run("--out", tmp_path / name)
        assert (code, err) == (0, [])
        assert out[0].split()[:2] == ["model", "strategy"]
        assert "toy-ours.json: " in out[-1]
    for name in ("toy-ours.json", "toy-ours/folds.json"):
        one, other = (tmp_path / folder / name for folder in ("one", "other"))
        assert one.read_bytes() == other.read_bytes()
    code, _, err = run("--out", tmp_path / "one")
    assert code == 2
    assert "exists already" in err[0]
    code, _, _ = run("--out", tmp_path / "one", "--overwrite", "true")
    assert code == 0


def test_a_result_says_all_that_a_reader_needs(run, tmp_path, toy, encoder):
    run("--out", tmp_path)
    content = read(tmp_path / "toy-ours.json")
    assert {*KEYS, "citation", "notice"} == set(content)
    assert content["trial_counts"] == {
        "split": {
            "train": {"noise": 12, "rhythm": 12},
            "validation": {"noise": 4, "rhythm": 4},
            "test": {"noise": 8, "rhythm": 8},
        }
    }
    assert content["subjects"]["split"]["test"] == ["P4", "P5"]
    assert content["command"].startswith("eegfoundation evaluate --task toy --model of_tests")
    assert str(tmp_path) not in json.dumps(content)
    assert {"numpy", "pyriemann", "scikit-learn"} <= set(content["versions"])
    assert "UNTRAINED" in content["notice"]
    for row in content["rows"]:
        assert ROW_KEYS <= set(row) <= {*ROW_KEYS, "differences", "note"}
        assert 0 <= row["balanced_accuracy"] <= 1
        assert row["kind"] in ("ours", "baseline", "random twin")
        assert ("differences" in row) == (row["kind"] == "ours")
        low, high = row["interval"]
        assert low <= row["balanced_accuracy"] <= high
    power = next(r for r in content["rows"] if "band power" in r["model"])
    assert power["balanced_accuracy"] > 0.8
    trials, plain = load_both(toy.for_split("ours"), None, encoder, "ours")
    assert plain is None  # the tiny encoder has no reference of its own
    (fold,) = folds_from_json(read(tmp_path / "toy-ours" / "folds.json"), trials)
    assert set(trials.subject[fold.test]) == {"P4", "P5"}


def test_a_killed_run_goes_on(run, tmp_path, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("eegfoundation.evaluation.run.write_json", killed)
        run("--out", tmp_path / "one")
    assert not (tmp_path / "one" / "toy-ours.json").exists()
    with monkeypatch.context() as patch:
        patch.setattr("eegfoundation.evaluation.row.fit_probe", killed)
        assert run("--out", tmp_path / "one")[0] == 0
    run("--out", tmp_path / "other")
    one, other = (tmp_path / folder / "toy-ours.json" for folder in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()
    assert [path.name for path in (tmp_path / "one" / "toy-ours").iterdir()] == ["folds.json"]


@pytest.mark.parametrize(
    ("arguments", "name", "n_folds"),
    [
        (["--protocol", "loso"], "toy-loso", 6),
        (["--protocol", "kfold", "--n_splits", 2], "toy-kfold", 2),
        (["--shots", 3], "toy-ours-3shots", 1),
        (["--split", "ours", "--strategies", "[probe, probe+covariance]"], "toy-ours", 1),
    ],
)
def test_files_are_named_after_what_was_asked(run, tmp_path, arguments, name, n_folds):
    code, _, err = run("--out", tmp_path, "--alignments", "[none]", *arguments)
    assert (code, err) == (0, [])
    content = read(tmp_path / f"{name}.json")
    assert len(content["trial_counts"]) == n_folds
    assert len(read(tmp_path / name / "folds.json")["folds"]) == n_folds
    if "--shots" in arguments:
        assert all(row["seeds"] == 2 for row in content["rows"])
    page = make_page(tmp_path)
    assert f"## {name}\n" in page
    assert content["command"] in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "wrong"], "test part has (8, 8) windows"),
        (["--split", "copied"], "have the same samples"),
        (["--split", "other"], "has no split 'other'"),
        (["--protocol", "session"], "Nobody has two sessions"),
        (["--protocol", "loso", "--split", "ours"], "is for protocol split"),
        (["--protocol", "cv"], "protocol='cv' is unknown"),
        (["--strategies", "[knn]"], "choose some of"),
        (["--shots", 17], "16 windows"),  # train and validation
        (["--shots", 0], "shots=0"),
        (["--seeds", 0], "seeds=0"),
        (["--seed", -1], "seed=-1"),
    ],
)
def test_mistakes_are_one_sentence(run, tmp_path, arguments, message):
    code, _, err = run("--out", tmp_path, *arguments)
    assert code == 2
    assert len(err) == 1
    assert message in err[0]
    assert not list(tmp_path.iterdir())


def test_a_task_without_a_split_needs_another_protocol(toy, monkeypatch, tmp_path):
    monkeypatch.setitem(TASKS, "toy", replace(toy, splits={}))
    with pytest.raises(TaskError, match="no split of subjects; choose --protocol kfold"):
        evaluate("toy", out=str(tmp_path))


def test_the_command_is_written_down_without_paths():
    given = {
        "task": "/home/me/my task.csv",
        "data": "/home/me/recordings",
        "protocol": "kfold",
        "split": None,
        "model": "small",
        "strategies": ["probe", "head"],
        "alignments": None,
        "seeds": 5,
        "shots": 10,
        "n_splits": 5,
        "seed": 0,
        "epochs": None,
        "classes": None,
        "window": None,
        "start": None,
        "flicker_hz": [0.0, 12.5],
        "out": "elsewhere",
        "overwrite": True,
    }
    assert command_line(given) == (
        "eegfoundation evaluate --task 'my task.csv' --data DIR --protocol kfold "
        "--strategies '[probe,head]' --shots 10 --flicker_hz '[0.0,12.5]'"
    )


def test_the_page_shows_every_row(run, tmp_path):
    run("--out", tmp_path / "results")
    content = read(tmp_path / "results" / "toy-ours.json")
    main([str(tmp_path / "results"), str(tmp_path / "docs" / "results.md")])
    page = (tmp_path / "docs" / "results.md").read_text(encoding="utf-8")
    assert page == make_page(tmp_path / "results")
    lines = page.splitlines()
    for row in content["rows"]:
        start = f"| {row['model']} | {row['kind']} | {row['strategy']} | {row['alignment']} |"
        assert sum(start in line for line in lines) == 1
    tables = [line for line in lines if line.startswith("|")]
    assert any("highest baseline" in line for line in tables)
    accuracies = [
        float(line.split("|")[7].strip(" *").partition(" ")[0])
        for line in tables
        if "| band power" in line or "| EEGFoundation" in line
        if len(line.split("|")) == 16
    ]
    assert accuracies == sorted(accuracies, reverse=True)
    assert len(accuracies) > 5


def test_a_file_that_is_no_result_is_named(tmp_path):
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(TaskError, match=r"other\.json is not a result"):
        make_page(tmp_path)


def test_the_committed_page_is_that_of_the_committed_results():
    results, page = ROOT / "results", ROOT / "docs" / "results.md"
    if not list(results.glob("*.json")):
        pytest.skip("no results are committed")
    assert page.read_text(encoding="utf-8") == make_page(results)
    with Image.open(page.with_name("results.png")) as picture:
        assert picture.text["Description"] == hashlib.sha256(page.read_bytes()).hexdigest()
