"""Numbers that the report shows and nothing else needs: an excerpt, spectra, directions of change.

All of them read excerpts or work on one vector per window, so that a night's recording needs no
more memory than an hour's.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.errors import ModelInputError

if TYPE_CHECKING:
    from eegfoundation.embeddings import Embeddings
    from eegfoundation.models import EEGFoundationModel
    from eegfoundation.recording import Recording

EXCERPT_SECONDS = 10.0
SPECTRUM_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Rows:
    """What the page needs of the embeddings: small, however long the recording."""

    pooled: np.ndarray
    """(n_rows, D) mean over good channels, NaN where there is none."""
    times: np.ndarray
    """(n_rows,) window centres, seconds."""
    quality: np.ndarray
    """(n_rows, n_chans) share of usable samples."""
    history: dict[str, Any]

    @classmethod
    def computed(
        cls,
        recording: Recording,
        encoder: EEGFoundationModel,
        window: float,
        overlap: float,
        progress: bool | None,
    ) -> Rows:
        """Embed a preprocessed recording, keeping one vector per window."""
        from eegfoundation.embedding import iter_embeddings
        from eegfoundation.embeddings import Embeddings

        blocks = []
        for values, times, quality in iter_embeddings(
            recording, encoder, window, overlap, progress=progress
        ):
            block = Embeddings(
                values=values, times=times, quality=quality, ch_names=recording.ch_names, history={}
            )
            blocks.append((block.pooled(), times, quality))
        pooled, times, quality = (np.concatenate(part) for part in zip(*blocks, strict=True))
        return cls(pooled, times, quality, recording.history)

    @classmethod
    def given(cls, embeddings: Embeddings, recording: Recording) -> Rows:
        """Take what `embed` computed before."""
        if embeddings.ch_names != recording.ch_names or embeddings.values.ndim != 3:
            raise ModelInputError(
                f"embeddings of shape {embeddings.values.shape} are not one vector per window and "
                f"channel of {recording.name}, which has {recording.n_chans} channels; give those "
                "that embed makes of the same recording."
            )
        return cls(embeddings.pooled(), embeddings.times, embeddings.quality, embeddings.history)


def excerpt(recording: Recording, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Up to 10 s where the signal is best, and if possible something happened.

    Returns
    -------
    x : ndarray, shape (n_chans, n_times)
        Microvolts, NaN where unusable.
    times : ndarray, shape (n_times,)
        Seconds from the first sample (of the epoch).
    """
    from eegfoundation.quality import FLAT_UV

    sfreq = recording.sfreq
    length = min(recording.n_times, round(EXCERPT_SECONDS * sfreq))
    quality = rows.quality.mean(axis=1)
    best = np.flatnonzero(quality >= quality.max() - 0.01)
    start = 0
    if recording.n_epochs is not None:
        x = recording.get_data(int(best[0]), int(best[0]) + 1)[0, :, :length]
    else:
        half = rows.history["windows"]["window"] / 2
        starts = np.round((rows.times[best] - half) * sfreq).clip(0, recording.n_times - length)
        onsets = np.sort([onset * sfreq for onset, _, _ in recording.events])
        n_onsets = np.searchsorted(onsets, starts + length) - np.searchsorted(onsets, starts)
        first_event, middle = np.argmax(n_onsets > 0), len(starts) // 2
        start = int(starts[first_event if n_onsets.any() else middle])
        x = recording.get_data(start, start + length)
    flat = np.fmax.reduce(x, axis=1) - np.fmin.reduce(x, axis=1) < FLAT_UV
    x = np.where(flat[:, None], np.nan, x)  # as `iter_windows` does
    return x, (start + np.arange(length)) / sfreq


def spectrum(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """Welch's estimate from up to 60 s that are spread over the recording.

    Returns
    -------
    freqs : ndarray, shape (n_freqs,)
        Hz.
    psd : ndarray, shape (n_chans, n_freqs)
        Microvolts squared per Hz. Segments of 2 s with an unusable sample are left out; NaN where
        none is left.
    """
    sfreq, n_times = recording.sfreq, recording.n_times
    size = min(round(2 * sfreq), n_times)
    if recording.n_epochs is not None:
        n_pieces = min(recording.n_epochs, max(1, int(SPECTRUM_SECONDS * sfreq / n_times)))
        chosen = np.linspace(0, recording.n_epochs - 1, n_pieces).round().astype(int).tolist()
        pieces = (recording.get_data(i, i + 1)[0] for i in chosen)
    else:
        length = min(n_times, round(SPECTRUM_SECONDS / 6 * sfreq))
        starts = np.unique(np.linspace(0, n_times - length, 6).astype(int)).tolist()
        pieces = (recording.get_data(start, start + length) for start in starts)
    taper = np.hanning(size + 1)[:-1]
    power = np.zeros((recording.n_chans, size // 2 + 1))
    count = np.zeros((recording.n_chans, 1))
    for piece in pieces:
        segments = np.lib.stride_tricks.sliding_window_view(piece, size, axis=-1)
        segments = segments[:, :: max(1, size // 2)].astype(float)
        usable = np.isfinite(segments).all(axis=-1, keepdims=True)
        segments = np.where(usable, segments, 0.0)
        segments -= segments.mean(axis=-1, keepdims=True)
        power += (np.abs(np.fft.rfft(segments * taper)) ** 2).sum(axis=1)
        count += usable.sum(axis=1)
    psd = np.where(count > 0, power / np.maximum(count, 1), np.nan)
    return np.fft.rfftfreq(size, 1 / sfreq), psd * 2 / (sfreq * (taper**2).sum())


def principal_components(pooled: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Main directions in which the windows' embeddings differ.

    Parameters
    ----------
    pooled : ndarray, shape (n_rows, D)
        NaN where a window has no usable channel.

    Returns
    -------
    scores : ndarray, shape (n_rows, K)
        On the first components, two or three; NaN where the embedding is.
    explained : ndarray, shape (K,)
        Shares of the variance. None instead of both if fewer than three windows are usable, or
        these do not differ.
    """
    usable = np.isfinite(pooled).all(axis=1)
    if usable.sum() < 3:
        return None
    x = pooled[usable].astype(float)
    u, s, vt = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    if s[0] <= 1e-6 * np.abs(x).max():
        return None
    n_kept = min(3, len(s))
    # a component and its mirror image are the same: the largest loading decides
    sign = np.sign(vt[np.arange(n_kept), np.abs(vt[:n_kept]).argmax(axis=1)])
    scores = np.full((len(pooled), n_kept), np.nan)
    scores[usable] = u[:, :n_kept] * s[:n_kept] * sign
    return scores, (s**2 / (s**2).sum())[:n_kept]


def similarity(pooled: np.ndarray) -> np.ndarray:
    """Correlation (n_rows, n_rows) between embeddings (n_rows, D), each less the mean over time."""
    usable = np.isfinite(pooled).all(axis=1)
    x = pooled[usable] - pooled[usable].mean(axis=0)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    matrix = np.full((len(pooled), len(pooled)), np.nan)
    matrix[np.ix_(usable, usable)] = x @ x.T
    return matrix
