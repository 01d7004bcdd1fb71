"""A finished corpus, opened: from the number of a window to its record.

Windows are numbered through all shards in the order of ``index.csv``. Opening reads the index
only. A window is one seek and one read in its shard, which is then closed: among 70,000 shards the
next window is hardly ever in the same one, and mapping a file into memory for one record takes ten
times as long (measured: 0.35 against 0.03 ms). Whoever wants many records of one shard maps it:
`Corpus.records`.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from eegfoundation.corpus.shards import corpus_hash, dequantise, file_sha256, record_dtype
from eegfoundation.errors import ConfigError, RecordingError


class Corpus:
    """What `build_corpus` wrote.

    Parameters
    ----------
    path : path
        Its folder.
    subjects : collection of str, optional
        Only these subjects ("<source folder>/<label>"), to split a corpus; None: all.

    Attributes
    ----------
    meta : dict
        Content of ``corpus.json``.
    recordings, subjects : list of str
        One entry per shard.

    Raises
    ------
    RecordingError
        If the folder holds no finished corpus, or has been changed since.
    ConfigError
        If a subject is unknown.
    """

    def __init__(self, path: str | Path, subjects: Collection[str] | None = None) -> None:
        self.path = Path(path)
        try:
            self.meta: dict[str, Any] = json.loads((self.path / "corpus.json").read_text("utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise RecordingError(
                f"{self.path} holds no finished corpus: run eegfoundation build-corpus on it."
            ) from error
        self.recordings: list[str] = []
        self.subjects: list[str] = []
        self._shards: list[str] = []
        self._sha256: list[str] = []
        n_rows, n_bytes = self._read_index().T
        self._dtype = record_dtype(self.n_times)
        self._data_begins = n_bytes - n_rows * self._dtype.itemsize
        # Kept shards, where each begins among the kept windows, and where in the whole corpus.
        first = np.concatenate([[0], np.cumsum(n_rows)])
        kept = self._keep(subjects)
        self._kept = kept
        self._first = np.concatenate([[0], np.cumsum(n_rows[kept])])
        self._first_of_all = first[kept]

    def __len__(self) -> int:
        """Number of channel windows."""
        return int(self._first[-1])

    @property
    def n_times(self) -> int:
        """Samples per window."""
        return int(self.meta["n_times"])

    @property
    def sfreq(self) -> float:
        """Hz."""
        return float(self.meta["sfreq"])

    def record(self, index: int) -> np.void:
        """Record of a window; see `shards.record_dtype`."""
        shard, row = self._locate(index)
        size = self._dtype.itemsize
        try:
            with (self.path / self._shards[shard]).open("rb", buffering=0) as file:
                file.seek(int(self._data_begins[shard]) + row * size)
                content = file.read(size)
        except OSError as error:
            raise self._damaged(shard) from error
        if len(content) != size:
            raise self._damaged(shard)
        record: np.void = np.frombuffer(content, self._dtype)[0]
        return record

    def signal(self, index: int) -> np.ndarray:
        """Window `index` in microvolts: (n_times,) float32, NaN where unusable."""
        return dequantise(self.record(index))

    def window(self, index: int) -> int:
        """Number of window `index` in the whole corpus, the same whatever subjects are chosen."""
        kept = self._position(index)
        return int(self._first_of_all[kept] + index - self._first[kept])

    def describe(self, index: int) -> dict[str, Any]:
        """Where a window comes from: recording, subject, channel, start in seconds."""
        shard, _ = self._locate(index)
        record = self.record(index)
        beside = (self.path / self._shards[shard]).with_suffix(".json")
        ch_names = json.loads(beside.read_text("utf-8"))["ch_names"]
        return {
            "recording": self.recordings[shard],
            "subject": self.subjects[shard],
            "channel": ch_names[int(record["channel"])],
            "start": float(record["start"]),
        }

    def records(self, shard: int) -> np.ndarray:
        """All records of a shard, memory-mapped."""
        try:
            records: np.ndarray = np.load(
                self.path / self._shards[shard], mmap_mode="r", allow_pickle=False
            )
        except (OSError, ValueError) as error:
            raise self._damaged(shard) from error
        return records

    def verify(self) -> None:
        """Compare the checksum of every shard, which reads the whole corpus.

        Raises
        ------
        RecordingError
            If a shard is missing or differs.
        """
        for shard, expected in enumerate(self._sha256):
            path = self.path / self._shards[shard]
            if not path.exists() or file_sha256(path) != expected:
                raise self._damaged(shard)

    def _damaged(self, shard: int) -> RecordingError:
        return RecordingError(
            f"{self.path / self._shards[shard]} is missing or damaged: run eegfoundation "
            "build-corpus on the corpus again, with --verify true."
        )

    def _read_index(self) -> np.ndarray:
        """Fill the lists; return the numbers of windows and of bytes per shard."""
        sizes = []
        with (self.path / "index.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                self.recordings.append(row["recording"])
                self.subjects.append(sys.intern(row["subject"]))
                self._shards.append(row["shard"])
                self._sha256.append(row["sha256"])
                sizes.append((int(row["n_rows"]), int(row["bytes"])))
        n_windows = sum(n_rows for n_rows, _ in sizes)
        if corpus_hash(self._sha256) != self.meta["hash"] or n_windows != self.meta["n_windows"]:
            raise RecordingError(
                f"{self.path}: index.csv does not belong to corpus.json: "
                "run eegfoundation build-corpus on it again."
            )
        return np.array(sizes, np.int64)

    def _keep(self, subjects: Collection[str] | None) -> np.ndarray:
        if subjects is None:
            return np.arange(len(self.subjects))
        if unknown := sorted(set(subjects) - set(self.subjects)):
            raise ConfigError(
                f"{self.path} has no subject {', '.join(unknown[:5])}: expected names such as "
                f"{self.subjects[0]}."
            )
        wanted = set(subjects)
        return np.array([i for i, s in enumerate(self.subjects) if s in wanted], np.int64)

    def _position(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        return int(np.searchsorted(self._first, index, side="right")) - 1

    def _locate(self, index: int) -> tuple[int, int]:
        position = self._position(index)
        return int(self._kept[position]), int(index - self._first[position])
