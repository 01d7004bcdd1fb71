"""Mental arithmetic against rest: eegmat of PhysioNet, 36 people.

Everybody rested for three minutes (some for less) and then subtracted numbers for one. Two splits
use different windows, because the second is there to compare with publications:

- *ours*: the last minute of rest, the first of arithmetic, so that the classes balance; ten test
  subjects.
- *literature*: every window; four test subjects, so hardly more than an anecdote.

The files end in 0.9 s without signal. Were it in a window of rest, where windows reach the end, it
would give the class away: the last 2 s of rest are left out. Rest and arithmetic are two files of
one session: alignment takes both together.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from eegfoundation.tasks.files import matching
from eegfoundation.tasks.task import LabelledRecording, Span, Split, Task

if TYPE_CHECKING:
    from eegfoundation.recording import Recording

_STATES = {"1": 0, "rest": 0, "2": 1, "arith": 1}


def _open(path: Path) -> Recording:
    """Read one file: 19 scalp channels against linked ears."""
    from eegfoundation.corpus.compact import read_compact
    from eegfoundation.recording import read_recording

    return read_compact(path) if path.suffix == ".npz" else read_recording(path)


def _find(folder: Path, spans: tuple[Span, Span]) -> list[LabelledRecording]:
    """PhysioNet's SubjectNN_1.edf and _2.edf, or the compact SubjectNN_rest.npz and _arith.npz."""
    files = matching(folder, r"(Subject\d\d)_(?:([12])\.edf|(rest|arith)\.npz)")
    found = []
    for path, match in files:
        label = _STATES[match[2] or match[3]]
        found.append(
            LabelledRecording(
                name=path.name,
                open=functools.partial(_open, path),
                subject=match[1],
                run=str(label + 1),
                spans=[spans[label]],
            )
        )
    return sorted(found, key=lambda one: (one.subject, one.run))


_BALANCED = (Span(start=-62, stop=-2, label=0), Span(start=0, stop=60, label=1))
_EVERYTHING = (Span(start=0, stop=-2, label=0), Span(start=0, stop=60, label=1))


def _subjects(first: int, stop: int) -> tuple[str, ...]:
    return tuple(f"Subject{number:02d}" for number in range(first, stop))


STRESS = Task(
    name="stress",
    title="mental arithmetic or rest",
    classes=("rest", "arithmetic"),
    window=5.0,
    find=functools.partial(_find, spans=_BALANCED),
    splits={
        "ours": Split(
            train=_subjects(0, 20),
            validation=_subjects(20, 26),
            test=_subjects(26, 36),
            counts={"train": (240, 240), "validation": (72, 72), "test": (120, 120)},
        ),
        "literature": Split(
            train=_subjects(0, 28),
            validation=_subjects(28, 32),
            test=_subjects(32, 36),
            counts={"train": (1006, 336), "validation": (123, 48), "test": (144, 48)},
            find=functools.partial(_find, spans=_EVERYTHING),
        ),
    },
    config="configs/Stress_config.json",
    citation=(
        "Zyma et al. (2019). Electroencephalograms during mental arithmetic task performance. "
        "Data 4(1), 14. https://doi.org/10.3390/data4010014; Goldberger et al. (2000). PhysioBank, "
        "PhysioToolkit, and PhysioNet. Circulation 101(23), e215-e220."
    ),
    licence="ODC-BY 1.0",
    source="Download: wget -r -N -c -np https://physionet.org/files/eegmat/1.0.0/",
)
