"""Layouts of a user's own, importable in worker processes: their readers misbehave on purpose."""

import os
import signal
from pathlib import Path, PurePosixPath

import numpy as np

from eegfoundation.corpus.layouts import Layout
from eegfoundation.recording import Recording, read_recording


def _read(path: str, *, ch_names: object = None, units: object = None) -> Recording:
    """By the file's name: "crash" dies, "once" dies the first time, the others raise errors."""
    stem = Path(path).stem
    tried = Path(path).with_suffix(".tried")
    if stem.startswith("crash") or (stem.startswith("once") and not tried.exists()):
        tried.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if stem.startswith("raise"):
        raise ZeroDivisionError("a fault in a reader")
    if stem.startswith("memory"):
        raise MemoryError
    recording = read_recording(np.load(path), sfreq=200.0, ch_names=["C3", "C4"])
    if stem.startswith("disk"):
        recording.reader = _broken
    return recording


def _broken(start: int, stop: int) -> np.ndarray:
    raise OSError(5, "Input/output error")


def npy_named(path: PurePosixPath) -> bool:
    return path.suffix == ".npy"


FRAGILE = Layout(
    is_recording=npy_named,
    subject=lambda path: path.stem,
    looks_for="looks for .npy files",
    read=_read,
)
