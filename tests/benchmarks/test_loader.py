"""Smoke run of benchmarks/loader.py."""

import loader
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Six minutes of 4 channels: 144 windows."""
    return loader.make_corpus(tmp_path_factory.mktemp("loader"), 0.1, 4)


def test_batches_are_those_of_pretraining(corpus):
    batches = list(loader.batches(corpus, 0))
    assert len(batches) == 4
    for batch in batches:
        assert batch["signal"].shape == (32, 2000)
        assert batch["masked"].sum(1).tolist() == [6] * 32  # 15% of 40


def test_a_tiny_run(corpus, monkeypatch):
    from eegfoundation.models import SIZES

    monkeypatch.setitem(SIZES, "small", {**SIZES["tiny"], "tokens_per_position": 50})
    monkeypatch.setitem(SIZES["small"], "tokens_seen", 150)
    figures = loader.measure_speed(corpus, 3, 1)
    assert all(value > 0 for value in figures.values())
    assert figures["vs_step"] == pytest.approx(
        figures["windows_per_s"] / figures["step_windows_per_s"]
    )


def test_memory_of_reader_and_worker(corpus):
    monkey = loader.batches
    loader.batches = lambda path, n: [b for _ in range(4) for b in monkey(path, n)]
    try:
        figures = loader.measure_memory(corpus)
    finally:
        loader.batches = monkey
    assert figures["windows"] == 512
    assert abs(figures["rss_growth_mb"]) < 50 < figures["rss_mb"]
