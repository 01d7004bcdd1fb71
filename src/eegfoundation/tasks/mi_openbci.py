"""Imagined grasping against relaxing, with a low-cost amplifier: ten people, ten trials each.

The cue comes 3 s into a trial, imagery lasts 4 s. So few trials support no fixed split: leave one
subject out, and mind the interval.
"""

from __future__ import annotations

import functools
from pathlib import Path

from eegfoundation.corpus.compact import read_compact
from eegfoundation.tasks.files import matching, spans_at_events
from eegfoundation.tasks.task import LabelledRecording, Task

_LABELS = {"right_hand": 0, "770": 0, "772": 1}


def _find(folder: Path) -> list[LabelledRecording]:
    """Compact SNN_R0.npz."""
    return [
        LabelledRecording(
            name=path.name,
            open=functools.partial(read_compact, path),
            subject=match[1],
            spans=spans_at_events(_LABELS, 0.0, 4.0),
        )
        for path, match in matching(folder, r"(S\d\d)_R0\.npz")
    ]


MI_OPENBCI = Task(
    name="mi-openbci",
    title="imagined grasping or relaxing",
    classes=("grasp", "relax"),
    window=4.0,
    find=_find,
    config="configs/BCIC_IV_2a_config.json",
    citation=(
        "Peterson et al. (2020). A feasibility study of a complete low-cost consumer-grade "
        "brain-computer interface system. Heliyon 6(3), e03425. "
        "https://doi.org/10.1016/j.heliyon.2020.e03425"
    ),
    licence="MIT",
    source=(
        "Download: git clone https://github.com/vpeterson/MI-OpenBCI, and convert run 0 of each "
        "subject (OpenViBE .ov) to the compact form of eegfoundation.corpus.compact, SNN_R0.npz."
    ),
)
