"""What the tasks' finders share: files whose names say what they hold, spans around events."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from eegfoundation.tasks.task import Span

if TYPE_CHECKING:
    from eegfoundation.recording import Recording


def matching(folder: Path, pattern: str) -> list[tuple[Path, re.Match[str]]]:
    """Files below a folder whose whole path below it matches, sorted by that path.

    Data sets are unpacked into folders of all sorts: the pattern may begin anywhere in the path,
    at the name of a folder or file. Hidden folders are left out.
    """
    compiled = re.compile(rf"(?:.*/)?{pattern}")
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(parent).relative_to(folder)
        for name in names:
            path = (below / name).as_posix()
            if match := compiled.fullmatch(path):
                found.append((path, match))
    return [(folder / path, match) for path, match in sorted(found, key=lambda pair: pair[0])]


def spans_at_events(
    labels: Mapping[str, int], start: float, stop: float
) -> Callable[[Recording], list[Span]]:
    """Spans around the events of a recording.

    Parameters
    ----------
    labels : mapping
        Description of an event -> label; other events are passed over.
    start, stop : float
        Seconds from the event's onset.

    Returns
    -------
    spans : callable
        For `LabelledRecording.spans`. As in `mne.Epochs`, events too near an end of the recording
        give none.
    """

    def spans(recording: Recording) -> list[Span]:
        return [
            Span(start=onset + start, stop=onset + stop, label=labels[text])
            for onset, _, text in recording.events
            if text in labels
            and onset + start >= 0
            and onset + stop <= recording.duration + 1 / recording.sfreq
        ]

    return spans
