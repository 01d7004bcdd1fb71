"""A small corpus, runs on it within this process, and runs in processes of their own."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from pretraining_helpers import PLAIN_ENVIRONMENT, flags

from eegfoundation.corpus.builder import build_corpus
from eegfoundation.models import SIZES

torch.set_num_threads(1)  # as in PLAIN_ENVIRONMENT


def _record(folder, name, *, n_chans=3, seconds=60, seed=0, artefacts=0, sfreq=200):
    """A compact recording of coloured noise, with `artefacts` single samples of a millivolt."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 10, (n_chans, seconds * sfreq))
    x = x + 20 * np.sin(2 * np.pi * 10 * np.arange(x.shape[1]) / sfreq + seed)
    for channel in range(n_chans):
        x[channel, rng.integers(0, x.shape[1], artefacts)] = 1500
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / f"{name}.npz",
        x=np.rint(x / 0.05).astype(np.int16),
        scale_uv=np.full(n_chans, 0.05, np.float32),
        ch_names=np.array(["C3", "Cz", "C4"][:n_chans]),
        sfreq=float(sfreq),
        meta=json.dumps({"subject": name}),
    )


@pytest.fixture(scope="session")
def make_corpus(tmp_path_factory):
    """Build a corpus of two recordings of 60 s; windows of 2 s."""

    def make(*, artefacts=0, seed=0, **settings):
        folder = tmp_path_factory.mktemp("corpus")
        for i in range(2):
            _record(folder / "set", f"r{i}", seed=10 * seed + i, artefacts=artefacts)
        settings = {"layout": "compact", "window": 2.0, "workers": 0, **settings}
        build_corpus([str(folder / "set")], str(folder / "corpus"), **settings)
        return folder / "corpus"

    return make


@pytest.fixture(scope="session")
def corpus(make_corpus):
    """180 channel windows of 2 s, all usable."""
    return make_corpus()


@pytest.fixture(scope="session")
def patchy_corpus(make_corpus):
    """Windows of which some are usable in part only."""
    return make_corpus(artefacts=25, min_quality=0.3)


@pytest.fixture(scope="session")
def with_dropout(tmp_path_factory):
    """The size tiny, but with dropout: one more state that a resumed run has to go on with."""
    path = tmp_path_factory.mktemp("config") / "config.json"
    dropout = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    path.write_text(json.dumps({**SIZES["tiny"], **dropout}))
    return path


@pytest.fixture
def in_process_of_its_own():
    """`eegfoundation pretrain`, started by `launcher`; it has to succeed."""

    def run(*launcher, environment=None, **settings):
        command = [sys.executable, *(launcher or ["-m", "eegfoundation.cli"]), "pretrain"]
        done = subprocess.run(
            [*command, *flags(settings)],
            capture_output=True,
            text=True,
            env={**PLAIN_ENVIRONMENT, **(environment or {})},
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done

    return run
