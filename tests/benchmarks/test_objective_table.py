"""The table of the pretraining objective: its variants are sound, and it is made of what is scored.

Not named after its module, objective.py: pytest refuses two test files of one name.
"""

import json
import subprocess
from pathlib import Path

import frozen_probe
import objective
import pytest
import yaml

from eegfoundation.cli import build_parser
from eegfoundation.models import SIZES, EEGFoundationConfig, EEGFoundationModel
from eegfoundation.models.objective import EEGFoundationForPreTraining, Objective
from eegfoundation.pretraining import run
from evaluation_helpers import make_trials

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def no_training(monkeypatch):
    """Whatever would train or score fails."""

    def fail(*_args, **_kwargs):
        pytest.fail("this was scored before")

    for name in ("pretrain", "design_scores", "load_encoder"):
        monkeypatch.setattr(objective, name, fail)


@pytest.fixture
def scored(tmp_path):
    """A folder with a score of every variant, two seeds."""
    for number, variant in enumerate(objective.VARIANTS):
        for seed in range(2):
            value = 0.5 + 0.01 * number + 0.002 * seed
            found = {}
            for kind in ("", "_standardised"):
                found |= {f"{name}{kind}": value for name in ("mean", "stress", "ssvep")}
            found["twin"] = dict.fromkeys(found, 0.25)
            asked = objective.asked_of(variant, "corpora/small", 400, seed)
            weights = asked["settings"]
            found |= {f"{p}_loss": 3.0 for p in objective.LOSSES if weights[f"{p}_weight"] > 0}
            path = tmp_path / f"{variant.name}-seed{seed}" / "score.json"
            path.parent.mkdir()
            path.write_text(json.dumps({"asked": asked, "found": found}))
    return tmp_path


def test_every_variant_is_accepted(tmp_path, monkeypatch):
    """By the command, with the files that it would be started with, and by the model."""
    started = []

    def start(command, **_options):
        started.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(objective.subprocess, "run", start)
    for variant in objective.VARIANTS:
        asked = objective.asked_of(variant, "corpora/small", 400, 0)
        objective.pretrain(tmp_path / variant.name, **asked)
        _python, _m, _module, *command = started[-1]
        settings = vars(build_parser().parse_args(command)["pretrain"]).copy()
        for name, value in variant.settings.items():
            assert settings[name] == value
            assert type(settings[name]) is type(value), f"{name}: YAML reads {value!r} as text"
        assert settings["out"] == str(tmp_path / variant.name)
        run._check(settings)
        config = EEGFoundationConfig.from_json_file(settings["model_config"])
        for name, value in variant.model.items():
            found = getattr(config, name)
            assert value.items() <= found.items() if isinstance(value, dict) else value == found
        assert 2000 % config.tokens_per_position == 0  # samples of a window of the corpus
        parts = {k: v for k, v in settings.items() if k in Objective.__annotations__}
        EEGFoundationForPreTraining(config, Objective(**parts))


def test_every_variant_is_another():
    reference, *others = objective.VARIANTS
    assert len({variant.name for variant in objective.VARIANTS}) == len(objective.VARIANTS)
    assert not reference.settings
    assert not reference.model
    asked = [objective.asked_of(variant, "c", 400, 0) for variant in objective.VARIANTS]
    for i, one in enumerate(asked):
        assert one not in asked[:i], objective.VARIANTS[i].name
    for variant in others:
        assert bool(variant.settings) != bool(variant.model), "differs in one thing"


def test_the_reference_is_the_recipe():
    asked = objective.asked_of(objective.VARIANTS[0], "c", 400, 3)
    recipe = yaml.safe_load(objective.RECIPE.read_text())
    changed = {name for name, value in asked["settings"].items() if recipe.get(name) != value}
    assert changed == {"corpus", "steps", "save_steps", "seed"}
    assert asked["model"] == objective.SIZES[recipe["size"]]


