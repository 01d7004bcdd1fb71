"""What a recording says about itself, held against itself: names, positions, mains, band.

A study is ruined by what raises no error: left and right swapped, a notch at the wrong mains
frequency, a signal that was resampled before. Here is looked for what can be known from a recording
alone. What contradicts itself is warned of, what is only worth knowing is noted; both go to the
`history` ("contradictions", "notes"), which is written beside every output.

Trade-off: thresholds are wide. A note on a good file is worse than none, so small mistakes (two
neighbours swapped, a gain off by two) pass. docs/silent_errors.md lists what cannot be seen.
"""

import functools
import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from eegfoundation.quality import FLAT_UV

if TYPE_CHECKING:
    from eegfoundation.recording import Recording

logger = logging.getLogger("eegfoundation")

_FAR = 0.04  # metres between an electrode and its name's place, after a fit
_AGREES, _DISAGREES = 0.8, 0.5  # cosine between places and names, along one axis
_OFF_CENTRE = 0.025  # metres from the middle of the head, to be called left or right
_EDGE_DB = 20.0  # fall at the edge of a filter; EEG and noise fall by 2 to 5 dB over the same range
_ZERO_SUM = 0.02  # SD of the mean over channels, in SDs of a channel: 1 / 22 for 500 unrelated ones
_MOST_VALUES = 4e6  # in an excerpt, where that leaves 8 s: what 64 channels at 1 kHz have in 60 s


class Excerpt(NamedTuple):
    """Pieces of the good channels, and their median spectrum."""

    ch_names: list[str]
    x: np.ndarray
    """(n_pieces, n_chans, n_times) microvolts."""
    sfreq: float
    spectrum: tuple[np.ndarray, np.ndarray] | None
    """Frequencies and power; None if there is too little to tell."""


@functools.lru_cache(maxsize=4096)
def warn_once(text: str) -> None:
    """Log a contradiction; a recording that is read again does not repeat itself."""
    logger.warning(text)


def check_positions(
    ch_names: Sequence[str], expected: np.ndarray, found: np.ndarray
) -> tuple[list[str], bool]:
    """Compare the positions that came with a recording with those that its names have.

    Parameters
    ----------
    ch_names : sequence of str
    expected, found : ndarray, shape (n_chans, 3)
        By name, and as recorded, in MNE's head frame; NaN where unknown. `found` may be of any
        scale.

    Returns
    -------
    contradictions : list of str
        None if fewer than two electrodes off the midline can be compared.
    usable : bool
        False if the positions as a whole are mirrored, turned or shuffled.

    Notes
    -----
    No error, because nobody can tell here which of the two is wrong. Positions are taken from the
    names; they are right if a file was written in another frame, and wrong if its labels are.
    """
    with np.errstate(invalid="ignore"):
        size = np.linalg.norm(found, axis=1)
        known = np.isfinite(expected).all(axis=1) & np.isfinite(size) & (size > 0)
    expected, found = expected[known].astype(float), found[known].astype(float)
    names = [name for name, is_known in zip(ch_names, known, strict=True) if is_known]
    agreement = [_agreement(expected[:, axis], found[:, axis]) for axis in (0, 1)]
    known_axes = [value for value in agreement if value is not None]
    swapped = [
        words
        for words, value in zip(("left and right", "front and back"), agreement, strict=True)
        if value is not None and value < 0
    ]
    if swapped and all(abs(value) > _AGREES for value in known_axes):
        what = f"swap {' and '.join(swapped)} against the channel names"
    elif len(names) >= 4 and any(value < _DISAGREES for value in known_axes):
        what = "do not fit the channel names (turned, or in another order)"
    else:
        if far := _far_from_names(names, expected, found):
            return [
                f"electrodes more than {_FAR * 100:g} cm from where their names belong: "
                f"{', '.join(far[:8])}{', ...' if far[8:] else ''}; the names are believed"
            ], True
        return [], True
    return [
        f"the positions in the source {what}: the names are believed, positions are those of "
        "standard electrodes of these names; check which of the two is wrong"
    ], False


