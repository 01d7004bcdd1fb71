import numpy as np

from eegfoundation import read_recording

NAMES = ["Fp1", "Fp2", "C3", "Cz", "C4", "O1", "O2"]


def signal(n_chans=7, sfreq=250.0, seconds=12.0, seed=0):
    """Microvolts: noise, alpha, mains, and the offset of a real amplifier."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * sfreq)) / sfreq
    x = rng.normal(0, 10, (n_chans, len(t))) + 15 * np.sin(2 * np.pi * 10 * t)
    x += 8 * np.sin(2 * np.pi * 50 * t) + rng.normal(0, 2000, (n_chans, 1))
    return x


def recorded(x, sfreq=250.0):
    return read_recording(x.astype(np.float32), sfreq=sfreq, ch_names=NAMES[: len(x)])
