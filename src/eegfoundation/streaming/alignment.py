"""Alignment of a stream: from what was there so far, since the rest is not known.

Offline, a classifier that was trained on aligned recordings looks at all windows of a recording
before it decides on the first (`eegfoundation.prediction`). In a stream, the first minute is looked
at and nothing is predicted. Then *euclidean* whitens with the covariance of that minute, for good;
*standardise* goes on learning: its mean and deviation are those of all windows so far. Only windows
that do not overlap count, as offline. The first predictions of a session are therefore less sure
than later ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eegfoundation.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from eegfoundation.models import EEGFoundationModel


class CausalAlignment:
    """What all windows of a stream share, taken out of each.

    Parameters
    ----------
    kind : str
        Of `eegfoundation.evaluation.alignment.ALIGNMENTS`.
    encoder : EEGFoundationModel
        Gives the context vectors that are standardised.
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
        self, kind: str, encoder: EEGFoundationModel, calibration: float, sfreq: float
    ) -> None:
        if not 0 < calibration < float("inf"):
            raise ConfigError(f"calibration must be a positive time, found {calibration!r} s.")
        self.calibration = calibration
        self.whitens, self.standardises = "euclidean" in kind, "standardise" in kind
        self._encoder = encoder
        self._n_wanted = calibration * sfreq
        self._windows: list[np.ndarray] = []  # of the calibration
        self._n_samples = 0
        self._observed: int | None = None  # where the last window that counted ended
        self._root: np.ndarray | None = None
        self._sums: torch.Tensor | None = None  # (3, C, E): count, sum, sum of squares

    @property
    def seconds_left(self) -> float:
        """Of the calibration; 0 when it is over."""
        return self.calibration * max(0.0, 1 - self._n_samples / self._n_wanted)

    def __call__(self, x: np.ndarray, n_seen: int) -> tuple[np.ndarray, torch.Tensor | None] | None:
        """Align a window.

        Parameters
        ----------
        x : ndarray, shape (n_chans, n_times)
            Microvolts, NaN where unusable.
        n_seen : int
            Samples of the stream at its end.

        Returns
        -------
        aligned : tuple of ndarray (n_chans, n_times) and Tensor (1, n_chans, E) | None
            Signal and context vectors (None: the model is to compute them); None instead of both
            during the calibration.
        """
        counts = self._observed is None or n_seen - self._observed >= x.shape[1]
        self._observed = n_seen if counts else self._observed
        if self._n_samples < self._n_wanted or len(self._windows) == 1:
            if counts:
                self._windows.append(x.copy())
                self._n_samples += x.shape[1]
                if self._n_samples >= self._n_wanted and len(self._windows) > 1:
                    self._finish()
            return None
        signal = self._whitened(x)
        if not self.standardises:
            return signal, None
        context = self._context(signal)
        if counts:
            self._add(context)
        assert self._sums is not None
        count, total, squares = self._sums
        mean = total / count.clamp(min=1)
        deviation = (squares / count.clamp(min=1) - mean.square()).clamp(min=0).sqrt() + 1e-6
        return signal, ((context - mean) / deviation).float()[None]

    def _finish(self) -> None:
        """End of the calibration: whitening, then the statistics of what it leaves."""
        from eegfoundation.evaluation.alignment import whitening

        if self.whitens:
            n_chans = len(self._windows[0])
            flat = np.nan_to_num(np.hstack(self._windows)).astype(np.float64)
            covariance = flat @ flat.T
            present = np.flatnonzero(np.diag(covariance))
            self._root = np.zeros((n_chans, n_chans))
            if len(present):
                inner = np.ix_(present, present)
                self._root[inner] = whitening(covariance[inner])
        if self.standardises:
            for window in self._windows:
                self._add(self._context(self._whitened(window)))
        self._windows = []

    def _whitened(self, x: np.ndarray) -> np.ndarray:
        if self._root is None:
            return x
        mixed = self._root.astype(np.float32) @ np.nan_to_num(x)
        return np.where(np.isnan(x), np.float32(np.nan), mixed)

    def _context(self, x: np.ndarray) -> torch.Tensor:
        """Context vectors (C, E) in float64."""
        import torch

        device = self._encoder.device
        return self._encoder.embed_signal(torch.from_numpy(x).to(device)).double()

    def _add(self, context: torch.Tensor) -> None:
        import torch

        known = context.isfinite()
        x = context.nan_to_num(0.0)
        new = torch.stack([known.double(), x, x.square()])
        self._sums = new if self._sums is None else self._sums + new
