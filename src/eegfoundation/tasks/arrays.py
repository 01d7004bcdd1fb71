"""Arrays in memory as trials: for notebooks, scikit-learn and other people's readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.errors import TaskError
from eegfoundation.tasks.table import check_classes
from eegfoundation.tasks.trials import Trials, notes_of

if TYPE_CHECKING:
    from eegfoundation.preprocessing import Preprocessing


def trials_from_arrays(
    x: np.ndarray,
    y: Sequence[Any] | np.ndarray,
    subject: Sequence[Any] | np.ndarray | str,
    *,
    sfreq: float,
    ch_names: Sequence[str] | None = None,
    preprocessing: Preprocessing,
    session: Sequence[Any] | np.ndarray | str = "0",
    run: Sequence[Any] | np.ndarray | str = "0",
    classes: Sequence[str] | None = None,
    units: str | None = None,
) -> Trials:
    """Preprocess windows that are cut already.

    Parameters
    ----------
    x : ndarray, shape (n, n_chans, n_times)
        Microvolts unless `units` says otherwise, unfiltered, at `sfreq`.
    y : sequence of length n
        Label of each window.
    subject, session, run : sequence of length n, or str
        Whom and what each window is from, or all of them.
    sfreq : float
        Hz.
    ch_names : sequence of str | None
        Without them, electrode positions are unknown. Channels that are no EEG are left out.
    preprocessing : Preprocessing
        Of the encoder that the windows are for.
    classes : sequence of str | None
        Labels in the order wanted; None: all labels, sorted.
    units : {"V", "mV", "uV", "nV"} | None
        Unit of `x`.

    Returns
    -------
    trials : Trials

    Raises
    ------
    TaskError
        If lengths differ, a label is not among the classes, or there are fewer than two.
    RecordingError
        If `x` is no plausible EEG of that shape.

    Notes
    -----
    Each window is filtered by itself. Windows shorter than the high-pass kernel (11 s at 0.3 Hz)
    lose their mean instead: where the continuous recording is at hand, filter that.
    """
    from eegfoundation.preprocessing import preprocess
    from eegfoundation.recording import read_recording

    x = np.asarray(x)
    if x.ndim != 3 or len(x) == 0:
        raise TaskError(f"x has shape {x.shape}; expected (n_windows, n_chans, n_times).")
    columns = {"y": y, "subject": subject, "session": session, "run": run}
    texts: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        given = np.asarray(values)
        if given.ndim > 1 or (given.ndim == 1 and len(given) != len(x)):
            raise TaskError(
                f"{name} has shape {given.shape} for {len(x)} windows; expected one value for each."
            )
        texts[name] = np.broadcast_to(given, len(x))
    names, labels = np.unique(texts["y"], return_inverse=True)
    present = names.astype(str).tolist()
    wanted = check_classes("y", present if classes is None else classes)
    if unknown := [name for name in present if name not in wanted]:
        raise TaskError(f"y has the label {unknown[0]!r}; expected {', '.join(wanted)}.")
    recording = read_recording(
        x, sfreq=sfreq, ch_names=None if ch_names is None else list(ch_names), units=units
    )
    recording = preprocess(recording, preprocessing)
    return Trials(
        x=recording.get_data(),
        y=np.array([wanted.index(name) for name in present], dtype=np.int64)[labels],
        subject=texts["subject"].astype(str),
        session=texts["session"].astype(str),
        run=texts["run"].astype(str),
        classes=wanted,
        ch_names=tuple(recording.ch_names),
        positions=recording.positions,
        preprocessing=preprocessing,
        notes=dict.fromkeys(notes_of(recording), 1),
    )
