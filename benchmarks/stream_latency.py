"""Real time: from the last sample to probabilities, and how much of one core that takes.

19 channels at 250 Hz, a prediction every 100 ms, the classifier that ships, one thread, through the
same session as `eegfoundation stream --replay` at speed 1. Latency is wall-clock time from the
moment that the last sample of a window exists (so it holds waiting and waking up) to its
probabilities. The share of a core is processor time over wall-clock time, of everything: filters,
windows, model, view; where predictions had to be skipped, as if they had been made too.

On a machine that is busy with other things both get worse; its load is printed.

Keys of the last line: `p50_ms`, `p95_ms`, `cpu_share`, `skipped` (share of predictions left out
because the next was due) in the type that the command chooses by itself, which is `dtype`; the same
with `_fp32`, in float32; and `n`.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import io
import time
import warnings

import numpy as np
import torch
from measure import machine, report

from eegfoundation import read_recording
from eegfoundation.errors import SimulatedTrainingWarning
from eegfoundation.montage import CHANNELS_10_20
from eegfoundation.prediction import load_model
from eegfoundation.streaming.decoder import Decoder, faster_type
from eegfoundation.streaming.session import Session
from eegfoundation.streaming.sources import ReplaySource
from eegfoundation.streaming.view import View
from eegfoundation.synthetic import simulate_resting

SFREQ, EVERY, WARM_UP = 250.0, 0.1, 20


def run(model, recording, n_predictions, dtype):
    """Latencies in ms, the share of a core, and the share of predictions that were skipped."""
    source = ReplaySource(recording, speed=1)
    session = Session(source, Decoder(model, recording.positions, dtype=dtype), every=EVERY)
    latencies = []
    began = (0.0, 0.0)
    skipped = 0
    with View("", session.decoder.classes, session.ch_names, io.StringIO()) as view:
        for row in session.rows():
            view.show(row)
            if row.values is None:
                continue
            latencies.append(1e3 * row.latency)
            if len(latencies) == WARM_UP:
                began, skipped = (time.process_time(), time.monotonic()), session.n_skipped
            if len(latencies) == WARM_UP + n_predictions:
                break
    cpu, wall = time.process_time() - began[0], time.monotonic() - began[1]
    skipped = session.n_skipped - skipped
    skipped /= skipped + n_predictions
    return np.array(latencies[WARM_UP:]), cpu / wall / (1 - skipped), skipped


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--predictions", type=int, default=300, help="of each type")
    n = parser.parse_args().predictions
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SimulatedTrainingWarning)
        model = load_model()
    seconds = 10 + (WARM_UP + 2 * n) * EVERY
    simulated = simulate_resting(ch_names=CHANNELS_10_20, sfreq=SFREQ, duration=seconds, seed=0)
    recording = read_recording(simulated.to_raw())
    print(machine())
    figures = {"n": n, "dtype": faster_type(model.device)}
    for dtype, suffix in ((None, ""), ("float32", "_fp32")):
        latencies, share, skipped = run(model, recording, n, dtype)
        figures |= {
            f"p50_ms{suffix}": float(np.percentile(latencies, 50)),
            f"p95_ms{suffix}": float(np.percentile(latencies, 95)),
            f"cpu_share{suffix}": share,
            f"skipped{suffix}": skipped,
        }
        p95 = figures[f"p95_ms{suffix}"]
        print(f"{dtype or figures['dtype']}: p95 {p95:.1f} ms, {share:.2f} of a core")
    report(figures)


if __name__ == "__main__":
    main()
