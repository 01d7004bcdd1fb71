"""The file format of a corpus, and how its files are written: whole or not at all.

A shard is one ``.npy`` file for one recording: a structured array with one record per channel
window. Its int16 ``signal`` times its ``scale`` is microvolts, and `UNUSABLE` marks samples that
cannot be trusted; ``start`` and ``channel`` say where the record comes from. Beside it lies a
``.json`` with subject, channel names, SHA-256 and history. `numpy.load(..., mmap_mode="r")` reads
it; nothing here is needed for that.

Why one file per recording: shards then depend on nothing but their recording and the settings, not
on how many workers there were or who finished first. Why everything about a window in its record: a
window costs one read, and the index has one line per recording instead of one per window, so that
185 million windows need some ten megabytes of memory. Why a scale per record: 16 bits are then
always enough, whatever the amplitude; the error is at most 1/65,534 of the record's largest value.

Trade-off: signals are stored and tokens are not. Tokenizing on the fly costs little, and
tokenizers can be compared on one corpus.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
from collections.abc import Iterable, Iterator
from io import BufferedRandom
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eegfoundation.errors import OutputError

UNUSABLE = -32768
"""Stands for NaN."""
_LARGEST = 32767

UNFINISHED = ".unfinished"
"""Ending of files that are being written."""


def record_dtype(n_times: int) -> np.dtype:
    """Type of the records of a shard with windows of `n_times` samples.

    ``start`` is in seconds from the first sample of the recording, ``scale`` in microvolts per
    count, ``channel`` an index into the shard's ``ch_names``.
    """
    return np.dtype(
        [
            ("start", "<f8"),
            ("scale", "<f4"),
            ("channel", "<u4"),
            ("signal", "<i2", (n_times,)),
        ]
    )


def quantise(signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Microvolts to counts.

    Parameters
    ----------
    signal : ndarray of float32, shape (n, n_times)
        Microvolts, NaN where unusable.

    Returns
    -------
    counts : ndarray of int16, shape (n, n_times)
    scale : ndarray of float32, shape (n,)
        Microvolts per count.
    """
    usable = np.isfinite(signal)
    peak = np.max(np.abs(signal), axis=-1, where=usable, initial=0.0)
    scale = np.maximum(peak / _LARGEST, np.finfo(np.float32).tiny).astype(np.float32)
    counts = np.rint(np.where(usable, signal, 0.0) / scale[:, None])
    counts = np.clip(counts, -_LARGEST, _LARGEST)
    return np.where(usable, counts, UNUSABLE).astype(np.int16), scale


def dequantise(records: np.ndarray | np.void) -> np.ndarray:
    """Records (...) to microvolts (..., n_times), float32, NaN where unusable."""
    counts = records["signal"]
    signal: np.ndarray = counts * np.asarray(records["scale"])[..., None]
    signal[counts == UNUSABLE] = np.nan
    return signal


class Written(NamedTuple):
    """A finished shard."""

    n_rows: int
    n_bytes: int
    sha256: str


def write_shard(path: Path, n_times: int, blocks: Iterable[np.ndarray]) -> Written:
    """Write records block by block; the final name appears when all of them are on the disk.

    Parameters
    ----------
    path : Path
    n_times : int
        Samples per window.
    blocks : iterable of ndarray of `record_dtype`
        If it raises, there is no file.

    Raises
    ------
    OutputError
        If the file cannot be written (disk full, no permission).
    """
    dtype, n_rows = record_dtype(n_times), 0
    with replacing(path) as file:
        _write_header(file, dtype, 0)
        end_of_header = file.tell()
        for records in blocks:
            assert records.dtype == dtype
            file.write(records.tobytes())
            n_rows += len(records)
        n_bytes = file.tell()
        file.seek(0)
        _write_header(file, dtype, n_rows)
        # NumPy leaves room in a header for the number of rows to grow.
        assert file.tell() == end_of_header
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Written(n_rows, n_bytes, sha256)


def _write_header(file: BufferedRandom, dtype: np.dtype, n_rows: int) -> None:
    np.lib.format.write_array_header_1_0(
        file,
        {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": (n_rows,),
        },
    )


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BufferedRandom]:
    """Open a temporary file that takes the place of `path` when the block succeeds.

    Its name holds host and process, because several builders may share a folder.

    Raises
    ------
    OutputError
        If it cannot be written. Reading errors never get here as OSError: readers wrap them.
    """
    temporary = path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}{UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("w+b") as file:
                yield file
                file.flush()
                # Else a power cut could leave the name of a file without its content.
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"Writing {path} failed: {error.strerror or error}.") from error


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file, replacing what was there; the same content gives the same bytes."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    with replacing(path) as file:
        file.write((text + "\n").encode(errors="backslashreplace"))


def file_sha256(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def corpus_hash(shard_hashes: Iterable[str]) -> str:
    """SHA-256 over the sorted checksums of all shards: equal content, equal hash."""
    return hashlib.sha256("\n".join(sorted(shard_hashes)).encode()).hexdigest()
