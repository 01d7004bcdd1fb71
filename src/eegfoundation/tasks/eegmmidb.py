"""Imagined movements and closed eyes within a person: eegmmidb of PhysioNet.

Three small tasks. A classifier of one person is tested on runs that it has not seen, which says
nothing about other people; with all 109 subjects downloaded, leave one subject out.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from eegfoundation.tasks.files import matching, spans_at_events
from eegfoundation.tasks.task import LabelledRecording, Span, Task

if TYPE_CHECKING:
    from eegfoundation.recording import Recording

_CITATION = (
    "Schalk et al. (2004). BCI2000: a general-purpose brain-computer interface (BCI) system. IEEE "
    "Trans. Biomed. Eng. 51(6), 1034-1043. https://doi.org/10.1109/TBME.2004.827072; Goldberger et "
    "al. (2000). PhysioBank, PhysioToolkit, and PhysioNet. Circulation 101(23), e215-e220."
)
_SOURCE = "Download: wget -r -N -c -np https://physionet.org/files/eegmmidb/1.0.0/"


def _open(path: Path) -> Recording:
    from eegfoundation.corpus.compact import read_compact
    from eegfoundation.recording import read_recording

    return read_compact(path) if path.suffix == ".npz" else read_recording(path)


def _find(
    folder: Path, runs: tuple[int, ...], labels: dict[str, int] | None
) -> list[LabelledRecording]:
    """PhysioNet's S001R04.edf, or the compact S001_R04.npz.

    Without `labels` (of events), a run's label is its place among `runs`.
    """
    return [
        LabelledRecording(
            name=path.name,
            open=functools.partial(_open, path),
            subject=match[1],
            run=match[2] or match[3],
            spans=[Span(start=0, stop=None, label=runs.index(int(match[2] or match[3])))]
            if labels is None
            else spans_at_events(labels, 0.0, 4.0),
        )
        for path, match in matching(folder, r"(S\d{3})(?:R(\d\d)\.edf|_R(\d\d)\.npz)")
        if int(match[2] or match[3]) in runs
    ]


def _imagery(name: str, title: str, classes: tuple[str, str], runs: tuple[int, ...]) -> Task:
    """Imagery of two movements: events T1 and T2 of the original files."""
    labels = {text: label for label, text in enumerate(("T1", "T2"))}
    labels |= {f"imag {text}": label for label, text in enumerate(classes)}
    return Task(
        name=name,
        title=title,
        classes=classes,
        window=4.0,
        find=functools.partial(_find, runs=runs, labels=labels),
        config="configs/BCIC_IV_2a_config.json",
        citation=_CITATION,
        licence="ODC-BY 1.0",
        source=_SOURCE,
    )


FISTS = _imagery("fists", "imagined left or right fist", ("left fist", "right fist"), (4, 8, 12))
FISTS_FEET = _imagery(
    "fists-feet", "both fists or both feet, imagined", ("both fists", "both feet"), (6, 10, 14)
)
EYES = Task(
    name="eyes",
    title="eyes open or closed",
    classes=("open", "closed"),
    window=5.0,
    find=functools.partial(_find, runs=(1, 2), labels=None),
    citation=_CITATION,
    licence="ODC-BY 1.0",
    source=_SOURCE,
)
