"""Where recordings lie: a folder of files becomes a sorted list of (path, name, subject).

What: `find_recordings` walks the sources by the rules of a layout. "folder" takes every file with
the ending of a format that is read, "bids" and "tueg" know whose recording lies where, "compact"
reads ``.npz`` files (see `compact`). Your own arrangement is a `Layout` too, given as
"module:name".

Names: a recording is called ``<source folder>/<path below it>``. The name decides its place in
the corpus, so it must not depend on where the source folder stands, nor on the order in which files
are found; subjects carry the source folder's name as well, because every study has a "sub-01".

Trade-off: nothing is opened here. A tree of 70,000 files is listed in seconds; what a file turns
out to be is reported when it is processed.
"""

from __future__ import annotations

import glob
import importlib
import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from eegfoundation.errors import ConfigError, RecordingError
from eegfoundation.paths import expanded

if TYPE_CHECKING:
    from eegfoundation.recording import Recording

#: Endings of main files and folders that `read_recording` knows; side files are not among them.
SUFFIXES = (
    ".edf", ".bdf", ".vhdr", ".ahdr", ".set", ".fif", ".fif.gz", ".gdf", ".cnt", ".raw", ".mff",
    ".eeg", ".lay", ".cdt", ".nedf", ".mefd",
)  # fmt: skip
_FOLDER_SUFFIXES = (".mff", ".mefd")


