"""Simulated motor imagery under the electrodes of data set 2a: needs no download.

The classes, channels and windows are those of BCI Competition IV 2a, the people are drawn by
`eegfoundation.synthetic`. They differ in how clear their rhythms are, from hard to easy. Whatever
is reached here says that the road works, not that it leads anywhere on people.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from eegfoundation.synthetic import CLASSES, IMAGERY, simulate_motor_imagery
from eegfoundation.tasks.files import spans_at_events
from eegfoundation.tasks.task import LabelledRecording, Split, Task

if TYPE_CHECKING:
    from eegfoundation.recording import Recording

#: Persons of each part. Those from 1000 on belong to demo_data.
_TRAIN, _VALIDATION, _TEST = range(24), range(24, 30), range(30, 40)
_SESSIONS, _TRIALS_PER_CLASS = (1, 2), 6
#: Clarity of the rhythms; person n has the n-th of them, over and over.
_SNRS = (0.5, 1.0, 1.5, 0.75)


def _open(subject: int, session: int) -> Recording:
    from eegfoundation.recording import read_recording

    simulated = simulate_motor_imagery(
        n_trials_per_class=_TRIALS_PER_CLASS,
        seed=session,
        subject=subject,
        snr=_SNRS[subject % len(_SNRS)],
    )
    recording = read_recording(simulated.to_raw())
    recording.name = f"{_name(subject)}, session {session}"
    return recording


def _find(folder: Path) -> list[LabelledRecording]:
    """Recordings are computed when they are opened; no folder is looked at."""
    labels = {name: label for label, name in enumerate(CLASSES)}
    return [
        LabelledRecording(
            name=f"{_name(subject)}, session {session}",
            open=functools.partial(_open, subject, session),
            subject=_name(subject),
            session=str(session),
            spans=spans_at_events(labels, 0.0, IMAGERY),
        )
        for subject in (*_TRAIN, *_VALIDATION, *_TEST)
        for session in _SESSIONS
    ]


def _name(subject: int) -> str:
    return f"simulated-{subject:03d}"


def _counts(subjects: range) -> tuple[int, ...]:
    return (len(subjects) * len(_SESSIONS) * _TRIALS_PER_CLASS,) * len(CLASSES)


SIMULATED_2A = Task(
    name="simulated-2a",
    title="simulated imagery of the left hand, right hand, feet or tongue",
    classes=CLASSES,
    window=IMAGERY,
    find=_find,
    needs_data=False,
    simulated=True,
    splits={
        "split": Split(
            train=tuple(_name(subject) for subject in _TRAIN),
            validation=tuple(_name(subject) for subject in _VALIDATION),
            test=tuple(_name(subject) for subject in _TEST),
            counts={
                "train": _counts(_TRAIN),
                "validation": _counts(_VALIDATION),
                "test": _counts(_TEST),
            },
        )
    },
    config="configs/BCIC_IV_2a_config.json",
    citation="Simulated by eegfoundation.synthetic.",
    licence="Apache-2.0",
    source="Nothing to download.",
)
