"""What a fine-tuning can be told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from eegfoundation.alignments import ALIGNMENTS, require_flickers, standardises
from eegfoundation.errors import ConfigError
from eegfoundation.runs import LARGEST_COUNT, LARGEST_RATE

STRATEGIES = ("probe", "probe+covariance", "head", "lora", "full")
MONITORS = ("loss", "balanced_accuracy")
_LARGEST_RANK = 10**4


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """Settings of `eegfoundation.finetuning.fitting.fit`.

    Raises
    ------
    ConfigError
        A value is impossible, or two contradict each other.
    """

    strategy: str = "probe"
    """What is learned. "probe": a linear readout of the frozen encoder's context vectors.
    "probe+covariance": another one beside it, on how channels go together
    (`eegfoundation.covariance`), their probabilities averaged. "head": spatial fusion and head, the
    encoder frozen. "lora": these, and low-rank additions to the encoder's attention. "full":
    everything."""
    alignment: str = "none"
    """What is done to each session without labels: nothing, its context vectors standardised, its
    signals whitened, or both; "components": both, and components of the session beside its channels
    (`eegfoundation.evaluation.components`), which a probe alone can tell apart. What standardises
    needs a frozen encoder."""
    flicker_hz: Sequence[float] | None = None
    """Flickers that components are of, and correlations with, in Hz; None: bands."""
    epochs: int = 30
    """Passes over the training windows at most. (The probe makes none.)"""
    patience: int = 5
    """Epochs without improvement on the validation windows after which training stops."""
    monitor: str = "loss"
    """What has to improve: "loss" or "balanced_accuracy"."""
    batch_size: int = 16
    """Windows per step."""
    learning_rate: float | None = None
    """Of AdamW, for fusion and head; None: what the configuration says."""
    encoder_learning_rate: float | None = None
    """For the encoder; None: ``learning_rate`` with "lora", a tenth of it with "full"."""
    weight_decay: float | None = None
    """Of weights, not of biases and norms; None: what the configuration says."""
    class_weights: bool = True
    """Let classes weigh alike in the loss, whatever their number of windows. (In the probe they
    always do.)"""
    augmentation: bool = False
    """Make every training window a little different in every epoch, see
    `eegfoundation.finetuning.data.augmented`."""
    lora_rank: int = 8
    """Rank of the additions."""
    bf16: bool | None = None
    """Multiply in bfloat16 while training, which is two to three times as fast where the machine
    has units for it; None: where it has. Predictions are computed in float32."""
    seed: int = 0
    """Of initialisation, order, dropout and augmentation."""

    def __post_init__(self) -> None:
        choices = (("strategy", STRATEGIES), ("alignment", ALIGNMENTS), ("monitor", MONITORS))
        for name, allowed in choices:
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name}={getattr(self, name)!r}; choose one of {allowed}.")
        for name in ("epochs", "patience", "batch_size", "lora_rank"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}; it must be at least 1.")
            most = _LARGEST_RANK if name == "lora_rank" else LARGEST_COUNT
            if getattr(self, name) > most:
                raise ConfigError(f"{name}={getattr(self, name)}; it must be at most {most}.")
        for name in ("learning_rate", "encoder_learning_rate", "weight_decay"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ConfigError(f"{name}={value}; it must be 0 or more.")
            if value is not None and value > LARGEST_RATE:
                raise ConfigError(f"{name}={value}; it must be at most {LARGEST_RATE:g}.")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed={self.seed}; it must lie between 0 and 2**32 - 1.")
        used = self.covariance or self.alignment == "components"
        require_flickers(self.flicker_hz, used=used)
        if self.alignment == "components" and not self.probes:
            raise ConfigError(
                f"alignment='components' needs strategy='probe', found {self.strategy!r}: fusion "
                "takes channels as a set; choose 'euclidean' with lora and full, "
                "'euclidean+standardise' with head."
            )
        if self.tunes_encoder and standardises(self.alignment):
            raise ConfigError(
                f"alignment={self.alignment!r} needs a frozen encoder, strategy={self.strategy!r} "
                "changes it; choose alignment='euclidean', or strategy='probe' or 'head'."
            )
        if self.probes and self.augmentation:
            raise ConfigError(
                "A probe is fitted to fixed features and has no use for augmentation; leave it "
                "out, or choose another strategy."
            )

    @property
    def probes(self) -> bool:
        """Whether all that is learned is linear, on features that are fixed."""
        return self.strategy in ("probe", "probe+covariance")

    @property
    def covariance(self) -> bool:
        """Whether one probe is on how channels go together."""
        return self.strategy == "probe+covariance"

    @property
    def tunes_encoder(self) -> bool:
        """Whether the encoder changes."""
        return self.strategy in ("lora", "full")

    def to_dict(self) -> dict[str, Any]:
        """Values by name, JSON-serialisable."""
        return asdict(self)
