"""How channels go together, which an encoder that hears each of them alone cannot tell.

Beside the probe on context vectors, a second one learns from what is known to suit several
channels: covariance matrices in bands, as tangent vectors (Barachant et al. 2012,
doi:10.1109/TBME.2011.2172210), or canonical correlations with flickers (Lin et al. 2006,
doi:10.1109/TBME.2006.886577), both as in `eegfoundation.evaluation.baselines`. The probabilities of
the two are averaged.

Where recordings are aligned, matrices are recentred by their geometric mean, and correlations
standardised, over the windows of the recording.

Shape legend: n windows, C channels, T samples, F bands or flickers, d features. What is measured of
windows is (n, F, C, C), matrices, or (n, F), correlations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eegfoundation.alignments import BANDS

if TYPE_CHECKING:
    from torch import Tensor

    from eegfoundation.models import DownstreamConfig, EEGFoundationForClassification
    from eegfoundation.tasks.trials import Trials

#: Windows of a recording that its mean is taken of, spread over all of it.
MAX_WINDOWS = 500


def measure(x: np.ndarray, config: DownstreamConfig) -> np.ndarray:
    """Covariance matrices in every band, or correlations with every flicker.

    Parameters
    ----------
    x : ndarray, shape (n, C, T)
        Microvolts, NaN where unusable.
    config : DownstreamConfig
        Says how `x` was preprocessed, and what flickers there are.

    Returns
    -------
    measured : ndarray, shape (n, F, C, C) or (n, F)
        NaN for a window without a usable channel.
    """
    from eegfoundation.evaluation import baselines

    sfreq, lowpass = (config.preprocessing[name] for name in ("sfreq", "lowpass"))
    if config.flicker_hz:
        found = baselines.canonical_correlations(x, sfreq, config.flicker_hz, lowpass)
        found[~np.isfinite(x).any((1, 2))] = np.nan
        return found
    parts = [baselines.band_pass(x, sfreq, *band) for band in BANDS]
    return np.stack([baselines.covariances(part) for part in parts], axis=1)


def spread(n: int) -> np.ndarray:
    """Which of a recording's n windows its mean is taken of."""
    return np.unique(np.linspace(0, n - 1, min(n, MAX_WINDOWS)).astype(int))


class Centre:
    """What the windows of a recording share, taken out of each.

    Parameters
    ----------
    measured : ndarray, shape (n, F, C, C) or (n, F)
        Of the recording's windows.
    """

    def __init__(self, measured: np.ndarray) -> None:
        from pyriemann.geometry.base import invsqrtm

        known = measured[_known(measured)]
        self._root: np.ndarray | None = None
        self._moments: tuple[np.ndarray, np.ndarray] | None = None
        if len(known) and measured.ndim == 2:
            self._moments = known.mean(0), known.std(0) + 1e-6
        elif len(known):
            self._root = np.stack([invsqrtm(one) for one in reference_of(known)])

    def __call__(self, measured: np.ndarray) -> np.ndarray:
        """Recentre matrices, standardise correlations."""
        if self._root is not None:
            return self._root @ measured @ self._root
        if self._moments is not None:
            mean, deviation = self._moments
            return (measured - mean) / deviation
        return measured  # nothing is known of the recording


def reference_of(measured: np.ndarray) -> np.ndarray:
    """Geometric mean (F, C, C) of matrices, identity without any; of correlations nothing, (0,)."""
    from eegfoundation.evaluation.alignment import geometric_mean

    if measured.ndim == 2:
        return np.empty(0)
    known = measured[_known(measured)]
    if not len(known):
        return np.tile(np.eye(measured.shape[-1]), (measured.shape[1], 1, 1))
    return np.stack([geometric_mean(known[:, band]) for band in range(known.shape[1])])


