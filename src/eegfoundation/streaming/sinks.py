"""Predictions to a CSV file: a row is on disk as soon as it is made.

While the session runs, and after a power cut, the rows lie in ``<name>.csv.unfinished``; the final
name says that it ended. What a session that was cut off left is never touched again: nobody can
record it twice.
"""

from __future__ import annotations

import csv
import itertools
import warnings
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from eegfoundation.errors import OutputError

if TYPE_CHECKING:
    from eegfoundation.streaming.session import Row


class CSVWriter:
    """Rows as they come; whatever ends the program, all rows before are on disk, whole.

    Columns: ``time`` (seconds), ``latency_ms``, ``predicted`` and one for each value (empty without
    a prediction), ``quality`` (mean share of usable samples), ``lost`` (channels without a usable
    sample), ``status``.

    Parameters
    ----------
    path : str | Path
    names : list of str
        Of the values.
    ch_names : list of str
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    OutputError
        If the file exists already or cannot be written.
    """

    def __init__(
        self, path: str | Path, names: list[str], ch_names: list[str], *, overwrite: bool = False
    ) -> None:
        self._path, self._n_values = Path(path), len(names)
        self._ch_names = np.array(ch_names)
        self._overwrite = overwrite
        self._refuse_existing("choose another name, or overwrite it (--overwrite true)")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            raise OutputError(f"Writing {path} failed: {error.strerror or error}.") from error
        self._csv = csv.writer(self._file, lineterminator="\n")
        self._put(["time", "latency_ms", "predicted", *names, "quality", "lost", "status"])

    def _open(self) -> None:
        """Open a name that no other session has."""
        for number in itertools.count(1):
            ending = ".unfinished" if number == 1 else f".{number}.unfinished"
            self._unfinished = self._path.with_name(self._path.name + ending)
            try:
                self._file = self._unfinished.open("x", newline="", encoding="utf-8")
            except FileExistsError:
                continue
            break
        if number > 1:
            warnings.warn(
                f"{self._path}.unfinished holds the rows of a session that was cut off, or still "
                "runs; it is left as it is.",
                stacklevel=4,
            )

    def _refuse_existing(self, advice: str) -> None:
        if self._path.exists() and not self._overwrite:
            raise OutputError(f"{self._path} exists already; {advice}.")

    def __enter__(self) -> CSVWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._file.close()
        self._refuse_existing(f"the rows of this session are in {self._unfinished}")
        try:
            self._unfinished.replace(self._path)
        except OSError as error:
            raise OutputError(f"Writing {self._path} failed: {error.strerror or error}.") from error

    def write(self, row: Row) -> None:
        """Append a row."""
        nothing = row.values is None
        values = [""] * self._n_values if row.values is None else [f"{v:.6g}" for v in row.values]
        self._put(
            [
                f"{row.time:.4f}",
                "" if nothing else f"{1e3 * row.latency:.1f}",
                row.predicted or "",
                *values,
                f"{row.quality.mean():.4f}",
                " ".join(self._ch_names[row.quality == 0]),
                row.status,
            ]
        )

    def _put(self, cells: list[str]) -> None:
        try:
            self._csv.writerow(cells)
            self._file.flush()
        except OSError as error:
            raise OutputError(f"Writing {self._path} failed: {error.strerror or error}.") from error
