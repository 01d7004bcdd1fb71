"""How fast a recording is embedded, end to end and against other models.

    python benchmarks/embed_speed.py [--minutes 60] [--repeats 5] [--windows 8]

**End to end.** An EDF file of 1 h, 19 channels, 256 Hz (simulated, written by this script) goes
through `eegfoundation.embed`: reading, filtering, resampling, tokens, context vectors of 10 s
windows. `realtime_factor` is the length of the recording over the time that `small` takes in
bfloat16, `realtime_factor_fp32` in float32, `realtime_factor_nano` that of ``nano`` in bfloat16.

**The published architecture**: transformers' `RoFormerModel`, 12 layers, 512 wide, one token per
sample, float32, eager attention. It is timed on ``--windows`` windows of one channel and
extrapolated to the recording; `vs_published_architecture` is the ratio to the whole of `embed` with
`small`, although for the published one nothing but the encoder is counted.

**Peers**: LaBraM, CBraMod, BIOT and EEGPT as braindecode builds them, each at its own patch
settings and sampling rate, on the same filtered windows of 19 channels, random weights (speed does
not depend on them). Only the model is timed, on both sides: microvolts in, one vector per window
or channel out; ours includes its tokenizer. Every model is timed in float32, in bfloat16 (its
weights too, where it can) and in autocast, and its fastest counts. ``vs_labram`` and the others
are for ``nano``; ``small_vs_labram`` and so on for `small`.

**What they are worth**: `small_frozen` and `nano_frozen` are what `frozen_probe.py` finds on design
subjects, [as they are, standardised per session], with the encoder in bfloat16; left out where the
recordings are not at hand.

The last line is JSON with these keys. Peers need braindecode: run it in the environment that `make
bench-env` makes.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import importlib.util
import statistics
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mne
import numpy as np
import torch
from encoder_speed import roformer, tokens
from frozen_probe import DATA, design_scores
from measure import alternate, ratio, report, seconds
from torch import Tensor, nn

import eegfoundation
from eegfoundation.embedding import in_type, inference, rows_per_batch
from eegfoundation.montage import CHANNELS_10_20

SFREQ = 256
WINDOW = 10.0

#: braindecode's class -> its sampling rate, and what a microvolt is to it.
PEERS = {
    "Labram": (200, 0.01),
    "CBraMod": (200, 0.01),
    "BIOT": (200, 0.01),
    "EEGPT": (256, 1e-3),
}


def write_edf(path: Path, minutes: float) -> None:
    """Pink noise with an alpha rhythm, 30 uV."""
    rng = np.random.default_rng(0)
    n_times = round(minutes * 60 * SFREQ)
    spectrum = np.fft.rfft(rng.standard_normal((len(CHANNELS_10_20), n_times)))
    freqs = np.maximum(np.fft.rfftfreq(n_times, 1 / SFREQ), 0.3)
    data = np.fft.irfft(spectrum / np.sqrt(freqs), n_times)
    data += data.std() * np.sin(2 * np.pi * 10 * np.arange(n_times) / SFREQ)
    data *= 30e-6 / data.std()
    raw = mne.io.RawArray(
        data, mne.create_info(list(CHANNELS_10_20), SFREQ, "eeg"), verbose="error"
    )
    mne.export.export_raw(path, raw, verbose="error")


def encode(encoder: Any, x: Tensor) -> Tensor:
    """Context vectors of windows (B, C, T), in batches as `embed` makes them."""
    rows = x.flatten(0, 1)
    with inference(encoder):
        parts = [encoder.embed_signal(part) for part in rows.split(rows_per_batch(encoder, 2000))]
    return torch.cat(parts).unflatten(0, x.shape[:2])


def peer(name: str, seconds: int) -> tuple[nn.Module, dict[str, Any]]:
    """Network of braindecode, and what its forward wants besides the signal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of braindecode and what it imports
        models = importlib.import_module("braindecode.models")
        sfreq, _ = PEERS[name]
        network = getattr(models, name)(
            n_chans=len(CHANNELS_10_20), n_times=seconds * sfreq, n_outputs=2, sfreq=sfreq
        )
    extra = {"ch_names": [name.upper() for name in CHANNELS_10_20]} if name == "Labram" else {}
    return network.eval(), extra


