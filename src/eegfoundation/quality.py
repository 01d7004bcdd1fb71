"""Which samples can be used, and why the others cannot."""

import numpy as np

from eegfoundation.tokenizer import MAX_ABS_UV

CAUSES = ("usable", "non-finite", "flat", "BAD annotation", "above artefact_uv")
"""Why a sample is NaN: `PreprocessedReader.read` gives positions in this tuple."""
NON_FINITE, FLAT, BAD_ANNOTATION, ARTEFACT = 1, 2, 3, 4
FLAT_UV = 0.1
"""A stretch whose peak-to-peak amplitude (microvolts) is below this carries no EEG."""

FLAT_SECONDS = 1.0  # shortest flat stretch of the source that is unusable


def are_numbers(x: np.ndarray) -> bool:
    """Whether all samples are numbers that a body could give: below a kilovolt, not NaN."""
    return bool(x.min(initial=0.0) >= -MAX_ABS_UV and x.max(initial=0.0) <= MAX_ABS_UV)


def flat_stretches(x: np.ndarray, sfreq: float) -> np.ndarray | None:
    """`FLAT` at the samples of `x` (..., T) in stretches of 1 s below `FLAT_UV`, or None."""
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    n_times = x.shape[-1]
    width = max(2, min(round(FLAT_SECONDS * sfreq), n_times))
    # Every such stretch covers a whole half-width piece: looking at a few samples of each is quick.
    piece = max(1, width // 2)
    pieces = x[..., : n_times // piece * piece].reshape(*x.shape[:-1], -1, piece)
    few = pieces[..., :: max(1, piece // 8)]
    suspects = (few.max(axis=-1) - few.min(axis=-1) < FLAT_UV).any(axis=-1)
    if not suspects.any():
        return None
    codes = np.zeros(x.shape, np.uint8)
    rows = x[suspects]
    still = maximum_filter1d(rows, width) - minimum_filter1d(rows, width) < FLAT_UV
    origin = -1 if width % 2 == 0 else 0  # the mirror image of the even window above
    codes[suspects] = maximum_filter1d(still.astype(np.uint8), width, origin=origin) * FLAT
    return codes if codes.any() else None


def usable_mean(x: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Mean over the usable samples of `x` (E, C, T) -> (E, C, 1); 0 where there are none."""
    usable = np.broadcast_to(usable, x.shape)
    count = np.maximum(usable.sum(axis=-1, keepdims=True), 1)
    total = np.sum(x, axis=-1, keepdims=True, dtype=np.float64, where=usable)
    mean: np.ndarray = total / count
    return mean.astype(np.float32)
