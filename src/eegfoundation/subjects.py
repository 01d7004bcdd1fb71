"""Who was recorded: a code that keeps the recordings of one person together, never a name.

Splits by subject need to know; nobody who gets a result needs to know more. Where a file's field
for a code may hold a name or a date of birth, what is kept is a hash of it, or nothing.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import mne

# "S12", "sub-007", "patient_3": a number within a study, with up to one letter behind it
_STUDY_CODE = (
    r"(?:[a-z]{1,2}|pat|sub|subj|subject|patient|participant|simulated|vp|id)[ _-]?\d{1,4}[a-z]?"
)


def bids_subject(path: Path) -> str | None:
    """The label XX of the last "sub-XX" in a path."""
    labels = re.findall(r"(?:^|[/\\])sub-([A-Za-z0-9]+)", str(path.absolute()))
    return labels[-1] if labels else None


def patient_code(info: mne.Info) -> str | None:
    """The code that the file has for its subject, or one made of it; never a name."""
    code = str((info["subject_info"] or {}).get("his_id") or "")
    # A code without a digit may be a name that somebody typed into the wrong field.
    if not (re.search(r"\d", code) and code.strip("0xX_-. ")):
        return None
    if re.fullmatch(_STUDY_CODE, code, re.IGNORECASE):
        return code
    # It may be a date of birth, a hospital's number, a name with a year: never copied, but what is
    # of one person stays together.
    return f"id-{hashlib.sha256(code.encode()).hexdigest()[:8]}"
