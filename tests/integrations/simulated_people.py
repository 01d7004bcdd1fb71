"""Simulated people for the tests of integrations."""

import mne
import numpy as np

NAMES = ["Fz", "C3", "Cz", "C4", "Pz", "O1", "O2"]
SFREQ = 500.0


def person(seed, scale=1.0):
    """Two minutes of Raw in volts times `scale`: 11 Hz over C3 or C4, every four seconds."""
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.normal(size=(len(NAMES), round(SFREQ * 96))), axis=1)
    x = 2e-5 * (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    onsets = np.arange(0, 96, 4)
    sides = rng.permutation(np.repeat(["left", "right"], len(onsets) // 2))
    wave = 2e-5 * np.sin(2 * np.pi * 11 * np.arange(round(SFREQ * 4)) / SFREQ)
    for onset, side in zip(onsets, sides, strict=True):
        span = slice(round(SFREQ * onset), round(SFREQ * (onset + 4)))
        x[NAMES.index("C4" if side == "left" else "C3"), span] += wave
    raw = mne.io.RawArray(x * scale, mne.create_info(NAMES, SFREQ, "eeg"), verbose="error")
    raw.set_montage("colin27_1005", verbose="error")
    return raw.set_annotations(mne.Annotations(onsets, 4.0, sides))
