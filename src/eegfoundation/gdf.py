"""Open GDF (General Data Format, version 1 and 2) through MNE.

Why not MNE alone: it makes room for whatever the header announces, gigabytes for a few damaged
bytes, before it looks whether the file holds as much.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from eegfoundation.errors import RecordingError

if TYPE_CHECKING:
    from eegfoundation.readers import ReadingReport

#: Bytes of a sample by its GDF type.
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 8, 8: 8, 16: 4, 17: 8}


def read_gdf(path: Path, wanted: Sequence[str], report: ReadingReport) -> Any:
    """Read with MNE what announces no more channels and events than there are bytes."""
    import mne

    with path.open("rb") as file:
        announced = _announced(file)
    if announced:
        raise RecordingError(
            f"{path.name} announces {announced}, more than it has bytes for: it is damaged, copy "
            "it again from its source."
        )
    return mne.io.read_raw_gdf(path)


def _announced(file: BinaryIO) -> str:
    """What the header promises and the file cannot hold; empty if there is nothing."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(256)
    if len(head) < 256 or head[4:5] != b"1":  # version 2 has too few bits for numbers that hurt
        return ""
    n_chans = int.from_bytes(head[252:256], "little")
    if 256 * (n_chans + 1) > size:
        return f"{n_chans} channels"
    file.seek(256 + 216 * n_chans)
    n_samples, types = np.frombuffer(file.read(8 * n_chans), "<i4").reshape(2, -1).tolist()
    n_records = int.from_bytes(head[236:244], "little", signed=True)
    record = sum(_WIDTHS.get(kind, 0) * n for kind, n in zip(types, n_samples, strict=True))
    # the table of events lies behind the records, and begins with its kind, a rate and a number
    table = int.from_bytes(head[184:192], "little", signed=True) + n_records * record
    if not 0 <= table <= size - 8:
        return ""
    file.seek(table + 4)
    n_events = int.from_bytes(file.read(4), "little")
    return f"{n_events} events" if 6 * n_events > size - table else ""
