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
import math
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from eegfoundation.corpus.shards import corpus_hash, dequantise, file_sha256, record_dtype
from eegfoundation.errors import ConfigError, RecordingError
from eegfoundation.preprocessing import DECISIVE_SETTINGS

_NO_BLOCKING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_LONGEST = 10**8  # samples of a window: more is a damaged number


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
        self.meta: dict[str, Any] = self._read_meta()
        self.recordings: list[str] = []
        self.subjects: list[str] = []
        self._shards: list[str] = []
        self._sha256: list[str] = []
        self._dtype = record_dtype(self.n_times)
        n_rows, n_bytes = self._read_index().T
        self._data_begins = n_bytes - n_rows * self._dtype.itemsize
        if (n_rows < 1).any() or (self._data_begins < 1).any():
            raise self._changed("index.csv does not belong to corpus.json")
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
            # what is there now may be a pipe, which would wait for ever: hence no blocking
            descriptor = os.open(self.path / self._shards[shard], os.O_RDONLY | _NO_BLOCKING)
            with open(descriptor, "rb", buffering=0) as file:
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
        try:
            ch_names = json.loads(beside.read_text("utf-8"))["ch_names"]
            channel = ch_names[int(record["channel"])]
        except (OSError, ValueError, TypeError, LookupError) as error:
            raise self._damaged(shard) from error
        return {
            "recording": self.recordings[shard],
            "subject": self.subjects[shard],
            "channel": channel,
            "start": float(record["start"]),
        }

    def records(self, shard: int) -> np.ndarray:
        """All records of a shard, memory-mapped."""
        try:
            records: np.ndarray = np.load(
                self.path / self._shards[shard], mmap_mode="r", allow_pickle=False
            )
        except Exception as error:  # a damaged header, parsed as Python, fails with anything
            raise self._damaged(shard) from error
        return records

    def verify(self, *, progress: bool | None = False, rank: int = 0, world_size: int = 1) -> None:
        """Compare the checksum of every shard, which reads the whole corpus.

        Several shards at a time: as fast as the disk gives them, or as the processor's cores hash
        (about 1 GB/s each).

        Parameters
        ----------
        progress : bool | None
            Show a progress bar; None: only on a terminal.
        rank, world_size : int
            Which of several processes this is, if they share the work.

        Raises
        ------
        RecordingError
            If a shard is missing or differs.
        """
        from concurrent.futures import ThreadPoolExecutor

        from tqdm import tqdm

        disable = None if progress is None else not progress
        mine = self._kept[rank::world_size].tolist()
        threads = min(8, os.cpu_count() or 1)
        with ThreadPoolExecutor(threads) as pool:
            sound = pool.map(self._is_sound, mine)  # hashing leaves Python's lock to the others
            bar = tqdm(sound, "verifying", len(mine), unit="shard", disable=disable)
            for shard, is_sound in zip(mine, bar, strict=True):
                if not is_sound:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise self._damaged(shard)

    def _is_sound(self, shard: int) -> bool:
        path = self.path / self._shards[shard]
        try:
            return path.is_file() and file_sha256(path) == self._sha256[shard]
        except OSError:
            return False

    def _damaged(self, shard: int) -> RecordingError:
        return RecordingError(
            f"{self.path / self._shards[shard]} is missing or damaged: run eegfoundation "
            "build-corpus on the corpus again, with --verify true."
        )

    def _changed(self, what: str) -> RecordingError:
        return RecordingError(f"{self.path}: {what}: run eegfoundation build-corpus on it again.")

    def _read_meta(self) -> dict[str, Any]:
        """Content of ``corpus.json``, as far as it is needed here of the right types."""
        path = self.path / "corpus.json"
        if not os.path.isfile(path):
            raise RecordingError(
                f"{self.path} holds no finished corpus: run eegfoundation build-corpus on it."
            )
        try:
            meta: dict[str, Any] = json.loads(path.read_text("utf-8"))
            sound = (
                0 < int(meta["n_times"]) <= _LONGEST
                and 0 < float(meta["sfreq"]) < math.inf
                and isinstance(made_with := meta["settings"]["preprocessing"], dict)
                and set(DECISIVE_SETTINGS) <= set(made_with)
                and isinstance(meta["hash"], str)
                and isinstance(meta["n_windows"], int)
            )
        except (
            OSError,
            ValueError,
            TypeError,
            LookupError,
            RecursionError,
            OverflowError,
        ) as error:
            raise self._changed("corpus.json is damaged") from error
        if not sound:
            raise self._changed("corpus.json is damaged")
        return meta

    def _read_index(self) -> np.ndarray:
        """Fill the lists; return the numbers of windows and of bytes per shard."""
        sizes = []
        try:
            with (self.path / "index.csv").open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    if None in row.values():
                        raise ValueError("a line has fewer fields than the header")
                    self.recordings.append(row["recording"])
                    self.subjects.append(sys.intern(row["subject"]))
                    self._shards.append(row["shard"])
                    self._sha256.append(row["sha256"])
                    sizes.append((int(row["n_rows"]), int(row["bytes"])))
            found = np.array(sizes, np.int64).reshape(-1, 2)
            below = all(shard.startswith("shards/") and ".." not in shard for shard in self._shards)
        except (
            OSError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            OverflowError,
            csv.Error,
        ) as error:
            raise self._changed("index.csv is missing or damaged") from error
        n_windows = sum(n_rows for n_rows, _ in sizes)
        if (
            not below
            or corpus_hash(self._sha256) != self.meta["hash"]
            or n_windows != self.meta["n_windows"]
        ):
            raise self._changed("index.csv does not belong to corpus.json")
        return found

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
