"""What a downstream task is: classes, windows, whose recordings lie where, who is tested on.

A `Task` is data. It says where labelled spans lie in the recordings below a folder (`find`), how
long a window is, which subjects train, validate and test, how many windows each class must have in
each of them, whom to cite, and where to ask for the recordings. `trials.load_trials` reads them.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from eegfoundation.errors import TaskError
from eegfoundation.paths import expanded

if TYPE_CHECKING:
    from eegfoundation.recording import Recording

#: The parts of a split, in the order in which they are used.
PARTS = ("train", "validation", "test")
#: Label of a span of which nobody says what happens in it: it may teach, but is never tested. Not
#: -1, which labels become that are counted from 1 and shifted once too often.
UNLABELLED = -(2**31)


@dataclass(frozen=True, kw_only=True)
class Span:
    """A labelled piece of a recording, cut into consecutive windows."""

    start: float
    """Seconds from the first sample; negative: from the end."""
    stop: float | None
    """Seconds from the first sample; negative: from the end; None: the end."""
    label: int
    """Index into the task's classes, or `UNLABELLED`."""


@dataclass(frozen=True, kw_only=True)
class LabelledRecording:
    """One recording, not opened yet, with what happens in it."""

    name: str
    """For messages: file name without folders."""
    open: Callable[[], Recording]
    subject: str
    spans: Sequence[Span] | Callable[[Recording], Sequence[Span]]
    """What happens when; a function where only the opened recording can tell."""
    session: str = "0"
    run: str = "0"
    part: str | None = None
    """Where a split goes by recordings (`Split.by_recording`): one of `PARTS`."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Subjects of each part; nobody is in two of them."""

    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Windows per class that each part must have; empty: not known, not checked."""
    by_recording: bool = False
    """Subjects are not known before the recordings are found, each of which says its `part`."""
    find: Callable[[Path], list[LabelledRecording]] | None = None
    """Its own choice of spans; None: the task's."""

    def __post_init__(self) -> None:
        for one, other in itertools.combinations(PARTS, 2):
            check_apart(one, getattr(self, one), other, getattr(self, other))


def check_apart(one: str, subjects: Iterable[str], other: str, others: Iterable[str]) -> None:
    """Refuse a person on two sides of a split, under whatever spelling.

    Parameters
    ----------
    one, other : str
        Names of the two parts.
    subjects, others : iterable of str
        Who is in them.

    Raises
    ------
    TaskError
        If somebody is in both. "sub-01", "S1" and "01" are taken for one person; "A01" and "B01",
        "P1" and "C1" are not.
    """
    known = {_person(subject): subject for subject in subjects}
    for subject in others:
        same = known.get(_person(subject))
        if same == subject:
            raise TaskError(
                f"Subject {subject} is in {one} and in {other}; a subject may be in one part only."
            )
        if same is not None:
            raise TaskError(
                f"Subject {same} is in {one} and {subject} in {other}: they look like one person "
                "in two spellings; spell them alike, or give two persons names that differ more."
            )


def _person(subject: str) -> str:
    """What is left of a subject's name without its spelling."""
    text = re.sub(r"[\s_-]+", "", subject.casefold())
    number = re.fullmatch(r"(?:s|subj?|subject|participant)?0*(\d+)", text)
    return number[1] if number else re.sub(r"(?<!\d)0+(?=\d)", "", text)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A downstream task, as data."""

    name: str
    """As on the command line: "stress"."""
    title: str
    """What has to be told apart, in words."""
    classes: tuple[str, ...]
    window: float
    """Seconds."""
    find: Callable[[Path], list[LabelledRecording]]
    """Labelled recordings below a folder, sorted, none opened; use `labelled_recordings`."""
    splits: Mapping[str, Split] = field(default_factory=dict)
    """By name; the first is the default."""
    flicker_hz: tuple[float, ...] = ()
    """Flicker frequencies of the classes in their order, 0 for none (visual responses only)."""
    max_windows: int | None = None
    """Windows per span at most, evenly spread over it; None: all."""
    simulated: bool = False
    """No person was recorded: whatever learns from it has to say so."""
    config: str = "configs/Stress_config.json"
    """The published configuration whose classifier suits it."""
    citation: str = ""
    licence: str = ""
    source: str = ""
    """The command that downloads the recordings, or where to ask for them."""
    needs_data: bool = True
    """Whether `find` needs a folder: a simulation does not, a table knows its own."""

    def for_split(self, name: str | None = None, data: str | Path | None = None) -> Task:
        """Narrow the task down to one of its splits.

        Parameters
        ----------
        name : str | None
            None: the first, or no split where the task has none.
        data : path | None
            Folder of the recordings, which a split `by_recording` looks at.

        Returns
        -------
        task : Task
            Its `find` gives the windows of that split, its only one, in which subjects are named.

        Raises
        ------
        TaskError
            If there is no such split.
        """
        if name is None and not self.splits:
            return self
        name = next(iter(self.splits)) if name is None else name
        if name not in self.splits:
            known = f"choose among {', '.join(self.splits)}" if self.splits else "it has none"
            raise TaskError(f"{self.name} has no split {name!r}; {known}.")
        split = self.splits[name]
        task = dataclasses.replace(self, find=split.find or self.find, splits={name: split})
        if not split.by_recording:
            return task
        members: dict[str, set[str]] = {part: set() for part in PARTS}
        for one in labelled_recordings(task, data):
            assert one.part is not None, f"{one.name} is in no part of the split {name}"
            members[one.part].add(one.subject)
        train, validation, test = (tuple(sorted(members[part])) for part in PARTS)
        named = dataclasses.replace(
            split, train=train, validation=validation, test=test, by_recording=False
        )
        return dataclasses.replace(task, splits={name: named})


def labelled_recordings(task: Task, data: str | Path | None = None) -> list[LabelledRecording]:
    """List the recordings of a task below a folder; none is opened.

    Raises
    ------
    TaskError
        If there is none, or two claim to be the same run.
    """
    if data is None and task.needs_data:
        raise TaskError(f"{task.name} needs the folder of its recordings. {task.source}")
    folder = expanded(data or ".")
    if not os.path.exists(folder):
        raise TaskError(
            f"{folder} does not exist; expected the folder of {task.name}. {task.source}"
        )
    found = task.find(folder)
    if not found:
        raise TaskError(f"{folder} holds no recording of {task.name}. {task.source}")
    seen: dict[tuple[str, str, str], str] = {}
    for one in found:
        key = (one.subject, one.session, one.run)
        if key in seen:
            raise TaskError(
                f"{seen[key]} and {one.name} below {folder} are both run {one.run} of session "
                f"{one.session} of {one.subject}; keep one of them."
            )
        seen[key] = one.name
    return found
