"""Four imagined movements: BCI Competition IV, data set 2a (BNCI2014_001), nine people.

Two sessions per person, T and E, of six runs with 48 trials each; the window is the 4 s after the
cue (2 to 6 s of the trial), artefacts included. Read are the competition's GDF files (the labels
of session E come in files of their own) and the MAT files of BNCI Horizon 2020, which MOABB
downloads. Both have 22 EEG channels, followed by 3 of the eyes; GDF names only some of them, so
the order of the publication counts.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation import montage
from eegfoundation.errors import TaskError
from eegfoundation.readers import quietly
from eegfoundation.synthetic import BCIC_2A_CHANNELS, CLASSES
from eegfoundation.tasks.files import matching
from eegfoundation.tasks.task import LabelledRecording, Span, Split, Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from eegfoundation.recording import Recording

CUE, IMAGERY = 2.0, 4.0  # seconds: the cue after the trial's begin, what is used after the cue
N_RUNS, TRIALS_PER_RUN = 6, 48

_CUES = {"769": 0, "770": 1, "771": 2, "772": 3}
_UNKNOWN_CUE = "783"


def _find(folder: Path) -> list[LabelledRecording]:
    """Competition: A01T.gdf, A01E.gdf, A01E.mat (labels); BNCI Horizon 2020: A01T.mat, A01E.mat."""
    found, labels = [], {}
    for path, match in matching(folder, r"(A0[1-9])([TE])\.mat"):
        shapes = {
            name: shape for name, shape, _ in quietly(functools.partial(_whosmat, path), path)
        }
        if "classlabel" in shapes:
            labels[match[1], match[2]] = path
        elif "data" in shapes:
            for part in range(max(shapes["data"])):
                found.append(
                    LabelledRecording(
                        name=f"{path.name}, part {part + 1}",
                        open=functools.partial(_open_mat, path, part),
                        subject=match[1],
                        session=match[2],
                        run=str(part),
                        spans=functools.partial(_spans_of_mat, path, part),
                    )
                )
        else:
            raise TaskError(
                f"{path.name} holds {', '.join(shapes)}; expected 'data' (BNCI Horizon 2020) or "
                "'classlabel' (the competition's labels)."
            )
    for path, match in matching(folder, r"(A0[1-9])([TE])\.gdf"):
        subject, session = match[1], match[2]
        if session == "E" and (subject, session) not in labels:
            raise TaskError(
                f"{path.name} comes without its labels, {path.stem}.mat; download them at "
                "https://www.bbci.de/competition/iv/results/ (true labels of data sets 2)."
            )
        found += [
            LabelledRecording(
                name=f"{path.name}, run {run + 1}",
                open=functools.partial(_open_gdf, path),
                subject=subject,
                session=session,
                run=str(run),
                spans=_spans_of_gdf(path.name, run, labels.get((subject, session))),
            )
            for run in range(N_RUNS)
        ]
    return sorted(found, key=lambda one: (one.subject, one.session, int(one.run)))


def _open_gdf(path: Path) -> Recording:
    """The first 22 channels under their names in the publication."""
    from eegfoundation.recording import read_recording

    recording = read_recording(path)
    if recording.n_chans != len(BCIC_2A_CHANNELS):
        raise TaskError(
            f"{path.name} has {recording.n_chans} EEG channels; data set 2a has "
            f"{len(BCIC_2A_CHANNELS)}."
        )
    names = list(BCIC_2A_CHANNELS)
    return replace(recording, ch_names=names, positions=montage.positions(names))


def _spans_of_gdf(name: str, run: int, labels: Path | None) -> Callable[[Recording], list[Span]]:
    """Trials of one run: classes by their cues, or from the file of labels."""

    def spans(recording: Recording) -> list[Span]:
        cues = [(onset, text) for onset, _, text in recording.events if text in _CUES]
        trials = [(onset, _CUES[text]) for onset, text in cues]
        if labels is not None:
            onsets = [on for on, _, text in recording.events if text in (*_CUES, _UNKNOWN_CUE)]
            y = np.ravel(quietly(lambda: _loadmat(labels), labels)["classlabel"]).astype(int) - 1
            if len(onsets) != len(y) or not set(y.tolist()) <= set(range(len(CLASSES))):
                raise TaskError(
                    f"{name} has {len(onsets)} trials but {labels.name} {len(y)} labels, expected "
                    "as many, from 1 to 4: they belong to different recordings."
                )
            trials = list(zip(onsets, y.tolist(), strict=True))
        trials = trials[run * TRIALS_PER_RUN : (run + 1) * TRIALS_PER_RUN]
        _check_balance(f"{name}, run {run + 1}", [label for _, label in trials])
        return [Span(start=onset, stop=onset + IMAGERY, label=label) for onset, label in trials]

    return spans


@functools.lru_cache(maxsize=1)  # the runs of a file come one after another
def _parts_of_mat(path: Path) -> list[Any]:
    """Structures with X (n_times, 25) microvolts, trial (first sample, from 1), y, fs."""
    return list(np.atleast_1d(quietly(lambda: _loadmat(path), path)["data"]))


def _open_mat(path: Path, part: int) -> Recording:
    from eegfoundation.recording import read_recording

    content = _parts_of_mat(path)[part]
    x = np.asarray(content.X, dtype=float).T[: len(BCIC_2A_CHANNELS)]
    recording = read_recording(x, sfreq=float(content.fs), ch_names=BCIC_2A_CHANNELS, units="uV")
    recording.name = f"{path.name}, part {part + 1}"
    return recording


def _spans_of_mat(path: Path, part: int, recording: Recording) -> list[Span]:
    content = _parts_of_mat(path)[part]
    y = np.atleast_1d(content.y).astype(int) - 1
    _check_balance(f"{path.name}, part {part + 1}", y.tolist())
    begins = (np.atleast_1d(content.trial) - 1) / float(content.fs)  # none: eyes only
    return [
        Span(start=begin + CUE, stop=begin + CUE + IMAGERY, label=label)
        for begin, label in zip(begins.tolist(), y.tolist(), strict=True)
    ]


def _check_balance(name: str, labels: list[int]) -> None:
    """Every run has as many trials of each class: labels that are shifted do not."""
    counts = [labels.count(label) for label in range(len(CLASSES))]
    if len(set(counts)) > 1 or sum(counts) < len(labels):
        raise TaskError(
            f"{name} has {counts} trials of {', '.join(CLASSES)} among {len(labels)}; expected as "
            "many of each: labels or events are missing, or of another recording."
        )


def _whosmat(path: Path) -> list[tuple[str, tuple[int, ...], str]]:
    from scipy.io import whosmat

    return whosmat(path)


def _loadmat(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    return loadmat(path, squeeze_me=True, struct_as_record=False)


def _subjects(first: int, stop: int) -> tuple[str, ...]:
    return tuple(f"A{number:02d}" for number in range(first, stop))


def _counts(n_subjects: int) -> tuple[int, ...]:
    """72 trials per class and session."""
    return (2 * 72 * n_subjects,) * len(CLASSES)


BCIC_2A = Task(
    name="bcic-iv-2a",
    title="imagined movement of the left hand, right hand, feet or tongue",
    classes=CLASSES,
    window=IMAGERY,
    find=_find,
    splits={
        "split": Split(
            train=_subjects(1, 6),
            validation=_subjects(6, 8),
            test=_subjects(8, 10),
            counts={"train": _counts(5), "validation": _counts(2), "test": _counts(2)},
        )
    },
    config="configs/BCIC_IV_2a_config.json",
    citation=(
        "Tangermann et al. (2012). Review of the BCI Competition IV. Front. Neurosci. 6, 55. "
        "https://doi.org/10.3389/fnins.2012.00055; Brunner et al. (2008). BCI Competition 2008: "
        "Graz data set A."
    ),
    licence="CC BY-ND 4.0",
    source=(
        'Download: pip install moabb && python -c "from moabb.datasets import BNCI2014_001; '
        "BNCI2014_001().download(path='DIR')\"; or the GDF files at "
        "https://www.bbci.de/competition/iv/."
    ),
)
