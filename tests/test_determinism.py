"""The same input gives the same bytes; threads and batches change next to nothing."""

import json
import os
import subprocess
import sys

import mne
import numpy as np
import pytest
import torch

from eegfoundation import embed, load_encoder, predict, read_recording
from eegfoundation.models import load_downstream_model
from eegfoundation.models.registry import shipped_path
from power_cuts import contents
from shared_data import shared_path

CHILD = """
import json, sys
from eegfoundation import probe
from eegfoundation.cli import main
probe.PENALTIES = 0.1, 1.0
for argv in json.loads(sys.argv[1]):
    assert main(argv) == 0, argv
"""


def run(given, out, number):
    """Start the commands in a fresh process, with another order of sets and other workers."""
    study = given / "study"
    edfs = [study / f"p{i}.edf" for i in range(2)]
    encoder = ("--model", given / "encoder")
    commands = [
        ["embed", *edfs, "--out", out / "embed", *encoder, "--window", 2],
        ["tokenize", *edfs, "--out", out / "tokenize"],
        [
            *("predict", *edfs, "--out", out / "predict"),
            *("--classifier", given / "a.pth", "--classifier_config", given / "a.json"),
        ],
        ["build-corpus", study, "--out", out / "corpus", "--window", 2, "--workers", number],
        [
            *("evaluate", "--task", study / "own.csv", *encoder, "--window", 4, "--seeds", 1),
            *("--protocol", "kfold", "--n_splits", 2, "--alignments", "[none]", "--out", out / "e"),
        ],
    ]
    environment = {
        "EEGFOUNDATION_CACHE": str(out / "cache"),
        "PYTHONHASHSEED": str(number),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, json.dumps([list(map(str, argv)) for argv in commands])],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_fresh_processes_write_the_same_bytes(given, tmp_path):
    folders = [tmp_path / "one", tmp_path / "other"]
    processes = [run(given, folder, number) for number, folder in enumerate(folders, 1)]
    for process in processes:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    one, other = map(contents, folders)
    assert one.keys() == other.keys()
    assert {name.split("/")[0] for name in one} == {
        *("embed", "tokenize", "predict", "corpus", "e", "cache"),
    }
    assert [name for name in one if one[name] != other[name]] == []


@pytest.fixture
def recording():
    """20 s of 22 channels that ship."""
    raw = mne.io.read_raw_edf(shipped_path("demo_data/motor_imagery.edf"), verbose="error")
    return raw.crop(0, 20, include_tmax=False)


@pytest.fixture
def threads():
    """Set the number of threads for a while."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_threads_and_batches_change_embeddings_by_less_than_1e_5(recording, threads):
    encoder = load_encoder("small")
    found = []
    for n_threads, batch_size in ((1, None), (2, None), (1, 5), (2, 88)):
        threads(n_threads)
        found.append(embed(recording, encoder, batch_size=batch_size).values)
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore::eegfoundation.errors.SimulatedTrainingWarning")
def test_threads_change_probabilities_by_less_than_1e_5(recording, threads):
    pair = [
        shipped_path("models/BCIC-2a_model.pth"),
        shipped_path("configs/BCIC_IV_2a_config.json"),
    ]
    model = load_downstream_model(*pair)
    found = []
    for n_threads in (1, 2):
        threads(n_threads)
        table = predict(recording, model)
        found.append(table.filter(like="p_").to_numpy())
    np.testing.assert_allclose(*found, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["eegmat_Subject30_arithmetic.edf", "test_raw_chanloc.set", "test_utf8_annotations.edf"]
)
def test_bfloat16_keeps_every_vector_s_direction(name):
    source = read_recording(shared_path("formats", name))
    encoder = load_encoder("small")
    exact, low = (embed(source, encoder, dtype=dtype).values for dtype in (None, "bfloat16"))
    cosine = (exact * low).sum(-1)
    cosine /= np.linalg.norm(exact, axis=-1) * np.linalg.norm(low, axis=-1)
    known = np.isfinite(exact).all(-1)
    assert known.any()
    assert cosine[known].min() >= 0.999
