"""One recording -> one shard: the unit of work, the same on every engine.

`process_recording` reads, preprocesses, cuts windows, leaves out what is unusable and writes the
shard with its ``.json`` beside it. It depends on the recording and the settings only; the number of
workers, their order and a restart change nothing. A recording that cannot be used leaves a
``.json`` with the reason: what is missing from a corpus can always be looked up.

Memory: blocks of 5 minutes, whatever the length of the recording.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eegfoundation.corpus.layouts import FoundRecording, get_layout
from eegfoundation.corpus.settings import CorpusSettings
from eegfoundation.corpus.shards import (
    UNFINISHED,
    file_sha256,
    quantise,
    record_dtype,
    write_json,
    write_shard,
)
from eegfoundation.errors import ConfigError, EEGFoundationError, OutputError, RecordingError
from eegfoundation.preprocessing import PreprocessedReader, preprocess
from eegfoundation.recording import read_recording
from eegfoundation.windows import iter_windows

if TYPE_CHECKING:
    from eegfoundation.recording import Recording

_BLOCK_SECONDS = 300.0

Outcome = dict[str, Any]
"""Content of the ``.json`` beside a shard; has "failure" instead of "shard" if there is none."""


class Task(NamedTuple):
    """What a worker needs to know."""

    found: FoundRecording
    out: Path
    settings: CorpusSettings


def shard_path(name: str) -> PurePosixPath:
    """Place of a recording's shard in the corpus, by its name alone.

    Folders of the first two digits keep directories short; a readable stem and a hash keep names
    unique and legal on every file system.
    """
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", PurePosixPath(name).stem)[:60]
    return PurePosixPath("shards", digest[:2], f"{stem}-{digest[:12]}.npy")


def process_recording(task: Task) -> Outcome:
    """Make the shard of one recording, or note why there is none.

    Parameters
    ----------
    task : Task

    Returns
    -------
    Outcome

    Raises
    ------
    ConfigError, OutputError
        If the layout cannot be imported here, or the corpus not be written. That concerns every
        recording, so it ends the build.
    """
    shard = task.out / shard_path(task.found.name)
    for leftover in shard.parent.glob(f"{shard.stem}.*{UNFINISHED}"):
        leftover.unlink(missing_ok=True)
    try:
        outcome = _make_shard(task, shard)
    except (ConfigError, OutputError):
        raise
    except EEGFoundationError as error:
        return record_failure(task, str(error))
    except MemoryError:
        return record_failure(task, "it did not fit into memory.")
    except Exception as error:
        # One strange file among 70,000 must not end a build of days; the reason is kept and shown.
        return record_failure(task, f"unexpected {type(error).__name__}: {error}")
    write_json(shard.with_suffix(".json"), outcome)
    return outcome


def record_failure(task: Task, reason: str) -> Outcome:
    """Note why a recording has no shard."""
    shard = task.out / shard_path(task.found.name)
    folder = str(Path(task.found.path).parent)
    outcome = {"recording": task.found.name, "failure": reason.replace(f"{folder}{os.sep}", "")}
    write_json(shard.with_suffix(".json"), outcome)
    shard.unlink(missing_ok=True)  # of an earlier build, when the recording was another
    return outcome


#: What the account of a finished shard holds that others rely on.
_OF_A_SHARD: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("subject", "shard", "sha256"), str),
    **dict.fromkeys(("n_rows", "bytes"), int),
    "sfreq": (int, float),
    "ch_names": list,
}


def read_outcome(out: Path, found: FoundRecording, *, verify: bool = False) -> Outcome | None:
    """What is known about a recording: None if it was not processed or has to be again.

    Parameters
    ----------
    out : Path
    found : FoundRecording
    verify : bool
        Compare the shard's checksum, not only its size.
    """
    shard = out / shard_path(found.name)
    try:
        outcome: Outcome = json.loads(shard.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # missing or damaged
        return None
    if not isinstance(outcome, dict) or outcome.get("recording") != found.name:
        return None
    if isinstance(outcome.get("failure"), str):
        return outcome
    if not all(isinstance(outcome.get(name), kind) for name, kind in _OF_A_SHARD.items()):
        return None
    if not all(isinstance(name, str) for name in outcome["ch_names"]):
        return None
    if not re.fullmatch("[0-9a-f]{64}", outcome["sha256"]):
        return None
    if outcome["shard"] != str(shard_path(found.name)) or "source_bytes" not in outcome:
        return None
    if not shard.is_file() or shard.stat().st_size != outcome["bytes"]:
        return None
    if outcome["source_bytes"] != _source_bytes(found.path):
        return None
    if outcome["n_rows"] != _n_rows(shard):
        return None
    return None if verify and file_sha256(shard) != outcome["sha256"] else outcome


def _n_rows(shard: Path) -> int | None:
    """Number of records, as the shard's own header says; None if it is damaged."""
    try:
        with shard.open("rb") as file:
            np.lib.format.read_magic(file)
            (n_rows,), _, dtype = np.lib.format.read_array_header_1_0(file)
            return n_rows if file.tell() + n_rows * dtype.itemsize == shard.stat().st_size else None
    except Exception:  # a damaged header, parsed as Python, fails with anything
        return None


