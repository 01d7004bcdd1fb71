"""The one place that knows where real recordings for tests lie.

They are not part of the project (licences differ). The folder is named by the environment
variable EEGFOUNDATION_SHARED, else it is `../shared` beside the clone. Where it is absent, tests
skip and say which folder was looked for.
"""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("EEGFOUNDATION_SHARED", ROOT.parent / "shared")).resolve()


def shared_path(*parts: str) -> Path:
    """Path inside the folder of real recordings, or skip the test with a reason."""
    path = SHARED.joinpath("eeg", *parts)
    if not path.exists():
        pytest.skip(f"real recordings not found: looked for {path} (set EEGFOUNDATION_SHARED)")
    return path


def format_files() -> list[str]:
    """Names in `formats/` for parametrisation (empty list where the data is absent)."""
    folder = SHARED / "eeg" / "formats"
    return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