def vectors(measured: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Features (n, d), float32: tangent vectors at a reference (F, C, C), or correlations."""
    from pyriemann.geometry.tangentspace import tangent_space

    if measured.ndim == 2:
        return measured.astype(np.float32)
    known = _known(measured)
    n_bands, n_chans = measured.shape[1:3]
    result = np.full((len(measured), n_bands, n_chans * (n_chans + 1) // 2), np.nan, np.float32)
    for band, one in enumerate(reference):
        result[known, band] = tangent_space(measured[known, band], one, metric="riemann")
    return result.reshape(len(measured), -1)


class CovarianceFeatures:
    """What a classifier asks of the windows of one recording, besides what its encoder hears.

    Parameters
    ----------
    model : EEGFoundationForClassification
        With ``config.covariance``.
    positions : ndarray, shape (C, 3)
        Of the recording's channels, metres, NaN where unknown. Matrices are of the classifier's own
        electrodes: each is the nearest channel, as for the rest of the readout, and an electrode
        that has none of its own counts as absent.

    Raises
    ------
    ModelInputError
        If no channel lies near one of the classifier's electrodes.
    """

    def __init__(self, model: EEGFoundationForClassification, positions: np.ndarray) -> None:
        import torch

        self._config = model.config
        self.reference = model.covariance.reference.double().cpu().numpy()
        self._gathered: list[np.ndarray] = []
        self._centre: Centre | None = None
        n_signals = len(positions) + len(model.config.component_names)
        places = torch.from_numpy(positions).to(model.device, model.dtype)[None]
        nearest, found = model.readout.match(places, torch.Size((1, n_signals)))
        n_own = model.config.num_channel
        self._nearest = nearest[0, :n_own].cpu().numpy()
        # of electrodes with the same channel, the nearest has it
        apart = model.readout.electrodes.cpu().numpy() - positions[self._nearest]
        order = np.argsort(np.nan_to_num(np.linalg.norm(apart, axis=1)), kind="stable")
        has_own = np.zeros(n_own, dtype=bool)
        has_own[order[np.unique(self._nearest[order], return_index=True)[1]]] = True
        self._absent = ~(found[0, :n_own].cpu().numpy() & has_own)

    def add(self, x: np.ndarray) -> None:
        """Count windows (n, C, T), microvolts, for the mean of the recording."""
        self._gathered.append(self.measured(x))

    def finish(self) -> None:
        """Learn what the counted windows share."""
        self._centre = Centre(np.concatenate(self._gathered))
        self._gathered = []

    def __call__(self, x: np.ndarray) -> Tensor:
        """Features (n, d) of windows (n, C, T)."""
        import torch

        measured = self.measured(x)
        if self._centre is not None:
            measured = self._centre(measured)
        return torch.from_numpy(vectors(measured, self.reference))

    def measured(self, x: np.ndarray) -> np.ndarray:
        """As `measure`, of the classifier's own electrodes."""
        if self._config.flicker_hz:  # any channels do
            return measure(x, self._config)
        own = x[:, self._nearest]
        own[:, self._absent] = np.nan
        return measure(own, self._config)


def centred_trials(trials: Trials, config: DownstreamConfig) -> np.ndarray:
    """What is measured of windows to learn from, each session centred if it is to be aligned."""
    return _centred(measure(trials.x, config), trials, config)


def features_of_trials(model: EEGFoundationForClassification, trials: Trials) -> Tensor:
    """As `CovarianceFeatures`, of the windows of several sessions, (n, d)."""
    import torch

    features = CovarianceFeatures(model, trials.positions)
    measured = _centred(features.measured(trials.x), trials, model.config)
    return torch.from_numpy(vectors(measured, features.reference))


def _centred(measured: np.ndarray, trials: Trials, config: DownstreamConfig) -> np.ndarray:
    if config.alignment == "none":
        return measured
    session = trials.group("session")
    result = np.empty_like(measured)
    for one in np.unique(session):
        own = measured[session == one]
        result[session == one] = Centre(own[spread(len(own))])(own)
    return result


def _known(measured: np.ndarray) -> np.ndarray:
    """(n,) windows of which anything could be measured."""
    return np.isfinite(measured).all(tuple(range(1, measured.ndim)))
