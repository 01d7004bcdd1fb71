"""A window of a stream -> numbers: probabilities of a classifier, or embeddings of an encoder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.covariance import CovarianceFeatures
from eegfoundation.embedding import in_type, inference
from eegfoundation.errors import ConfigError
from eegfoundation.prediction import class_names, describe
from eegfoundation.streaming.alignment import CausalAlignment

if TYPE_CHECKING:
    import torch

    from eegfoundation.models import EEGFoundationForClassification, EEGFoundationModel
    from eegfoundation.preprocessing import Preprocessing
    from eegfoundation.streaming.windows import StreamWindow

ENCODER_SECONDS = 10.0  # window of an encoder, which has none of its own


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What a model made of a window."""

    values: np.ndarray | None
    """One per name of the decoder; None: no prediction."""
    status: str
    """"ok", or why there is no prediction."""


class Decoder:
    """A model, ready for windows.

    Parameters
    ----------
    model : EEGFoundationForClassification | EEGFoundationModel
    positions : ndarray, shape (n_chans, 3)
        Of the stream's electrodes, metres.
    calibration : float
        Seconds that alignment looks at before the first prediction; without alignment unused.
    max_unusable : float
        Share of a window, over all channels, beyond which nothing is predicted.
    dtype : {"float32", "bfloat16"} | None
        Of the encoder, which is nearly all the work; a head stays in float32. None: bfloat16 where
        the processor multiplies it itself, else float32.

    Raises
    ------
    ConfigError, ModelInputError
        A setting is impossible.
    """

    def __init__(
        self,
        model: EEGFoundationForClassification | EEGFoundationModel,
        positions: np.ndarray,
        *,
        calibration: float = 60.0,
        max_unusable: float = 0.5,
        dtype: str | None = None,
    ) -> None:
        import torch

        from eegfoundation.models import EEGFoundationForClassification

        if not 0 <= max_unusable < 1:
            raise ConfigError(f"max_unusable must be from 0 to below 1, found {max_unusable!r}.")
        self.model = model
        self.max_unusable = max_unusable
        self.dtype = dtype or faster_type(model.device)
        self.classes: list[str] = []
        """Of a classifier; empty for an encoder."""
        self.alignment: CausalAlignment | None = None
        self._together: CovarianceFeatures | None = None
        self._positions = torch.from_numpy(positions)
        if isinstance(model, EEGFoundationForClassification):
            self.classes = class_names(model)
            self.names = [f"p_{name}" for name in self.classes]
            self._encoder = in_type(model.encoder.to(model.device), self.dtype)
            if model.config.covariance:
                self._together = CovarianceFeatures(model, positions)
            if model.config.alignment != "none":
                self.alignment = CausalAlignment(
                    *(model.config, self._encoder, self._together),
                    *(calibration, model.preprocessing.sfreq),
                )
        else:
            self._encoder = in_type(model, self.dtype)
            self.names = [f"e{i:03d}" for i in range(model.config.context_size)]

    @property
    def preprocessing(self) -> Preprocessing:
        """What the model expects to be done to the signal."""
        return self.model.preprocessing

    @property
    def window(self) -> float:
        """Seconds that the model was made for."""
        if not self.classes:
            return ENCODER_SECONDS
        return float(self.model.config.seq_len / self.preprocessing.sfreq)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Everything is decoded within: no gradients, no dropout."""
        with inference(self.model), inference(self._encoder):
            yield

    def __call__(self, window: StreamWindow) -> Decoded:
        """Decode a window, within `running`."""
        import torch

        n_times = window.data.shape[1]
        if window.n_seen < n_times:
            return _nothing(f"filling: {window.n_seen / n_times:.0%} of a window")
        if 1 - window.usable > self.max_unusable:
            return _nothing(f"{1 - window.usable:.0%} of the window is unusable")
        usable = window.quality > 0
        device = self.model.device
        signal = np.where(usable[:, None], window.data, np.float32(np.nan))
        if not self.classes:
            x = torch.from_numpy(signal).to(device)
            values = self._encoder.embed_signal(x)[torch.from_numpy(usable).to(device)].mean(0)
        else:
            if self.alignment is not None:
                inputs = self.alignment(signal, window.n_seen)
                if inputs is None:
                    return _nothing(f"calibrating: {self.alignment.seconds_left:.0f} s to go")
            else:
                inputs = {"input_ids": torch.from_numpy(signal[None]).to(device)}
                if self._together is not None:
                    inputs["covariance_data"] = self._together(signal[None])
            if "embedding_data" not in inputs:
                inputs["embedding_data"] = self._encoder.embed_signal(inputs["input_ids"])
            output = self.model(
                **inputs,
                positions=self._positions,
                channel_mask=torch.from_numpy(usable)[None],
            )
            values = output.logits[0].float().softmax(-1)
        return Decoded(values=values.float().cpu().numpy(), status="ok")

    def describe(self) -> dict[str, Any]:
        """What a reader of an output must know about the model."""
        if not self.classes:
            name = Path(self.model.config.name_or_path or "in memory").name
            return {"encoder": name, "dtype": self.dtype}
        description = {**describe(self.model), "dtype": self.dtype}
        if self.alignment is not None:
            description["alignment_of_stream"] = (
                f"by the windows so far, after {self.alignment.calibration:g} s of calibration"
            )
        return description


def faster_type(device: torch.device) -> str:
    """Type in which a device computes fastest, of those that are accurate enough for a stream."""
    from eegfoundation.models.processor import multiplies_bfloat16

    return "bfloat16" if device.type == "cpu" and multiplies_bfloat16(device) else "float32"


def _nothing(status: str) -> Decoded:
    return Decoded(values=None, status=status)
