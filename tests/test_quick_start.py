"""The published interface, word for word, and every published setting read and honoured."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from eegfoundation.errors import ConfigError
from eegfoundation.models import (
    DownstreamConfig,
    EEGFoundationConfig,
    EEGFoundationForClassification,
    EEGFoundationForMaskedLM,
    to_roformer,
)

ROOT = Path(__file__).resolve().parents[1]

# As published: these stay, word for word
PUBLISHED = [
    "from src.models.downstream_EEGFoundation import load_downstream_model",
    'model = load_downstream_model(model_path="models/BCIC-2a_model.pth", '
    'config_path="configs/BCIC_IV_2a_config.json")',
    "outputs = model(input_ids=torch.randn(2, 20, 2000), embedding_data=torch.randn(2, 512))",
    "torch.softmax(outputs['logits'], dim=-1)",
]

DOWNSTREAM = {
    "BCIC_IV_2a_config.json": (800, 100, 100, 4, 22),
    "FACED_config.json": (2000, 200, 100, 9, 32),
    "Stress_config.json": (1000, 150, 100, 2, 20),
    "TUAB_config.json": (2000, 150, 100, 2, 23),
}
DIFFERING = ("seq_len", "patch_size", "stride", "num_classes", "num_channel")
IN_ALL = {
    "d_model": 512,
    "embedding_dim": 512,
    "projection_embedding_dim": 512,
    "classification_dropout": 0.5,
    "classification_hidden_dim": 512,
    "learning_rate": 1e-4,
    "weight_decay": 0.1,
    "rms_norm": False,
    "model_type": "eeg-foundation-downstream-classifier",
}


def quick_start():
    """Code block of the README that loads a downstream model."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    (block,) = [block for block in blocks if "load_downstream_model" in block]
    return block


def run_at_root(code):
    """Run as a reader does: a script at the root of the repository, nothing else on the path."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_readme_shows_the_published_quick_start():
    def without_line_breaks(code):
        return re.sub(r"\s+", "", code).replace(",)", ")")

    for statement in PUBLISHED:
        assert without_line_breaks(statement) in without_line_breaks(quick_start())


@pytest.mark.parametrize("code", [quick_start(), "\n".join(["import torch", *PUBLISHED[:3]])])
def test_the_published_quick_start_runs(code):
    check = "probabilities = torch.softmax(outputs['logits'], dim=-1)\n"
    check += "print(*probabilities.shape, *probabilities.sum(-1).tolist(), model.training)"
    done = run_at_root(f"{code}\n{check}")
    rows, classes, first, second, training = done.stdout.splitlines()[-1].split()
    assert (rows, classes, training) == ("2", "4", "False")
    assert [float(first), float(second)] == pytest.approx([1, 1])
    # 20 channels and 2,000 samples against a configuration of 22 and 800: said once, accepted
    assert done.stderr.count("20 channels and 2000 samples") == 1
    assert done.stderr.count("was trained on SIMULATED recordings only") == 1
    assert "UNTRAINED" not in done.stderr


@pytest.mark.parametrize("file", DOWNSTREAM)
def test_downstream_files_hold_the_published_values(file):
    values = json.loads((ROOT / "configs" / file).read_text())
    assert values == IN_ALL | dict(zip(DIFFERING, DOWNSTREAM[file], strict=True))
    config = DownstreamConfig.from_json_file(ROOT / "configs" / file)
    assert {key: getattr(config, key) for key in values} == values


@pytest.mark.parametrize("file", DOWNSTREAM)
def test_downstream_files_make_working_models(file):
    config = DownstreamConfig.from_json_file(ROOT / "configs" / file)
    model = EEGFoundationForClassification(config).eval()
    x = torch.randn(2, config.num_channel, config.seq_len)
    with torch.no_grad():
        outputs = model(x, torch.randn(2, config.embedding_dim))
        other_shape = model(x[:, :3, :500], torch.randn(2, config.embedding_dim))
    assert outputs.logits.shape == other_shape.logits.shape == (2, config.num_classes)


class Observed:
    """What one configuration makes, key by key: each entry is decided by that key."""

    def __init__(self, values):
        self.config = DownstreamConfig(**values)
        self.model = EEGFoundationForClassification(self.config)
        self.fusion = self.model.fusion

    def logged(self, monkeypatch_logger):
        messages = []
        monkeypatch_logger.setattr(
            "eegfoundation.models.classifier.logger.warning_once", messages.append
        )
        self.model(torch.randn(1, 22, 800), torch.randn(1, self.config.embedding_dim))
        return messages

    def observe(self, key, monkeypatch):
        signal = torch.randn(1, 2, 800)
        if key in ("seq_len", "num_channel"):
            return self.logged(monkeypatch)
        return {
            "patch_size": lambda: self.fusion.local_patterns.project.in_features,
            "stride": lambda: self.fusion.local_patterns(signal)[0].shape[2],
            "d_model": lambda: self.fusion.local_patterns(signal)[0].shape[3],
            "num_classes": lambda: self.model.final_layer.out_features,
            "rms_norm": lambda: type(self.fusion.norm),
            "embedding_dim": lambda: self.fusion.global_context[0].in_features,
            "projection_embedding_dim": lambda: self.fusion.global_context[0].out_features,
            "classification_dropout": lambda: [
                m.p for m in self.model.modules() if isinstance(m, nn.Dropout)
            ],
            "classification_hidden_dim": lambda: self.model.final_layer.in_features,
            # defaults of fine-tuning, which reads them from the model's configuration
            "learning_rate": lambda: self.model.config.learning_rate,
            "weight_decay": lambda: self.model.config.weight_decay,
        }[key]()


OTHER_DOWNSTREAM = {
    "seq_len": 700,
    "patch_size": 50,
    "stride": 40,
    "d_model": 64,
    "num_classes": 7,
    "num_channel": 3,
    "rms_norm": True,
    "embedding_dim": 32,
    "projection_embedding_dim": 48,
    "classification_dropout": 0.25,
    "classification_hidden_dim": 96,
    "learning_rate": 3e-4,
    "weight_decay": 0.01,
}


@pytest.mark.parametrize("key", OTHER_DOWNSTREAM)
def test_every_downstream_key_changes_something(key, monkeypatch):
    values = json.loads((ROOT / "configs/BCIC_IV_2a_config.json").read_text())
    assert values.keys() == OTHER_DOWNSTREAM.keys() | {"model_type"}
    before = Observed(values).observe(key, monkeypatch)
    after = Observed({**values, key: OTHER_DOWNSTREAM[key]}).observe(key, monkeypatch)
    assert before != after


@pytest.mark.parametrize("file", [*DOWNSTREAM, "pretrain_config.json"])
def test_another_model_type_or_an_unknown_key_is_refused(file):
    values = json.loads((ROOT / "configs" / file).read_text())
    cls = EEGFoundationConfig if file.startswith("pretrain") else DownstreamConfig
    with pytest.raises(ConfigError, match="'other'"):
        cls(**{**values, "model_type": "other"})
    with pytest.raises(ConfigError, match="seq_length"):
        cls(**values, seq_length=3)


# --- pretrain_config.json -----------------------------------------------------------------------


def pretraining():
    return json.loads((ROOT / "configs/pretrain_config.json").read_text())


def test_pretraining_file_holds_the_published_values():
    values = pretraining()
    published = {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 2000,
        "rope_theta": 10000,
        "vocab_size": 2006,
        "mask_token_id": 2001,
        "pad_token_id": 2002,
        "cls_token_id": 2003,
        "sep_token_id": 2004,
        "unk_token_id": 2005,
    }
    assert values.items() >= published.items()
    config = EEGFoundationConfig.from_json_file(ROOT / "configs/pretrain_config.json")
    assert {key: getattr(config, key) for key in published} == published


def test_pretraining_file_makes_the_published_architecture():
    config = EEGFoundationConfig.from_json_file(ROOT / "configs/pretrain_config.json")
    with torch.device("meta"):  # shapes without 350 MB of numbers
        model = EEGFoundationForMaskedLM(config)
    block = 4 * (768 * 768 + 768) + 2 * 768 * 3072 + 3072 + 768 + 4 * 768
    embeddings = 2006 * 768 + 2 * 768 + 2 * 768
    head = 768 * 768 + 768 + 2 * 768 + 2006
    assert model.num_parameters() == 12 * block + embeddings + head
    assert model.encoder.tokenizer.scaling == "minmax"


def narrow(**changes):
    """The pretraining file's model, small enough to build: its other values as they are."""
    small = {
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
    }
    torch.manual_seed(0)
    return EEGFoundationForMaskedLM(EEGFoundationConfig(**{**pretraining(), **small, **changes}))


