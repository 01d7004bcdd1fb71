"""Errors and warnings that are the user's to mend.

Each carries one sentence: what was found, what was expected, what to do. The command line prints
that sentence and exits with code 2. They are `ValueError`s too, so scikit-learn style code that
catches those keeps working. `assert` is left for our own bugs.
"""

import re
from collections.abc import Collection

_LONGEST = 800  # letters of a sentence


def shortened(sentence: str) -> str:
    """A sentence names what it found; of thousands of letters the ends are enough, of lines one."""
    sentence = re.sub(r"\s*[\r\n]+\s*", " ", sentence)
    sentence = re.sub(r"(\S{120})\S{60,}(\S{120})", r"\1...\2", sentence)
    if len(sentence) > _LONGEST:
        sentence = f"{sentence[: _LONGEST // 2]} ... {sentence[-_LONGEST // 2 :]}"
    return sentence


class EEGFoundationError(ValueError):
    """Base of every error that a user can mend."""

    def __str__(self) -> str:
        return shortened(super().__str__())


class RecordingError(EEGFoundationError):
    """A recording cannot be read, or holds no usable EEG."""


class UnitsError(RecordingError):
    """Amplitudes are implausible for the unit that was declared."""


class ChannelError(RecordingError):
    """Channel names are missing, duplicated or contradict the data."""


class PreprocessingError(EEGFoundationError):
    """Preprocessing settings do not fit the recording."""


class ConfigError(EEGFoundationError):
    """A configuration has unknown, missing or impossible values."""


class CheckpointError(EEGFoundationError):
    """Weights are missing, damaged, or do not fit the model exactly."""


class ModelInputError(EEGFoundationError):
    """An array given to a model has the wrong shape, type or content."""


class TaskError(EEGFoundationError):
    """A downstream task's recordings, labels or splits are missing or contradict each other."""


class OutputError(EEGFoundationError):
    """A result cannot be written where it was asked for."""


def some_of(names: Collection[str], most: int = 6) -> str:
    """Name things in a sentence, and say how many are not named."""
    named = str(sorted(names)[:most])
    return named if len(names) <= most else f"{named} and {len(names) - most} more"


class UntrainedWeightsWarning(UserWarning):
    """The weights in use were never trained: outputs show the pipeline, not the brain."""


class SimulatedTrainingWarning(UserWarning):
    """The weights in use were trained on simulated recordings only."""
