"""How the cost of embedding grows with channels and with length, up to a day of 64 channels.

    python benchmarks/cost_growth.py [--chans 1 2 ... 256] [--lengths 1 10 ... 86400] [--hours 24]

Every point is a process of its own that runs `eegfoundation.embedding.embed_files` with `small` on
an EDF file of noise at 200 Hz, a first time to warm up (a minute, where the file is longer than an
hour), then up to three times; its time is the median, its memory the peak. Channels grow in a file
of one minute, length grows in a file of one channel.

``exponent_channels`` and ``exponent_length`` are the slopes of log time over log size, by least
squares over all points. Small points are mostly fixed cost (opening a file, an empty batch), which
flattens the slope; ``steepest_channels`` and ``steepest_length`` are therefore the largest slopes
between two neighbouring points, and would show what grows faster than its size.

``peak_gb`` is for 24 h of 64 channels at 100 Hz. With `small` that is the work of 43 h of the usual
19 channels at twice the rate, half an hour on two cores, and memory does not need it: the whole
file goes through `tiny` with random weights, so that reading, filtering, blocks and writing are
real; a file of 20 minutes (four blocks) goes through `tiny` and through `small`. The peak is that
of `small` over 20 minutes plus what the day takes above 20 minutes with `tiny`. Both are printed.

The last line is JSON: {"exponent_channels": ..., "exponent_length": ..., "peak_gb": ..., ...}.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measure import in_child, report

CHANNELS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
LENGTHS = (1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600)  # seconds
_MICROVOLTS_PER_COUNT = 0.1


def write_noise(path: Path, n_chans: int, duration: int, sfreq: int = 200) -> Path:
    """EDF file of white noise with a deviation of 20 uV, in records of a second.

    A minute of noise comes again and again: making more would take longer than embedding it.
    """
    names = [f"E{i + 1}" for i in range(n_chans)]
    limit = 32767 * _MICROVOLTS_PER_COUNT
    columns: list[tuple[int, Sequence[Any]]] = [
        (16, names),
        (80, [""] * n_chans),
        (8, ["uV"] * n_chans),
        (8, [f"{-limit:.1f}"] * n_chans),
        (8, [f"{limit:.1f}"] * n_chans),
        (8, [-32767] * n_chans),
        (8, [32767] * n_chans),
        (80, [""] * n_chans),
        (8, [sfreq] * n_chans),
        (32, [""] * n_chans),
    ]
    fixed = f"{'0':<8}{'X X X X':<80}{'Startdate X X X X':<80}01.01.0000.00.00"
    fixed += f"{256 * (n_chans + 1):<8}{'':<44}{duration:<8}{1:<8}{n_chans:<4}"
    table = "".join(f"{value:<{width}}" for width, values in columns for value in values)
    noise = np.random.default_rng(0).normal(0, 20, (60, n_chans, sfreq)) / _MICROVOLTS_PER_COUNT
    records = np.rint(noise).astype("<i2")
    with path.open("wb") as file:
        file.write((fixed + table).encode("ascii"))
        for start in range(0, duration, len(records)):
            file.write(records[: duration - start].tobytes())
    return path


def embed(path: Path, encoder: str, repeats: int, warm_up: Path | None = None) -> float:
    """Embed a file `repeats` times, in a folder that goes away; median of the seconds."""
    from eegfoundation.embedding import embed_files

    times = []
    for file in [*([warm_up] if warm_up else []), *[path] * repeats]:
        with tempfile.TemporaryDirectory(dir=path.parent) as out:
            began = time.perf_counter()
            with (
                warnings.catch_warnings(),
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                warnings.simplefilter("ignore")  # random weights, which is the idea
                embed_files([str(file)], out, encoder)
            times.append(time.perf_counter() - began)
    return statistics.median(times[-repeats:])


def random_tiny(folder: Path) -> str:
    """Folder of an encoder that is fast and has never learnt anything."""
    from eegfoundation.models import load_encoder

    load_encoder("tiny", weights="random").save_pretrained(folder / "tiny")
    return str(folder / "tiny")


def growth(sizes: list[tuple[int, int]], folder: Path) -> tuple[list[float], list[float]]:
    """Seconds and MiB of files with so many channels and seconds."""
    times, peaks = [], []
    for n_chans, duration in sizes:
        path = write_noise(folder / "noise.edf", n_chans, duration)
        is_long = duration > 3600
        warm_up = write_noise(folder / "minute.edf", n_chans, 60) if is_long else path
        took, peak = in_child(embed, path, "small", 1 if is_long else 3, warm_up)
        print(f"{n_chans} channels, {duration} s: {took:.3f} s, {peak:.0f} MiB", flush=True)
        times.append(took)
        peaks.append(peak)
        path.unlink()
    return times, peaks


def slopes(sizes: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Of log value over log size: by least squares, and the largest between neighbours."""
    x, y = np.log(sizes), np.log(values)
    return float(np.polyfit(x, y, 1)[0]), float(np.max(np.diff(y) / np.diff(x)))


def long_recording(hours: float, n_chans: int, folder: Path) -> dict[str, float]:
    """Peaks of a long recording with `tiny`, and of a shorter one with `tiny` and `small`."""
    tiny, _ = in_child(random_tiny, folder)
    path = write_noise(folder / "long.edf", n_chans, round(hours * 3600), sfreq=100)
    took, whole = in_child(embed, path, tiny, 1)
    path = write_noise(folder / "long.edf", n_chans, min(1200, round(hours * 1800)), sfreq=100)
    _, short = in_child(embed, path, tiny, 1)
    _, short_of_small = in_child(embed, path, "small", 1)
    path.unlink()
    more = max(0.0, whole - short)
    return {
        "peak_gb": (short_of_small + more) / 2**10,
        "peak_20_minutes_gb": short_of_small / 2**10,
        "growth_after_20_minutes_gb": more / 2**10,
        "peak_tiny_gb": whole / 2**10,
        "long_hours": hours,
        "long_chans": n_chans,
        "long_tiny_s": took,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chans", type=int, nargs="+", default=CHANNELS)
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS, help="seconds")
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--long-chans", type=int, default=64)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        of_chans = growth([(n, 60) for n in args.chans], folder)
        of_length = growth([(1, n) for n in args.lengths], folder)
        long = long_recording(args.hours, args.long_chans, folder)
    exponent_channels, steepest_channels = slopes(args.chans, of_chans[0])
    exponent_length, steepest_length = slopes(args.lengths, of_length[0])
    report(
        {
            "exponent_channels": exponent_channels,
            "exponent_length": exponent_length,
            **long,
            "steepest_channels": steepest_channels,
            "steepest_length": steepest_length,
            "memory_exponent_channels": slopes(args.chans, of_chans[1])[0],
            "memory_exponent_length": slopes(args.lengths, of_length[1])[0],
            "chans": list(args.chans),
            "chans_s": of_chans[0],
            "chans_mib": of_chans[1],
            "lengths": list(args.lengths),
            "lengths_s": of_length[0],
            "lengths_mib": of_length[1],
        }
    )


if __name__ == "__main__":
    main()