@dataclass(frozen=True, kw_only=True)
class FoundRecording:
    """One recording, not opened yet."""

    path: str
    """Where it lies; written nowhere."""
    name: str
    """``<source folder>/<path below it>``: unique in a corpus, and free of absolute folders."""
    subject: str | None
    """``<source folder>/<label>``, or None where only the file can tell."""

    @property
    def folder(self) -> str:
        """Subject of last resort: the folder that the file lies in."""
        return str(PurePosixPath(self.name).parent)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How recordings are arranged below a source folder, and how they are read.

    `is_recording` and `subject` get the path below the source folder, with its name in front.
    """

    is_recording: Callable[[PurePosixPath], bool]
    subject: Callable[[PurePosixPath], str | None]
    """Label of the subject; None: what the file says, else its folder."""
    looks_for: str
    """Said when nothing was found."""
    read: Callable[..., Recording] | None = None
    """Called as ``read(path, ch_names=..., units=...)``; None: `read_recording`."""


def get_layout(name: str) -> Layout:
    """Look a layout up by its name, or import it from "module:name".

    Raises
    ------
    ConfigError
        There is none of that name.
    """
    if name in LAYOUTS:
        return LAYOUTS[name]
    module, _, attribute = name.partition(":")
    try:
        layout = getattr(importlib.import_module(module), attribute) if attribute else None
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"layout {name!r} cannot be imported: {error}.") from error
    if not isinstance(layout, Layout):
        raise ConfigError(
            f"layout must be one of {', '.join(LAYOUTS)} or 'module:name', found {name!r}."
        )
    return layout


def find_recordings(sources: Sequence[str | Path], layout: str = "folder") -> list[FoundRecording]:
    """List the recordings of all sources, sorted by name.

    Parameters
    ----------
    sources : sequence of path
        Folders, files, or patterns such as ``"data/S0[1-7]_*.edf"``. Of a file, its folder counts
        as the source folder; of a pattern, the part before the first wildcard.
    layout : str

    Raises
    ------
    RecordingError
        A source does not exist, there is no recording, or two would have the same name.
    """
    rules = get_layout(layout)
    found: dict[str, FoundRecording] = {}
    for folder, start, by_name in _expand(sources):
        source_name = folder.resolve().name or "root"
        is_folder = start.is_dir() and not _is_recording_folder(start)
        for path in _walk(start) if is_folder else [start]:
            below = PurePosixPath(source_name, *path.relative_to(folder).parts)
            # What is given by its name is wanted, whatever it is: a mistake shows in failures.csv.
            if not (by_name and path == start) and not rules.is_recording(below):
                continue
            subject = rules.subject(below)
            recording = FoundRecording(
                path=str(path.absolute()),
                name=str(below),
                subject=None if subject is None else f"{source_name}/{subject}",
            )
            other = found.setdefault(recording.name, recording)
            if other.path != recording.path and not os.path.samefile(other.path, recording.path):
                raise RecordingError(
                    f"two recordings would be called {recording.name}: give source folders of "
                    "different names, or their common parent."
                )
    if not found:
        places = ", ".join(str(source) for source in sources)
        raise RecordingError(f"no recording in {places}: layout {layout!r} {rules.looks_for}.")
    return [found[name] for name in sorted(found)]


def _expand(sources: Sequence[str | Path]) -> Iterator[tuple[Path, Path, bool]]:
    """Source folder, where to begin in it, and whether that is given by its name."""
    for source in sources:
        path = expanded(source)
        if os.path.exists(path):
            is_folder = path.is_dir() and not _is_recording_folder(path)
            yield path if is_folder else path.parent, path, True
            continue
        fixed = list(itertools.takewhile(lambda part: not glob.has_magic(part), path.parts))
        # glob gives links that lead nowhere, or in a circle, as well
        matches = sorted(filter(os.path.exists, glob.glob(str(path), recursive=True)))
        if not matches:
            raise RecordingError(f"{source} does not exist: check the path or the pattern.")
        for match in matches:
            yield Path(*fixed), Path(match), False


def _walk(folder: Path) -> Iterator[Path]:
    """Files below a folder, and folders that are recordings; nothing hidden."""
    for parent, folders, files in os.walk(folder):
        units = [name for name in folders if _is_recording_folder(Path(name))]
        folders[:] = [n for n in folders if n not in units and not n.startswith(".")]
        present = {name.lower() for name in files}
        for name in [*units, *files]:
            stem, suffix = os.path.splitext(name.lower())
            # BrainVision data come in with their header; a Nihon Kohden .eeg has none.
            is_side_file = suffix == ".eeg" and not present.isdisjoint(
                (f"{stem}.vhdr", f"{stem}.ahdr")
            )
            if not (name.startswith(".") or is_side_file):
                yield Path(parent, name)


def _is_recording_folder(path: Path) -> bool:
    return path.suffix.lower() in _FOLDER_SUFFIXES


def _suffix(path: PurePosixPath) -> str:
    lower = path.name.lower()
    return ".fif.gz" if lower.endswith(".fif.gz") else PurePosixPath(lower).suffix


def _is_file_of_any_format(path: PurePosixPath) -> bool:
    # Continuations of a split FIF file come in with its first part.
    return _suffix(path) in SUFFIXES and not re.search(
        r"_raw-\d+\.fif|_eeg-\d+\.fif|_split-(0[2-9]|[1-9]\d)_", path.name
    )


def _is_bids(path: PurePosixPath) -> bool:
    return (
        _is_file_of_any_format(path)
        and path.name.split(".")[0].endswith("_eeg")
        and path.parent.name == "eeg"
        and _bids_subject(path) is not None
        # Copies made by other software are not recordings.
        and not {"derivatives", "sourcedata", "code"}.intersection(path.parts[1:])
    )


def _bids_subject(path: PurePosixPath) -> str | None:
    found = (re.fullmatch(r"sub-([A-Za-z0-9+]+)", part) for part in path.parts[:-1])
    return next((label[1] for label in found if label), None)


_TUH_MONTAGES = ("01_tcp_ar", "02_tcp_le", "03_tcp_ar_a")


def _is_tueg(path: PurePosixPath) -> bool:
    return _suffix(path) == ".edf" and not set(_TUH_MONTAGES).isdisjoint(path.parts[:-1])


def _tueg_subject(path: PurePosixPath) -> str | None:
    """By the file's name (aaaaaaaa_s001_t000.edf), which all versions of the corpus share."""
    if label := re.match(r"([a-z0-9]+)_s\d+", path.stem, re.IGNORECASE):
        return label[1]
    # <subject>/<session>/<montage folder>/<file>
    return path.parts[-4] if len(path.parts) > 4 else None


def _read_compact(path: str, **options: object) -> Recording:
    from eegfoundation.corpus.compact import read_compact

    return read_compact(path, **options)  # type: ignore[arg-type]


LAYOUTS: dict[str, Layout] = {
    "folder": Layout(
        is_recording=_is_file_of_any_format,
        subject=lambda path: None,
        looks_for=f"looks for files that end in {', '.join(SUFFIXES[:10])}, ...",
    ),
    "bids": Layout(
        is_recording=_is_bids,
        subject=_bids_subject,
        looks_for="looks for sub-*/[ses-*/]eeg/*_eeg.edf (or .vhdr, .set, .bdf, .fif, ...)",
    ),
    "tueg": Layout(
        is_recording=_is_tueg,
        subject=_tueg_subject,
        looks_for=f"looks for .edf files below folders named {', '.join(_TUH_MONTAGES)}",
    ),
    "compact": Layout(
        is_recording=lambda path: path.suffix == ".npz",
        subject=lambda path: None,
        looks_for="looks for .npz files",
        read=_read_compact,
    ),
}
