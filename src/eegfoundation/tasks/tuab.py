"""Abnormal or normal clinical EEG: TUAB, the Temple University abnormal EEG corpus.

Test subjects are the official ones. A fifth of the official training subjects validates, chosen by
a hash of the subject's name: nobody changes sides when files are added or missing.

What is read is what all its recordings have, the 19 electrodes of the 10-20 system, as recorded
(common reference). The 16 bipolar channels of publications are a matter of the encoder's
reference ("bipolar"). `max_windows` keeps 20 windows per recording, evenly spread: all of them
would take some 50 GB.
"""

from __future__ import annotations

import functools
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from eegfoundation.montage import CHANNELS_10_20
from eegfoundation.tasks.files import matching
from eegfoundation.tasks.task import LabelledRecording, Span, Split, Task

if TYPE_CHECKING:
    from eegfoundation.recording import Recording

_CLASSES = ("normal", "abnormal")


def _open(path: Path) -> Recording:
    from eegfoundation.recording import read_recording

    return read_recording(path, ch_names=CHANNELS_10_20)


def _part(subject: str, official: str) -> str:
    if official == "eval":
        return "test"
    return "validation" if zlib.crc32(subject.encode()) % 5 == 0 else "train"


def _find(folder: Path) -> list[LabelledRecording]:
    """Files {train,eval}/{normal,abnormal}/01_tcp_ar/SUBJECT_SESSION_TOKEN.edf."""
    files = matching(
        folder, r"(train|eval)/(normal|abnormal)/01_tcp_ar/(?:.*/)?(\w+?)_(s\d+)_(t\d+)\.edf"
    )
    return [
        LabelledRecording(
            name=path.name,
            open=functools.partial(_open, path),
            subject=match[3],
            session=match[4],
            run=match[5],
            part=_part(match[3], match[1]),
            spans=[Span(start=0, stop=None, label=_CLASSES.index(match[2]))],
        )
        for path, match in files
    ]


TUAB = Task(
    name="tuab",
    title="abnormal or normal EEG",
    classes=_CLASSES,
    window=10.0,
    find=_find,
    splits={"official": Split(by_recording=True)},
    max_windows=20,
    config="configs/TUAB_config.json",
    citation=(
        "López et al. (2015). Automated identification of abnormal adult EEGs. IEEE SPMB. "
        "https://doi.org/10.1109/SPMB.2015.7405423; Obeid & Picone (2016). The Temple University "
        "Hospital EEG data corpus. Front. Neurosci. 10, 196. "
        "https://doi.org/10.3389/fnins.2016.00196"
    ),
    licence="on request, see https://isip.piconepress.com/projects/nedc/html/tuh_eeg/",
    source=(
        "Ask for access at https://isip.piconepress.com/projects/nedc/html/tuh_eeg/, then: rsync "
        "-auxvL nedc-tuh-eeg@www.isip.piconepress.com:data/tuh_eeg/tuh_eeg_abnormal/v3.0.1/ tuab/"
    ),
)
