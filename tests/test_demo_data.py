"""The shipped demo data are what `demo_data/make_data.py` makes, and hold what their page says."""

import subprocess
import sys

import mne
import numpy as np
import pytest

from eegfoundation.synthetic import BCIC_2A_CHANNELS, CLASSES, simulate_motor_imagery
from shared_data import ROOT

FOLDER = ROOT / "demo_data"


def test_the_files_are_made_again_bit_for_bit():
    pytest.importorskip("edfio")
    result = subprocess.run(
        [sys.executable, str(FOLDER / "make_data.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("as made") == 3


def test_rounding_leaves_room_for_other_processors():
    # a value nearly halfway between two steps could go either way; rounding errors are below 1e-12
    steps = simulate_motor_imagery(n_trials_per_class=3, subject=1000).data / 0.05
    halfway = np.abs(steps - np.floor(steps) - 0.5)
    assert halfway.min() * 0.05 > 1e-9


def test_recording():
    raw = mne.io.read_raw_edf(FOLDER / "motor_imagery.edf", preload=True, verbose="error")
    made = simulate_motor_imagery(n_trials_per_class=3, subject=1000)
    assert raw.ch_names == list(BCIC_2A_CHANNELS)
    assert raw.info["sfreq"] == 250.0
    np.testing.assert_allclose(raw.get_data() * 1e6, made.data, atol=0.0251)
    assert sorted(raw.annotations.description) == sorted(3 * CLASSES)
    np.testing.assert_allclose(raw.annotations.onset, [onset for onset, _, _ in made.events])
    assert set(raw.annotations.duration) == {4.0}


def test_recording_names_nobody():
    header = (FOLDER / "motor_imagery.edf").read_bytes()[:256].decode("ascii")
    assert header[8:88].strip() == "X X X X"
    assert header[88:168].strip() == "Startdate 01-JAN-1985 X X X"
    assert header[168:184] == "01.01.8500.00.00"


def test_windows():
    x = np.load(FOLDER / "eeg_data.npy")
    assert (x.shape, x.dtype) == ((50, 2000), np.float32)
    assert ((x.std(axis=1) > 5) & (x.std(axis=1) < 60)).all()
    np.testing.assert_array_equal(x, x.astype(np.float64).round(2).astype(np.float32))


def test_trials():
    with np.load(FOLDER / "downstream_eeg_data.npz") as arrays:
        found = {name: arrays[name] for name in arrays.files}  # no pickles inside
    assert found["signal"].shape == (8, 22, 800)
    assert found["embedding"].shape == (8, 22, 512)
    assert found["signal"].dtype == found["embedding"].dtype == np.float32
    assert np.isfinite(found["signal"]).all()
    assert np.isfinite(found["embedding"]).all()
    assert np.bincount(found["labels"]).tolist() == [2, 2, 2, 2]
    assert tuple(found["class_names"]) == CLASSES
    assert tuple(found["ch_names"]) == BCIC_2A_CHANNELS
    assert found["sfreq"] == 200.0
