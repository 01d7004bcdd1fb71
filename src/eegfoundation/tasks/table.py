"""Your own recordings as a task: a table with one labelled span per row.

    path,subject,label,session,start,stop,split
    rec/01.edf,P01,rest,,0,60,train
    rec/01.edf,P01,task,,60,120,train

Comma-separated (.csv) or tab-separated (.tsv). Needed are path, subject and label; an empty start
is the beginning of the recording, an empty stop its end; session is what is recorded in one go
(alignment is within a session); split is train, validation or test. Paths are relative to the data
folder if one is given, else to the table. Spans are cut into consecutive windows. An empty label is
a mistake, unless spans without one are asked for: a probe learns from them too.

A table is where a study goes wrong unseen, so everything that contradicts itself is refused, with
the line: above all a subject on two sides of the split, under whatever spelling of its file.
"""

from __future__ import annotations

import csv
import functools
import itertools
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eegfoundation.errors import TaskError
from eegfoundation.paths import expanded
from eegfoundation.tasks.task import PARTS, UNLABELLED, LabelledRecording, Span, Split, Task
from eegfoundation.windows import MAX_SECONDS

if TYPE_CHECKING:
    from eegfoundation.recording import Recording

_NEEDED, _OPTIONAL = ("path", "subject", "label"), ("session", "start", "stop", "split")
DEFAULT_WINDOW = 5.0  # seconds


@dataclass(frozen=True, kw_only=True)
class _Row:
    line: int
    path: str
    subject: str
    label: str
    session: str
    start: float
    stop: float | None
    part: str


def task_from_table(
    path: str | Path,
    *,
    classes: Sequence[str] | None = None,
    window: float | None = None,
    unlabelled: bool = False,
) -> Task:
    """Read a table of labelled recordings.

    Parameters
    ----------
    path : path
        Ends in .csv or .tsv.
    classes : sequence of str | None
        Labels in the order wanted; None: all labels, sorted.
    window : float | None
        Seconds; None: 5.
    unlabelled : bool
        Take spans whose label is empty, as `UNLABELLED`.

    Returns
    -------
    task : Task
        Named after the file; with a split named "split" if the table has that column.

    Raises
    ------
    TaskError
        If the table contradicts itself; files are looked for when the task is loaded.
    """
    path = expanded(path)
    header, lines = read_table(path)
    if missing := [name for name in _NEEDED if name not in header]:
        raise TaskError(
            f"{path.name} has no column {', '.join(missing)}: expected {', '.join(_NEEDED)} and "
            f"optionally {', '.join(_OPTIONAL)}, found {named(header)}."
        )
    if not lines:
        raise TaskError(f"{path.name} has a header only; expected one labelled span per row.")
    rows = [_row(path.name, line, values, "split" in header, unlabelled) for line, values in lines]
    labels = {row.label for row in rows if row.label}
    names = check_classes(path.name, classes or sorted(labels))
    for row in rows:
        if row.label and row.label not in names:
            raise _mistake(
                path.name, row.line, f"label {row.label!r} is not among {', '.join(names)}"
            )
    return Task(
        name=path.stem,
        title=" or ".join(names),
        classes=names,
        window=check_window(DEFAULT_WINDOW if window is None else window),
        find=functools.partial(_find, table=path, rows=rows, classes=names),
        needs_data=False,
        splits={"split": _split(path.name, rows)} if "split" in header else {},
        citation="",
        source=f"Its recordings are listed in {path.name}.",
    )


def read_table(path: Path) -> tuple[list[str], list[tuple[int, Mapping[str, str]]]]:
    """Header and rows, each with its line number, of a file separated by commas or tabs.

    Raises
    ------
    TaskError
        If it cannot be read, or a row is longer than the header.
    """
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter=delimiter, restval="")
            header = [" ".join(name.split()) for name in reader.fieldnames or ()]
            reader.fieldnames = header
            rows = []
            for values in reader:
                if None in values:
                    raise _mistake(path.name, reader.line_num, "more fields than the header has")
                rows.append((reader.line_num, {k: v.strip() for k, v in values.items()}))
    except FileNotFoundError as error:
        raise TaskError(f"{path} does not exist: check the path of the table.") from error
    except (OSError, ValueError, csv.Error) as error:  # ValueError: no UTF-8, or a NUL
        raise TaskError(f"{path.name!r} cannot be read as a table in UTF-8: {error}.") from error
    return header, [(line, values) for line, values in rows if any(values.values())]


def named(header: list[str]) -> str:
    """Columns for a sentence; with a quote that nobody closed, one is the whole table."""
    names = [name if len(name) <= 60 else f"{name[:40]}..." for name in header[:20]]
    return ", ".join([*names, "..."] if len(header) > 20 else names) or "none"


def check_classes(name: str, classes: Sequence[str]) -> tuple[str, ...]:
    """At least two, all different, and not by their spelling only."""
    if not all(isinstance(label, str) for label in classes):
        raise TaskError(f"{name}: classes are {classes!r}; expected the labels as texts.")
    if isinstance(classes, str) or len(set(classes)) < 2 or len(set(classes)) < len(classes):
        found = repr(classes) if isinstance(classes, str) else ", ".join(classes) or "none"
        raise TaskError(f"{name}: classes are {found}; expected two or more different labels.")
    spelled: dict[str, str] = {}
    for label in classes:
        if (same := spelled.setdefault(plain(label), label)) != label:
            raise TaskError(
                f"{name}: labels {same!r} and {label!r} differ in their spelling only; correct one."
            )
    return tuple(classes)


