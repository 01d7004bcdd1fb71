"""Recording -> windows of fixed length, with the share of usable samples and a log of what is not.

Continuous recordings are cut every `window - overlap` seconds from the first sample on; epochs are
windows already. Nothing is thrown away: unusable samples are NaN (the tokenizer makes them
unknown), and `quality` tells later stages how far to trust a channel, so that rows always match the
times of the recording. Windows come in blocks, so that a 24 h file needs the memory of a few
minutes; how long a block is changes nothing in the result.
"""

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from eegfoundation.errors import PreprocessingError, RecordingError
from eegfoundation.preprocessing import PreprocessedReader
from eegfoundation.quality import CAUSES, FLAT, FLAT_UV, are_numbers
from eegfoundation.recording import Recording
from eegfoundation.tokenizer import MAX_ABS_UV

logger = logging.getLogger("eegfoundation")

MIN_SECONDS = 0.5
"""Shortest window: below it there is no full cycle of the delta band to look at."""
MAX_SECONDS = 1e9
"""30 years; longer is a slip of the keyboard, and may be infinitely many samples."""


@dataclass(kw_only=True)
class Windows:
    """Consecutive windows of one recording."""

    data: np.ndarray
    """(n_windows, n_chans, n_times) float32 microvolts, NaN where unusable."""
    times: np.ndarray
    """(n_windows,) window centres, seconds from the first sample of the recording.

    Epochs whose place in the recording is unknown count as if they followed each other.
    """
    quality: np.ndarray
    """(n_windows, n_chans) float32 share of usable samples, 0 to 1; 0 for bad and flat channels."""


@dataclass(kw_only=True)
class DropLog:
    """What was unusable and why: `history["windows"]` of a recording that was iterated.

    Every sample of every window and channel counts once, under the first reason that applies: bad
    channel, then the order of `quality.CAUSES`, then flat within the window. So
    `1 - sum(unusable) / n_samples` is the mean quality. Where windows overlap, a sample counts in
    each of them.
    """

    window: float
    """Seconds."""
    overlap: float
    """Seconds."""
    n_windows: int
    """How many windows there are in all."""
    n_done: int = 0
    """How many of them were read: the log is complete when this is `n_windows`."""
    n_empty: int = 0
    """Windows without one usable sample in a good channel."""
    n_samples: int = 0
    """Samples in the windows read, over all channels."""
    unusable: dict[str, int] = field(
        default_factory=lambda: {name: 0 for name in ("bad channel", *CAUSES[1:])}
    )
    """Samples by reason."""
    bad_channels: list[str] = field(default_factory=list)
    """Channels that the recording declares bad: their data stays, with quality 0."""
    tail_seconds: float = 0.0
    """Time at the end of the recording that no window covers."""
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Values by name, JSON-serialisable."""
        return asdict(self)


def n_windows(recording: Recording, window: float = 10.0, overlap: float = 0.0) -> int:
    """Count the windows that `iter_windows` yields, without reading data.

    Raises
    ------
    RecordingError
        The recording or its epochs are shorter than 0.5 s.
    PreprocessingError
        The window is shorter than 0.5 s, or the overlap does not lie between 0 and the window.
    """
    return _layout(recording, window, overlap)[2]


def iter_windows(
    recording: Recording, window: float = 10.0, overlap: float = 0.0, *, block: float = 300.0
) -> Iterator[Windows]:
    """Iterate over a recording's windows, several at a time.

    Parameters
    ----------
    recording : Recording
        Preprocessed (one that is not works too, but its BAD annotations are not applied). Its
        `history["windows"]` is replaced by the `DropLog`, which is complete after the last block.
    window, overlap : float
        Seconds, rounded to samples. Epochs are taken whole, whatever these say. A continuous
        recording of 0.5 s up to one window gives one shorter window.
    block : float
        Seconds of recording per yielded object, rounded down to whole windows, at least one.

    Yields
    ------
    Windows
        In the order of time.

    Raises
    ------
    RecordingError, PreprocessingError
        As `n_windows`; at the call, not at the first step.
    """
    n_times, step, count = _layout(recording, window, overlap)
    if not block > 0:
        raise PreprocessingError(f"block must be a positive number of seconds, found {block!r}.")
    log = DropLog(
        window=n_times / recording.sfreq,
        overlap=(n_times - step) / recording.sfreq,
        n_windows=count,
        bad_channels=list(recording.bads),
    )
    if recording.n_epochs is None:
        log.tail_seconds = (recording.n_times - (count - 1) * step - n_times) / recording.sfreq
        if n_times < round(window * recording.sfreq):
            log.notes.append(
                f"one window of {log.window:g} s: the recording is shorter than {window:g} s"
            )
    recording.history["windows"] = log.to_dict()
    return _iterate(recording, n_times, step, block, log)


def watch_windows(
    recording: Recording,
    window: float = 10.0,
    overlap: float = 0.0,
    *,
    block: float = 300.0,
    progress: bool | None = None,
) -> Iterator[Windows]:
    """`iter_windows` for people: a progress bar, and a log line for what they should know.

    Parameters
    ----------
    recording, window, overlap, block
        As in `iter_windows`.
    progress : bool | None
        Show the bar; None: only on a terminal.

    Yields
    ------
    Windows
    """
    from tqdm import tqdm

    blocks = iter_windows(recording, window, overlap, block=block)
    history = recording.history
    for stage in ("reading", "preprocessing", "windows"):
        for note in history.get(stage, {}).get("notes", []):
            logger.warning(f"{recording.name}: {note}")
    total = n_windows(recording, window, overlap)
    disable = None if progress is None else not progress
    with tqdm(total=total, desc=recording.name, unit="window", disable=disable) as bar:
        for windows in blocks:
            yield windows
            bar.update(len(windows.times))
    if n_empty := history["windows"]["n_empty"]:
        logger.warning(f"{recording.name}: {n_empty} of {total} windows hold no usable sample")


def _layout(recording: Recording, window: float, overlap: float) -> tuple[int, int, int]:
    """Samples per window, samples from one window to the next, number of windows."""
    sfreq = recording.sfreq
    if not MIN_SECONDS <= window <= MAX_SECONDS:
        raise PreprocessingError(
            f"a window must last at least {MIN_SECONDS} s and at most {MAX_SECONDS:g} s, found "
            f"{window!r}."
        )
    if not 0 <= overlap < window:
        raise PreprocessingError(
            f"overlap must lie between 0 s and the window of {window:g} s, found {overlap!r}."
        )
    # Half a sample of tolerance: rates such as 173.61 Hz do not divide half a second.
    if recording.n_times + 0.5 < MIN_SECONDS * sfreq:
        what = "recording" if recording.n_epochs is None else "epochs"
        raise RecordingError(
            f"{recording.name}: {what} must last at least {MIN_SECONDS} s, found "
            f"{recording.n_times / sfreq:.3g} s."
        )
    if recording.n_epochs is not None:
        return recording.n_times, recording.n_times, recording.n_epochs
    n_times = min(round(window * sfreq), recording.n_times)
    step = max(1, n_times - round(overlap * sfreq))
    return n_times, step, (recording.n_times - n_times) // step + 1


def _iterate(
    recording: Recording, n_times: int, step: int, block: float, log: DropLog
) -> Iterator[Windows]:
    sfreq, epoched = recording.sfreq, recording.n_epochs is not None
    bad = np.isin(recording.ch_names, recording.bads)
    per_block = max(1, int((block * sfreq - n_times) // step) + 1)
    for first in range(0, log.n_windows, per_block):
        last = min(first + per_block, log.n_windows)
        if epoched:
            data, causes = _read(recording, first, last)
        else:
            span, why = _read(recording, first * step, (last - 1) * step + n_times)
            data = _cut(span, n_times, step)
            causes = None if why is None else _cut(why, n_times, step)
        centres = (np.arange(first, last) * step + n_times / 2) / sfreq
        if recording.epoch_times is not None:
            centres = np.asarray(recording.epoch_times[first:last], float)
        quality = _assess(data, causes, bad, log)
        recording.history["windows"] = log.to_dict()
        yield Windows(data=data, times=centres, quality=quality)


def _read(recording: Recording, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Data and causes (positions in `CAUSES`; None: all usable)."""
    if isinstance(recording.reader, PreprocessedReader):
        return recording.reader.read(start, stop)
    data = np.array(recording.get_data(start, stop), np.float32)
    if not are_numbers(data):
        data[~(np.abs(data) <= MAX_ABS_UV)] = np.nan
    missing = np.isnan(data)
    return data, missing.astype(np.uint8) if missing.any() else None


