"""The frozen encoder as a transformer: signals in, a table of context vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from eegfoundation.errors import ConfigError, ModelInputError
from eegfoundation.estimators.signals import TakesSignals
from eegfoundation.samples import usable_mean

if TYPE_CHECKING:
    from eegfoundation.samples import Samples

POOLINGS = ("channels", "mean")


class EEGFoundationFeatures(TransformerMixin, TakesSignals):
    """Context vectors of a frozen encoder as a table, one row per sample.

    Nothing is learned but the montage, the mains frequency and, for channels that are missing or
    unusable in a sample, the mean vector that takes their place.

    Parameters
    ----------
    model : str | Path | EEGFoundationModel
        An encoder, or what `load_encoder` takes.
    sfreq : float | None
        Sampling rate in Hz. Arrays need it; epochs and files know theirs.
    ch_names : sequence of str | None
        Names of an array's channels, or the channels to use of epochs and files. An array without
        them has electrodes of unknown position.
    units : {"V", "mV", "uV", "nV"} | None
        None: microvolts for arrays, volts for MNE objects, what the file says for files.
    pooling : {"channels", "mean"}
        Channels side by side, n_chans * E features; or their average, E features.
    window : float | None
        Seconds. Samples are cut into windows of this length and their vectors averaged. None:
        arrays and epochs stay whole, files are cut into 10 s.
    line_freq : float | None
        Mains frequency in Hz; None: what epochs and files say, else what is detected.
    device : str | torch.device | None
        None: where the encoder is, or the CPU.

    Attributes
    ----------
    ch_names_ : tuple of str
        Channels of what was fitted to.
    positions_ : ndarray, shape (n_chans, 3)
        Metres, NaN where unknown.
    preprocessing_ : Preprocessing
        Done to every sample.
    fill_ : ndarray, shape (n_chans, E) or (1, E)
        What takes the place of a missing vector: the mean over the samples fitted to.
    encoder_ : EEGFoundationModel

    Notes
    -----
    Samples to transform may come from another montage. With "mean" any channels do. With
    "channels" each electrode is read from the nearest one, 4 cm away at most (neighbours in the
    10-20 system), as `eegfoundation.models.readout` does.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from eegfoundation.estimators import EEGFoundationFeatures
    >>> features = EEGFoundationFeatures(sfreq=250, ch_names=["C3", "Cz", "C4"])
    >>> pipeline = make_pipeline(features, StandardScaler(), LogisticRegression())
    """

    def __init__(
        self,
        model: Any = "small",
        *,
        sfreq: float | None = None,
        ch_names: Sequence[str] | None = None,
        units: str | None = None,
        pooling: str = "channels",
        window: float | None = None,
        line_freq: float | None = None,
        device: Any = None,
    ) -> None:
        self.model = model
        self.sfreq = sfreq
        self.ch_names = ch_names
        self.units = units
        self.pooling = pooling
        self.window = window
        self.line_freq = line_freq
        self.device = device

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the montage and what stands for missing channels.

        Parameters
        ----------
        X : ndarray (n, n_chans, n_times) | mne.Epochs | sequence of paths
            Arrays in microvolts, NaN where unusable. A path is one sample.
        y : None
            Not used.

        Returns
        -------
        self

        Raises
        ------
        EEGFoundationError
            If `X` cannot be read; the message says what to do.
        """
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """`fit` and `transform` with one pass of the encoder.

        Parameters
        ----------
        X, y
            As in `fit`.

        Returns
        -------
        features : ndarray, shape (n, n_features)
            float32.
        """
        if self.pooling not in POOLINGS:
            raise ConfigError(f"pooling={self.pooling!r}; choose one of {POOLINGS}.")
        self.encoder_ = self._encoder()
        samples = self._read_first(X, self.encoder_)
        self.ch_names_, self.positions_ = samples.ch_names, samples.positions
        vectors = self._vectors(samples)
        self.fill_ = np.nan_to_num(usable_mean(vectors, axis=0))
        return self._filled(vectors)

    def transform(self, X: Any) -> np.ndarray:
        """Compute features.

        Parameters
        ----------
        X
            As in `fit`.

        Returns
        -------
        features : ndarray, shape (n, n_features)
            float32.

        Raises
        ------
        ModelInputError
            If no channel is, or lies near, one of those that were fitted to.
        """
        check_is_fitted(self)
        samples = self._read(X, self.preprocessing_)
        return self._filled(self._vectors(samples))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the features: ``C3_e000``, or ``e000`` for the average over channels."""
        check_is_fitted(self)
        rows = [f"{name}_" for name in self.ch_names_] if self.pooling == "channels" else [""]
        width = self.fill_.shape[1]
        return np.array([f"{row}e{i:03d}" for row in rows for i in range(width)], dtype=object)

    def _vectors(self, samples: Samples) -> np.ndarray:
        """(n, n_chans, E) or (n, 1, E), NaN where there is none."""
        from eegfoundation.features import context_vectors

        context = context_vectors(samples.x, samples.preprocessing, self.encoder_)
        vectors = samples.mean(context)
        if self.pooling == "mean":
            return usable_mean(vectors, axis=1)[:, None]
        return self._on_own_channels(vectors, samples)

    def _on_own_channels(self, vectors: np.ndarray, samples: Samples) -> np.ndarray:
        """Vectors (n, C, E) of any channels -> (n, n_chans, E) of those fitted to."""
        from eegfoundation.models.readout import REACH

        if samples.ch_names == self.ch_names_:
            return vectors
        offset = self.positions_[:, None] - samples.positions[None]
        distance = np.nan_to_num(np.linalg.norm(offset, axis=-1), nan=np.inf)
        near = distance.min(1) <= REACH
        if not near.any():
            raise ModelInputError(
                f"None of the {len(samples.ch_names)} channels lies within {100 * REACH:g} cm of "
                f"one of the {len(self.ch_names_)} that this was fitted to; give channels of known "
                "position over the same part of the head, or choose pooling='mean'."
            )
        return np.where(near[:, None], vectors[:, distance.argmin(1)], np.nan)

    def _filled(self, vectors: np.ndarray) -> np.ndarray:
        known = np.isfinite(vectors)
        return np.where(known, vectors, self.fill_).reshape(len(vectors), -1)
