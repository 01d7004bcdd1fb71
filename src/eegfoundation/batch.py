"""Many files in one command: no output overwrites another, no bad file stops the rest."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eegfoundation.errors import EEGFoundationError
from eegfoundation.journal import Journal


def each_file(
    files: Sequence[str],
    work: Callable[[str, Path, bool], None],
    *,
    out: str,
    ending: str,
    settings: Mapping[str, Any],
) -> None:
    """Run ``work(file, result, overwrite)`` for every file, the others too if one fails.

    Killed or stopped, the same call goes on where it was.

    Parameters
    ----------
    files : sequence of str
    work : callable
        Makes the result of a file, all of it or nothing.
    out : str
        Folder of the results.
    ending : str
        Of their names, which begin as those of the files (see `unique_stems`).
    settings : mapping
        All arguments of the call, ``overwrite`` among them.

    Raises
    ------
    EEGFoundationError
        After the last file, if any failed.
    """
    failed = 0
    folder = Path(out)
    journal = Journal(folder / f".{ending.strip('_')}.unfinished", files, settings)
    ended = False
    try:
        for file, stem in zip(files, unique_stems(files), strict=True):
            result = folder / f"{stem}{ending}"
            if result.name in journal.finished and result.exists():
                print(f"{result}: finished before")
                continue
            overwrite = settings["overwrite"] or result.name in journal.begun
            try:
                if overwrite or not result.exists():
                    journal.begin(result)
                work(file, result, overwrite)
                journal.finish(result)
            except (EEGFoundationError, MemoryError) as error:
                if len(files) == 1:
                    raise
                failed += 1
                said = str(error) if isinstance(error, EEGFoundationError) else "out of memory."
                print(said if Path(file).name in said else f"{file}: {said}", file=sys.stderr)
        ended = True
    finally:
        if ended or not journal.finished:  # Ctrl-C after some: they need not be made again
            journal.close()
    if failed:
        raise EEGFoundationError(f"{failed} of {len(files)} files failed, for the reasons above.")


def unique_stems(files: Sequence[str | Path]) -> list[str]:
    """Name outputs after their files, so that no two share a name.

    Parameters
    ----------
    files : sequence of path

    Returns
    -------
    stems : list of str
        ``"night"`` for ``night.edf``; where that is not unique ``"night-edf"``, then
        ``"clinic_night-edf"`` with the folder's name, then numbered.

    Examples
    --------
    >>> unique_stems(["a/rest.edf", "b/rest.edf", "a/task.edf"])
    ['a_rest-edf', 'b_rest-edf', 'task']
    """
    paths = [Path(file) for file in files]
    ways = [
        [path.stem for path in paths],
        [f"{path.stem}-{path.suffix[1:]}" for path in paths],
        [f"{path.absolute().parent.name}_{path.stem}-{path.suffix[1:]}" for path in paths],
    ]
    stems = list(ways[0])
    for names in ways[1:]:
        shared = {stem for stem, n in Counter(stems).items() if n > 1}
        stems = [name if stem in shared else stem for stem, name in zip(stems, names, strict=True)]
    taken: set[str] = set()  # in lower case: not every file system tells Rest from rest
    for i, stem in enumerate(stems):
        numbers = itertools.count(2)
        while stems[i].casefold() in taken:
            stems[i] = f"{stem}-{next(numbers)}"
        taken.add(stems[i].casefold())
    return stems