def _cut(span: np.ndarray, n_times: int, step: int) -> np.ndarray:
    """(n_chans, T) -> (n_windows, n_chans, n_times), a copy."""
    views = np.lib.stride_tricks.sliding_window_view(span, n_times, axis=1)[:, ::step]
    return views.transpose(1, 0, 2).copy()


def _assess(
    data: np.ndarray, causes: np.ndarray | None, bad: np.ndarray, log: DropLog
) -> np.ndarray:
    """Set flat channels of `data` (W, C, T) to NaN, count into `log`, return the quality (W, C)."""
    n_windows, n_chans, n_times = data.shape
    usable = np.full((n_windows, n_chans), n_times)
    if causes is not None:
        usable -= np.count_nonzero(causes, axis=-1)
        counts = np.bincount(causes[:, ~bad].ravel(), minlength=len(CAUSES))
        for name, n in zip(CAUSES[1:], counts[1:].tolist(), strict=True):
            log.unusable[name] += n
    # fmax and fmin pass over NaN; the range of nothing is NaN and compares as not flat.
    flat = np.fmax.reduce(data, axis=-1) - np.fmin.reduce(data, axis=-1) < FLAT_UV
    data[flat] = np.nan
    log.unusable[CAUSES[FLAT]] += int(usable[flat & ~bad].sum())
    log.unusable["bad channel"] += int(bad.sum()) * n_windows * n_times
    usable[flat | bad] = 0
    log.n_done += n_windows
    log.n_samples += data.size
    log.n_empty += int((usable == 0).all(axis=1).sum())
    quality: np.ndarray = usable / n_times
    return quality.astype(np.float32)
