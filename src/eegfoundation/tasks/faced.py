"""Nine emotions while watching film clips: FACED, 123 people, 28 clips of 30 s.

The processed files of its authors: 32 channels at 250 Hz, 0.05 to 47 Hz, eye movements removed,
common average reference; the numbers are microvolts. Three windows of 10 s per clip. Each clip is
a recording of its own, so that no filter runs from one into the next.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eegfoundation.errors import TaskError
from eegfoundation.tasks.files import matching
from eegfoundation.tasks.pickles import load_arrays
from eegfoundation.tasks.task import LabelledRecording, Span, Split, Task

if TYPE_CHECKING:
    from eegfoundation.recording import Recording

SFREQ = 250.0

# fmt: off
#: Channels of the files, in their order.
CH_NAMES = (
    "Fp1", "Fp2", "Fz", "F3", "F4", "F7", "F8", "FC1", "FC2", "FC5", "FC6", "Cz", "C3", "C4", "T3",
    "T4", "A1", "A2", "CP1", "CP2", "CP5", "CP6", "Pz", "P3", "P4", "T5", "T6", "PO3", "PO4", "Oz",
    "O1", "O2",
)
# fmt: on

_CLASSES = (
    *("anger", "fear", "disgust", "sadness", "neutral"),
    *("amusement", "inspiration", "joy", "tenderness"),
)
#: Clips of each class, in the order of the classes and of the files.
_CLIPS_PER_CLASS = (3, 3, 3, 3, 4, 3, 3, 3, 3)
_LABELS = np.repeat(np.arange(len(_CLASSES)), _CLIPS_PER_CLASS).tolist()


@functools.lru_cache(maxsize=1)  # the 28 clips of a file come one after another
def _clips(path: Path) -> np.ndarray:
    """(28, 32, n_times) of one person."""
    x = load_arrays(path)
    expected = (len(_LABELS), len(CH_NAMES))
    if not isinstance(x, np.ndarray) or x.ndim != 3 or x.shape[:2] != expected:
        found = f"shape {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
        raise TaskError(
            f"{path.name} holds {found}; expected the processed data of FACED, an array (28 clips, "
            "32 channels, 7500 samples)."
        )
    return x


def _open(path: Path, clip: int) -> Recording:
    from eegfoundation.recording import read_recording

    recording = read_recording(_clips(path)[clip], sfreq=SFREQ, ch_names=CH_NAMES, units="uV")
    recording.name = f"{path.name}, clip {clip}"
    return recording


def _find(folder: Path) -> list[LabelledRecording]:
    """The authors' Processed_data/subNNN.pkl."""
    return [
        LabelledRecording(
            name=f"{path.name}, clip {clip}",
            open=functools.partial(_open, path, clip),
            subject=match[1],
            run=f"{clip:02d}",
            spans=[Span(start=0, stop=None, label=label)],
        )
        for path, match in matching(folder, r"(sub\d{3})\.pkl")
        for clip, label in enumerate(_LABELS)
    ]


def _subjects(first: int, stop: int) -> tuple[str, ...]:
    return tuple(f"sub{number:03d}" for number in range(first, stop))


def _counts(n_subjects: int) -> tuple[int, ...]:
    return tuple(3 * n_clips * n_subjects for n_clips in _CLIPS_PER_CLASS)


FACED = Task(
    name="faced",
    title="nine emotions",
    classes=_CLASSES,
    window=10.0,
    find=_find,
    splits={
        "split": Split(
            train=_subjects(0, 80),
            validation=_subjects(80, 100),
            test=_subjects(100, 123),
            counts={"train": _counts(80), "validation": _counts(20), "test": _counts(23)},
        )
    },
    config="configs/FACED_config.json",
    citation=(
        "Chen et al. (2023). A large finer-grained affective computing EEG dataset. Scientific "
        "Data 10, 740. https://doi.org/10.1038/s41597-023-02650-w"
    ),
    licence="terms of use at https://www.synapse.org/Synapse:syn50614194",
    source=(
        "Register at https://www.synapse.org/Synapse:syn50614194, then: synapse get -r syn50614194 "
        "(the folder Processed_data)."
    ),
)