def excerpt(recording: "Recording", seconds: float = 60.0, n_pieces: int = 6) -> Excerpt:
    """Read up to `seconds` of the good channels from places spread over the recording."""
    good = np.flatnonzero(~np.isin(recording.ch_names, recording.bads))  # perhaps none
    sfreq = recording.sfreq
    seconds = min(seconds, max(8.0, _MOST_VALUES / (recording.n_chans * sfreq)))
    if recording.n_epochs is not None:
        budget = int(seconds * sfreq / recording.n_times)
        n_kept = min(recording.n_epochs, max(1, budget))
        chosen = np.linspace(0, recording.n_epochs - 1, n_kept).round().astype(int)
        x = np.concatenate([recording.get_data(i, i + 1)[:, good] for i in chosen])
    elif recording.duration <= seconds:
        x = recording.get_data()[good][None]
    else:
        length = int(seconds / n_pieces * sfreq)
        starts = np.linspace(0, recording.n_times - length, n_pieces).astype(int)
        x = np.stack([recording.get_data(a, a + length)[good] for a in starts.tolist()])
    return Excerpt([recording.ch_names[i] for i in good], x, sfreq, median_spectrum(x, sfreq))


def median_spectrum(data: np.ndarray, sfreq: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Welch spectrum (frequencies, power), median over rows; None below 8 s in all, 1 s in one.

    Rows with non-finite samples are left out.
    """
    from scipy.signal import welch

    rows = data.reshape(-1, data.shape[-1])
    rows = rows[np.isfinite(rows).all(axis=1)]
    if rows.shape[1] < sfreq or rows.size < 8 * sfreq:
        return None
    with np.errstate(over="ignore", invalid="ignore"):  # of amplitudes that are no EEG
        freqs, psd = welch(rows, sfreq, nperseg=min(round(2 * sfreq), rows.shape[1]))
    return freqs, np.median(psd, axis=0)


def line_peak(freqs: np.ndarray, spectrum: np.ndarray, sfreq: float) -> float | None:
    """Mains frequency (50 or 60 Hz) that stands out of a spectrum, or None.

    A peak within 0.5 Hz of the candidate has to be at least 6 dB above the median of its
    neighbours, 3 to 8 Hz away on both sides.
    """
    found: dict[float, float] = {}
    for candidate in (50.0, 60.0):
        distance = np.abs(freqs - candidate)
        around = (distance >= 3) & (distance <= 8) & (freqs < 0.49 * sfreq)
        level = np.median(spectrum[around]) if around.any() else 0.0
        if candidate + 0.5 < sfreq / 2 and level > 0:
            found[candidate] = float(spectrum[distance <= 0.5].max() / level)
    best = max(found, key=lambda freq: found[freq], default=None)
    return best if best is not None and found[best] >= 10**0.6 else None


def band_limit(freqs: np.ndarray, spectrum: np.ndarray) -> float | None:
    """Frequency in Hz above which a filter left nothing, far below the Nyquist frequency, or None.

    The edge of a filter is a fall of 20 dB or more within a third of an octave, to a level that
    nothing above it exceeds again.
    """
    from scipy.ndimage import median_filter

    # mains and other lines are narrower than half of these 4.5 Hz
    level = 10 * np.log10(np.maximum(median_filter(spectrum, 9), 1e-12))
    nyquist = freqs[-1]
    inside = freqs <= 0.95 * nyquist
    highest_above = np.maximum.accumulate(level[inside][::-1])[::-1]
    best, edge = _EDGE_DB, None
    for freq in freqs[(freqs >= 20) & (freqs <= 0.8 * nyquist)]:  # an alpha peak falls as steeply
        before = float(np.median(level[(freqs > 0.75 * freq) & (freqs <= freq)]))
        after = highest_above[min(np.searchsorted(freqs, 1.15 * freq + 1), len(highest_above) - 1)]
        if before - after >= best:
            best = before - after
            passed = (freqs <= 1.15 * freq) & (level >= before - 6)
            edge = float(freqs[passed].max())
    return edge


def mains_elsewhere(sample: Excerpt, line_freq: float) -> str | None:
    """Note that the mains peak is not where the notch was asked for, or None."""
    found = None if sample.spectrum is None else line_peak(*sample.spectrum, sample.sfreq)
    if found is None or abs(found - line_freq) <= 2:
        return None
    return (
        f"a notch at {line_freq:g} Hz was asked for, but the spectrum has its mains peak at "
        f"{found:g} Hz: correct line_freq"
    )


def same_signal(sample: Excerpt) -> str | None:
    """Note that channels are copies of each other, or None."""
    first: dict[bytes, str] = {}
    pairs = []
    for i in np.flatnonzero(_span(sample.x) >= FLAT_UV):
        name = sample.ch_names[i]
        known = first.setdefault(sample.x[:, i].tobytes(), name)
        if known != name:
            pairs.append(f"{name} and {known}")
    if not pairs:
        return None
    more = f" and {len(pairs) - 4} more" if pairs[4:] else ""
    return f"the same samples under two names: {', '.join(pairs[:4])}{more}"


def peculiarities(sample: Excerpt, band: float, reference: str) -> list[str]:
    """What is no contradiction, but worth knowing.

    Parameters
    ----------
    sample : Excerpt
    band : float
        Hz up to which preprocessing keeps the signal.
    reference : str
        That preprocessing makes.
    """
    notes = []
    span = _span(sample.x)
    flat = (span >= 0) & (span < FLAT_UV)
    if flat.any() and not flat.all():
        names = [name for name, is_flat in zip(sample.ch_names, flat, strict=True) if is_flat]
        notes.append(
            f"flat throughout, so not used: {', '.join(names[:8])}{', ...' if names[8:] else ''} "
            "(the reference electrode, or not connected)"
        )
    edge = None if sample.spectrum is None else band_limit(*sample.spectrum)
    if edge is not None and edge < 0.9 * band:
        notes.append(
            f"nothing above about {edge:.0f} Hz, at {sample.sfreq:g} Hz sampling: low-passed or "
            "resampled before"
        )
    if reference in ("as recorded", "soft average") and _sums_to_zero(sample, flat):
        notes.append("channels sum to zero: they came with an average reference")
    return notes


def _agreement(expected: np.ndarray, found: np.ndarray) -> float | None:
    """1 where one coordinate of the electrodes off the middle agrees, -1 where it is mirrored."""
    off = np.abs(expected) > _OFF_CENTRE
    size = math.sqrt(float(np.square(expected[off]).sum() * np.square(found[off]).sum()))
    if off.sum() < 2 or size == 0:
        return None
    return float((expected[off] * found[off]).sum() / size)


def _far_from_names(names: list[str], expected: np.ndarray, found: np.ndarray) -> list[str]:
    """Electrodes that stay away after the head was moved, turned and scaled to fit the others."""
    if len(names) < 8:
        return []
    weight = np.ones(len(names))
    distance = np.zeros(len(names))
    for _ in range(10):  # those far away count less each time
        w = (weight / weight.sum())[:, None]
        a, b = found - (w * found).sum(axis=0), expected - (w * expected).sum(axis=0)
        u, s, vt = np.linalg.svd((w * a).T @ b)
        turn = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])  # never a mirror image
        scale = (s * turn).sum() / (w * np.square(a)).sum()
        distance = np.linalg.norm(scale * a @ ((u * turn) @ vt) - b, axis=1)
        weight = 1 / (distance + 0.005)
    return [name for name, far in zip(names, distance > _FAR, strict=True) if far]


def _span(x: np.ndarray) -> np.ndarray:
    """(n_chans,) largest minus smallest number of a channel; -inf for one without any."""
    finite = np.isfinite(x)
    if finite.all():
        return np.asarray(x.max(axis=(0, 2)) - x.min(axis=(0, 2)))
    high = np.where(finite, x, -np.inf).max(axis=(0, 2))
    low = np.where(finite, x, np.inf).min(axis=(0, 2))
    return np.asarray(high - low)


def _sums_to_zero(sample: Excerpt, flat: np.ndarray) -> bool:
    """Whether the mean over channels is nothing beside a channel."""
    single = np.array(["-" not in name for name in sample.ch_names], dtype=bool)
    x = sample.x[:, single]
    if x.shape[1] - flat[single].sum() < 4 or not np.isfinite(x).all():
        return False
    x = x - x.mean(axis=-1, keepdims=True)
    alive = ~flat[single]
    x = x.astype(np.float64)  # squares of amplitudes that are no EEG are beyond float32
    return bool(x.mean(axis=1).std() < _ZERO_SUM * np.median(x[:, alive].std(axis=(0, 2))))
