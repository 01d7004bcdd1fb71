"""What the estimators share: they take signals, and hold an encoder."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator

from eegfoundation.errors import ConfigError
from eegfoundation.samples import Reading, Samples, read_samples

if TYPE_CHECKING:
    from eegfoundation.models import EEGFoundationModel
    from eegfoundation.preprocessing import Preprocessing


class TakesSignals(BaseEstimator):
    """Parameters of reading, and the encoder."""

    model: Any
    sfreq: float | None
    ch_names: Sequence[str] | None
    units: str | None
    window: float | None
    line_freq: float | None
    device: Any

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True  # paths
        tags.input_tags.allow_nan = True  # samples that cannot be used
        return tags

    def _encoder(self) -> EEGFoundationModel:
        from eegfoundation.models import EEGFoundationModel, load_encoder

        if isinstance(self.model, EEGFoundationModel):
            return self.model if self.device is None else self.model.to(self.device)
        if not isinstance(self.model, str | Path):
            raise ConfigError(
                f"model is of type {type(self.model).__name__}; expected a name, a folder, or an "
                "encoder."
            )
        return load_encoder(self.model, device=self.device)

    def _read_first(self, X: Any, encoder: EEGFoundationModel) -> Samples:
        """Read what is fitted to, and keep what was decided on the way."""
        wanted = encoder.preprocessing
        if self.line_freq is not None:
            wanted = dataclasses.replace(wanted, notch=self.line_freq)
        samples = self._read(X, wanted)
        self.preprocessing_ = samples.preprocessing
        return samples

    def _read(self, X: Any, preprocessing: Preprocessing) -> Samples:
        names = None if self.ch_names is None else tuple(self.ch_names)
        reading = Reading(sfreq=self.sfreq, ch_names=names, units=self.units, window=self.window)
        return read_samples(X, preprocessing, reading)
