"""What scikit-learn hands over becomes windows: arrays, epochs or lists of paths.

scikit-learn counts in *samples*, one per label. A sample is a trial of an array, an epoch, or a
whole file; it becomes one window or several. All windows of a call share one montage, in which
absent channels are NaN.

Mains hum is looked for in arrays and epochs once, when a model is fitted: what is done to a trial
must not depend on which other trials come along with it. A file is a recording of its own.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.errors import ModelInputError
from eegfoundation.recording import Recording, read_recording

if TYPE_CHECKING:
    from eegfoundation.preprocessing import Preprocessing

logger = logging.getLogger("eegfoundation")

#: Seconds of a file's windows, unless the caller says otherwise.
FILE_WINDOW = 10.0
EXPECTED = "an array (n, n_chans, n_times) in microvolts, mne.Epochs, or a list of paths"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How samples are read; see `eegfoundation.estimators.EEGFoundationFeatures`."""

    sfreq: float | None = None
    ch_names: Sequence[str] | None = None
    units: str | None = None
    window: float | None = None

    @property
    def seconds(self) -> float:
        """Length of a file's windows."""
        return FILE_WINDOW if self.window is None else self.window

    def open(self, source: Any) -> Recording:
        """Open one source."""
        names = None if self.ch_names is None else list(self.ch_names)
        return read_recording(source, sfreq=self.sfreq, ch_names=names, units=self.units)


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Preprocessed windows, and which sample each is from."""

    x: np.ndarray
    """(n_windows, n_chans, n_times) float32 microvolts, NaN where unusable or absent."""
    sample: np.ndarray
    """(n_windows,) rising from 0 to n_samples - 1."""
    ch_names: tuple[str, ...]
    positions: np.ndarray
    """(n_chans, 3) metres, NaN where unknown."""
    subject: np.ndarray | None
    """(n_samples,) of str, as the epochs' metadata or the files say; None if they do not."""
    session: np.ndarray | None
    """(n_samples,) of str, likewise."""
    preprocessing: Preprocessing
    """For the next call too: in arrays and epochs, "auto" became the mains frequency found."""

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return int(self.sample[-1]) + 1

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Average values (n_windows, ...) over the windows of each sample, NaN left out."""
        if len(values) == self.n_samples:
            return values
        groups = np.split(values, np.flatnonzero(np.diff(self.sample)) + 1)
        return np.stack([usable_mean(group, axis=0) for group in groups])


def usable_mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of what is not NaN; NaN where nothing is left."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis)
    count = known.sum(axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(values.dtype)


def read_samples(X: Any, preprocessing: Preprocessing, reading: Reading) -> Samples:
    """Read, preprocess and cut.

    Parameters
    ----------
    X : ndarray | mne.Epochs | sequence of mne.Epochs | sequence of paths
        Trials (n, n_chans, n_times) in microvolts; epochs; or files, each of which is one sample.
    preprocessing : Preprocessing
        Of the encoder or, for a fitted model, that of its samples.
    reading : Reading

    Returns
    -------
    samples : Samples

    Raises
    ------
    ModelInputError
        If `X` is none of these.
    EEGFoundationError
        If it cannot be read; the message says what to do.
    """
    kind, X = _kind(X)
    if kind == "paths":
        return _from_files(X, preprocessing, reading)
    if kind == "array":
        return _from_trials(reading.open(X), preprocessing, reading, None)
    recordings = [reading.open(epochs) for epochs in X]
    who = [epochs.metadata for epochs in X]
    return _from_trials(_joined(recordings), preprocessing, reading, who)


def _kind(X: Any) -> tuple[str, Any]:
    """Say what X is: an "array", or a list of "epochs" or "paths"; and give it as that."""
    import mne

    if isinstance(X, mne.BaseEpochs):
        return "epochs", [X]
    if isinstance(X, str | os.PathLike):
        raise ModelInputError(f"X is a single path; expected {EXPECTED}.")
    if hasattr(X, "toarray"):
        raise ModelInputError(f"X is a sparse matrix; expected {EXPECTED}.")
    if not hasattr(X, "__array__") and isinstance(X, Sequence) and len(X):
        if all(isinstance(one, mne.BaseEpochs) for one in X):
            return "epochs", list(X)
        if all(isinstance(one, str | os.PathLike) for one in X):
            return "paths", list(X)
    try:
        array = np.asarray(X)
    except (TypeError, ValueError):
        raise ModelInputError(
            f"X is of type {type(X).__name__} and makes no array; expected {EXPECTED}."
        ) from None
    if array.ndim == 1 and len(array) and all(isinstance(one, str | os.PathLike) for one in array):
        return "paths", array.tolist()
    if array.dtype.kind == "O":
        try:
            array = array.astype(float)
        except (TypeError, ValueError):
            raise ModelInputError(
                f"X holds objects that are no numbers; expected {EXPECTED}."
            ) from None
    if array.dtype.kind == "c":
        raise ModelInputError("Complex data not supported: X is complex; expected microvolts.")
    if array.ndim != 3 or array.dtype.kind not in "fiub":
        raise ModelInputError(
            f"X has shape {array.shape} and type {array.dtype}; expected {EXPECTED}."
        )
    if 0 in array.shape:
        raise ModelInputError(f"X has shape {array.shape}, 0 samples; expected {EXPECTED}.")
    return "array", array


def _joined(recordings: list[Recording]) -> Recording:
    """Several objects with epochs of one montage as one recording."""
    first = recordings[0]
    if len(recordings) == 1:
        return first
    for one in recordings:
        for name in ("ch_names", "sfreq", "n_times"):
            ours, its = getattr(first, name), getattr(one, name)
            if ours != its:
                raise ModelInputError(
                    f"The epochs differ in {name}: {ours} and {its}; give epochs that are alike."
                )
    x = np.concatenate([one.get_data() for one in recordings])
    return dataclasses.replace(
        first, n_epochs=len(x), epoch_times=None, reader=lambda start, stop: x[start:stop]
    )


def _from_trials(
    recording: Recording, preprocessing: Preprocessing, reading: Reading, who: list[Any] | None
) -> Samples:
    """Trials or epochs of one montage."""
    from eegfoundation.preprocessing import preprocess

    recording = preprocess(recording, preprocessing)
    x = usable_windows(recording, reading.seconds)
    n = len(x)
    if reading.window is not None:
        n_times = round(reading.window * recording.sfreq)
        if not 1 <= n_times <= x.shape[-1]:
            raise ModelInputError(
                f"window is {reading.window:g} s, the samples last "
                f"{x.shape[-1] / recording.sfreq:g} s; choose a shorter one, or None."
            )
        x = x[..., : x.shape[-1] // n_times * n_times]
        x = x.reshape(n, x.shape[1], -1, n_times).swapaxes(1, 2).reshape(-1, x.shape[1], n_times)
    return Samples(
        x=x,
        sample=np.repeat(np.arange(n), len(x) // n),
        ch_names=tuple(recording.ch_names),
        positions=recording.positions,
        subject=_column(who, "subject"),
        session=_column(who, "session"),
        preprocessing=dataclasses.replace(
            preprocessing, notch=recording.history["preprocessing"]["line_freq"]
        ),
    )


def _from_files(paths: list[Any], preprocessing: Preprocessing, reading: Reading) -> Samples:
    """Files, each of which is a sample of as many windows as it has."""
    from eegfoundation.preprocessing import preprocess
    from eegfoundation.tasks.trials import stack_on_channels, union_of_channels

    parts: list[tuple[np.ndarray, list[str], np.ndarray]] = []
    subjects: list[str | None] = []
    for path in paths:
        recording = reading.open(path)
        subjects.append(recording.subject)
        recording = preprocess(recording, preprocessing)
        x = usable_windows(recording, reading.seconds)
        if parts and x.shape[-1] != parts[0][0].shape[-1]:
            seconds, expected = (n / recording.sfreq for n in (x.shape[-1], parts[0][0].shape[-1]))
            raise ModelInputError(
                f"{recording.name} gives windows of {seconds:g} s, the files before it of "
                f"{expected:g} s; choose a window that every file can fill."
            )
        parts.append((x, recording.ch_names, recording.positions))
    ch_names, positions = union_of_channels(parts)
    known = all(subject is not None for subject in subjects)
    return Samples(
        x=stack_on_channels(parts, ch_names),
        sample=np.repeat(np.arange(len(parts)), [len(x) for x, _, _ in parts]),
        ch_names=tuple(ch_names),
        positions=positions,
        subject=np.array(subjects, dtype=str) if known else None,
        # alignment is within a recording
        session=np.arange(len(parts)).astype(str),
        preprocessing=preprocessing,
    )


def usable_windows(recording: Recording, window: float) -> np.ndarray:
    """Cut a preprocessed recording.

    Parameters
    ----------
    recording : Recording
    window : float
        Seconds; epochs stay whole.

    Returns
    -------
    x : ndarray, shape (n_windows, n_chans, n_times)
        Microvolts; channels that are bad or flat in a window are NaN there.
    """
    from eegfoundation.windows import iter_windows

    blocks = list(iter_windows(recording, window))
    for stage in ("reading", "preprocessing", "windows"):
        for note in recording.history[stage].get("notes", []):
            logger.info(f"{recording.name}: {note}")
    x = np.concatenate([block.data for block in blocks])
    x[np.concatenate([block.quality for block in blocks]) == 0] = np.nan
    return x


def _column(tables: list[Any] | None, name: str) -> np.ndarray | None:
    """Column of the epochs' metadata as text; None where one of them lacks it."""
    if tables is None or any(table is None or name not in table for table in tables):
        return None
    return np.concatenate([table[name].to_numpy().astype(str) for table in tables])