def _source_bytes(path: str) -> int | None:
    return Path(path).stat().st_size if Path(path).is_file() else None


def _make_shard(task: Task, shard: Path) -> Outcome:
    found, _, settings = task
    read = get_layout(settings.layout).read or read_recording
    recording = read(found.path, ch_names=settings.channels, units=settings.units)
    if recording.duration < settings.min_duration:
        raise RecordingError(
            f"shorter than {settings.min_duration:g} s: it lasts {recording.duration:.1f} s."
        )
    label = recording.subject
    subject = found.subject or (f"{found.name.split('/')[0]}/{label}" if label else found.folder)
    recording = _crop(preprocess(recording, settings.preprocessing), settings)
    account = _Account(np.zeros((3, recording.n_chans)))
    rows = _reading(_rows(recording, settings, account))
    written = write_shard(shard, settings.n_times, rows)
    if not written.n_rows:
        shard.unlink()
        raise RecordingError(f"no usable window: {account.summary(settings)}.")
    return {
        "recording": found.name,
        "subject": subject,
        "shard": str(shard_path(found.name)),
        "n_rows": written.n_rows,
        "sfreq": recording.sfreq,
        "ch_names": recording.ch_names,
        "sd_uv": account.sd_uv(),
        "rejected": {
            "segments": account.n_segments_rejected,
            "of_segments": account.n_segments,
            "channel_windows": account.n_rows_rejected,
            "of_channel_windows": account.n_rows,
        },
        "bytes": written.n_bytes,
        "sha256": written.sha256,
        "source_bytes": _source_bytes(found.path),
        "history": recording.history,
    }


