"""Smoke run of benchmarks/pretrain_step.py; both sides have the same size and the same loss."""

import pretrain_step
import pytest
import torch

from eegfoundation.models import SIZES, EEGFoundationConfig

torch.set_num_threads(1)
SMALL_BASE = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}


def test_the_rivals_are_equally_large():
    """Same number of weights to train."""
    config = EEGFoundationConfig(**SMALL_BASE, num_hidden_layers=2)
    theirs = pretrain_step.roformer(config, 50)
    ours = pretrain_step.EEGFoundationForMaskedLM(config)
    n_ours, n_theirs = (
        sum(p.numel() for p in model.parameters() if p.requires_grad) for model in (ours, theirs)
    )
    assert n_ours == n_theirs


def test_as_many_tokens_are_masked():
    batch = pretrain_step.masked_batch(3, 2000)
    asked = batch["labels"] != -100
    assert asked.sum(1).tolist() == [300] * 3
    assert (batch["input_ids"][asked] == 2001).all()
    assert ((batch["input_ids"] == 2001) == asked).all()


def test_a_tiny_run(monkeypatch):
    monkeypatch.setitem(SIZES, "small", {**SIZES["tiny"], "tokens_per_position": 50})
    monkeypatch.setitem(SIZES["small"], "tokens_seen", 150)
    monkeypatch.setitem(SIZES, "base", SMALL_BASE)
    monkeypatch.setattr(pretrain_step, "BATCH_SMALL", 2)
    monkeypatch.setattr(pretrain_step, "DEVICE", "cpu")
    figures = pretrain_step.measure_small(1, 500) | pretrain_step.measure_base(1, 1, 200)
    assert figures["base_layers"] == 1
    assert all(value > 0 for value in figures.values())


def test_operations_of_a_training_step(monkeypatch):
    """A layer's products by hand; three times the forward pass, two operations per product."""
    monkeypatch.setattr(pretrain_step, "DEVICE", "cpu")
    config = EEGFoundationConfig(**SMALL_BASE, num_hidden_layers=3)
    layer = 200 * (4 * 32 * 32 + 2 * 32 * 64) + 2 * 200 * 200 * 32
    head = 200 * 32 * 32 + 30 * 32 * 2006  # all positions, and the scores of the masked ones
    assert pretrain_step.training_flops(config, 200) == 6 * (3 * layer + head)


def test_a_step_lowers_the_loss():
    torch.manual_seed(0)
    config = EEGFoundationConfig(**SMALL_BASE, num_hidden_layers=1)
    model = pretrain_step.EEGFoundationForMaskedLM(config)
    step = pretrain_step.Step(model, pretrain_step.masked_batch(1, 100), bf16=True)
    for group in step.optimizer.param_groups:
        group["lr"] = 1e-2
    losses = [step() for _ in range(8)]
    assert losses[-1] < losses[0] == pytest.approx(7.6, abs=0.5)  # log 2006 at first
