"""Open FIF, the format of MNE, through MNE.

Why not MNE alone: where a file has no directory, it goes from tag to tag, and for ever if one of
them leads back to an earlier one.
"""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eegfoundation.errors import RecordingError

if TYPE_CHECKING:
    from eegfoundation.readers import ReadingReport

_MOST_TAGS = 2_000_000  # 24 h in buffers of a tenth of a second are 864,000
_HEADER = struct.Struct(">iIii")  # of a tag: kind, type, size in bytes, where the next one lies


def read_fif(path: Path, wanted: Sequence[str], report: ReadingReport) -> Any:
    """Read with MNE what is a recording or epochs, and comes to an end."""
    import mne

    packed = path.name.lower().endswith(".gz")
    with gzip.open(path) if packed else path.open("rb") as file:
        if _goes_in_circles(file):
            raise RecordingError(
                f"{path.name} leads its reader in circles: it is damaged, copy it again from its "
                "source."
            )
    content = mne.what(path)
    if content == "raw":
        return mne.io.read_raw_fif(path)
    if content == "epochs":
        return mne.read_epochs(path, proj=False, preload=False)
    raise RecordingError(f"{path.name} holds {content}: expected a recording or epochs.")


def _goes_in_circles(file: io.BufferedIOBase) -> bool:
    """Whether some tag is followed by one that was there before, or there is no end of them."""
    seen: set[int] = set()
    position = 0
    while position not in seen and len(seen) < _MOST_TAGS:
        seen.add(position)
        file.seek(position)
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return False
        *_, size, following = _HEADER.unpack(header)
        if following < 0:
            return False
        position = following if following > 0 else position + _HEADER.size + size
        if position < 0:  # which gzip takes for the beginning
            return True
    return True