def in_precisions(
    name: str, network: nn.Module, x: Tensor, extra: dict[str, Any]
) -> dict[str, Callable[[], object]]:
    """Runs of one network: float32, bfloat16, autocast, as far as it has them."""

    def run(model: nn.Module, x: Tensor, autocast: bool) -> object:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            return [model(part, **extra) for part in x.split(4)]

    low = copy.deepcopy(network).bfloat16()
    runs = {
        f"{name}_fp32": lambda: run(network, x, False),
        f"{name}_bf16": lambda: run(low, x.bfloat16(), False),
        f"{name}_autocast": lambda: run(network, x, True),
    }
    for key in list(runs):
        try:
            runs[key]()
        except RuntimeError as error:  # FFTs have no bfloat16
            print(f"{key} cannot run: {error}")
            del runs[key]
    return runs


def fastest(times: dict[str, list[float]], name: str) -> float:
    """Lowest median of the precisions of a model."""
    return min(statistics.median(t) for key, t in times.items() if key.startswith(f"{name}_"))


def against_peers(
    encoders: dict[str, Any], names: list[str], n_windows: int, repeats: int
) -> dict[str, float]:
    """Ratios of every peer to every encoder of ours, and seconds per window."""
    rng = torch.manual_seed(0)
    runs: dict[str, Callable[[], object]] = {}
    for name, encoder in encoders.items():
        x = torch.randn(n_windows, len(CHANNELS_10_20), round(WINDOW * 200), generator=rng) * 20
        for dtype in ("float32", "bfloat16"):
            typed = in_type(encoder, dtype)
            runs[f"{name}_{dtype}"] = lambda typed=typed, x=x: encode(typed, x)
    for name in names:
        sfreq, unit = PEERS[name]
        x = (
            torch.randn(n_windows, len(CHANNELS_10_20), round(WINDOW * sfreq), generator=rng)
            * 20
            * unit
        )
        network, extra = peer(name, round(WINDOW))
        runs |= in_precisions(name, network, x, extra)
    times = alternate(runs, repeats)
    figures = {}
    for ours in encoders:
        prefix = "" if ours == "nano" else f"{ours}_"
        for name in names:
            figures[f"{prefix}vs_{name.lower()}"] = fastest(times, name) / fastest(times, ours)
    per_window = {key: statistics.median(t) / n_windows for key, t in times.items()}
    return figures | {f"{key}_s_per_window": value for key, value in per_window.items()}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), metavar="CLASS")
    parser.add_argument("--data", type=Path, default=DATA, help="recordings of frozen_probe.py")
    args = parser.parse_args(argv)
    if args.peers and importlib.util.find_spec("braindecode") is None:
        parser.exit(
            2, "braindecode is not installed: see `make bench-env`, or give --peers alone\n"
        )
    encoders = {
        "small": eegfoundation.load_encoder("small"),
        "nano": eegfoundation.load_encoder("nano"),
    }
    published, ids = roformer(12), tokens(args.windows)

    def run_published() -> None:
        with torch.inference_mode():
            for row in ids:  # scores of one window are half a gigabyte as it is
                published(row[None])

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hour.edf"
        write_edf(path, args.minutes)
        embed = eegfoundation.embed
        runs: dict[str, Callable[[], object]] = {
            "small_bf16": lambda: embed(path, encoders["small"], dtype="bfloat16"),
            "small_fp32": lambda: embed(path, encoders["small"]),
            "nano_bf16": lambda: embed(path, encoders["nano"], dtype="bfloat16"),
            "published": run_published,
        }
        times = alternate(runs, max(2, args.repeats // 2))
    length = args.minutes * 60
    took = {name: statistics.median(values) for name, values in times.items()}
    n_rows = len(CHANNELS_10_20) * length / WINDOW
    figures: dict[str, Any] = {
        "realtime_factor": length / took["small_bf16"],
        "realtime_factor_fp32": length / took["small_fp32"],
        "realtime_factor_nano": length / took["nano_bf16"],
        "vs_published_architecture": ratio(times, "published", "small_bf16")
        * n_rows
        / args.windows,
        **seconds(times),
    }
    figures |= against_peers(encoders, args.peers, args.windows, args.repeats)
    if args.data.is_dir():
        for name, encoder in encoders.items():
            found = design_scores(in_type(encoder, "bfloat16"), args.data)
            figures[f"{name}_frozen"] = found["mean"], found["mean_standardised"]
    else:
        print(f"{args.data} is not there: what the encoders are worth is left out")
    report(figures)


if __name__ == "__main__":
    main()
