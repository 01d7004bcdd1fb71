"""What a person sees: one block of text that stays in place, or a line a second in a pipe."""

from __future__ import annotations

import logging
import shutil
import sys
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

import numpy as np

if TYPE_CHECKING:
    from eegfoundation.streaming.session import Row

_BAR = 40  # characters
_LINE_SECONDS = 1.0  # of the stream, from one line to the next in a pipe


class View:
    """Shows rows, and log messages above them, until it is left.

    Parameters
    ----------
    title : str
    classes : list of str
        Empty for an encoder.
    ch_names : list of str
    file : TextIO | None
        None: standard output.
    """

    def __init__(
        self, title: str, classes: list[str], ch_names: list[str], file: TextIO | None = None
    ) -> None:
        self._title, self._classes, self._ch_names = title, classes, np.array(ch_names)
        self._file = file or sys.stdout
        self._block: list[str] = []
        self._live = self._file.isatty()
        self._next_line = -np.inf
        self._latencies: list[float] = []
        self._handler = _Messages(self)

    def __enter__(self) -> View:
        logging.getLogger("eegfoundation").addHandler(self._handler)
        if not self._live:
            print(self._title, file=self._file, flush=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        logging.getLogger("eegfoundation").removeHandler(self._handler)

    def show(self, row: Row) -> None:
        """Refresh the block, or print a line if the last is a second old."""
        if row.values is not None:
            self._latencies = [*self._latencies[-99:], row.latency]
        if self._live:
            self._clear()
            self._block = self._lines(row)
            self._draw()
        elif row.time >= self._next_line or row.time < self._next_line - 2 * _LINE_SECONDS:
            self._next_line = row.time + _LINE_SECONDS
            print(self._line(row), file=self._file, flush=True)

    def message(self, text: str) -> None:
        """Print a line that stays, above the block; in a pipe, to standard error."""
        if not self._live:
            print(text, file=sys.stderr, flush=True)
            return
        self._clear()
        print(text, file=self._file)
        self._draw()

    def _clear(self) -> None:
        if self._block:
            self._file.write(f"\x1b[{len(self._block)}A\x1b[J")

    def _draw(self) -> None:
        width = shutil.get_terminal_size().columns - 1  # a line that wraps would be two
        self._file.write("".join(f"{line[:width]}\n" for line in self._block))
        self._file.flush()

    def _lines(self, row: Row) -> list[str]:
        """The block."""
        typical = f"{1e3 * np.median(self._latencies):.0f}" if self._latencies else "-"
        lines = [
            self._title,
            f"time {row.time:.1f} s   latency {typical} ms   Ctrl-C ends   not a medical device",
        ]
        wide = max([len(name) for name in self._classes] + [len("quality")])
        for i, name in enumerate(self._classes):
            share = None if row.values is None else float(row.values[i])
            mark = "  <" if name == row.predicted else ""
            lines.append(f"{name:>{wide}} {_bar(share)}{mark}")
        lines.append(f"{'quality':>{wide}} {_bar(float(row.quality.mean()))}")
        lost = ", ".join(self._ch_names[row.quality == 0])
        lines.append(f"{'':>{wide}} {row.status}{f'   without signal: {lost}' if lost else ''}")
        return lines

    def _line(self, row: Row) -> str:
        """The same in one line."""
        parts = [f"{row.time:10.1f} s", f"quality {row.quality.mean():4.0%}"]
        if row.values is None:
            return "  ".join([*parts, f"no prediction ({row.status})"])
        parts.append(f"latency {1e3 * row.latency:3.0f} ms")
        shares = zip(self._classes, row.values, strict=False)
        return "  ".join([*parts, *(f"{name} {share:.2f}" for name, share in shares)])


class _Messages(logging.Handler):
    """What is logged goes through the view, so that it does not break the block."""

    def __init__(self, view: View) -> None:
        super().__init__(logging.WARNING)
        self._view = view

    def emit(self, record: logging.LogRecord) -> None:
        self._view.message(f"eegfoundation: {record.getMessage()}")


def _bar(share: float | None) -> str:
    if share is None:
        return f"[{'':{_BAR}}]   - "
    return f"[{'#' * round(share * _BAR):{_BAR}}] {share:4.2f}"
