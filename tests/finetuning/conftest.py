"""Eyes open or closed, simulated: six people, two sessions each, in windows of two seconds."""

import numpy as np
import pytest
import torch

from eegfoundation.models import DownstreamConfig
from eegfoundation.montage import positions
from eegfoundation.synthetic import simulate_resting
from eegfoundation.tasks.trials import Trials

torch.set_num_threads(1)

NAMES = ("C3", "Cz", "C4", "O1", "O2")
EYES = ("open", "closed")


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    """A cache of these tests alone, and shared by them."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("EEGFOUNDATION_CACHE", str(folder))


@pytest.fixture(scope="session")
def trained_folder(encoder, tmp_path_factory):
    """The encoder of the tests, as a checkpoint that does not call itself untrained."""
    folder = tmp_path_factory.mktemp("encoder") / "trained"
    encoder.save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"trained": false', '"trained": true'))
    return folder


@pytest.fixture(scope="session")
def trials(encoder):
    parts = []
    for subject in range(6):
        for session in range(2):
            for label, eyes in enumerate(EYES):
                recording = simulate_resting(
                    NAMES,
                    duration=12,
                    sfreq=200,
                    subject=subject,
                    seed=2 * session + label,
                    eyes=eyes,
                )
                x = recording.data - recording.data.mean(1, keepdims=True)
                x = x.reshape(len(NAMES), 6, 400).swapaxes(0, 1)
                parts += [(one, label, f"s{subject}", str(session)) for one in x]
    x, y, subject, session = zip(*parts, strict=True)
    x = np.stack(x).astype(np.float32)
    x[3, 1] = np.nan  # a bad channel in one window
    return Trials(
        x=x,
        y=np.array(y),
        subject=np.array(subject),
        session=np.array(session),
        run=np.full(len(y), "0"),
        classes=EYES,
        ch_names=NAMES,
        positions=positions(NAMES),
        preprocessing=encoder.preprocessing,
    )


@pytest.fixture(scope="session")
def fold(trials):
    """Four to learn from, one to validate, one to test."""
    of = {s: np.flatnonzero(trials.subject == s) for s in ("s4", "s5")}
    return np.flatnonzero(np.isin(trials.subject, ["s0", "s1", "s2", "s3"])), of["s4"], of["s5"]


@pytest.fixture
def narrow():
    """A classifier that is quick to train."""
    return DownstreamConfig(
        patch_size=50,
        stride=50,
        d_model=32,
        projection_embedding_dim=24,
        classification_hidden_dim=20,
        classification_dropout=0.3,
        learning_rate=3e-3,
        encoder="somewhere",
    )
