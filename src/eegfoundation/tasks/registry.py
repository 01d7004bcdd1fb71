"""The tasks that are known by name, and how a user's own become one."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from eegfoundation.alignments import require_flickers
from eegfoundation.errors import TaskError
from eegfoundation.paths import expanded
from eegfoundation.tasks.bcic_2a import BCIC_2A
from eegfoundation.tasks.bids import task_from_bids
from eegfoundation.tasks.eegmmidb import EYES, FISTS, FISTS_FEET
from eegfoundation.tasks.faced import FACED
from eegfoundation.tasks.mi_openbci import MI_OPENBCI
from eegfoundation.tasks.simulated import SIMULATED_2A
from eegfoundation.tasks.ssvep import SSVEP
from eegfoundation.tasks.stress import STRESS
from eegfoundation.tasks.table import task_from_table
from eegfoundation.tasks.task import Task
from eegfoundation.tasks.tuab import TUAB

_ALL = (
    *(STRESS, SSVEP, BCIC_2A, TUAB, FACED, MI_OPENBCI, FISTS, FISTS_FEET, EYES),
    SIMULATED_2A,
)

#: Tasks by their names on the command line.
TASKS: dict[str, Task] = {task.name: task for task in _ALL}


def load_task(
    name_or_path: str | Path,
    *,
    classes: Sequence[str] | None = None,
    window: float | None = None,
    start: float | None = None,
    flicker_hz: Sequence[float] | None = None,
    unlabelled: bool = False,
) -> Task:
    """Look a task up by its name, or make one of a table or a BIDS folder.

    Parameters
    ----------
    name_or_path : str | path
        A key of `TASKS`, a .csv or .tsv file (columns path, subject, label and optionally session,
        start, stop, split), or a BIDS folder.
    classes : sequence of str | None
        Of a table or folder: its labels in the order wanted; None: all, sorted.
    window : float | None
        Of a table or folder: seconds; None: 5 for tables, 2 for BIDS events.
    start : float | None
        Of a folder: where the window begins, seconds from the event; None: 0.
    flicker_hz : sequence of float | None
        Of a table or folder: flicker of each class in Hz, 0 for none; None: there is no flicker.
    unlabelled : bool
        Of a table: take spans whose label is empty, as `UNLABELLED`.

    Returns
    -------
    task : Task

    Raises
    ------
    TaskError
        If there is no such task, or the table or folder contradicts itself.
    ConfigError
        If these cannot be flickers.
    """
    options = {"classes": classes, "window": window, "start": start, "flicker_hz": flicker_hz}
    given = [name for name, value in options.items() if value is not None]
    if (task := TASKS.get(str(name_or_path))) is not None:
        if given:
            raise TaskError(
                f"{task.name} has its own {' and '.join(given)}; leave it out, or describe your "
                "recordings in a table."
            )
        return task
    path = expanded(name_or_path)
    if path.suffix.lower() in (".csv", ".tsv"):
        if start is not None:
            raise TaskError(f"{path.name} is a table; its column start says where spans begin.")
        task = task_from_table(path, classes=classes, window=window, unlabelled=unlabelled)
    elif os.path.isdir(path):  # False where a name is too long
        task = task_from_bids(path, classes=classes, window=window, start=start or 0.0)
    else:
        raise TaskError(
            f"there is no task {str(name_or_path)!r}; choose among {', '.join(TASKS)}, or give a "
            ".csv or .tsv file or a BIDS folder."
        )
    return task if flicker_hz is None else _with_flickers(task, flicker_hz)


def _with_flickers(task: Task, flicker_hz: Sequence[float]) -> Task:
    require_flickers([hz for hz in flicker_hz if hz])
    if len(flicker_hz) != len(task.classes):
        raise TaskError(
            f"{task.name} has the classes {', '.join(task.classes)}; flicker_hz has "
            f"{len(flicker_hz)} entries: give one for each of them in this order, 0 for none."
        )
    return dataclasses.replace(task, flicker_hz=tuple(float(hz) for hz in flicker_hz))
