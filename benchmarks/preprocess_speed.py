"""From an EDF file to finished windows: how much faster than MNE's default chain, at which memory.

    python benchmarks/preprocess_speed.py [--seconds 3600] [--repeats 5]

The script writes an EDF file of 21 channels at 256 Hz (1/f background, alpha, slow drift, mains) to
a temporary folder. Both make (n_windows, 21, 2000) float32 microvolts at 200 Hz of it: MNE as its
users do, `read_raw_edf(preload=True)`, `resample(200)` (FFT), `filter(0.3, 75)`,
`notch_filter(50)`, 10 s epochs; ours by `read_recording`, `preprocess` and `iter_windows`, with
defaults, so it also checks units, looks for the mains and for flat stretches. One thread each, the
default of both.

- ``vs_mne_default``: median over median of alternating runs.
- ``memory_ratio``: peak memory of a process of its own above what it has after a run on 30 s.
- ``rms_difference``: RMS difference over MNE's SD, worst channel, without 12 s at either end, where
  the two continue the signal differently.
- ``pass_band_db``: largest departure of our response from 0 dB between 0.6 and 73 Hz, more than
  1.2 Hz away from the mains, measured with an impulse.

The last line printed is JSON.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measure import alternate, in_child, machine, peak_rss_mb, ratio, report, seconds

from eegfoundation.montage import CHANNELS_10_20

SFREQ, TARGET, MAINS, WINDOW = 256, 200, 50, 10
EDGE = 12 * TARGET  # samples at either end that are not compared: the kernels reach 10 s
CH_NAMES = (*CHANNELS_10_20, "A1", "A2")


def simulate(n_chans: int, n_times: int, seed: int = 0) -> np.ndarray:
    """Microvolts (n_chans, n_times): 1/f of SD 15, waxing alpha, drift and mains."""
    rng = np.random.default_rng(seed)
    t = np.arange(n_times) / SFREQ
    freqs = np.fft.rfftfreq(n_times, 1 / SFREQ)
    x = np.empty((n_chans, n_times), np.float32)
    for row in x:
        noise = np.fft.rfft(rng.standard_normal(n_times)) / np.sqrt(np.maximum(freqs, 0.05))
        background = np.fft.irfft(noise, n_times)
        phase = rng.uniform(0, 2 * np.pi, 4)
        alpha = 8 * (1 + np.sin(0.2 * t + phase[0])) * np.sin(2 * np.pi * 10.2 * t + phase[1])
        nuisance = 5 * np.sin(2 * np.pi * MAINS * t + phase[2]) + 40 * np.sin(0.02 * t + phase[3])
        row[:] = 15 / background.std() * background + alpha + nuisance
    return x


def write_edf(path: Path, x: np.ndarray) -> None:
    import edfio

    signals = [
        edfio.EdfSignal(
            row.astype(float),
            SFREQ,
            label=f"EEG {name}",
            physical_dimension="uV",
            physical_range=(-400, 400),
        )
        for row, name in zip(np.clip(x, -399, 399), CH_NAMES, strict=False)
    ]
    edfio.Edf(signals, data_record_duration=1).write(path)


def with_mne(path: Path) -> np.ndarray:
    """Windows (n, n_chans, 2000) in microvolts, by MNE's defaults."""
    import mne

    with mne.use_log_level("ERROR"):
        raw = mne.io.read_raw_edf(path, preload=True)
        raw.resample(TARGET).filter(0.3, 75.0).notch_filter(MAINS)
        epochs = mne.make_fixed_length_epochs(raw, WINDOW, preload=True)
        return np.float32(epochs.get_data(copy=False) * 1e6)


def with_ours(path: Path) -> np.ndarray:
    """The same by this package."""
    from eegfoundation import Preprocessing, preprocess, read_recording
    from eegfoundation.windows import iter_windows, n_windows

    recording = preprocess(read_recording(path), Preprocessing(artefact_uv=None))
    shape = (n_windows(recording, WINDOW), recording.n_chans, WINDOW * TARGET)
    windows, done = np.empty(shape, np.float32), 0
    for block in iter_windows(recording, WINDOW):
        windows[done : done + len(block.data)] = block.data
        done += len(block.data)
    return windows


def memory(chain: str, short: Path, path: Path) -> float:
    """MiB that one run needs at its peak above what the process had after a short one."""
    run = {"mne": with_mne, "ours": with_ours}[chain]
    run(short)
    before = peak_rss_mb()
    run(path)
    return peak_rss_mb() - before


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """RMS difference over SD of the worst channel, away from the edges."""
    a, b = (w.transpose(1, 0, 2).reshape(w.shape[1], -1)[:, EDGE:-EDGE] for w in (ours, theirs))
    return float((np.sqrt(((a - b) ** 2).mean(-1)) / b.std(-1)).max())


def pass_band_db(n_seconds: int = 60) -> float:
    """Largest departure from 0 dB in the pass band: the response to an impulse on top of noise."""
    from eegfoundation import Preprocessing, preprocess, read_recording

    x = np.random.default_rng(0).normal(0, 10, (1, n_seconds * SFREQ)).repeat(2, axis=0)
    at = n_seconds // 2
    x[1, at * SFREQ] += 1000.0 * SFREQ / TARGET
    recording = read_recording(x, sfreq=SFREQ, ch_names=["C3", "C4"])
    out = preprocess(recording, Preprocessing(artefact_uv=None), line_freq=MAINS).get_data()
    response = np.abs(np.fft.rfft(np.diff(out.astype(float), axis=0)[0])) / 1000
    freqs = np.fft.rfftfreq(out.shape[1], 1 / TARGET)
    passed = (freqs >= 0.6) & (freqs <= 73) & (np.abs(freqs - MAINS) > 1.2)
    return float(np.abs(20 * np.log10(response[passed])).max())


def measure(n_seconds: int, n_chans: int, repeats: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path, short = Path(folder) / "recording.edf", Path(folder) / "short.edf"
        x = simulate(n_chans, n_seconds * SFREQ)
        write_edf(path, x)
        write_edf(short, x[:, : 30 * SFREQ])
        del x
        rms = difference(with_ours(path), with_mne(path))
        times = alternate({"mne": lambda: with_mne(path), "ours": lambda: with_ours(path)}, repeats)
        mb = {chain: in_child(memory, chain, short, path)[0] for chain in ("mne", "ours")}
    rounds = [theirs / ours for theirs, ours in zip(times["mne"], times["ours"], strict=True)]
    print(f"{n_seconds} s, {n_chans} channels; MNE / ours in every round: {np.round(rounds, 2)}")
    return {
        "vs_mne_default": ratio(times, "mne", "ours"),
        "memory_ratio": mb["ours"] / mb["mne"],
        "rms_difference": rms,
        "pass_band_db": pass_band_db(),
        **seconds(times),
        **{f"{chain}_mb": value for chain, value in mb.items()},
        "realtime_factor": n_seconds / statistics.median(times["ours"]),
        "machine": machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=3600, help="length of the recording")
    parser.add_argument("--channels", type=int, default=21)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    report(measure(args.seconds, args.channels, args.repeats))


if __name__ == "__main__":
    main()
