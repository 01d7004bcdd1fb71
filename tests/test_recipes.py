"""Recipes: each is read by its command, does what it says, and the one for everyone really runs."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from eegfoundation import load_encoder
from eegfoundation.cli import COMMANDS, build_parser
from eegfoundation.models import EEGFoundationConfig
from eegfoundation.models.objective import Objective
from eegfoundation.pretraining.run import _arguments

ROOT = Path(__file__).resolve().parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


def written_commands(recipe):
    """Command lines in the comments, as lists of words without the program's name."""
    lines = re.findall(
        r"(?:eegfoundation|eegfoundation\.cli) ((?:build-corpus|\w+) .*--.*)", recipe
    )
    return [shlex.split(line) for line in lines]


def test_the_recipes_are_there():
    names = {path.name for path in RECIPES}
    assert {"pretrain_small.yaml", "pretrain_tueg.yaml", "pretrain_demo.yaml"} <= names


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_fits_its_command(path, monkeypatch):
    """The commands in its comments too."""
    monkeypatch.chdir(ROOT)
    commands = written_commands(path.read_text())
    assert any(f"recipes/{path.name}" in command for command in commands)
    for command in commands:
        assert command[0] in COMMANDS
        values = build_parser().parse_args(command)
        assert values.command == command[0]
        if f"recipes/{path.name}" in command:
            parsed = vars(values[command[0]])
            for name, value in yaml.safe_load(path.read_text()).items():
                assert parsed[name] == value, name
                assert type(parsed[name]) is type(value), f"{name}: YAML reads {value!r} as text"


def settings_of(name):
    command = ["pretrain", "--config", str(ROOT / "recipes" / name)]
    settings = vars(build_parser().parse_args(command)["pretrain"]).copy()
    settings.pop("config")
    return settings


def test_the_published_recipe_is_as_published(tmp_path):
    settings = settings_of("pretrain_tueg.yaml")
    arguments = _arguments({**settings, "out": str(tmp_path), "bf16": False})
    assert (settings["mask_ratio"], arguments.learning_rate) == (0.15, 5e-4)
    assert (arguments.adam_beta1, arguments.adam_beta2, arguments.adam_epsilon) == (0.9, 0.98, 1e-6)
    assert (arguments.weight_decay, arguments.max_grad_norm) == (1e-5, 2.0)
    assert arguments.warmup_steps == settings["steps"] // 100
    schedule = arguments.lr_scheduler_kwargs
    assert (schedule["decay_type"], schedule["min_lr_ratio"]) == ("linear", 0.02)
    assert schedule["num_decay_steps"] + arguments.warmup_steps == settings["steps"]
    objective = Objective(**{k: v for k, v in settings.items() if k in Objective.__annotations__})
    assert not objective.wants_spectra
    assert (objective.token_weight, objective.token_stride, objective.ordinal_sigma) == (1, 1, 0)
    config = EEGFoundationConfig.from_json_file(ROOT / settings["model_config"])
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (
        12,
        768,
        12,
    )
    assert (config.intermediate_size, config.tokens_per_position) == (3072, 1)
    assert config.tokenizer["scaling"] == "minmax"
    assert config.embedding_size == config.hidden_size


def test_the_published_recipe_is_one_pass_over_the_corpus():
    settings = settings_of("pretrain_tueg.yaml")
    windows_per_step = settings["batch_size"] * settings["gradient_accumulation"] * 8
    assert settings["steps"] * windows_per_step == pytest.approx(27_000 * 360 * 19, rel=0.01)


def test_the_demo_runs(command, tmp_path, monkeypatch):
    """Its two commands, with fewer steps and other folders."""
    monkeypatch.chdir(ROOT)
    build, train = written_commands((ROOT / "recipes" / "pretrain_demo.yaml").read_text())
    assert build[0] == "build-corpus"
    assert build[-1] == settings_of("pretrain_demo.yaml")["corpus"]
    corpus, out = tmp_path / "corpus", tmp_path / "run"
    assert command(*build[:-1], corpus)[0] == 0
    few = ("--steps", 4, "--save_steps", 4, "--log_steps", 1)
    code, said, err = command(*train, "--corpus", corpus, "--out", out, *few)
    assert (code, err) == (0, [])
    assert said[-1].startswith(f"{out / 'encoder'}: trained on 198 channel windows")
    assert load_encoder(out / "encoder").config.trained
    listed = json.loads((out / "encoder" / "training_data.json").read_text())
    assert [entry["recording"] for entry in listed["recordings"]] == ["demo_data/motor_imagery.edf"]
