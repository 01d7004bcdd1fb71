"""Whether a file is the one that was written.

A download cut short, a disk that flips a bit, a merge that touched a binary file: weights that were
changed so still load, and give embeddings that look like embeddings. So a ``SHA256SUMS`` file (as
``sha256sum`` writes and checks it) lies beside weights, shipped or saved here, and in the
checkpoints of a training, and what it lists is compared before use.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from eegfoundation.errors import CheckpointError
from eegfoundation.outputs import new_file

LIST = "SHA256SUMS"


def check_sum(path: str | Path) -> None:
    """Compare a file with the list beside it; a file that no list names passes.

    Raises
    ------
    CheckpointError
        If the file is not the one that is listed.
    """
    path = Path(path)
    expected = listed(path.parent).get(path.name)
    if expected is None or not os.path.isfile(path):
        return
    try:
        found = _digest(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
    if found != expected:
        raise CheckpointError(
            f"{path} is not the file that was written (SHA-256 {found[:12]}..., expected "
            f"{expected[:12]}...): get it again, or, if you replaced it yourself, delete its line "
            f"in {path.parent / LIST}."
        )


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """List the digests of files, when they have reached the disk."""
    lines = []
    for name in sorted(names):
        with (folder / name).open("rb+") as file:
            os.fsync(file.fileno())
        lines.append(f"{_digest(folder / name)}  {name}\n")
    with new_file(folder / LIST, overwrite=True) as unfinished:
        unfinished.write_text("".join(lines), encoding="utf-8")


def damaged_files(folder: Path) -> list[str]:
    """Files that a folder's list names and that are missing or others."""
    wrong = []
    for name, expected in listed(folder).items():
        path = folder / name
        try:
            sound = path.is_file() and _digest(path) == expected
        except OSError:
            sound = False
        if not sound:
            wrong.append(name)
    return wrong


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listed(folder: Path) -> dict[str, str]:
    """Digests that a folder's list gives, by file name; none without a list."""
    try:
        lines = (folder / LIST).read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be read: {error.strerror or error}.") from error
    pairs = ((name.strip(" *"), digest) for digest, _, name in (x.partition(" ") for x in lines))
    return {name: digest for name, digest in pairs if name == Path(name).name}
