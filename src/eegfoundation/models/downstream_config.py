"""Configuration of the downstream classifier: the published keys, and what goes with them."""

from __future__ import annotations

from typing import Any

from eegfoundation.alignments import (
    ALIGNMENTS,
    component_names,
    n_covariances,
    require_flickers,
    standardises,
)
from eegfoundation.errors import ConfigError
from eegfoundation.models.strict_config import StrictConfig
from eegfoundation.preprocessing import Preprocessing

READOUTS = ("fusion", "linear")

#: Keys of the published JSON files.
PUBLISHED_KEYS = (
    *("seq_len", "patch_size", "stride", "d_model", "num_classes", "num_channel", "rms_norm"),
    *("embedding_dim", "projection_embedding_dim", "classification_dropout"),
    *("classification_hidden_dim", "learning_rate", "weight_decay", "model_type"),
)

#: Keys that they have no place for: these travel inside the .pth.
EXTRA_KEYS = (
    *("class_names", "ch_names", "encoder", "encoder_sha256", "encoder_tuned", "readout"),
    *(
        "covariance",
        "alignment",
        "flicker_hz",
        "preprocessing",
        "trained",
        "trained_on",
        "simulated",
    ),
)


class DownstreamConfig(StrictConfig):
    """Configuration of the downstream classifier: the 14 published keys, and what goes with them.

    Parameters
    ----------
    seq_len, num_channel : int
        Expected samples and channels. Other shapes are accepted and logged once.
    patch_size, stride : int
        Samples of a local patch, and from one patch to the next.
    d_model : int
        Width of the fusion.
    num_classes : int
        Outputs of the head.
    rms_norm : bool
        Root-mean-square normalisation instead of layer normalisation.
    embedding_dim : int
        Width E of the context vector that the encoder gives.
    projection_embedding_dim : int
        Width that context vectors are projected to before they join the fusion.
    classification_dropout, classification_hidden_dim : float, int
        Of the head.
    learning_rate, weight_decay : float
        Defaults for fine-tuning.
    class_names, ch_names : list of str | None
        Names of the outputs, and the channel order of arrays that come without positions.
    encoder : str
        Shipped name, folder or hub id of the encoder that computes missing context vectors.
    encoder_sha256 : str | None
        Fingerprint of that encoder (`eegfoundation.models.fingerprint`); another one is refused.
    encoder_tuned : bool
        The encoder was trained along with the classifier: it lies in the same checkpoint.
    readout : {"fusion", "linear"}
        Spatial fusion with a head, or one linear layer on the context vectors of the electrodes
        ``ch_names`` (`eegfoundation.models.readout`).
    covariance : bool
        Average the probabilities of a linear readout with those of another one, on covariance
        matrices or correlations with flickers (`eegfoundation.covariance`).
    alignment : {"none", "standardise", "euclidean", "euclidean+standardise", "components"}
        What has to be done to each recording before the classifier sees it: nothing, its context
        vectors standardised, its signals whitened, or both, with components beside the channels
        (`eegfoundation.evaluation.alignment`).
    flicker_hz : list of float | None
        Flickers that components are of, and correlations with, in Hz; None: bands.
    preprocessing : dict | None
        Settings of `Preprocessing` for the signal; None means its defaults.
    trained : bool
        False until fine-tuning sets it.
    trained_on : str | None
        What the weights were trained on, in words.
    simulated : bool
        No person's signal was among it: whoever loads the weights is told.
    """

    model_type = "eeg-foundation-downstream-classifier"

    seq_len: int = 2000
    patch_size: int = 200
    stride: int = 100
    d_model: int = 512
    num_classes: int = 2
    num_channel: int = 22
    rms_norm: bool = False
    embedding_dim: int = 512
    projection_embedding_dim: int = 512
    classification_dropout: float | int = 0.5
    classification_hidden_dim: int = 512
    learning_rate: float = 1e-4
    weight_decay: float = 0.1
    class_names: list[str] | None = None
    ch_names: list[str] | None = None
    encoder: str = "small"
    encoder_sha256: str | None = None
    encoder_tuned: bool = False
    readout: str = "fusion"
    covariance: bool = False
    alignment: str = "none"
    flicker_hz: list[float] | None = None
    preprocessing: dict[str, Any] = None  # type: ignore[assignment]
    trained: bool = False
    trained_on: str | None = None
    simulated: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        self.preprocessing = Preprocessing.from_dict(self.preprocessing).to_dict()
        super().__post_init__(**kwargs)
        self._require_whole(
            1,
            *("seq_len", "patch_size", "stride", "d_model", "num_classes", "num_channel"),
            *("embedding_dim", "projection_embedding_dim", "classification_hidden_dim"),
        )
        self.num_labels = self.num_classes  # transformers names each of them
        self._require_number(0, 1, "classification_dropout")
        self._require_number(0, float("inf"), "learning_rate", "weight_decay")
        for name, choices in (("readout", READOUTS), ("alignment", ALIGNMENTS)):
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name}={getattr(self, name)!r}; choose one of {choices}.")
        if not isinstance(self.covariance, bool):
            raise ConfigError(f"covariance={self.covariance!r}; true or false is needed.")
        if self.alignment == "components" and self.readout != "linear":
            raise ConfigError(
                f"alignment='components' needs readout='linear', found {self.readout!r}; choose "
                "another alignment."
            )
        if self.covariance and self.readout != "linear":
            raise ConfigError(
                f"covariance=true needs readout='linear', found {self.readout!r}; leave it out."
            )
        used = self.covariance or self.alignment == "components"
        require_flickers(self.flicker_hz, used=used)
        if self.encoder_tuned and standardises(self.alignment):
            raise ConfigError(
                "alignment='standardise' needs an encoder that stays as it is; choose 'euclidean' "
                "or 'none' where encoder_tuned is true."
            )
        for name, expected in (("class_names", self.num_classes), ("ch_names", self.num_channel)):
            names = getattr(self, name)
            if names is None:
                continue
            if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
                raise ConfigError(f"{name}={names!r}; a list of names is needed.")
            if len(names) != expected:
                raise ConfigError(f"{name} has {len(names)} entries; {expected} are expected.")

    @property
    def shared_out(self) -> str:
        """What an electrode has its share in: covariance decides without shares."""
        return "the encoder's half of the decisions" if self.covariance else "the decisions"

    @property
    def component_names(self) -> list[str]:
        """Of the components that come after the channels; empty without any."""
        return component_names(self.flicker_hz) if self.alignment == "components" else []

    @property
    def n_covariances(self) -> int:
        """Number of features that tell how channels go together."""
        return n_covariances(self.num_channel, self.flicker_hz)