def plain(label: str) -> str:
    """A label without its spelling: case, blanks and hyphens; "1", "01" and "1.0" are one."""
    try:
        return repr(float(label))
    except ValueError:
        return " ".join(re.split(r"[\s_-]+", label.casefold()))


def check_window(window: float) -> float:
    """A positive number of seconds."""
    if not 0 < window <= MAX_SECONDS:
        raise TaskError(
            f"window is {window!r}; expected a positive number of seconds, at most {MAX_SECONDS:g}."
        )
    return float(window)


def _mistake(table: str, line: int, what: str) -> TaskError:
    return TaskError(f"{table}, line {line}: {what}.")


def _row(
    table: str, line: int, values: Mapping[str, str], has_split: bool, unlabelled: bool
) -> _Row:
    for name in _NEEDED:
        if not values[name] and not (unlabelled and name == "label"):
            takes = "; only `finetune --self_training true` takes such rows"
            raise _mistake(table, line, f"{name} is empty{takes if name == 'label' else ''}")
    for name in (*_NEEDED, *_OPTIONAL):
        if len(values.get(name, "").splitlines()) > 1:
            raise _mistake(
                table,
                line,
                f"{name} is {values[name]!r:.80}; expected one line of text: close the quote",
            )
    start, stop = _seconds(table, line, "start", values), _seconds(table, line, "stop", values)
    if stop is not None and stop <= (start or 0.0):
        raise _mistake(table, line, f"start {start or 0:g} s is not before stop {stop:g} s")
    part = values.get("split", "")
    if has_split and part not in PARTS:
        raise _mistake(table, line, f"split is {part!r}; expected one of {', '.join(PARTS)}")
    if not values["label"] and part in PARTS[1:]:
        raise _mistake(table, line, f"split is {part} and label is empty; only train needs none")
    return _Row(
        line=line,
        path=values["path"],
        subject=values["subject"],
        label=values["label"],
        session=values.get("session") or "0",
        start=start or 0.0,
        stop=stop,
        part=part,
    )


def _seconds(table: str, line: int, name: str, values: Mapping[str, str]) -> float | None:
    text = values.get(name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise _mistake(table, line, f"{name} is {text!r}; expected seconds, 0 or more")
    return value


def _split(table: str, rows: Sequence[_Row]) -> Split:
    members: dict[str, dict[str, int]] = {part: {} for part in PARTS}
    for row in rows:
        for part in PARTS:
            if part != row.part and row.subject in members[part]:
                other = members[part][row.subject]
                raise _mistake(
                    table,
                    row.line,
                    f"subject {row.subject} is in {row.part}, but in {part} on line {other}; a "
                    "subject may be in one part only",
                )
        members[row.part].setdefault(row.subject, row.line)
    labelled = {row.subject for row in rows if row.label}
    members = {part: {s: of[s] for s in of if s in labelled} for part, of in members.items()}
    if empty := [part for part in ("train", "test") if not members[part]]:
        raise TaskError(
            f"{table} has no row whose split is {empty[0]}; expected train, test and, if you "
            "choose who validates, validation."
        )
    train, validation, test = (tuple(sorted(members[part])) for part in PARTS)
    return Split(train=train, validation=validation, test=test)


def _find(
    folder: Path, table: Path, rows: Sequence[_Row], classes: tuple[str, ...]
) -> list[LabelledRecording]:
    """One recording per file and session, in the order of the table."""
    of_file: dict[Path, list[_Row]] = {}
    grouped: dict[tuple[Path, str], list[_Row]] = {}
    for row in rows:
        path = _locate(folder, table, row)
        same = of_file.setdefault(path.resolve(), [])
        if same and same[0].subject != row.subject:
            raise _mistake(
                table.name,
                row.line,
                f"{row.path} is of subject {row.subject}, but of {same[0].subject} on line "
                f"{same[0].line}; a recording is of one person",
            )
        same.append(row)
        grouped.setdefault((path, row.session), []).append(row)
    for same in of_file.values():
        _check_overlap(table.name, same)
    return [
        LabelledRecording(
            name=path.name,
            open=functools.partial(open_recording, path),
            subject=spans[0].subject,
            session=session,
            run=str(path),
            spans=[
                Span(
                    start=row.start,
                    stop=row.stop,
                    label=classes.index(row.label) if row.label else UNLABELLED,
                )
                for row in spans
            ],
        )
        for (path, session), spans in grouped.items()
    ]


def _locate(folder: Path, table: Path, row: _Row) -> Path:
    given = expanded(row.path)
    for parent in dict.fromkeys((folder, table.parent)):
        if os.path.exists(parent / given):  # False where a name is too long
            return parent / given
    raise _mistake(
        table.name,
        row.line,
        f"{row.path} does not exist; paths are relative to the data folder or to the table",
    )


def _check_overlap(table: str, rows: list[_Row]) -> None:
    """The same samples in two rows would be two windows that know each other."""
    ordered = sorted(rows, key=lambda row: row.start)
    for row, following in itertools.pairwise(ordered):
        if row.stop is None or following.start < row.stop:
            raise _mistake(
                table,
                max(row.line, following.line),
                f"its span of {row.path} overlaps with that of line "
                f"{min(row.line, following.line)}; a sample may be labelled once",
            )


def open_recording(path: Path) -> Recording:
    """Any file that `read_recording` reads, or a compact .npz."""
    from eegfoundation.corpus.compact import read_compact
    from eegfoundation.recording import read_recording

    return read_compact(path) if path.suffix.lower() == ".npz" else read_recording(path)
