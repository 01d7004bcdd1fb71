"""Alignment of a stream: from what was there so far, since the rest is not known.

Offline, a classifier that was trained on aligned recordings looks at all windows of a recording
before it decides on the first (`eegfoundation.prediction`). In a stream, the first minute is looked
at and nothing is predicted. Then *euclidean* whitens with the covariance of that minute,
*components* are those of that minute, and covariances are centred by its mean, for good;
*standardise* goes on learning: its mean and deviation are those of all windows so far. Only windows
that do not overlap count, as offline. The first predictions of a session are therefore less sure
than later ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eegfoundation.alignments import standardises
from eegfoundation.errors import ConfigError
from eegfoundation.recording_alignment import Moments, SignalAlignment

if TYPE_CHECKING:
    import torch

    from eegfoundation.covariance import CovarianceFeatures
    from eegfoundation.models import DownstreamConfig, EEGFoundationModel


class CausalAlignment:
    """What all windows of a stream share, taken out of each.

    Parameters
    ----------
    config : DownstreamConfig
        Of the classifier: what it wants.
    encoder : EEGFoundationModel
        Gives the context vectors that are standardised.
    together : CovarianceFeatures | None
        What else the classifier asks of a window.
    calibration : float
        Seconds of signal to look at first.
    sfreq : float
        Of the windows, Hz.

    Raises
    ------
    ConfigError
        The calibration is no positive time.
    """

    def __init__(
        self,
        config: DownstreamConfig,
        encoder: EEGFoundationModel,
        together: CovarianceFeatures | None,
        calibration: float,
        sfreq: float,
    ) -> None:
        if not 0 < calibration < float("inf"):
            raise ConfigError(f"calibration must be a positive time, found {calibration!r} s.")
        self.calibration = calibration
        self.standardises = standardises(config.alignment)
        self._encoder, self._together = encoder, together
        self._n_wanted = calibration * sfreq
        self._windows: list[np.ndarray] = []  # of the calibration
        self._n_samples = 0
        self._observed: int | None = None  # where the last window that counted ended
        self._signal, self._moments = SignalAlignment(config), Moments()

    @property
    def seconds_left(self) -> float:
        """Of the calibration; 0 when it is over."""
        return self.calibration * max(0.0, 1 - self._n_samples / self._n_wanted)

    def __call__(self, x: np.ndarray, n_seen: int) -> dict[str, torch.Tensor] | None:
        """Align a window.

        Parameters
        ----------
        x : ndarray, shape (n_chans, n_times)
            Microvolts, NaN where unusable.
        n_seen : int
            Samples of the stream at its end.

        Returns
        -------
        inputs : dict of Tensor | None
            As of `eegfoundation.recording_alignment.alignment_of`, of one window; None during the
            calibration.
        """
        import torch

        counts = self._observed is None or n_seen - self._observed >= x.shape[1]
        self._observed = n_seen if counts else self._observed
        if self._n_samples < self._n_wanted or len(self._windows) == 1:
            if counts:
                self._windows.append(x.copy())
                self._n_samples += x.shape[1]
                if self._n_samples >= self._n_wanted and len(self._windows) > 1:
                    self._finish()
            return None
        signal = self._signal(x[None])
        inputs = {"input_ids": torch.from_numpy(signal).to(self._encoder.device)}
        if self.standardises:
            context = self._context(signal)
            if counts:
                self._moments.add(context)
            inputs["embedding_data"] = self._moments.standardised(context)
        if self._together is not None:
            inputs["covariance_data"] = self._together(x[None])
        return inputs

    def _finish(self) -> None:
        """End of the calibration: what mixes channels, then the statistics of what it leaves."""
        windows = np.stack(self._windows)
        self._windows = []
        self._signal.add(windows)
        self._signal.finish()
        if self._together is not None:
            self._together.add(windows)
            self._together.finish()
        if self.standardises:
            for window in windows:
                self._moments.add(self._context(self._signal(window[None])))

    def _context(self, x: np.ndarray) -> torch.Tensor:
        """Context vectors (1, C, E) in float64."""
        import torch

        device = self._encoder.device
        return self._encoder.embed_signal(torch.from_numpy(x).to(device)).double()
