"""Downstream classifier: spatial fusion, a head, and the encoder that stands behind them.

The published interface is kept word for word (see `load_downstream_model`), without its faults:
attention runs across channels, and the head depends neither on the number of channels nor on the
window length.

Shape legend: B batch, C channels, T samples, E context width.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import logging

from eegfoundation.errors import (
    CheckpointError,
    ConfigError,
    ModelInputError,
    UntrainedWeightsWarning,
)
from eegfoundation.models.config import DownstreamConfig
from eegfoundation.models.encoder import EEGFoundationModel, EEGFoundationPreTrainedModel
from eegfoundation.models.registry import fingerprint, load_encoder, untrained_notice
from eegfoundation.models.spatial_fusion import SpatialFusion
from eegfoundation.montage import positions as standard_positions
from eegfoundation.preprocessing import DECISIVE_SETTINGS, Preprocessing
from eegfoundation.tokenizer import MAX_ABS_UV

logger = logging.get_logger(__name__)

# Keys of DownstreamConfig that the published JSON has no place for: they travel inside the .pth
EXTRA_KEYS = (
    *("class_names", "ch_names", "encoder", "encoder_sha256", "preprocessing"),
    *("trained", "trained_on"),
)


class EEGFoundationForClassification(EEGFoundationPreTrainedModel):
    """Spatial fusion with a classification head.

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
        self.fusion = SpatialFusion(config)
        self.head = nn.Sequential(
            nn.Linear(config.d_model, config.classification_hidden_dim),
            nn.GELU(),
            nn.Dropout(config.classification_dropout),
        )
        self.final_layer = nn.Linear(config.classification_hidden_dim, config.num_classes)
        self.preprocessing = Preprocessing.from_dict(config.preprocessing)
        # Outside of the module tree: a frozen encoder has its own checkpoint and stays out of ours
        self.__dict__["_encoder"] = None
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """PyTorch's own initialisation suits these layers."""

    @property
    def encoder(self) -> EEGFoundationModel:
        """The frozen encoder that computes missing context vectors, loaded on first use."""
        if self._encoder is None:
            self.attach_encoder(load_encoder(self.config.encoder))
        return self._encoder

    def attach_encoder(self, encoder: EEGFoundationModel) -> None:
        """Use this encoder for context vectors.

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
        self.__dict__["_encoder"] = encoder.eval().requires_grad_(False)

    def forward(
        self,
        input_ids: Tensor,
        embedding_data: Tensor | None = None,
        labels: Tensor | None = None,
        positions: Tensor | None = None,
        channel_mask: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Classify windows.

        Parameters
        ----------
        input_ids : Tensor, shape (B, C, T)
            Signal at ``preprocessing.sfreq`` (the published name of this argument stays). It is
            standardised inside; its unit matters (microvolts) only without ``embedding_data``.
        embedding_data : Tensor, shape (B, E) or (B, C, E) | None
            Context vectors of the window or of each channel. None: the encoder computes them.
        labels : Tensor of integers, shape (B,) | None
            Class indices, for the loss.
        positions : Tensor, shape (C, 3) or (B, C, 3) | None
            Electrode positions in metres, head frame, NaN where unknown. None: those of the
            configuration's ``ch_names`` if the number of channels fits, else unknown.
        channel_mask : Tensor of bool, shape (C,) or (B, C) | None
            False for channels to leave out. Flat channels and channels without a usable sample or
            context are left out in any case.

        Returns
        -------
        output : SequenceClassifierOutput
            ``logits`` (B, num_classes); ``loss`` if there are labels; ``attentions``, a tuple of
            one Tensor (B, C): each electrode's share.

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
        n_chans, n_times = x.shape[1:]
        if (n_chans, n_times) != (self.config.num_channel, self.config.seq_len):
            logger.warning_once(
                f"Input has {n_chans} channels and {n_times} samples; the configuration expects "
                f"{self.config.num_channel} and {self.config.seq_len}. Any shape is accepted."
            )
        x = x.to(self.dtype)
        context = self._context(input_ids, embedding_data).to(self.dtype)
        usable = torch.where(x.abs() <= MAX_ABS_UV, x, torch.nan)
        varies = (usable.nan_to_num(-torch.inf).amax(-1)) > (usable.nan_to_num(torch.inf).amin(-1))
        mask = varies & context.isfinite().all(-1)
        if channel_mask is not None:
            _check_shape("channel_mask", channel_mask, (n_chans,), (len(x), n_chans))
            mask = mask & channel_mask.to(x.device).bool()
        pooled, attention = self.fusion(
            usable,
            context.nan_to_num(0, 0, 0),
            self._positions(positions, x),
            mask,
            self.preprocessing.sfreq,
        )
        logits = self.final_layer(self.head(pooled))
        loss = None
        if labels is not None:
            _check_shape("labels", labels, (len(x),))
            loss = F.cross_entropy(logits.float(), labels.long())
        return SequenceClassifierOutput(loss=loss, logits=logits, attentions=(attention,))

    def _context(self, x: Tensor, embedding: Tensor | None) -> Tensor:
        """Context vectors (B, C, E), given or computed."""
        if embedding is None:
            encoder = self.encoder.to(x.device)
            with torch.no_grad():
                return encoder.embed_signal(x.to(encoder.dtype))
        batch, n_chans = x.shape[:2]
        width = self.config.embedding_dim
        _check_shape("embedding_data", embedding, (batch, width), (batch, n_chans, width))
        if embedding.ndim == 2:
            return embedding.unsqueeze(1).expand(-1, n_chans, -1)
        return embedding

    def _positions(self, positions: Tensor | None, x: Tensor) -> Tensor:
        """Electrode positions (B, C, 3)."""
        batch, n_chans = x.shape[:2]
        if positions is None:
            names = self.config.ch_names
            if names is None or len(names) != n_chans:
                return x.new_full((batch, n_chans, 3), torch.nan)
            positions = torch.from_numpy(standard_positions(names))
        _check_shape("positions", positions, (n_chans, 3), (batch, n_chans, 3))
        return positions.to(x).expand(batch, -1, -1)


def _some(settings: dict[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name}={settings[name]!r}" for name in names)


def _check_shape(name: str, value: Tensor, *expected: tuple[int, ...]) -> None:
    """Raise `ModelInputError` unless the shape is one of those expected."""
    if tuple(value.shape) not in expected:
        raise ModelInputError(
            f"{name} has shape {tuple(value.shape)}; expected {' or '.join(map(str, expected))}."
        )


def load_downstream_model(
    model_path: str | Path, config_path: str | Path
) -> EEGFoundationForClassification:
    """Load a classifier in the published form: a ``.pth`` with weights, a JSON with settings.

    Parameters
    ----------
    model_path : str | Path
        Written by `save_downstream_model`. Loaded without running code from the file.
    config_path : str | Path
        The published configuration keys.

    Returns
    -------
    model : EEGFoundationForClassification
        In evaluation mode.

    Raises
    ------
    ConfigError
        If the configuration is missing, broken, or has unknown keys.
    CheckpointError
        If the weights are missing or damaged, or do not fit the configuration exactly.

    Warns
    -----
    UntrainedWeightsWarning
        If the checkpoint says that its weights were never trained.
    """
    path = Path(model_path)
    found, extras = _read_checkpoint(path)
    DownstreamConfig.from_json_file(config_path)  # checks it
    settings = json.loads(Path(config_path).read_text(encoding="utf-8"))
    doubled = sorted(settings.keys() & set(EXTRA_KEYS))
    if doubled:
        raise ConfigError(
            f"{config_path} sets {doubled}, which belong to the weights; remove them."
        )
    config = DownstreamConfig(**settings, **extras)
    model = EEGFoundationForClassification(config)
    expected = model.state_dict()
    problems = {
        "missing": sorted(expected.keys() - found.keys()),
        "unexpected": sorted(found.keys() - expected.keys()),
        "of another shape": sorted(
            key for key in expected.keys() & found.keys() if expected[key].shape != found[key].shape
        ),
    }
    if any(problems.values()):
        listing = "; ".join(f"{kind} {keys}" for kind, keys in problems.items() if keys)
        raise CheckpointError(f"The weights in {path} do not fit {config_path}: {listing}.")
    model.load_state_dict(found)
    if not config.trained:
        warnings.warn(untrained_notice(f"Classifier {path.name}"), UntrainedWeightsWarning, 2)
    return model.eval()


def _read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the weights and the extra settings that `save_downstream_model` wrote."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"Weights {path} not found; check the path.") from None
    except Exception as error:  # a damaged or foreign pickle can fail in any way
        first_line = f"{type(error).__name__} {error}".strip().splitlines()[0]
        raise CheckpointError(f"{path} cannot be loaded as weights: {first_line}") from error
    try:
        weights, extras = dict(saved["state_dict"]), json.loads(saved["extras"])
        sound = all(isinstance(value, Tensor) for value in weights.values())
        sound = sound and isinstance(extras, dict)
    except (KeyError, IndexError, TypeError, ValueError):
        sound = False
    if not sound:
        raise CheckpointError(
            f"{path} holds no checkpoint of save_downstream_model (expected 'state_dict' and "
            "'extras'); weights of other code cannot be used."
        )
    return weights, extras


def save_downstream_model(model: EEGFoundationForClassification, model_path: str | Path) -> None:
    """Save a classifier's weights, and what the published JSON has no place for, as ``.pth``.

    Parameters
    ----------
    model : EEGFoundationForClassification
    model_path : str | Path
        Written under a temporary name first, then renamed. A missing folder is made.
    """
    path = Path(model_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    extras = {key: getattr(model.config, key) for key in EXTRA_KEYS}
    unfinished = path.with_name(path.name + ".tmp")
    torch.save({"state_dict": model.state_dict(), "extras": json.dumps(extras)}, unfinished)
    unfinished.replace(path)
