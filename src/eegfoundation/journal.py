"""What a command over many files has done so far, so that the same command goes on after a kill.

Results that exist are never replaced unasked. So, without a note of which results are its own, a
command that was killed among many files would refuse the very results that it had made. The note is
a hidden file beside them that is gone when the command ends. It counts for the same call only: the
same settings, version and files, judged by their sizes and times as `make` does.
"""

from __future__ import annotations

import contextlib
import glob
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eegfoundation import __version__


class Journal:
    """Notes of one call.

    Parameters
    ----------
    path : Path
        Where they are kept while the command runs.
    files : sequence of path
        What the call reads.
    settings : mapping
        Its arguments; whatever names a file or folder counts with its content's sizes and times.
    """

    def __init__(
        self, path: Path, files: Sequence[str | Path], settings: Mapping[str, Any]
    ) -> None:
        self._path = path
        read = (value for name, value in settings.items() if name != "out")
        given = [value for value in read if isinstance(value, str)]
        call = {
            "eegfoundation": __version__,
            "settings": {name: repr(value) for name, value in settings.items()},
            "sources": {str(name): _stamps(Path(name)) for name in (*files, *given)},
        }
        self._call = json.loads(json.dumps(call))  # as it is read again
        self._made_folder = not path.parent.exists()
        self.begun: set[str] = set()
        self.finished: set[str] = set()
        self._goes_on = self._read()

    def _read(self) -> bool:
        """Take over the notes of the same call, if it was killed."""
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return False
        entries = []
        for line in lines:
            with contextlib.suppress(ValueError):  # the line that was being written
                entries.append(json.loads(line))
        if not entries or entries[0] != self._call:
            return False
        for entry in entries[1:]:
            match entry:
                case ["begun", str(name)]:
                    self.begun.add(name)
                case ["finished", str(name), *stamp]:
                    if stamp == _stamp(self._path.parent / name):
                        self.finished.add(name)
                    else:  # changed since, or gone: no longer ours
                        self.begun.discard(name)
        return True

    def begin(self, result: Path) -> None:
        """Note that a result is of this call, before it is made."""
        self.begun.add(result.name)
        self._add("begun", result.name)

    def finish(self, result: Path) -> None:
        """Note that it is there."""
        self.finished.add(result.name)
        self._add("finished", result.name, *_stamp(result))

    def close(self) -> None:
        """Remove the notes: the command has ended."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
            if self._made_folder:
                self._path.parent.rmdir()  # if there is no result in it

    def _add(self, *entry: str | int) -> None:
        # What keeps a note from being written keeps the result, too, and that will say so.
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a" if self._goes_on else "w", encoding="utf-8") as file:
                if not self._goes_on:
                    file.write(json.dumps(self._call))
                # the line before may have been cut
                file.write(f"\n{json.dumps(entry)}")
            self._goes_on = True


def _stamps(path: Path) -> list[Any]:
    """Size and time of a file and of those that belong to it, or of all in a folder."""
    parts = [path, *path.iterdir()] if path.is_dir() else list(_with_siblings(path))
    return [[part.name, *stamp] for part in sorted(parts) if (stamp := _stamp(part))]


def _stamp(path: Path) -> list[int]:
    """Size and time of a file; empty if it is not there."""
    try:
        stat = path.stat()
    except OSError:
        return []
    return [stat.st_size, stat.st_mtime_ns]


def _with_siblings(path: Path) -> list[Path]:
    """Files that differ in their endings only, such as .vhdr, .vmrk and .eeg of one recording."""
    return [path, *path.parent.glob(f"{glob.escape(path.stem)}.*")] if path.is_file() else []