def _reading(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Keep errors of reading apart from those of writing: only the latter end the build."""
    try:
        yield from blocks
    except OSError as error:
        raise RecordingError(f"it cannot be read: {error.strerror or error}.") from error


@dataclass
class _Account:
    """Counts of what was rejected, and moments of what was kept."""

    moments: np.ndarray  # (3, n_chans): number of usable samples, their sum, sum of squares
    n_segments: int = 0
    n_segments_rejected: int = 0
    n_rows: int = 0
    n_rows_rejected: int = 0

    def add_moments(self, rows: np.ndarray, channel: np.ndarray) -> None:
        """Add channel windows (n, n_times) that are kept."""
        values = np.nan_to_num(rows, copy=True)
        sums = (
            np.isfinite(rows).sum(axis=1),
            values.sum(axis=1, dtype=float),
            np.square(values).sum(axis=1, dtype=float),
        )
        for moment, parts in zip(self.moments, sums, strict=True):
            moment += np.bincount(channel, parts, minlength=len(moment))

    def sd_uv(self) -> list[float | None]:
        """Standard deviation per channel, microvolts; None for a channel without a row."""
        n, total, squares = self.moments
        with np.errstate(invalid="ignore", divide="ignore"):
            sd = np.sqrt(np.maximum(squares / n - (total / n) ** 2, 0))
        # Six digits: the last bits of a sum differ between processors.
        return [float(f"{value:.6g}") if np.isfinite(value) else None for value in sd]

    def summary(self, settings: CorpusSettings) -> str:
        """Why there is nothing."""
        if self.n_segments_rejected == self.n_segments and settings.segment_uv is not None:
            return f"all {self.n_segments} segments exceed {settings.segment_uv:g} microvolts"
        return (
            f"{self.n_segments_rejected} of {self.n_segments} segments exceed the limit, the "
            f"remaining {self.n_rows} channel windows have less than {settings.min_quality:.0%} "
            "usable samples"
        )


def _crop(recording: Recording, settings: CorpusSettings) -> Recording:
    """Cut off the beginning and the end, after filtering: no filter edge gets into a window."""
    n_times = settings.n_times
    if recording.n_epochs is not None:
        if recording.n_times != n_times:
            raise RecordingError(
                f"its epochs last {recording.n_times / recording.sfreq:g} s: expected windows of "
                f"{settings.window:g} s."
            )
        return recording
    first = round(settings.skip_start * recording.sfreq)
    last = recording.n_times - round(settings.skip_end * recording.sfreq)
    shortest = n_times * settings.windows_per_segment
    if last - first < shortest:
        cut = settings.skip_start + settings.skip_end
        raise RecordingError(
            f"too short: {max(0.0, recording.duration - cut):.1f} s are left of it, expected at "
            f"least {shortest / recording.sfreq:g} s."
        )
    reader = recording.reader
    assert isinstance(reader, PreprocessedReader)
    return replace(
        recording, n_times=last - first, reader=_CroppedReader(**vars(reader), first=first)
    )


@dataclass(frozen=True, kw_only=True)
class _CroppedReader(PreprocessedReader):
    """Counts samples from `first` on."""

    first: int

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        return super().read(start + self.first, stop + self.first)


def _rows(
    recording: Recording, settings: CorpusSettings, account: _Account
) -> Iterator[np.ndarray]:
    """Records of the channel windows that are good enough, block by block."""
    k = settings.windows_per_segment
    good = ~np.isin(recording.ch_names, recording.bads)
    segment = k * settings.window
    block = max(1, int(_BLOCK_SECONDS // segment)) * segment  # whole segments in every block
    skipped = 0.0 if recording.n_epochs is not None else settings.skip_start
    for windows in iter_windows(recording, settings.window, block=block):
        n_segments = len(windows.data) // k  # the tail of the last block may be no whole segment
        n = n_segments * k
        data, keep = windows.data[:n], windows.quality[:n] >= settings.min_quality
        account.n_segments += n_segments
        if settings.segment_uv is not None:
            # A comparison with NaN is False: samples unusable for other reasons do not count.
            exceeds = (np.abs(data[:, good]) > settings.segment_uv).any(axis=(1, 2))
            rejected = exceeds.reshape(n_segments, k).any(axis=1)
            keep &= ~np.repeat(rejected, k)[:, None]
            account.n_segments_rejected += int(rejected.sum())
            n -= k * int(rejected.sum())
        account.n_rows += n * recording.n_chans
        account.n_rows_rejected += n * recording.n_chans - int(keep.sum())
        window, channel = np.nonzero(keep)
        records = np.zeros(len(window), record_dtype(settings.n_times))
        rows = data[window, channel]
        records["signal"], records["scale"] = quantise(rows)
        records["start"] = windows.times[window] - settings.window / 2 + skipped
        records["channel"] = channel
        account.add_moments(rows, channel)
        yield records
