"""From a task's recordings to labelled windows.

`load_trials` reads, filters and cuts; what comes out, `Trials`, knows for every window who it is
from, so that nobody downstream can forget it.

Trade-off: all windows of a task are in memory. All of TUAB would take 50 GB; `Task.max_windows`
thins long recordings evenly.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eegfoundation.errors import TaskError
from eegfoundation.tasks.task import UNLABELLED, Span, Task, labelled_recordings

if TYPE_CHECKING:
    from eegfoundation.preprocessing import Preprocessing
    from eegfoundation.recording import Recording


@dataclass(frozen=True, kw_only=True, eq=False)
class Trials:
    """Labelled windows, each with whom it is from."""

    x: np.ndarray
    """(n, n_chans, n_times) float32 microvolts; NaN where unusable or absent."""
    y: np.ndarray
    """(n,) integers, indices into `classes`, or `UNLABELLED`."""
    subject: np.ndarray
    """(n,) of str."""
    session: np.ndarray
    """(n,) of str, unique within a subject. Alignment, where asked for, is within a session."""
    run: np.ndarray
    """(n,) of str, unique within a session."""
    classes: tuple[str, ...]
    ch_names: tuple[str, ...]
    positions: np.ndarray
    """(n_chans, 3) metres, NaN where unknown."""
    preprocessing: Preprocessing
    """What was done to the signal; an encoder asks for its own."""
    notes: Mapping[str, int] = field(default_factory=dict)
    """What is worth knowing about the recordings, and of how many it is true."""

    def __post_init__(self) -> None:
        n = len(self.x)
        for name in ("y", "subject", "session", "run"):
            if len(getattr(self, name)) != n:
                raise TaskError(
                    f"{name} has {len(getattr(self, name))} entries for {n} windows; expected one "
                    "for each."
                )
        if self.x.ndim != 3 or self.x.shape[1] != len(self.ch_names):
            raise TaskError(
                f"x has shape {self.x.shape} for {len(self.ch_names)} channels; expected "
                "(n_windows, n_chans, n_times)."
            )
        known = self.y[self.y != UNLABELLED]
        if len(known) and not 0 <= known.min() <= known.max() < len(self.classes):
            raise TaskError(
                f"y goes from {known.min()} to {known.max()}; expected indices of the "
                f"{len(self.classes)} classes, 0 to {len(self.classes) - 1} (are they counted from "
                "1?)."
            )

    def __len__(self) -> int:
        return len(self.x)

    @property
    def sfreq(self) -> float:
        """Hz."""
        return self.preprocessing.sfreq

    def select(self, index: np.ndarray) -> Trials:
        """Take some windows, by a mask or by positions."""
        names = ("x", "y", "subject", "session", "run")
        return dataclasses.replace(self, **{name: getattr(self, name)[index] for name in names})

    def counts(self) -> tuple[int, ...]:
        """Windows per class."""
        known = self.y[self.y != UNLABELLED]
        return tuple(int(n) for n in np.bincount(known, minlength=len(self.classes)))

    def group(self, over: str) -> np.ndarray:
        """One string per window that names its "subject", "session" or "run" uniquely."""
        levels = ("subject", "session", "run")[: ("subject", "session", "run").index(over) + 1]
        names = zip(*(getattr(self, level).tolist() for level in levels), strict=True)
        return np.array(["/".join(parts) for parts in names], dtype=str)


def load_trials(
    task: Task,
    data: str | Path | None,
    preprocessing: Preprocessing,
    *,
    subjects: Sequence[str] | None = None,
    progress: bool | None = None,
) -> Trials:
    """Read, preprocess and cut the recordings of a task.

    Parameters
    ----------
    task : Task
        From `Task.for_split` where a split is wanted.
    data : path | None
        Folder of the task's recordings; None where it needs none.
    preprocessing : Preprocessing
        Of the encoder that the windows are for, or of a baseline.
    subjects : sequence of str | None
        Only these; None: all that are found.
    progress : bool | None
        Show a progress bar; None: only on a terminal.

    Returns
    -------
    trials : Trials
        In the order of the recordings and of time. Recordings may differ in their channels: absent
        ones are NaN.

    Raises
    ------
    TaskError
        If there are no such recordings, or a span does not lie within its recording.
    RecordingError
        If one cannot be read.
    """
    from tqdm.auto import tqdm

    from eegfoundation.preprocessing import preprocess

    found = labelled_recordings(task, data)
    if subjects is not None:
        found = [one for one in found if one.subject in set(subjects)]
    parts: list[tuple[np.ndarray, list[str], np.ndarray]] = []
    owners: list[tuple[int, str, str, str]] = []
    notes: Counter[str] = Counter()
    disable = None if progress is None else not progress
    for one in tqdm(found, desc=task.name, unit="recording", disable=disable):
        recording = preprocess(one.open(), preprocessing)
        notes.update(notes_of(recording))
        for span in one.spans(recording) if callable(one.spans) else one.spans:
            x = _cut(recording, span, task, one.name)
            parts.append((x, recording.ch_names, recording.positions))
            owners += [(span.label, one.subject, one.session, one.run)] * len(x)
    if not owners:
        raise TaskError(f"the recordings of {task.name} hold no labelled window.")
    ch_names, positions = union_of_channels(parts)
    label, subject, session, run = zip(*owners, strict=True)
    return Trials(
        x=stack_on_channels(parts, ch_names),
        y=np.array(label, dtype=np.int64),
        subject=np.array(subject, dtype=str),
        session=np.array(session, dtype=str),
        run=np.array(run, dtype=str),
        classes=task.classes,
        ch_names=tuple(ch_names),
        positions=positions,
        preprocessing=preprocessing,
        notes=dict(notes),
    )


def notes_of(recording: Recording) -> list[str]:
    """What reading and preprocessing noted, contradictions first, each once."""
    stages = [recording.history.get(stage, {}) for stage in ("reading", "preprocessing")]
    kinds = ("contradictions", "notes")
    texts = (text for kind in kinds for stage in stages for text in stage.get(kind, []))
    return list(dict.fromkeys(texts))


def _cut(recording: Recording, span: Span, task: Task, name: str) -> np.ndarray:
    """(n, n_chans, n_times) of the windows that lie wholly within a span."""
    n_times = round(task.window * recording.sfreq)
    if n_times < 1:
        raise TaskError(
            f"a window of {task.window:g} s holds no sample at {recording.sfreq:g} Hz; choose a "
            "longer window."
        )
    end = recording.n_times / recording.sfreq
    begin = span.start if span.start >= 0 else end + span.start
    beyond = end + 1  # what lies further away is as wrong, and may be no number of samples
    start, stop = round(max(-1, min(begin, beyond)) * recording.sfreq), recording.n_times
    if span.stop is not None:  # rounded as a length, or equal spans would differ by a sample
        length = span.stop - begin if span.stop >= 0 else end + span.stop - begin
        stop = start + round(max(-1, min(length, beyond)) * recording.sfreq)
    # labels are rounded to whole samples of another rate: one too many is no mistake
    stop = recording.n_times if recording.n_times < stop <= recording.n_times + 1 else stop
    if not 0 <= start < stop <= recording.n_times:
        raise TaskError(
            f"{name} lasts {recording.duration:.2f} s and has no span from {span.start} to "
            f"{span.stop} s; correct the label's start and stop."
        )
    n = (stop - start) // n_times
    if n == 0:
        raise TaskError(
            f"{name}: the span from {span.start} to {span.stop} s is shorter than a window of "
            f"{task.window:g} s; choose a shorter window."
        )
    x = recording.get_data(start, start + n * n_times)
    x = x.reshape(len(x), n, n_times).transpose(1, 0, 2)
    if task.max_windows is None or n <= task.max_windows:
        return x
    return x[np.linspace(0, n - 1, task.max_windows).round().astype(int)]


def union_of_channels(
    parts: list[tuple[np.ndarray, list[str], np.ndarray]],
) -> tuple[list[str], np.ndarray]:
    """Channels of all parts in the order in which they appear, and their positions."""
    places: dict[str, np.ndarray] = {}
    for _, names, positions in parts:
        for name, position in zip(names, positions, strict=True):
            places.setdefault(name, position)
    return list(places), np.stack(list(places.values()))


def stack_on_channels(
    parts: list[tuple[np.ndarray, list[str], np.ndarray]], ch_names: list[str]
) -> np.ndarray:
    """(n, n_chans, n_times); absent channels are NaN."""
    n = sum(len(x) for x, _, _ in parts)
    result = np.full((n, len(ch_names), parts[0][0].shape[-1]), np.nan, dtype=np.float32)
    row = 0
    for x, names, _ in parts:
        result[row : row + len(x), [ch_names.index(name) for name in names]] = x
        row += len(x)
    return result