@pytest.mark.usefixtures("no_training")
def test_the_table_is_made_of_what_is_scored(scored, capsys):
    objective.main(["--out", str(scored), "--seeds", "2"])
    *said, last = capsys.readouterr().out.splitlines()
    lines = [line for line in said if line.startswith("|")][2:]
    assert [line.split("|")[1].strip() for line in lines] == [v.name for v in objective.VARIANTS]
    value = "0.501 ± 0.001"
    assert lines[0].split("|")[3].strip() == f"{value} ({value}, {value})"
    assert lines[0].split("|")[5].strip() == " / ".join(["0.250 ± 0.000"] * 2)
    (tokens_only,) = (line for line in lines if "tokens-only" in line)
    assert tokens_only.split("|")[6].strip() == "3.000 ± 0.000 / - / -"
    rows = json.loads(last)["rows"]
    assert len(rows) == 2 * len(objective.VARIANTS)
    assert rows[0]["variant"] == "reference"
    assert rows[0]["twin"]["mean"] == 0.25


@pytest.mark.usefixtures("no_training")
def test_only_some(scored, capsys):
    objective.main(["--out", str(scored), "--only", "minmax", "no-window"])
    *said, last = capsys.readouterr().out.splitlines()
    assert [row["variant"] for row in json.loads(last)["rows"]] == ["minmax", "no-window"]
    assert said[-2].startswith("| minmax | published amplitude scaling | 0.510 (0.510, 0.510) |")


@pytest.mark.usefixtures("no_training")
def test_a_score_of_other_settings_is_refused(scored):
    with pytest.raises(SystemExit, match=r"reference-seed0.* holds a score of other settings"):
        objective.main(["--out", str(scored), "--steps", "800"])


def test_a_failed_run_says_how_to_repeat_it(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1)
    monkeypatch.setattr(objective.subprocess, "run", lambda *_args, **_kwargs: failed)
    with pytest.raises(SystemExit, match=r"pretrain --config .*minmax-seed0.pretrain\.yaml"):
        objective.main(["--out", str(tmp_path), "--only", "minmax"])
    assert not list(tmp_path.glob("*/score.json"))


def test_from_training_to_the_row(tmp_path, monkeypatch):
    """With stand-ins for what takes long: one step after the other, each once."""
    trained, scored = [], 0

    def pretrain(folder, settings, model):
        trained.append(folder.name)
        config = EEGFoundationConfig(**SIZES["tiny"], trained=True)
        EEGFoundationModel(config).save_pretrained(folder / "encoder")
        losses = "step,token_loss,spectrum_loss,window_loss\n50,7,2,3\n100,6,1.5,2.5\n"
        (folder / "metrics.csv").write_text(losses)

    def windows(data, preprocessing):
        nonlocal scored
        scored += 1
        made = make_trials(n_subjects=3, n_times=200, preprocessing=preprocessing)
        return dict.fromkeys(frozen_probe.TASKS, made)

    monkeypatch.setattr(objective, "pretrain", pretrain)
    monkeypatch.setattr(frozen_probe, "design_windows", windows)
    arguments = ["--out", str(tmp_path), "--only", "reference", "spectra-only"]
    objective.main(arguments)
    objective.main(arguments)
    assert trained == ["reference-seed0", "spectra-only-seed0"]
    assert scored == 3  # the second time nothing, and the twin of both is one
    assert [path.parent.name for path in tmp_path.glob("*/twin.json")] == ["reference-seed0"]
    reference, spectra_only = (
        json.loads((tmp_path / name / "score.json").read_text())["found"] for name in trained
    )
    assert reference["twin"] == spectra_only["twin"]
    assert reference["mean"] == pytest.approx((reference["stress"] + reference["ssvep"]) / 2)
    assert (reference["token_loss"], reference["window_loss"]) == (6, 2.5)
    assert "token_loss" not in spectra_only
