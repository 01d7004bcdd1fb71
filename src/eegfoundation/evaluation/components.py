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

from eegfoundation.alignments import BANDS, BROAD, N_COMPONENTS

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


def masks_of(
    n_times: int, sfreq: float, flicker_hz: Sequence[float] | None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Masks for windows of so many samples: of the flickers if there are some, else of `BANDS`."""
    freqs = np.fft.rfftfreq(n_times, 1 / sfreq)
    return flicker_masks(freqs, flicker_hz) if flicker_hz else band_masks(freqs, BANDS)


class SpectralSums:
    """What the windows of a recording share in every band, gathered block by block.

    Parameters
    ----------
    masks : sequence of (signal, noise)
        Bins of ``numpy.fft.rfftfreq(n_times)``, of each band.
    """

    def __init__(self, masks: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        self._masks = masks
        self._n_samples = 0
        self._n_windows = 0
        self._total: np.ndarray | float = 0.0  # (n_chans, n_chans), and of each band's bins:
        self._parts: list[tuple[np.ndarray | float, np.ndarray | float]] = [(0.0, 0.0)] * len(masks)
        self._taper = np.empty(0)

    def add(self, x: np.ndarray) -> None:
        """Count windows, (n, n_chans, n_times) microvolts. Unusable samples (NaN) are zero."""
        x = _centred(x)
        self._taper = np.hanning(x.shape[-1])
        spectra = np.fft.rfft(x * self._taper, axis=-1)
        self._n_windows += len(x)
        self._n_samples += len(x) * x.shape[-1]
        self._total = self._total + _products(x)
        self._parts = [
            (signal + _products(spectra[..., bins]), noise + _products(spectra[..., others]))
            for (signal, noise), (bins, others) in zip(self._parts, self._masks, strict=True)
        ]

    def filters(self) -> np.ndarray:
        """Weights of the channels in each component.

        Returns
        -------
        filters : ndarray, shape (len(masks) * N_COMPONENTS, n_chans)
            Of each band the strongest first. Each component gets the mean power of the channels,
            since amplitudes are words to the encoder. Channels without any signal are left out.
            NaN where there is no such component: of a second one with a single channel, and of all
            where there was no signal.
        """
        from scipy.linalg import eigh

        total = np.atleast_2d(self._total) / max(1, self._n_samples)
        n_chans = len(total)
        present = np.flatnonzero(np.diag(total))
        inner = np.ix_(present, present)
        total = total[inner]
        n_each = min(N_COMPONENTS, len(present))
        filters = np.full((len(self._masks), N_COMPONENTS, n_chans), np.nan)
        if not n_each:
            return filters.reshape(-1, n_chans)
        filters[:, :n_each] = 0.0
        power = np.trace(total) / len(present)
        ridge = _RIDGE * power * np.sum(self._taper**2) * np.eye(len(present))
        for own, parts, masks in zip(filters, self._parts, self._masks, strict=True):
            signal, noise = (
                np.atleast_2d(part)[inner] / max(1, self._n_windows * int(bins.sum()))
                for part, bins in zip(parts, masks, strict=True)
            )
            strongest = eigh(signal, noise + ridge)[1][:, ::-1][:, :n_each].T
            leading = np.take_along_axis(strongest, abs(strongest).argmax(1, keepdims=True), 1)
            strongest = strongest * np.sign(leading)  # else a component's sign is arbitrary
            deviation = np.sqrt(np.einsum("kc,cd,kd->k", strongest, total, strongest))
            scale = np.sqrt(power) / np.maximum(deviation, 1e-12)
            own[:n_each, present] = strongest * scale[:, None]
        return filters.reshape(-1, n_chans)


def mixed(filters: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Components (n, n_components, n_times), float32, of windows (n, n_chans, n_times)."""
    return (filters @ _centred(x)).astype(np.float32)


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
        As for `SpectralSums`.

    Returns
    -------
    components : ndarray, shape (n, len(masks) * N_COMPONENTS, n_times)
        float32; see `SpectralSums.filters`.
    """
    result = np.empty((len(x), len(masks) * N_COMPONENTS, x.shape[-1]), np.float32)
    for one in np.unique(group):
        sums = SpectralSums(masks)
        sums.add(x[group == one])
        result[group == one] = mixed(sums.filters(), x[group == one])
    return result


def _centred(x: np.ndarray) -> np.ndarray:
    x = np.nan_to_num(x.astype(np.float64))
    centred: np.ndarray = x - x.mean(-1, keepdims=True)
    return centred


def _products(x: np.ndarray) -> np.ndarray:
    """Sum over windows and bins of what channels share, (n_chans, n_chans)."""
    part = x.transpose(1, 0, 2).reshape(x.shape[1], -1)
    products: np.ndarray = (part @ part.conj().T).real
    return products
