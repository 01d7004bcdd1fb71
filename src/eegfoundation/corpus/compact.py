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
from eegfoundation.recording import read_recording

if TYPE_CHECKING:
    from eegfoundation.recording import Recording


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
    names, x = content["ch_names"].tolist(), content["x"]
    offset = content.get("dc_uv", np.zeros(len(names)))
    if x.ndim != 2 or not len(x) == len(names) == len(content["scale_uv"]) == len(offset):
        raise RecordingError(
            f"{path.name}: x has shape {x.shape} for {len(names)} channel names and "
            f"{len(content['scale_uv'])} scales: expected one row of x for each."
        )
    sfreq = float(content["sfreq"])
    microvolts = x * content["scale_uv"][:, None].astype(float) + offset[:, None]
    info = mne.create_info(names, sfreq, "eeg", verbose="error")
    raw = mne.io.RawArray(microvolts, info, verbose="error")
    if "event_onset" in content:
        onset = content["event_onset"] / sfreq
        raw.set_annotations(mne.Annotations(onset, 0.0, content["event_desc"]), verbose="error")
    recording = read_recording(raw, ch_names=ch_names, units=units or "uV")
    recording.name = path.name
    meta = json.loads(str(content["meta"])) if "meta" in content else {}
    recording.subject = meta.get("subject")
    recording.history["reading"].update(source=path.name, format="compact npz")
    return recording


def _load(path: Path) -> dict[str, Any]:
    try:
        # Opened here: of a damaged file, NumPy leaves the closing to chance.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RecordingError(
            f"{path.name} cannot be read as a .npz file of numbers: does it exist, is it complete?"
        ) from error
    if missing := sorted({"x", "scale_uv", "ch_names", "sfreq"} - set(content)):
        raise RecordingError(
            f"{path.name} is no compact recording, it has no {', '.join(missing)}: expected x, "
            "scale_uv, ch_names and sfreq."
        )
    return content
