"""Downstream classifier: a readout of all channels, and the encoder that stands behind it.

The readout is spatial fusion with a head or, after a linear probe, one linear layer, and perhaps
another one beside it, on how channels go together.

The published interface is kept word for word (see `load_downstream_model`), without its faults:
attention runs across channels, and the head depends neither on the number of channels nor on the
window length.

Shape legend: B batch, C channels, T samples, E context width.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import logging

from eegfoundation.alignments import standardises
from eegfoundation.errors import CheckpointError, ModelInputError
from eegfoundation.models.downstream_config import DownstreamConfig
from eegfoundation.models.encoder import EEGFoundationModel, EEGFoundationPreTrainedModel
from eegfoundation.models.readout import CovarianceReadout, LinearReadout
from eegfoundation.models.registry import fingerprint, load_encoder, warn_of_training
from eegfoundation.models.sharing import WHERE_FROM
from eegfoundation.models.spatial_fusion import SpatialFusion
from eegfoundation.montage import positions as standard_positions
from eegfoundation.preprocessing import DECISIVE_SETTINGS, Preprocessing
from eegfoundation.tokenizer import MAX_ABS_UV

logger = logging.get_logger(__name__)


class EEGFoundationForClassification(EEGFoundationPreTrainedModel):
    """Spatial fusion with a classification head, or a linear readout.

    Examples
    --------
    >>> import torch
    >>> from eegfoundation.models import DownstreamConfig, EEGFoundationForClassification
    >>> model = EEGFoundationForClassification(DownstreamConfig(num_classes=4)).eval()
    >>> outputs = model(input_ids=torch.randn(2, 20, 800), embedding_data=torch.randn(2, 512))
    >>> outputs["logits"].shape
    torch.Size([2, 4])
    """

    config_class = DownstreamConfig
    base_model_prefix = ""

    def __init__(self, config: DownstreamConfig) -> None:
        super().__init__(config)
        if config.readout == "linear":
            self.readout = LinearReadout(config)
            if config.covariance:
                self.covariance = CovarianceReadout(config)
        else:
            self.fusion = SpatialFusion(config)
            self.head = nn.Sequential(
                nn.Linear(config.d_model, config.classification_hidden_dim),
                nn.GELU(),
                nn.Dropout(config.classification_dropout),
            )
            self.final_layer = nn.Linear(config.classification_hidden_dim, config.num_classes)
        self.preprocessing = Preprocessing.from_dict(config.preprocessing)
        # Outside of the module tree: it is frozen here, and has a checkpoint of its own
        self.__dict__["_encoder"] = None
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """PyTorch's own initialisation suits these layers."""

    @property
    def encoder(self) -> EEGFoundationModel:
        """The encoder that computes missing context vectors, loaded on first use."""
        if self._encoder is None and self.config.encoder_tuned:
            raise CheckpointError(
                f"This classifier was trained along with its encoder, a tuned "
                f"{self.config.encoder!r}, which is not attached; load the checkpoint that holds "
                "both."
            )
        if self._encoder is None:
            self.attach_encoder(load_encoder(self.config.encoder))
        return self._encoder

    def attach_encoder(self, encoder: EEGFoundationModel) -> None:
        """Use this encoder for context vectors. It is not changed, and gets no gradient.

        Raises
        ------
        CheckpointError
            If it is not the encoder that the classifier was made with, or was trained on signals
            that were preprocessed in another way.
        """
        expected, found = self.config.encoder_sha256, fingerprint(encoder)
        if expected not in (None, found):
            raise CheckpointError(
                f"This classifier was made with encoder {expected[:12]}, found {found[:12]}; "
                f"attach the version of {self.config.encoder!r} that it was trained with."
            )
        if encoder.config.context_size != self.config.embedding_dim:
            raise CheckpointError(
                f"The encoder's context vectors are {encoder.config.context_size} wide; this "
                f"classifier expects embedding_dim={self.config.embedding_dim}."
            )
        ours, its = self.preprocessing.to_dict(), encoder.preprocessing.to_dict()
        if different := [name for name in DECISIVE_SETTINGS if ours[name] != its[name]]:
            raise CheckpointError(
                f"The encoder was trained on signals with {_some(its, different)}, this classifier "
                f"gets {_some(ours, different)}: make it with preprocessing="
                "encoder.config.preprocessing."
            )
        self.__dict__["_encoder"] = encoder

    def forward(
        self,
        input_ids: Tensor,
        embedding_data: Tensor | None = None,
        labels: Tensor | None = None,
        positions: Tensor | None = None,
        channel_mask: Tensor | None = None,
        covariance_data: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Classify windows.

        Parameters
        ----------
        input_ids : Tensor, shape (B, C, T)
            Signal at ``preprocessing.sfreq`` (the published name of this argument stays). It is
            standardised inside; its unit matters (microvolts) only without ``embedding_data``.
            Whatever ``config.alignment`` asks for was done before (`eegfoundation.predict` does):
            the components ``config.component_names``, if any, are the last of the C channels.
        embedding_data : Tensor, shape (B, E) or (B, C, E) | None
            Context vectors of the window or of each channel. None: the encoder computes them.
        labels : Tensor of integers, shape (B,) | None
            Class indices, for the loss.
        positions : Tensor, shape (C, 3) or (B, C, 3) | None
            Electrode positions in metres, head frame, NaN where unknown. None: those of the
            configuration's ``ch_names`` if the number of channels fits, else unknown. Components
            have none: they do not count in C here, nor in the mask.
        channel_mask : Tensor of bool, shape (C,) or (B, C) | None
            False for channels to leave out. Flat channels and channels without a usable sample or
            context are left out in any case.
        covariance_data : Tensor, shape (B, d) | None
            Of `eegfoundation.covariance.CovarianceFeatures`, which a model with
            ``config.covariance`` needs; others take none.

        Returns
        -------
        output : SequenceClassifierOutput
            ``logits`` (B, num_classes); ``loss`` if there are labels; ``attentions``, a tuple of
            one Tensor (B, C): each electrode's share in what the encoder's vectors decide.

        Raises
        ------
        ModelInputError
            If a shape does not fit.
        """
        x = input_ids
        if x.ndim != 3 or 0 in x.shape:
            raise ModelInputError(
                f"input_ids has shape {tuple(x.shape)}; expected a signal (B, C, T) with samples."
            )
        n_times = x.shape[-1]
        n_components = len(self.config.component_names)
        n_chans = x.shape[1] - n_components
        if n_chans < 1:
            raise ModelInputError(
                f"input_ids has {x.shape[1]} channels; expected some, and then {n_components} "
                "components of them: classify recordings with eegfoundation.predict."
            )
        if (n_chans, n_times) != (self.config.num_channel, self.config.seq_len):
            logger.warning_once(
                f"Input has {n_chans} channels and {n_times} samples; the configuration expects "
                f"{self.config.num_channel} and {self.config.seq_len}. Any shape is accepted."
            )
        x = x.to(self.dtype)
        context = self._context(input_ids, embedding_data).to(self.dtype)
        if channel_mask is not None:
            _check_shape("channel_mask", channel_mask, (n_chans,), (len(x), n_chans))
        if positions is not None:
            _check_shape("positions", positions, (n_chans, 3), (len(x), n_chans, 3))
            positions = positions.to(x).expand(len(x), -1, -1)
        elif self.config.readout == "fusion":
            positions = self._default_positions(x)
        logits, attention = self.read_out(x, context, positions, channel_mask)
        if (covariance_data is not None) != self.config.covariance:
            found, expected = ("none", "some") if self.config.covariance else ("some", "none")
            raise ModelInputError(
                f"covariance_data: found {found}, this classifier expects {expected}; classify "
                "recordings with eegfoundation.predict."
            )
        if covariance_data is not None:
            _check_shape("covariance_data", covariance_data, (len(x), self.covariance.n_features))
            # the mean of both probabilities
            other = self.covariance(covariance_data.to(logits)).log_softmax(-1)
            logits = torch.logaddexp(logits.log_softmax(-1), other) - math.log(2)
        loss = None
        if labels is not None:
            _check_shape("labels", labels, (len(x),))
            loss = F.cross_entropy(logits.float(), labels.long())
        return SequenceClassifierOutput(loss=loss, logits=logits, attentions=(attention,))

    def read_out(
        self,
        x: Tensor,
        context: Tensor,
        positions: Tensor | None,
        channel_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Decide from signals and context vectors, as `forward` does once its input is checked.

        What covariance says besides is not in it.

        Parameters
        ----------
        x : Tensor, shape (B, C, T)
        context : Tensor, shape (B, C, E)
            NaN for a channel to leave out.
        positions : Tensor, shape (B, C, 3) | None
            Without the components, as is the mask.
        channel_mask : Tensor of bool, shape (C,) or (B, C) | None

        Returns
        -------
        logits : Tensor, shape (B, num_classes)
        attention : Tensor, shape (B, C)
        """
        usable = torch.where(x.abs() <= MAX_ABS_UV, x, torch.nan)
        varies = (usable.nan_to_num(-torch.inf).amax(-1)) > (usable.nan_to_num(torch.inf).amin(-1))
        mask = varies & context.isfinite().all(-1)
        context = context.nan_to_num(0, 0, 0)
        if channel_mask is not None:
            n_components = len(self.config.component_names)
            mask = mask & F.pad(channel_mask.to(x.device).bool(), (0, n_components), value=True)
        if self.config.readout == "linear":
            return self.readout(context, positions, mask)
        pooled, attention = self.fusion(usable, context, positions, mask, self.preprocessing.sfreq)
        return self.final_layer(self.head(pooled)), attention

    def _context(self, x: Tensor, embedding: Tensor | None) -> Tensor:
        """Context vectors (B, C, E), given or computed."""
        if embedding is None and standardises(self.config.alignment):
            raise ModelInputError(
                "This classifier expects context vectors that were standardised within their "
                "recording; classify recordings with eegfoundation.predict, or give embedding_data."
            )
        if embedding is None:
            encoder = self.encoder.to(x.device)
            with torch.no_grad(), _without_dropout(encoder):
                return encoder.embed_signal(x.to(encoder.dtype))
        batch, n_chans = x.shape[:2]
        width = self.config.embedding_dim
        _check_shape("embedding_data", embedding, (batch, width), (batch, n_chans, width))
        if embedding.ndim == 2:
            return embedding.unsqueeze(1).expand(-1, n_chans, -1)
        return embedding

    def _default_positions(self, x: Tensor) -> Tensor:
        """Electrode positions (B, C, 3) of the configuration, if the number of channels fits."""
        batch, n_chans = x.shape[:2]
        names = self.config.ch_names
        if names is None or len(names) != n_chans:
            return x.new_full((batch, n_chans, 3), torch.nan)
        return torch.from_numpy(standard_positions(names)).to(x).expand(batch, -1, -1)

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Save as a folder; an encoder that was trained along goes into ``encoder/`` inside.

        Takes the arguments of `eegfoundation.models.sharing.SharedModel.save_pretrained`.
        """
        if self.config.encoder_tuned:
            # the training's recordings and scores are the classifier's, its settings are of both
            its = {**kwargs}
            for name in ("training_data", "results", "state_dict"):
                its.pop(name, None)
            # first, so that a classifier which is there has it
            self.encoder.save_pretrained(Path(save_directory) / "encoder", **its)
        super().save_pretrained(save_directory, **kwargs)

    @classmethod
    def from_pretrained(cls, name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load what `save_pretrained` wrote, from a folder or hub id, all of it or not at all.

        Takes the arguments of `transformers.PreTrainedModel.from_pretrained`.

        Raises
        ------
        CheckpointError
            If weights are missing, unexpected or of another shape, or the encoder that was trained
            along is missing or another one.

        Warns
        -----
        UntrainedWeightsWarning, SimulatedTrainingWarning
            If the weights were never trained, or on simulated recordings only.
        """
        loaded = super().from_pretrained(name_or_path, *args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        if model.config.encoder_tuned:
            source = {name: kwargs[name] for name in WHERE_FROM if name in kwargs}
            source["subfolder"] = "/".join(filter(None, [source.get("subfolder"), "encoder"]))
            model.attach_encoder(
                EEGFoundationModel.from_pretrained(
                    name_or_path, dtype=torch.float32, **source
                ).eval()
            )
        known = {"trained": model.config.trained, "simulated": model.config.simulated}
        warn_of_training(f"Classifier {Path(name_or_path).name}", **known)
        return loaded


@contextlib.contextmanager
def _without_dropout(encoder: EEGFoundationModel) -> Iterator[None]:
    """Compute in evaluation mode; an encoder that is being trained elsewhere goes on afterwards."""
    training = encoder.training
    encoder.eval()
    try:
        yield
    finally:
        encoder.train(training)


def _some(settings: dict[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name}={settings[name]!r}" for name in names)


def _check_shape(name: str, value: Tensor, *expected: tuple[int, ...]) -> None:
    """Raise `ModelInputError` unless the shape is one of those expected."""
    if tuple(value.shape) not in expected:
        raise ModelInputError(
            f"{name} has shape {tuple(value.shape)}; expected {' or '.join(map(str, expected))}."
        )
