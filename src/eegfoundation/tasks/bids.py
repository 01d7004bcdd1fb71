"""A BIDS folder as a task: the trial types of its events are the classes.

One window per event. Events without a trial type ("n/a"), those that begin with "BAD", and those
whose window is not wholly recorded are left out, as `mne.Epochs` does; so are recordings without
an events file. Copies made by other software (derivatives) are not looked at.

Events are read from the file beside each recording; one that stands higher up in the folder, for
all of them, is not.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eegfoundation.errors import TaskError
from eegfoundation.paths import expanded
from eegfoundation.tasks.files import spans_at_events
from eegfoundation.tasks.table import (
    check_classes,
    check_window,
    named,
    open_recording,
    plain,
    read_table,
)
from eegfoundation.tasks.task import LabelledRecording, Span, Task

if TYPE_CHECKING:
    from eegfoundation.recording import Recording

DEFAULT_WINDOW = 2.0  # seconds


@dataclass(frozen=True, kw_only=True)
class _Labelled:
    path: Path
    subject: str
    events: list[tuple[float, str]]  # onset in seconds, trial type


def task_from_bids(
    folder: str | Path,
    *,
    classes: Sequence[str] | None = None,
    window: float | None = None,
    start: float = 0.0,
) -> Task:
    """Find labelled events in a BIDS folder.

    Parameters
    ----------
    folder : path
        Holds sub-*/[ses-*/]eeg/*_eeg.* and *_events.tsv.
    classes : sequence of str | None
        Trial types to tell apart, others are left out; None: all, sorted.
    window : float | None
        Seconds; None: 2.
    start : float
        Of the window, in seconds from the event's onset.

    Returns
    -------
    task : Task
        Named after the folder, without a split.

    Raises
    ------
    TaskError
        If there are no events with a trial type, or an events file is at fault.
    RecordingError
        If the folder holds no recording.
    """
    from eegfoundation.corpus.layouts import find_recordings

    folder = expanded(folder)
    recordings = []
    for found in find_recordings([folder], layout="bids"):
        path = Path(found.path)
        stem = path.name[: path.name.rindex("_eeg.")]
        beside = path.with_name(f"{stem}_events.tsv")
        if beside.exists() and (events := _events(beside)):
            subject = str(found.subject).rpartition("/")[2]
            recordings.append(_Labelled(path=path, subject=subject, events=events))
    if not recordings:
        raise TaskError(
            f"{folder.name} has no event with a trial_type; expected *_events.tsv files beside the "
            "recordings."
        )
    present = {text for one in recordings for _, text in one.events}
    names = check_classes(folder.name, classes or sorted(present))
    if absent := [name for name in names if name not in present]:
        raise TaskError(
            f"{folder.name} has no event of trial_type {', '.join(absent)}; choose among "
            f"{', '.join(sorted(present))}."
        )
    spelled = {plain(name): name for name in names}
    for text in sorted(present - set(names)):  # would be left out without a word
        if same := spelled.get(plain(text)):
            raise TaskError(
                f"{folder.name} has events of trial_type {same!r} and of {text!r}, which differ in "
                "their spelling only; correct one."
            )
    window = check_window(DEFAULT_WINDOW if window is None else window)
    labels = {name: label for label, name in enumerate(names)}
    return Task(
        name=folder.resolve().name,
        title=" or ".join(names),
        classes=names,
        window=window,
        find=functools.partial(
            _find,
            recordings=recordings,
            spans=spans_at_events(labels, start, start + window),
        ),
        needs_data=False,
        source=f"Its recordings lie in {folder.name}.",
    )


def _events(path: Path) -> list[tuple[float, str]]:
    """Onset and trial type of the events that have one."""
    header, rows = read_table(path)
    if missing := [name for name in ("onset", "trial_type") if name not in header]:
        raise TaskError(
            f"{path.name} has no column {', '.join(missing)}: expected onset, duration and "
            f"trial_type, found {named(header)}."
        )
    events = []
    for line, values in rows:
        text = values["trial_type"]
        if text in ("", "n/a") or text.upper().startswith("BAD"):
            continue
        try:
            onset = float(values["onset"])
        except ValueError:
            onset = math.nan
        if not math.isfinite(onset):
            raise TaskError(
                f"{path.name}, line {line}: onset is {values['onset']!r}; expected seconds."
            )
        events.append((onset, text))
    return events


def _find(
    folder: Path, recordings: Sequence[_Labelled], spans: Callable[[Recording], list[Span]]
) -> list[LabelledRecording]:
    """Found already; where the folder lies is known."""
    result = []
    for one in recordings:
        session = re.search(r"_ses-([A-Za-z0-9+]+)_", one.path.name)
        result.append(
            LabelledRecording(
                name=one.path.name,
                open=functools.partial(_open, one),
                subject=one.subject,
                session=session[1] if session else "0",
                run=one.path.name,
                spans=spans,
            )
        )
    return result


def _open(one: _Labelled) -> Recording:
    recording = open_recording(one.path)
    recording.events = [(onset, 0.0, text) for onset, text in one.events]
    return recording
