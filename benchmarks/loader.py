"""Does training wait for its data? The corpus reader, against the step that eats its windows.

    python benchmarks/loader.py [--hours 2] [--chans 16] [--batches 200]

Makes recordings of noise in a temporary folder, runs build-corpus on them, and reads the corpus as
``eegfoundation pretrain --workers 1`` does: shuffled, dequantised, masked, collated into batches of
32 by one worker process. ``vs_step`` is the windows per second that come out of it, over those that
a training step of `small` takes (bf16; batches of its own in memory), each alone on the machine, in
alternating runs. ``in_process_vs_step`` is the same without a worker: there, one over it is the
share of the time that training waits.

``rss_growth_mb``: resident memory of reader and worker at the end of an epoch, less that after a
tenth of it. The corpus was written a moment ago and lies in the cache of the system: the speed of a
disk is not in these figures. `loader_scale.py` opens an index of 185 million windows.

The last line is JSON: {"vs_step": ..., "rss_growth_mb": ..., ...}.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measure import alternate, in_child, ratio, report, rss_mb

BATCH_SIZE = 32
SFREQ = 200


def make_corpus(folder: Path, hours: float, n_chans: int) -> Path:
    """Recordings of half an hour at most, and the corpus that build-corpus makes of them."""
    from eegfoundation.corpus.builder import build_corpus

    (folder / "recordings").mkdir()
    n_files = max(1, round(hours * 2))
    n_times = round(hours / n_files * 3600 * SFREQ)
    for i in range(n_files):
        x = np.random.default_rng(i).normal(0, 20, (n_chans, n_times))
        np.savez(
            folder / "recordings" / f"r{i}.npz",
            x=np.rint(x / 0.05).astype(np.int16),
            scale_uv=np.full(n_chans, 0.05, np.float32),
            ch_names=np.array([f"E{channel + 1}" for channel in range(n_chans)]),
            sfreq=float(SFREQ),
            meta=json.dumps({"subject": f"S{i}"}),
        )
    build_corpus([str(folder / "recordings")], str(folder / "corpus"), layout="compact", workers=0)
    return folder / "corpus"


def batches(corpus: Path, n_workers: int) -> Any:
    """Loader of one epoch, as pretraining's."""
    import scaling
    from torch.utils.data import DataLoader

    from eegfoundation.corpus.order import CorpusDataset

    dataset = CorpusDataset(corpus)
    n_positions = dataset.corpus.n_times // 50
    masker = scaling.make_masker(n_positions, scaling.read_recipe("small"))
    return DataLoader(
        dataset,  # type: ignore[arg-type]
        BATCH_SIZE,
        collate_fn=masker,
        num_workers=n_workers,
        drop_last=True,
        # the system's own way, as in training; a process of `in_child` would hand on its "spawn"
        multiprocessing_context=multiprocessing.get_all_start_methods()[0] if n_workers else None,
    )


def measure_speed(corpus: Path, n_batches: int, repeats: int) -> dict[str, float]:
    """Windows per second of the loader, with and without a worker, and of the step."""
    import scaling
    from pretrain_step import Step

    from eegfoundation.models import SIZES, EEGFoundationConfig

    recipe = scaling.read_recipe("small")
    model = scaling.make_model(EEGFoundationConfig(**SIZES["small"]), recipe)
    step = Step(model, next(iter(batches(corpus, 0))), bf16=True)

    def read(n_workers: int) -> None:
        # always a new worker, whose start counts: an old one would have read ahead meanwhile
        for _ in itertools.islice(batches(corpus, n_workers), n_batches):
            pass

    times = alternate(
        {"worker": lambda: read(1), "in_process": lambda: read(0), "step": step}, repeats
    )
    per_batch = {name: statistics.median(values) for name, values in times.items()}
    return {
        "vs_step": n_batches * ratio(times, "step", "worker"),
        "in_process_vs_step": n_batches * ratio(times, "step", "in_process"),
        "windows_per_s": n_batches * BATCH_SIZE / per_batch["worker"],
        "in_process_windows_per_s": n_batches * BATCH_SIZE / per_batch["in_process"],
        "step_windows_per_s": BATCH_SIZE / per_batch["step"],
    }


def measure_memory(corpus: Path) -> dict[str, float]:
    """Resident memory over an epoch with one worker, of both processes."""
    loader = batches(corpus, 1)
    seen = []
    for i, _ in enumerate(loader):
        if i in (len(loader) // 10, len(loader) - 4):  # in the end the worker is gone
            seen.append(total_rss_mb())
    early, late = seen
    return {"rss_growth_mb": late - early, "rss_mb": late, "windows": len(loader) * BATCH_SIZE}


def total_rss_mb() -> float:
    """Of this process and those that it started."""
    workers = [process.pid for process in multiprocessing.active_children()]
    return rss_mb() + sum(rss_mb(pid) for pid in workers if pid is not None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=2)
    parser.add_argument("--chans", type=int, default=16)
    parser.add_argument("--batches", type=int, default=200, help="per timed run")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = make_corpus(Path(folder), args.hours, args.chans)
        memory, _ = in_child(measure_memory, corpus)
        speed, _ = in_child(measure_speed, corpus, args.batches, args.repeats)
    report(speed | memory)


if __name__ == "__main__":
    main()
