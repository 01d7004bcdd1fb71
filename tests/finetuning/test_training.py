"""The parts of a training; whole ones are in test_fitting."""

import numpy as np
import pytest
import torch

from eegfoundation.finetuning.settings import FinetuneSettings
from eegfoundation.finetuning.training import (
    TuningModule,
    balanced_accuracy,
    class_weight,
    mixed_precision,
    stopped,
)
from eegfoundation.models import DownstreamConfig, EEGFoundationForClassification


def log(*losses):
    return [line for loss in losses for line in ({"loss": 1.0}, {"eval_loss": loss})]


def test_training_stops_when_nothing_was_gained():
    settings = FinetuneSettings(patience=2)
    assert not stopped([], settings)
    assert not stopped(log(3, 2, 1), settings)
    assert not stopped(log(1, 2), settings)
    assert stopped(log(1, 2, 3), settings)
    assert stopped(log(3, 1, 1, 1), settings)  # as good is no gain
    assert not stopped(log(3, 1, 2, 0.5), settings)
    by_accuracy = FinetuneSettings(patience=2, monitor="balanced_accuracy")
    lines = [{"eval_loss": 1.0, "eval_balanced_accuracy": a} for a in (0.5, 0.7, 0.6, 0.7)]
    assert stopped(lines, by_accuracy)
    assert not stopped(lines[:3], by_accuracy)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks what the processor can")
@pytest.mark.parametrize(
    ("asked", "can", "expected"),
    [
        (None, {"avx512_bf16": True}, True),
        (None, {"amx_bf16": True}, True),
        (None, {"avx2": True}, False),
        (True, {"avx2": True}, True),
        (False, {"amx_bf16": True}, False),
    ],
)
def test_bfloat16_is_used_where_there_are_units_for_it(monkeypatch, asked, can, expected):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: can, raising=False)
    assert mixed_precision(FinetuneSettings(bf16=asked)) is expected


def test_classes_weigh_alike():
    y = np.array([0, 0, 0, 1])
    weight = class_weight(y, DownstreamConfig(num_classes=2), FinetuneSettings())
    assert weight.tolist() == pytest.approx([4 / 6, 2])
    assert np.mean(weight.numpy()[y]) == pytest.approx(1)
    assert class_weight(y, DownstreamConfig(), FinetuneSettings(class_weights=False)) is None


def test_balanced_accuracy_is_over_the_classes_that_occur():
    y, guess = np.array([0, 0, 0, 2]), np.array([0, 1, 1, 2])
    assert balanced_accuracy(y, guess) == pytest.approx((1 / 3 + 1) / 2)


def test_standardising_context_is_built_into_the_first_layer():
    config = DownstreamConfig(
        d_model=16, embedding_dim=8, patch_size=50, stride=50, classification_hidden_dim=8
    )
    rng = np.random.default_rng(0)
    context = (rng.normal(size=(20, 3, 8)) * np.logspace(-2, 2, 8) + 50).astype(np.float32)
    context[:, :, 5] = 3.0  # never varies
    context[2, 1] = np.nan
    x, positions = torch.randn(20, 3, 100), torch.full((3, 3), torch.nan)
    model = EEGFoundationForClassification(config).eval()
    module = TuningModule(model, None, positions, context)
    given = torch.from_numpy(context)
    with torch.no_grad():
        expected = module(x, given)["logits"]
        raw = model(x, given, positions=positions).logits
        found = module.finish()(x, given, positions=positions).logits
    assert (expected - raw).abs().max() > 0.01
    assert (expected - found).abs().max() < 1e-3
