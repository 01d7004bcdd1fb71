"""Can one rank read a corpus of 27,000 hours? Memory and time to the first batch.

    python benchmarks/loader_scale.py

Makes the index of 185 million windows in a temporary folder (70,000 shards, sparse files that hold
nothing but their header), then measures a fresh process that opens it and gets shuffled batches the
way pretraining does, through transformers' Trainer. Time is counted after imports, memory is the
peak of the whole process, libraries included. What it cannot show is the speed of a disk.

The last line is JSON: {"windows": ..., "rss_mb": ..., "first_batch_s": ..., ...}.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

N_TIMES = 2000
CH_NAMES = "Fp1;Fp2;F7;F3;Fz;F4;F8;T7;C3;Cz;C4;T8;P7;P3;Pz;P4;P8;O1;O2"


def make_corpus(folder: Path, n_windows: int, n_shards: int) -> None:
    """Index and empty shards, as `build_corpus` would leave them."""
    from eegfoundation.corpus.builder import INDEX_COLUMNS
    from eegfoundation.corpus.process import shard_path
    from eegfoundation.corpus.shards import corpus_hash, record_dtype

    dtype = record_dtype(N_TIMES)
    n_rows = np.diff(np.linspace(0, n_windows, n_shards + 1).astype(int)).tolist()
    lines, hashes = [",".join(INDEX_COLUMNS)], []
    for i, rows in enumerate(n_rows):
        subject = f"{i // 5:08d}"
        name = f"tueg/edf/{i // 500:03d}/{subject}/s001_2010/01_tcp_ar/{subject}_s001_t{i:06d}.edf"
        shard = shard_path(name)
        path = folder / shard
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            header = {"descr": dtype.descr, "fortran_order": False, "shape": (rows,)}
            np.lib.format.write_array_header_1_0(file, header)
            n_bytes = file.tell() + rows * dtype.itemsize
            file.truncate(n_bytes)
        hashes.append(hashlib.sha256(name.encode()).hexdigest())
        line = (name, f"tueg/{subject}", shard, rows, 200.0, CH_NAMES, n_bytes, hashes[-1])
        lines.append(",".join(map(str, line)))
    (folder / "index.csv").write_text("\n".join(lines) + "\n")
    corpus = {"hash": corpus_hash(hashes), "n_windows": n_windows, "n_times": N_TIMES, "sfreq": 200}
    (folder / "corpus.json").write_text(json.dumps(corpus))


def measure(folder: Path, batch_size: int, n_batches: int) -> dict[str, float]:
    """Open the corpus and read batches as one rank does."""
    import resource

    import torch
    from transformers import Trainer, TrainingArguments

    from eegfoundation.corpus.order import CorpusDataset, ReadingOrder

    ReadingOrder(2)[0]  # imports Grain
    began = time.perf_counter()
    arguments = TrainingArguments(
        output_dir=str(folder / "run"),
        per_device_train_batch_size=batch_size,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        use_cpu=True,
    )
    dataset = CorpusDataset(folder, seed=0, n_epochs=2)
    trainer = Trainer(torch.nn.Linear(1, 1), arguments, train_dataset=dataset)
    batches = iter(trainer.get_train_dataloader())
    shape = tuple(next(batches)["signal"].shape)
    first_batch = time.perf_counter() - began
    assert shape == (batch_size, N_TIMES), shape
    for _ in range(n_batches - 1):
        next(batches)
    total = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "windows": len(dataset.corpus),
        "rss_mb": round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1),
        "first_batch_s": round(first_batch, 3),
        "windows_per_s": round(batch_size * (n_batches - 1) / (total - first_batch)),
        "batch_size": batch_size,
        "n_batches": n_batches,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=185_000_000)
    parser.add_argument("--shards", type=int, default=70_000)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.batch_size, args.batches)))
        return
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        make_corpus(Path(folder), args.windows, args.shards)
        print(f"index of {args.windows} windows made in {time.perf_counter() - began:.1f} s")
        # A process of its own: the memory for making the corpus is not the reader's.
        sys.stdout.flush()
        subprocess.run([sys.executable, __file__, "--measure", folder, *sys.argv[1:]], check=True)


if __name__ == "__main__":
    main()
