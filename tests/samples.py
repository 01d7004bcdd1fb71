"""Small recordings for tests."""

import edfio
import numpy as np

NAMES = ["Fp1", "C3", "Cz", "C4", "O1", "O2"]


def noise(*shape, sd=20.0, seed=0):
    """White noise in microvolts."""
    return np.random.default_rng(seed).normal(0, sd, shape)


def waves(sfreq, *, n_chans=3, duration=30, seed=0):
    """Waxing and waning sines of 1 to 40 Hz, (n_chans, n_times): the same signal at any rate."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(duration * sfreq)) / sfreq
    freq = rng.uniform(1, 40, (n_chans, 60, 1))
    phase = rng.uniform(0, 2 * np.pi, freq.shape)
    envelope = 1 + 0.8 * np.sin(2 * np.pi * rng.uniform(0.02, 0.2, freq.shape) * t + phase)
    return (30 / freq * envelope * np.sin(2 * np.pi * freq * t + phase)).sum(axis=1)


def write_edf(path, x=None, ch_names=None, sfreq=100, *, dimension="uV", **options):
    """Write an EDF file: by default 12 s of 20 microvolt noise in three channels."""
    x = noise(3, 12 * sfreq) if x is None else x
    reach = max(1.0, float(np.abs(x).max()) * 1.01)
    signals = [
        edfio.EdfSignal(
            row,
            sfreq,
            label=name,
            physical_dimension=dimension,
            physical_range=(-reach, reach),
        )
        for row, name in zip(x, ch_names or NAMES[: len(x)], strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    edfio.Edf(signals, data_record_duration=1, **options).write(path)
    return path


def files_in(folder):
    """Names of everything below a folder; none if it does not exist."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
