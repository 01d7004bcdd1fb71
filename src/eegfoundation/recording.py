"""Any source of EEG becomes one object: `read_recording` -> `Recording`.

What: a path, an MNE object or an array in; out come microvolts, normalised channel names, electrode
positions, bad channels and segments, events and the subject, with an account of what was renamed
and dropped.

Why one object: every later stage (preprocessing, windows, embedding) takes a `Recording`, so none
has to know where the signal came from.

Trade-off: nothing is loaded before `Recording.get_data` asks for a span. Memory stays bounded on
long files; in return the source has to stay where it is (and an MNE object unchanged) while in use.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation import montage
from eegfoundation.edf import MAX_SFREQ, MIN_SFREQ
from eegfoundation.errors import ChannelError, RecordingError, UnitsError
from eegfoundation.paths import check_path, expanded, printable_name
from eegfoundation.plausibility import check_positions, warn_once
from eegfoundation.readers import OpenedFile, ReadingReport, open_file, quietly
from eegfoundation.subjects import bids_subject, patient_code
from eegfoundation.units import MICROVOLTS, check_units

if TYPE_CHECKING:
    import mne


@dataclass(kw_only=True, eq=False)
class Recording:
    """EEG of one person, read piece by piece.

    `history` is what is written beside every output: it holds no personal data and no folders.
    """

    name: str
    """File name without folder, or "array", "raw", "epochs"."""
    ch_names: list[str]
    """Normalised names ("Fp1", "T7", "Fp1-F7")."""
    sfreq: float
    """Hz."""
    n_times: int
    """Samples per channel; if epoched, of one epoch."""
    positions: np.ndarray
    """(n_chans, 3) metres in MNE's head frame, NaN where unknown."""
    reader: Callable[[int, int], np.ndarray]
    """Delivers a span; use `get_data`, which checks it."""
    n_epochs: int | None = None
    """None for a continuous recording."""
    epoch_times: np.ndarray | None = None
    """(n_epochs,) centres of the epochs in seconds, on the clock of the epochs' `events`."""
    bads: list[str] = field(default_factory=list)
    """Bad channels. They stay in the data; later stages give them quality 0."""
    bad_segments: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    """(n, 2) seconds [start, stop) from the first sample, of annotations that begin with "BAD"."""
    events: list[tuple[float, float, str]] = field(default_factory=list)
    """Other annotations: onset from the first sample and duration in seconds, description."""
    subject: str | None = None
    line_freq: float | None = None
    """Mains frequency in Hz as the file says."""
    history: dict[str, Any] = field(default_factory=dict)
    """One JSON-serialisable entry per stage: "reading", "preprocessing", "windows"."""

    @property
    def n_chans(self) -> int:
        """Number of channels."""
        return len(self.ch_names)

    @property
    def duration(self) -> float:
        """Seconds of signal, of all epochs together."""
        return (1 if self.n_epochs is None else self.n_epochs) * self.n_times / self.sfreq

    def get_data(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Read a span, and only that span.

        Parameters
        ----------
        start, stop : int
            Samples of a continuous recording, epochs of an epoched one; `stop` None: to the end.

        Returns
        -------
        ndarray of float32, microvolts
            (n_chans, stop - start), or (stop - start, n_chans, n_times) if epoched.

        Raises
        ------
        RecordingError
            If the span does not lie within the recording.
        """
        length = self.n_times if self.n_epochs is None else self.n_epochs
        stop = length if stop is None else stop
        if not 0 <= start <= stop <= length:
            raise RecordingError(
                f"{self.name} has no span {start} to {stop}: "
                f"expected 0 <= start <= stop <= {length}."
            )
        if self.n_epochs is None:
            shape: tuple[int, ...] = (self.n_chans, stop - start)
        else:
            shape = (stop - start, self.n_chans, self.n_times)
        data = self.reader(start, stop) if stop > start else np.empty(shape)
        assert data.shape == shape, f"reader gave {data.shape} instead of {shape}"
        return data.astype(np.float32, copy=False)


def read_recording(
    source: "str | Path | mne.io.BaseRaw | mne.BaseEpochs | np.ndarray",
    *,
    sfreq: float | None = None,
    ch_names: Sequence[str] | None = None,
    units: str | None = None,
) -> Recording:
    """Read EEG from a file, an MNE object or an array.

    Parameters
    ----------
    source : path, mne.io.BaseRaw, mne.BaseEpochs or ndarray
        Arrays have shape (n_chans, n_times) or (n_epochs, n_chans, n_times). A path may also be a
        ".npy" file holding such an array. MNE objects are read as they are, with their picks, bad
        channels and dropped epochs, and never changed.
    sfreq : float, optional
        Sampling rate in Hz. Arrays need it; elsewhere it has to agree with the source.
    ch_names : sequence of str, optional
        Arrays: one name per channel (without: "ch1", ..., whose positions are unknown). Elsewhere:
        the channels to use, by their original or normalised names and in this order; they are
        used whatever their type, so a wanted EOG channel has to be named.
    units : {"V", "mV", "uV", "nV"}, optional
        Unit of the source's numbers: microvolts by default for arrays, volts for MNE objects and
        files. Giving it skips the check of amplitudes.

    Returns
    -------
    Recording
        In microvolts. Channels that are no EEG, and repeated ones, are left out;
        ``history["reading"]`` says which and why.

    Raises
    ------
    RecordingError
        If the source cannot be read or holds no EEG.
    ChannelError
        If `ch_names` is not unique, does not fit the array or asks for absent channels.
    UnitsError
        If the median SD over channels is outside 0.05 to 5,000 microvolts, unless `units` is given.
    """
    if units is not None and units not in MICROVOLTS:
        raise UnitsError(f"units={units!r} is unknown: expected one of V, mV, uV, nV.")
    if isinstance(ch_names, str):
        raise ChannelError(f"ch_names is the text {ch_names!r}: expected a list of names.")
    wanted = None if ch_names is None else list(ch_names)
    if isinstance(source, np.ndarray):
        recording = _from_array(source, "array", sfreq, wanted, units or "uV")
    elif isinstance(source, str | Path) and Path(source).suffix.lower() == ".npy":
        recording = _from_npy(Path(source), sfreq, wanted, units or "uV")
    else:
        opened = _open(source, wanted)
        # what a damaged header has put into MNE's object shows only when it is looked at
        recording = quietly(lambda: _from_mne(opened, sfreq, wanted, units or "V"), opened.path)
    if recording.n_times == 0 or recording.n_epochs == 0:
        raise RecordingError(f"{recording.name} holds no samples: expected a signal.")
    if units is None:
        check_units(recording)
    return recording


def _check_sfreq(name: str, sfreq: float) -> float:
    if not (math.isfinite(sfreq) and MIN_SFREQ <= sfreq <= MAX_SFREQ):
        raise RecordingError(
            f"{name} is sampled at {sfreq:g} Hz: expected at least {MIN_SFREQ:g} Hz and at most "
            f"{MAX_SFREQ:g} Hz, anything else is no EEG."
        )
    return float(sfreq)


def _open(source: Any, wanted: list[str] | None) -> OpenedFile:
    """Whatever MNE handles: opened files and objects in memory alike."""
    import mne

    if isinstance(source, str | Path):
        return open_file(expanded(source), wanted or ())
    if isinstance(source, mne.io.BaseRaw):
        return OpenedFile(source, Path("raw"), ReadingReport(format="MNE Raw"))
    if isinstance(source, mne.BaseEpochs):
        return OpenedFile(source, Path("epochs"), ReadingReport(format="MNE Epochs"))
    raise RecordingError(
        f"source is of type {type(source).__name__}: expected a path, an mne.io.Raw, mne.Epochs or "
        "a NumPy array."
    )


def _from_mne(
    opened: OpenedFile, sfreq: float | None, wanted: list[str] | None, units: str
) -> Recording:
    import mne

    (data, path, report), info = opened, opened.data.info
    is_file = not report.format.startswith("MNE")
    if sfreq is not None and not math.isclose(sfreq, info["sfreq"], rel_tol=1e-4):
        raise RecordingError(
            f"{path.name} is sampled at {info['sfreq']:g} Hz but sfreq={sfreq:g} was given: "
            "leave sfreq out, the source knows it."
        )
    if isinstance(data, mne.BaseEpochs) and not data.preload:
        # Which epochs are good is known only after reading them once; the caller's object stays.
        data = quietly(data.copy().drop_bad, path, report.warnings)
    originals = list(data.ch_names)
    chosen = montage.select_channels(path.name, originals, data.get_channel_types(), wanted)
    dropped = {**report.dropped, **chosen.dropped}
    if not chosen.picks:
        raise montage.no_eeg_error(path.name, dropped)
    bads = set(info["bads"])
    recording = Recording(
        name=printable_name(path),
        ch_names=chosen.ch_names,
        sfreq=_check_sfreq(path.name, info["sfreq"]),
        n_times=len(data.times),
        positions=_positions(originals, opened)[chosen.picks],
        reader=_reader_of(data, chosen.picks, MICROVOLTS[units], path),
        bads=[montage.normalise_name(originals[i]) for i in chosen.picks if originals[i] in bads],
        subject=(bids_subject(path) if is_file else None) or patient_code(info),
        line_freq=info["line_freq"],
    )
    if isinstance(data, mne.BaseEpochs):
        recording.n_epochs = len(data)
        recording.epoch_times = _epoch_times(data)
    else:
        _add_annotations(recording, data)
    recording.history["reading"] = _account(recording, report, units, chosen.renamed, dropped)
    return recording


def _reader_of(
    data: "mne.io.BaseRaw | mne.BaseEpochs", picks: list[int], microvolts: float, path: Path
) -> Callable[[int, int], np.ndarray]:
    """A function that reads samples (or epochs) start to stop of the picked channels."""
    import mne

    def read_epochs(start: int, stop: int) -> np.ndarray:
        return np.asarray(data.get_data(picks=picks, item=slice(start, stop), copy=False))

    def read_raw(start: int, stop: int) -> np.ndarray:
        return np.asarray(data.get_data(picks=picks, start=start, stop=stop))

    read = read_epochs if isinstance(data, mne.BaseEpochs) else read_raw

    def read_microvolts(start: int, stop: int) -> np.ndarray:
        x = quietly(lambda: read(start, stop), path)
        # Multiplied in float64 and rounded once, without an array of float64 in between.
        with np.errstate(over="ignore"):  # infinite, which later stages know as unusable
            return np.multiply(
                x, microvolts, out=np.empty(x.shape, np.float32), casting="same_kind"
            )

    return read_microvolts


def _positions(originals: list[str], opened: OpenedFile) -> np.ndarray:
    """Template positions; for names it does not know, what was digitised with the recording."""
    from mne.io.constants import FIFF

    channels = opened.data.info["chs"]
    found = montage.positions(originals)
    own = np.array([channel["loc"][:3] for channel in channels], dtype=float)
    own[[channel["coord_frame"] != FIFF.FIFFV_COORD_HEAD for channel in channels]] = np.nan
    contradictions, usable = check_positions(originals, found, own)
    opened.report.contradictions.extend(contradictions)
    for text in contradictions:
        warn_once(f"{opened.path.name}: {text}")
    return montage.add_digitised(found, own) if usable else found


def _add_annotations(recording: Recording, raw: "mne.io.BaseRaw") -> None:
    """Sort annotations into bad segments and events, in seconds from the first sample."""
    segments = []
    # MNE counts onsets from the start of the acquisition, whose first samples may be missing.
    onsets = raw.annotations.onset - raw.first_time
    for onset, length, text in zip(
        onsets, raw.annotations.duration, raw.annotations.description, strict=True
    ):
        if not text.upper().startswith("BAD"):
            recording.events.append((float(onset), float(length), str(text)))
            continue
        start, stop = max(float(onset), 0.0), min(float(onset + length), recording.duration)
        if stop > start:
            segments.append((start, stop))
    recording.bad_segments = np.array(sorted(segments), dtype=float).reshape(-1, 2)


def _epoch_times(epochs: "mne.BaseEpochs") -> np.ndarray | None:
    samples = epochs.events[:, 0]
    if np.array_equal(samples, epochs.selection):
        return None  # MNE numbers the epochs of arrays when it is given no events
    # Events count samples of the recording, whose rate resampled epochs no longer have.
    sfreq = getattr(epochs, "_raw_sfreq", None) or epochs.info["sfreq"]
    return np.asarray(samples / sfreq + (epochs.tmin + epochs.tmax) / 2)


def _from_npy(path: Path, sfreq: float | None, wanted: list[str] | None, units: str) -> Recording:
    path = expanded(path)
    check_path(path, RecordingError)
    try:
        data = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header, parsed as Python, fails with anything
        raise RecordingError(
            f"{path} cannot be read as a .npy file of numbers: is it complete?"
        ) from error
    recording = _from_array(data, printable_name(path), sfreq, wanted, units)
    recording.subject = bids_subject(path)
    return recording


def _from_array(
    data: np.ndarray, name: str, sfreq: float | None, wanted: list[str] | None, units: str
) -> Recording:
    if data.ndim not in (2, 3) or data.dtype.kind not in "fiu":
        raise RecordingError(
            f"{name} has shape {data.shape} and type {data.dtype}: expected real numbers of shape "
            "(n_chans, n_times) or (n_epochs, n_chans, n_times)."
        )
    if sfreq is None:
        raise RecordingError(f"{name} does not know its sampling rate: give it by sfreq= in Hz.")
    n_chans, n_times = data.shape[-2:]
    originals = [f"ch{i + 1}" for i in range(n_chans)] if wanted is None else wanted
    if len(originals) != n_chans:
        raise ChannelError(
            f"{name} has shape {data.shape}, so {n_chans} channels, but ch_names has "
            f"{len(originals)} names: expected one per channel (is the array transposed?)."
        )
    if wanted is None and n_chans > max(512, n_times):
        raise RecordingError(
            f"{name} has {n_chans} channels of {n_times} samples: it looks transposed, expected "
            "(n_chans, n_times)."
        )
    montage.check_unique([montage.normalise_name(original) for original in originals])
    chosen = montage.select_channels(name, originals, ["eeg"] * n_chans, None)
    if not chosen.picks:
        raise montage.no_eeg_error(name, chosen.dropped)
    # A slice where all channels stay: a span of a memory-mapped file is then read without copies.
    rows: Any = chosen.picks if chosen.dropped else slice(None)

    def read(start: int, stop: int) -> np.ndarray:
        part = data[start:stop, rows] if data.ndim == 3 else data[rows, start:stop]
        # what is too large, or no number of any kind, is told of later, and not by NumPy
        with np.errstate(over="ignore", invalid="ignore"):
            return (np.asarray(part, dtype=np.float64) * MICROVOLTS[units]).astype(np.float32)

    recording = Recording(
        name=name,
        ch_names=chosen.ch_names,
        sfreq=_check_sfreq(name, sfreq),
        n_times=n_times,
        n_epochs=len(data) if data.ndim == 3 else None,
        positions=montage.positions(originals)[chosen.picks],
        reader=read,
    )
    report = ReadingReport(format="NumPy array")
    if wanted is None:
        report.notes.append("no ch_names were given: positions are unknown")
    recording.history["reading"] = _account(
        recording, report, units, chosen.renamed, chosen.dropped
    )
    return recording


def _account(
    recording: Recording,
    report: ReadingReport,
    units: str,
    renamed: dict[str, str],
    dropped: dict[str, str],
) -> dict[str, Any]:
    """What reading did, for ``history["reading"]``: plain JSON types, no personal data."""
    unknown = np.isnan(recording.positions).any(axis=1)
    return {
        "source": recording.name,
        "format": report.format,
        "sfreq": recording.sfreq,
        "units": units,
        "renamed": renamed,
        "dropped": dropped,
        "bads": list(recording.bads),
        "positions_unknown": [n for n, u in zip(recording.ch_names, unknown, strict=True) if u],
        "n_bad_segments": len(recording.bad_segments),
        "reader_warnings": list(report.warnings),
        "contradictions": list(report.contradictions),
        "notes": list(report.notes),
    }
