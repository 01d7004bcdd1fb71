"""Components of a recording: what oscillates stands out, found without labels.

Spatio-spectral decomposition (Nikulin et al. 2011, doi:10.1016/j.neuroimage.2011.01.057): those
mixtures of channels in which a band is strongest beside the other frequencies, by generalised
eigenvectors of two covariance matrices. The encoder hears one signal at a time; a component is one
in which several channels have joined, so it hears through it what no channel tells alone.

Covariances are taken from the spectra of the windows: windows of a few seconds are too short for
the filters that `mne.decoding.SSD` would apply to them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Components per band.
N_COMPONENTS = 2
#: Hz: all that bands are compared with.
BROAD = (1.0, 45.0)
#: Hz to either side of a flicker and its second harmonic: what it is compared with.
FLANK = 2.0
_RIDGE = 1e-3  # of the mean power: channels that depend on each other leave directions empty


def band_masks(
    freqs: np.ndarray, bands: Sequence[tuple[float, float]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each band the bins (n_freqs,) inside, and those of the broad band outside.

    Parameters
    ----------
    freqs : ndarray, shape (n_freqs,)
        Hz.
    bands : sequence of (low, high)
        Hz, from low to below high.
    """
    broad = (freqs >= BROAD[0]) & (freqs <= BROAD[1])
    inside = [(freqs >= low) & (freqs < high) for low, high in bands]
    return [(one, broad & ~one) for one in inside]


def flicker_masks(
    freqs: np.ndarray, frequencies: Sequence[float]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """As `band_masks`, of each flicker and its second harmonic, to the next bin, and beside it."""
    step = 1.01 * (freqs[1] - freqs[0])
    masks = []
    for frequency in frequencies:
        distance = np.minimum(abs(freqs - frequency), abs(freqs - 2 * frequency))
        masks.append((distance <= step, (distance > step) & (distance <= step + FLANK)))
    return masks


def components(
    x: np.ndarray, group: np.ndarray, masks: Sequence[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Mix the channels of each group of windows into components.

    Parameters
    ----------
    x : ndarray, shape (n, n_chans, n_times)
        Microvolts. Unusable samples (NaN) count as zero.
    group : ndarray, shape (n,)
        Recording of each window.
    masks : sequence of (signal, noise)
        Bins of ``numpy.fft.rfftfreq(n_times)``, of each band.

    Returns
    -------
    components : ndarray, shape (n, len(masks) * n_components, n_times)
        float32; of each band the strongest `N_COMPONENTS`, or as many as there are channels. Each
        has the group's mean power, since amplitudes are words to the encoder. NaN where a group has
        no signal.
    """
    from scipy.linalg import eigh

    n, n_chans, n_times = x.shape
    n_each = min(N_COMPONENTS, n_chans)
    result = np.full((n, len(masks) * n_each, n_times), np.nan, np.float32)
    taper = np.hanning(n_times)
    for one in np.unique(group):
        part = np.nan_to_num(x[group == one].astype(np.float64))
        part -= part.mean(-1, keepdims=True)
        power = np.mean(part**2)
        if power == 0:
            continue
        spectra = np.fft.rfft(part * taper, axis=-1)
        ridge = _RIDGE * power * np.sum(taper**2) * np.eye(n_chans)
        filters = []
        for signal, noise in masks:
            noisy = _covariance(spectra, noise) + ridge
            strongest = eigh(_covariance(spectra, signal), noisy)[1][:, ::-1][:, :n_each].T
            leading = np.take_along_axis(strongest, abs(strongest).argmax(1, keepdims=True), 1)
            filters.append(strongest * np.sign(leading))  # else a component's sign is arbitrary
        mixed = np.concatenate(filters) @ part
        deviation = mixed.std((0, 2), keepdims=True)
        result[group == one] = mixed / np.maximum(deviation, 1e-12) * np.sqrt(power)
    return result


def _covariance(spectra: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Mean over windows and bins of what channels share, (n_chans, n_chans)."""
    part = spectra[..., bins].transpose(1, 0, 2).reshape(spectra.shape[1], -1)
    shared: np.ndarray = (part @ part.conj().T).real / max(1, part.shape[1])
    return shared
