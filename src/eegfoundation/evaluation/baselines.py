"""What our encoder has to beat: band power, covariance, canonical correlation.

Each is a function from windows to features; the probe that scores them is the one that scores ours
(`eegfoundation.probe`). None of them is new and all of them are strong: on recordings that are
standardised without labels, log band power and a linear model come close to what large models
publish.

Unusable samples (NaN) count as the channel's mean; a channel without any usable sample has NaN as
its features, which the probe reads as "like the average training window".

- Log band power: in bins of 1 Hz or in classic bands, of the whole window or by Welch's method.
- Tangent space: covariance matrices shrunk towards a sphere, seen from their geometric mean
  (Barachant et al. 2012, doi:10.1109/TBME.2011.2172210), of the whole signal or in every band.
- Canonical correlation with sines of the flicker and its harmonics (Lin et al. 2006,
  doi:10.1109/TBME.2006.886577).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eegfoundation.evaluation.alignment import geometric_mean

ONE_HERTZ = tuple((f - 0.5, f + 0.5) for f in range(1, 46))
WELCH_SECONDS = 1.0
N_HARMONICS = 3

_RIDGE = 1e-6  # microvolts squared: a channel that never varies is no reason to fail


def band_power(
    x: np.ndarray,
    sfreq: float,
    bands: Sequence[tuple[float, float]],
    piece: float | None = None,
) -> np.ndarray:
    """Log power per channel and band.

    Parameters
    ----------
    x : ndarray, shape (n, n_chans, n_times)
        Microvolts, NaN where unusable.
    sfreq : float
        Hz.
    bands : sequence of (low, high)
        Hz, from low to below high. A band that lies between two frequencies of a short window has
        the power of the nearest.
    piece : float | None
        Average over pieces of so many seconds that overlap by half (Welch), less noisy and less
        fine; None: the whole window under one taper.

    Returns
    -------
    features : ndarray, shape (n, n_chans * n_bands)
        Natural logarithm of microvolts squared per Hz.
    """
    filled, absent = _filled(x)
    n = x.shape[-1] if piece is None else min(x.shape[-1], round(piece * sfreq))
    taper = np.hanning(n + 2)[1:-1].astype(np.float32)
    freqs = np.fft.rfftfreq(n, 1 / sfreq)
    inside = [(freqs >= low) & (freqs < high) for low, high in bands]
    for (low, high), chosen in zip(bands, inside, strict=True):
        if not chosen.any():
            chosen[np.argmin(np.abs(freqs - (low + high) / 2))] = True
    total = np.zeros((*x.shape[:2], len(freqs)))
    starts = range(0, x.shape[-1] - n + 1, max(1, n // 2))
    for start in starts:
        part = filled[..., start : start + n]
        total += np.abs(np.fft.rfft((part - part.mean(-1, keepdims=True)) * taper)) ** 2
    power = total / (len(starts) * sfreq * float((taper**2).sum()))
    mean = np.stack([power[..., chosen].mean(-1) for chosen in inside], -1)
    result = np.log(mean + 1e-3)
    result[absent] = np.nan
    return result.reshape(len(x), -1).astype(np.float32)


def band_pass(x: np.ndarray, sfreq: float, low: float, high: float) -> np.ndarray:
    """Windows in one band: Butterworth of order 4, forwards and backwards.

    Parameters
    ----------
    x : ndarray, shape (n, n_chans, n_times)
        Microvolts, NaN where unusable.
    sfreq, low, high : float
        Hz; a band whose upper edge the sampling rate cannot show is cut there.

    Returns
    -------
    filtered : ndarray, shape (n, n_chans, n_times)
        NaN where a channel has no usable sample.
    """
    from scipy.signal import butter, sosfiltfilt

    filled, absent = _filled(x)
    sos = butter(4, (low, min(high, 0.49 * sfreq)), "bandpass", fs=sfreq, output="sos")
    n_pad = min(x.shape[-1] - 1, round(sfreq))
    result = sosfiltfilt(sos, filled, axis=-1, padlen=n_pad).astype(np.float32)
    result[absent] = np.nan
    return result


def covariances(x: np.ndarray) -> np.ndarray:
    """Covariance of every window, shrunk (oracle approximating shrinkage, Chen et al. 2010).

    Parameters
    ----------
    x : ndarray, shape (n, n_chans, n_times)
        Microvolts, NaN where unusable.

    Returns
    -------
    covariances : ndarray, shape (n, n_chans, n_chans)
        Positive definite. An absent channel has the mean power of the present ones and goes with
        none of them; a window without any channel is NaN.
    """
    from sklearn.covariance import oas

    filled, absent = _filled(x)
    result = np.full((len(x), x.shape[1], x.shape[1]), np.nan)
    for one, signal, gone in zip(result, filled.astype(np.float64), absent, strict=True):
        if gone.all():
            continue
        present = np.flatnonzero(~gone)
        one[:] = 0
        one[np.ix_(present, present)] = oas(signal[present].T)[0] + _RIDGE * np.eye(len(present))
        one[gone, gone] = one[present, present].mean()
    return result


def tangent_features(matrices: np.ndarray, fitted_on: np.ndarray) -> np.ndarray:
    """Tangent vectors of covariance matrices at the geometric mean of some of them.

    Parameters
    ----------
    matrices : ndarray, shape (n, n_chans, n_chans)
        Positive definite, or NaN.
    fitted_on : ndarray of int
        Positions of those whose mean is the reference: what is learnt from.

    Returns
    -------
    features : ndarray, shape (n, n_chans * (n_chans + 1) / 2)
        NaN for a window without a matrix.
    """
    from pyriemann.geometry.tangentspace import tangent_space

    n_chans = matrices.shape[-1]
    known = np.isfinite(matrices).all((1, 2))
    result = np.full((len(matrices), n_chans * (n_chans + 1) // 2), np.nan, dtype=np.float32)
    reference = geometric_mean(matrices[fitted_on[known[fitted_on]]])
    result[known] = tangent_space(matrices[known], reference, metric="riemann")
    return result


def canonical_correlations(
    x: np.ndarray, sfreq: float, frequencies: Sequence[float], lowpass: float | None = None
) -> np.ndarray:
    """Largest canonical correlation of each window with each flicker and its harmonics.

    Parameters
    ----------
    x : ndarray, shape (n, n_chans, n_times)
        Microvolts, NaN where unusable.
    sfreq : float
        Hz.
    frequencies : sequence of float
        Hz.
    lowpass : float | None
        Harmonics above it are left out, and those that the sampling rate cannot show.

    Returns
    -------
    correlations : ndarray, shape (n, n_frequencies)
        0 to 1; 0 for a window without signal.
    """
    filled, _ = _filled(x)
    signal = filled - filled.mean(-1, keepdims=True)
    values, vectors = np.linalg.eigh(signal @ signal.transpose(0, 2, 1).astype(np.float64))
    kept = values > np.maximum(1e-9 * values[:, -1:], 1e-12)
    root = np.where(kept, 1 / np.sqrt(np.where(kept, values, 1)), 0)
    white = (vectors * root[:, None]).transpose(0, 2, 1) @ signal  # rows orthonormal, or 0
    times = np.arange(x.shape[-1]) / sfreq
    top = min(lowpass or np.inf, sfreq / 2)
    result = np.empty((len(x), len(frequencies)))
    for column, frequency in zip(result.T, frequencies, strict=True):
        harmonics = [h for h in range(1, N_HARMONICS + 1) if h == 1 or h * frequency < top]
        phase = 2 * np.pi * frequency * np.outer(times, harmonics)
        waves = np.hstack([np.sin(phase), np.cos(phase)])
        basis, _ = np.linalg.qr(waves - waves.mean(0))
        column[:] = np.linalg.svd(white @ basis, compute_uv=False)[:, 0]
    return np.clip(result, 0, 1)


def _filled(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signals with their means where unusable, and which channels have nothing usable."""
    usable = np.isfinite(x)
    n = usable.sum(-1, keepdims=True)
    mean = np.where(usable, x, 0).sum(-1, keepdims=True) / np.maximum(n, 1)
    return np.where(usable, x, mean).astype(np.float32), n[..., 0] == 0
