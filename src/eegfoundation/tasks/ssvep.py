"""Which of three lamps somebody looks at, or none: steady-state visual responses of 12 people.

Trials last 5 s; the window is the last 3 of them, when the response has settled. Five sessions are
left out because their authors do, one because it is another subject's recording in the wrong
folder, and two because the split was drawn up without them.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from eegfoundation.tasks.files import matching, spans_at_events
from eegfoundation.tasks.task import LabelledRecording, Split, Task

if TYPE_CHECKING:
    from eegfoundation.recording import Recording

#: Events of the recordings; 1 to 4 in the original files.
_LABELS = {"rest": 0, "13Hz": 1, "21Hz": 2, "17Hz": 3, "1": 0, "2": 1, "3": 2, "4": 3}

_LEFT_OUT = {
    ("subject07", "2012.07.11-15.33.08"): "a copy of subject03's",
    ("subject08", "2013.04.06-16.22.32"): "by the authors",
    ("subject10", "2014.02.26-15.10.48"): "by the authors",
    ("subject10", "2014.02.26-15.50.09"): "by the authors",
    ("subject11", "2014.02.24-17.56.37"): "by the authors",
    ("subject11", "2014.02.24-18.02.40"): "by the authors",
    ("subject12", "2014.03.10-19.17.37"): "not in the split",
    ("subject12", "2014.03.10-20.11.55"): "not in the split",
}


def _open_original(path: Path) -> Recording:
    """Read record-[SESSION]_raw.fif; its "volts" are millivolts, its events lie beside it."""
    import mne

    from eegfoundation.errors import TaskError
    from eegfoundation.readers import quietly
    from eegfoundation.recording import read_recording

    recording = read_recording(path, units="mV")
    beside = path.with_name(path.name.replace("_raw.fif", "-eve.fif"))
    if not beside.exists():
        raise TaskError(f"{path.name} has no events: {beside.name} is missing; download it again.")
    events = quietly(lambda: mne.read_events(beside), beside)
    recording.events = [(float(n) / recording.sfreq, 0.0, str(code)) for n, _, code in events]
    return recording


def _open(path: Path) -> Recording:
    from eegfoundation.corpus.compact import read_compact

    return _open_original(path) if path.suffix == ".fif" else read_compact(path)


def _find(folder: Path) -> list[LabelledRecording]:
    """The authors' subjectNN/record-[SESSION]_raw.fif, or the compact subjectNN_SESSION.npz."""
    files = matching(
        folder, r"(subject\d\d)(?:/record-\[([\d.-]+)\]_raw\.fif|_(\d{4}[\d.-]+\d)\.npz)"
    )
    return [
        LabelledRecording(
            name=path.name,
            open=functools.partial(_open, path),
            subject=match[1],
            session=match[2] or match[3],
            spans=spans_at_events(_LABELS, 2.0, 5.0),
        )
        for path, match in files
        if (match[1], match[2] or match[3]) not in _LEFT_OUT
    ]


def _subjects(first: int, stop: int) -> tuple[str, ...]:
    return tuple(f"subject{number:02d}" for number in range(first, stop))


SSVEP = Task(
    name="ssvep",
    title="flicker that is looked at: none, 13, 21 or 17 Hz",
    classes=("rest", "13 Hz", "21 Hz", "17 Hz"),
    window=3.0,
    find=_find,
    splits={
        "split": Split(
            train=_subjects(1, 8),
            validation=_subjects(8, 9),
            test=_subjects(9, 13),
            counts={"train": (112,) * 4, "validation": (16,) * 4, "test": (88,) * 4},
        )
    },
    flicker_hz=(0.0, 13.0, 21.0, 17.0),
    citation=(
        "Kalunga et al. (2016). Online SSVEP-based BCI using Riemannian geometry. Neurocomputing "
        "191, 55-68. https://doi.org/10.1016/j.neucom.2016.01.007"
    ),
    licence="CC0 1.0",
    source="Download: git clone https://github.com/sylvchev/dataset-ssvep-exoskeleton",
)
