"""Reader of the compact ``.npz`` form: int16 samples with a scale per channel.

What a file holds: ``x`` int16 (n_chans, n_times), ``scale_uv`` and optionally ``dc_uv`` (n_chans,)
so that microvolts = x * scale_uv + dc_uv, ``ch_names``, ``sfreq``; optionally ``event_onset``
(samples) and ``event_desc``, and ``meta``, a JSON text with ``subject``.

Why a reader of its own and not a format of `read_recording`: an ``.npz`` could be anything. Only
who says ``layout="compact"`` means this.

Trade-off: compressed files cannot be read in pieces, so the whole recording is held in memory.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.errors import RecordingError
from eegfoundation.paths import check_path, printable_name
from eegfoundation.recording import read_recording

if TYPE_CHECKING:
    from eegfoundation.recording import Recording

_LARGEST = 2**28
"""Bytes that a file may unpack to. As numbers of MNE they take four times as much."""


def read_compact(
    path: str | Path, *, ch_names: Sequence[str] | None = None, units: str | None = None
) -> Recording:
    """Read a compact ``.npz`` file.

    Parameters
    ----------
    path : path
    ch_names, units
        As in `read_recording`; the numbers times their scale are microvolts.

    Returns
    -------
    Recording
        With events and the subject of ``meta``.

    Raises
    ------
    RecordingError
        If the file is missing, damaged or not of this form.
    ChannelError
        If `ch_names` asks for an absent channel.
    """
    import mne

    path = Path(path)
    content = _load(path)
    names, x = _checked(path, content)
    offset = content.get("dc_uv", np.zeros(len(names)))
    sfreq = float(content["sfreq"])
    microvolts = x * content["scale_uv"][:, None].astype(float) + offset[:, None]
    info = mne.create_info(names, sfreq, "eeg", verbose="error")
    raw = mne.io.RawArray(microvolts, info, verbose="error")
    if "event_onset" in content:
        onset = content["event_onset"] / sfreq
        raw.set_annotations(mne.Annotations(onset, 0.0, content["event_desc"]), verbose="error")
    recording = read_recording(raw, ch_names=ch_names, units=units or "uV")
    recording.name = printable_name(path)
    subject = _meta(path, content).get("subject")
    recording.subject = None if subject is None else str(subject)
    recording.history["reading"].update(source=recording.name, format="compact npz")
    return recording


def _load(path: Path) -> dict[str, Any]:
    check_path(path, RecordingError)
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(member.file_size for member in packed.infolist())
        if size > _LARGEST:
            raise RecordingError(
                f"{path.name} unpacks to {size / 1e6:,.0f} MB, which would all be held in memory; "
                f"at most {_LARGEST / 1e6:,.0f} MB are: cut it, or save it as EDF or FIF."
            )
        # Opened here: of a damaged file, NumPy leaves the closing to chance.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
    except RecordingError:
        raise
    except Exception as error:  # damaged members fail with anything from zlib.error to TokenError
        raise RecordingError(
            f"{path.name} cannot be read as a .npz file of numbers: is it complete?"
        ) from error
    for name, value in content.items():
        if not isinstance(value, np.ndarray):  # a member without NumPy's header comes as bytes
            raise RecordingError(f"{path.name}: {name} is no array; is the file damaged?")
    if missing := sorted({"x", "scale_uv", "ch_names", "sfreq"} - set(content)):
        raise RecordingError(
            f"{path.name} is no compact recording, it has no {', '.join(missing)}: expected x, "
            "scale_uv, ch_names and sfreq."
        )
    return content


def _checked(path: Path, content: dict[str, Any]) -> tuple[list[str], np.ndarray]:
    """Names and samples, if everything has the right type and size."""
    x, n = content["x"], content["ch_names"].size
    expected = {"ch_names": (n,), "scale_uv": (n,), "dc_uv": (n,), "sfreq": ()}
    for name, shape in expected.items():
        value = content.get(name)
        kinds = "SU" if name == "ch_names" else "fiu"
        if value is not None and (value.shape != shape or value.dtype.kind not in kinds):
            raise RecordingError(
                f"{path.name}: {name} has shape {value.shape} and type {value.dtype}; expected "
                f"{'texts' if name == 'ch_names' else 'numbers'} of shape {shape}."
            )
    if x.ndim != 2 or len(x) != n or x.dtype.kind not in "fiu":
        raise RecordingError(
            f"{path.name}: x has shape {x.shape} and type {x.dtype} for {n} channel names; "
            "expected one row of x for each, of numbers."
        )
    if not 0 < float(content["sfreq"]) < np.inf:
        raise RecordingError(f"{path.name}: sfreq is {content['sfreq']}; expected Hz above 0.")
    onset, text = content.get("event_onset"), content.get("event_desc")
    if onset is not None and (
        text is None or len(text) != len(onset) or onset.dtype.kind not in "fiu"
    ):
        raise RecordingError(
            f"{path.name}: event_onset needs numbers, and as many texts in event_desc."
        )
    return content["ch_names"].astype(str).tolist(), x


def _meta(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    try:
        meta = json.loads(str(content["meta"])) if "meta" in content else {}
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{path.name}: meta is no JSON text ({error}).") from error
    if not isinstance(meta, dict):
        raise RecordingError(f"{path.name}: meta holds {meta!r:.50}; expected a JSON object.")
    return meta
