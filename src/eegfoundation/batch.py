"""Many files in one command: no output overwrites another, no bad file stops the rest."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from eegfoundation.errors import EEGFoundationError


def each_file(files: Sequence[str], work: Callable[[str, str], None]) -> None:
    """Run ``work(file, stem)`` for every file, the others too if one fails.

    Parameters
    ----------
    files : sequence of str
    work : callable
        Takes the file and the name for its outputs (see `unique_stems`).

    Raises
    ------
    EEGFoundationError
        After the last file, if any failed.
    """
    failed = 0
    for file, stem in zip(files, unique_stems(files), strict=True):
        try:
            work(file, stem)
        except EEGFoundationError as error:
            if len(files) == 1:
                raise
            failed += 1
            said = str(error)
            print(said if Path(file).name in said else f"{file}: {said}", file=sys.stderr)
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
