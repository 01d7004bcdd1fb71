"""EDF and BDF: which of the signals that a header announces are EEG, and whether all are there.

These formats call everything "EEG" or nothing at all, mix sampling rates, and are often cut short.
So the header is read here before MNE opens the file.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eegfoundation.errors import RecordingError
from eegfoundation.montage import channel_kind, no_eeg_error, normalise_name

if TYPE_CHECKING:
    from eegfoundation.readers import ReadingReport

#: Hz. Slower channels are trends (temperature, saturation), not EEG.
MIN_SFREQ = 10.0
#: Hz. No amplifier of EEG is faster; a damaged header may well be.
MAX_SFREQ = 1e6


class _EDFSignal(NamedTuple):
    label: str
    dimension: str
    sfreq: float


def _edf_signals(path: Path, report: "ReadingReport") -> list[_EDFSignal]:
    """Signals that an EDF or BDF header announces; a file shorter than announced is reported."""

    def column(offset: int, width: int) -> list[str]:
        start = offset * n_signals
        return [table[start + i * width :][:width].strip() for i in range(n_signals)]

    try:
        with path.open("rb") as file:
            fixed = file.read(256)
            n_signals, header_bytes = int(fixed[252:256]), int(fixed[184:192])
            n_records, duration = int(fixed[236:244]), float(fixed[244:252])
            table = file.read(256 * n_signals).decode("latin-1")
        labels, n_samples = column(0, 16), [int(value) for value in column(216, 8)]
        record_bytes = sum(n_samples) * (3 if report.format == "BDF" else 2)
        n_whole = (path.stat().st_size - header_bytes) // record_bytes
    except (ValueError, ZeroDivisionError) as error:
        raise RecordingError(
            f"{path.name} has an incomplete or damaged {report.format} header: copy it again."
        ) from error
    if all(label in ("EDF Annotations", "BDF Annotations") for label in labels):
        raise RecordingError(
            f"{path.name} has annotations but no signal: give the recording that they belong to."
        )
    if n_whole <= 0:
        raise RecordingError(
            f"{path.name} ends before its first data record is complete: copy it again."
        )
    if n_whole < n_records:
        report.notes.append(
            f"truncated: {n_whole} of {n_records} data records are there, "
            f"{(n_records - n_whole) * duration:g} s are missing at the end"
        )
    if fixed[192:197] in (b"EDF+D", b"BDF+D"):
        report.notes.append("interrupted recording: times count recorded samples, without the gaps")
    return [
        _EDFSignal(label, dimension, n / duration if duration > 0 else float(n))
        for label, dimension, n in zip(labels, column(96, 8), n_samples, strict=True)
        if label not in ("EDF Annotations", "BDF Annotations")
    ]


def read_edf(path: Path, wanted: Sequence[str], report: "ReadingReport") -> Any:
    """EDF and BDF. MNE brings all channels to the fastest rate, so what is no EEG stays out.

    Left in, a fast EMG would have the EEG upsampled (and, opened lazily, with edges that depend on
    the span that is read); left out, most polysomnographies have one rate.
    """
    import mne

    signals = _edf_signals(path, report)
    asked = {*wanted, *(normalise_name(name) for name in wanted)}
    for label, dimension, sfreq in signals:
        kind = channel_kind(label)
        if label in asked or normalise_name(label) in asked:
            continue
        if kind != "eeg":
            report.dropped[label] = f"{kind} by its name"
        elif sfreq < MIN_SFREQ:
            report.dropped[label] = f"sampled at {sfreq:g} Hz only"
        elif re.search("[A-Za-z%]", dimension) and "v" not in dimension.lower():
            report.dropped[label] = f"measured in {dimension}, not in volts"
    kept = [signal for signal in signals if signal.label not in report.dropped]
    if not kept:
        raise no_eeg_error(path.name, report.dropped)
    fastest = max(signal.sfreq for signal in kept)
    slower = [signal for signal in kept if not np.isclose(signal.sfreq, fastest)]
    report.notes.extend(
        f"{signal.label}: recorded at {signal.sfreq:g} Hz, upsampled to {fastest:g} Hz"
        for signal in slower
    )
    reader = mne.io.read_raw_bdf if report.format == "BDF" else mne.io.read_raw_edf
    return reader(path, exclude=list(report.dropped), preload=bool(slower))
