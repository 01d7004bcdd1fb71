"""Signals for recordings in files."""

import numpy as np

SFREQ = 256


def noise(n_chans: int, seconds: float, seed: int = 0) -> np.ndarray:
    """Microvolts with a spectrum like EEG's, none of it above 100."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n_chans, round(seconds * SFREQ)))
    x = np.cumsum(x, axis=1) * 0.2 + x * 3
    return np.clip(x - np.linspace(x[:, 0], x[:, -1], x.shape[1], axis=1), -90, 90)
