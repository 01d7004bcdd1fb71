"""Open EGI's simple binary form (``.raw``) through MNE.

Why not MNE alone: it makes room for the events of as many samples as the header announces,
gigabytes for a changed bit, before it looks whether the file holds as much.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eegfoundation.errors import RecordingError

if TYPE_CHECKING:
    from eegfoundation.readers import ReadingReport

#: version, (date), channels, (amplifier), samples, kinds of events
_HEADER = struct.Struct(">i18xh6xih")
_WIDTHS = {2: 2, 4: 4, 6: 8}  # bytes of a sample by version


def read_egi(path: Path, wanted: Sequence[str], report: ReadingReport) -> Any:
    """Read with MNE what announces no more samples than there are bytes."""
    import mne

    with path.open("rb") as file:
        head = file.read(_HEADER.size)
    if len(head) == _HEADER.size:
        version, n_chans, n_samples, n_events = _HEADER.unpack(head)
        frame = (n_chans + n_events) * _WIDTHS.get(version, 0)
        if n_samples * frame > path.stat().st_size:
            raise RecordingError(
                f"{path.name} announces {n_samples} samples of {n_chans} channels, more than it "
                "has bytes for: it is damaged, copy it again from its source."
            )
    return mne.io.read_raw_egi(path)