def logits(model):
    torch.manual_seed(1)  # of dropout
    ids = torch.arange(0, 2000, 50).unsqueeze(0)
    return model(ids).logits.sum().item()


LAYER = "encoder.layers.0"
PRETRAINING_KEYS = {
    "hidden_size": (96, lambda m: m.encoder(torch.zeros(1, 9).long()).last_hidden_state.shape),
    "num_hidden_layers": (3, lambda m: len(m.encoder.layers)),
    "num_attention_heads": (3, lambda m: logits(m.eval())),
    "intermediate_size": (80, lambda m: m.get_submodule(LAYER).fc1.out_features),
    "hidden_act": ("relu", lambda m: logits(m.eval())),
    "hidden_dropout_prob": (0.0, lambda m: logits(m.train())),
    "attention_probs_dropout_prob": (0.0, lambda m: logits(m.train())),
    # rotary positions need no table, but RoFormer's do
    "max_position_embeddings": (
        32,
        lambda m: to_roformer(m)[0].roformer.encoder.embed_positions.num_embeddings,
    ),
    "tokens_per_position": (5, lambda m: m.encoder(torch.zeros(1, 50).long())[0].shape),
    "rope_theta": (10.0, lambda m: logits(m.eval())),
    "type_vocab_size": (1, lambda m: m.encoder.embeddings.token_type_embeddings.num_embeddings),
    "initializer_range": (0.1, lambda m: round(m.get_submodule(LAYER).fc1.weight.std().item(), 2)),
    "layer_norm_eps": (0.1, lambda m: logits(m.eval())),
    "tokenizer": (
        {"scaling": "asinh"},
        lambda m: m.encoder.tokenizer.encode(torch.arange(9.0))[0].tolist(),
    ),
}
FIXED_BY_THE_TOKENIZER = {
    *("vocab_size", "mask_token_id", "pad_token_id"),
    *("cls_token_id", "sep_token_id", "unk_token_id"),
}


def test_every_pretraining_key_is_looked_at():
    tested = PRETRAINING_KEYS.keys() | FIXED_BY_THE_TOKENIZER | {"model_type"}
    assert pretraining().keys() == tested


@pytest.mark.parametrize("key", PRETRAINING_KEYS)
def test_every_pretraining_key_changes_something(key):
    value, observe = PRETRAINING_KEYS[key]
    assert observe(narrow()) == observe(narrow())  # by itself it is stable
    assert observe(narrow(**{key: value})) != observe(narrow())


@pytest.mark.parametrize("key", sorted(FIXED_BY_THE_TOKENIZER))
def test_a_vocabulary_that_is_not_the_tokenizers_is_refused(key):
    with pytest.raises(ConfigError, match=key):
        narrow(**{key: 2007})
