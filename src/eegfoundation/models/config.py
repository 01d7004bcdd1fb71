"""Configurations of the encoder and of the downstream classifier.

Both are Hugging Face configurations (``config.json``, ``from_pretrained``), with one difference: a
key that nobody reads is an error, not a silent attribute. A configuration that lies is worse than
none. The encoder's configuration carries the tokenizer and the preprocessing that its weights were
trained with, so that a checkpoint can never be used with the wrong ones.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig
from transformers.activations import ACT2FN

from eegfoundation import tokenizer as vocabulary
from eegfoundation.errors import CheckpointError, ConfigError
from eegfoundation.preprocessing import Preprocessing
from eegfoundation.tokenizer import AmplitudeTokenizer

# What transformers itself writes into or passes along with a config.json
_LIBRARY_KEYS = {
    "_attn_implementation",
    "_commit_hash",
    "_name_or_path",
    "attn_implementation",
    "model_type",
    "name_or_path",
    "num_labels",
    "output_attentions",
    "torch_dtype",
    "use_cache",  # its Trainer sets this on any model
}


class _StrictConfig(PreTrainedConfig):
    """A configuration that refuses keys it does not know."""

    def __post_init__(self, **kwargs: Any) -> None:
        model_type = kwargs.get("model_type", self.model_type)
        if model_type != self.model_type:
            raise ConfigError(
                f"Found model_type {model_type!r}; {type(self).__name__} reads "
                f"{self.model_type!r} only."
            )
        unknown = sorted(set(kwargs) - _LIBRARY_KEYS)
        if unknown:
            raise ConfigError(
                f"Unknown keys {unknown} in a configuration of {self.model_type!r}; remove them."
            )
        super().__post_init__(**kwargs)

    def _require_whole(self, minimum: int, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if type(value) is not int or value < minimum:
                raise ConfigError(
                    f"{name}={value!r}; a whole number of at least {minimum} is needed."
                )

    def _require_number(self, low: float, high: float, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if type(value) not in (int, float) or not low <= value < high:
                raise ConfigError(
                    f"{name}={value!r}; a number of at least {low:g} and below {high:g} is needed."
                )

    @classmethod
    def get_config_dict(cls, name_or_path: Any, **kwargs: Any) -> Any:
        """Read the ``config.json`` of a checkpoint; transformers takes a missing one for empty.

        Raises
        ------
        CheckpointError
            If there is no readable ``config.json`` with a ``model_type``.
        """
        try:
            values, unused = super().get_config_dict(name_or_path, **kwargs)
        except OSError as error:
            first_line = str(error).strip().splitlines()[0]
            raise CheckpointError(f"Cannot load {name_or_path}: {first_line}") from error
        if "model_type" not in values:
            raise CheckpointError(
                f"Cannot load {name_or_path}: found no config.json with a model_type."
            )
        return values, unused

    @classmethod
    def from_json_file(cls, json_file: str | Path) -> Any:
        """Read a configuration from a JSON file.

        Raises
        ------
        ConfigError
            If the file is missing or no JSON object, or a key is unknown.
        """
        path = Path(json_file)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"Configuration {path} not found; check the path.") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"Configuration {path} is no valid JSON: {error}.") from None
        if not isinstance(values, dict):
            raise ConfigError(f"Configuration {path} holds no JSON object of settings.")
        return cls(**values)


class EEGFoundationConfig(_StrictConfig):
    """Configuration of the temporal encoder.

    The defaults are the published RoFormer-base. See `SIZES` for named ones.

    Parameters
    ----------
    vocab_size, mask_token_id, pad_token_id, cls_token_id, sep_token_id, unk_token_id : int
        Vocabulary of `AmplitudeTokenizer`; other values are an error.
    hidden_size, num_hidden_layers, num_attention_heads, intermediate_size : int
        Width D, depth, heads H and feed-forward width.
    embedding_size : int | None
        Width of a token's embedding; None means ``hidden_size``.
    tokens_per_position : int
        Tokens from one position to the next. 1 is the published architecture; with more, a position
        is made by a bank of filters (`eegfoundation.models.embeddings`).
    tokens_seen : int | None
        Tokens that a position is made of: its own and equally many on both sides. None means its
        own, and with one token per position nothing else is possible.
    pooling : {"mean", "mean_std"}
        How positions become the context vector: their mean, or mean and standard deviation.
    max_position_embeddings : int
        Positions of a pretraining window. Rotary positions need no table: any length is accepted.
    type_vocab_size : int
        Rows of RoFormer's token-type table (only row 0 is used); 0 leaves the table out.
    tokenizer, preprocessing : dict | None
        Settings of `AmplitudeTokenizer` and `Preprocessing`; None means their defaults.
    trained : bool
        False until pretraining sets it: whatever runs on such weights says so.
    """

    model_type = "eegfoundation"

    vocab_size: int = vocabulary.VOCAB_SIZE
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    embedding_size: int = None  # type: ignore[assignment]  # __post_init__ fills these four
    tokens_per_position: int = 1
    tokens_seen: int = None  # type: ignore[assignment]
    pooling: str = "mean"
    hidden_act: str = "gelu"
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    max_position_embeddings: int = 2000
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    rope_theta: float | int = 10000.0
    mask_token_id: int = vocabulary.MASK
    pad_token_id: int = vocabulary.PAD
    cls_token_id: int = vocabulary.CLS
    sep_token_id: int = vocabulary.SEP
    unk_token_id: int = vocabulary.UNK
    tie_word_embeddings: bool = True
    tokenizer: dict[str, Any] = None  # type: ignore[assignment]
    preprocessing: dict[str, Any] = None  # type: ignore[assignment]
    trained: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        if self.embedding_size is None:
            self.embedding_size = self.hidden_size
        if self.tokens_seen is None:
            self.tokens_seen = self.tokens_per_position
        # normalised through their classes, so that what is saved is complete and checked
        self.tokenizer = AmplitudeTokenizer.from_dict(self.tokenizer or {}).to_dict()
        self.preprocessing = Preprocessing.from_dict(self.preprocessing or {}).to_dict()
        super().__post_init__(**kwargs)
        self._check()

    def _check(self) -> None:
        for name in ("mask", "pad", "cls", "sep", "unk"):
            found, expected = getattr(self, f"{name}_token_id"), getattr(vocabulary, name.upper())
            if found != expected:
                raise ConfigError(f"{name}_token_id={found}; the tokenizer's is {expected}.")
        if self.vocab_size != vocabulary.VOCAB_SIZE:
            raise ConfigError(
                f"vocab_size={self.vocab_size}; the tokenizer's is {vocabulary.VOCAB_SIZE}."
            )
        self._require_whole(
            1,
            *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
            *("embedding_size", "tokens_per_position", "tokens_seen", "max_position_embeddings"),
        )
        if self.tokens_seen > 1 and not self.merges_tokens:
            raise ConfigError(
                f"tokens_seen={self.tokens_seen}; with tokens_per_position=1 a position is a "
                "single token: leave tokens_seen out."
            )
        if self.tokens_seen < self.tokens_per_position or (
            (self.tokens_seen - self.tokens_per_position) % 2
        ):
            raise ConfigError(
                f"tokens_seen={self.tokens_seen}; tokens_per_position="
                f"{self.tokens_per_position} plus an even number is needed."
            )
        self._require_whole(0, "type_vocab_size")
        self._require_number(0, 1, "hidden_dropout_prob", "attention_probs_dropout_prob")
        self._require_number(0, float("inf"), "initializer_range", "layer_norm_eps", "rope_theta")
        if self.hidden_act not in ACT2FN:
            raise ConfigError(f"hidden_act={self.hidden_act!r} is unknown; 'gelu' is usual.")
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ConfigError(
                f"hidden_size={self.hidden_size} must be an even multiple of "
                f"num_attention_heads={self.num_attention_heads} for rotary positions."
            )
        if self.pooling not in ("mean", "mean_std"):
            raise ConfigError(f"pooling={self.pooling!r}; choose 'mean' or 'mean_std'.")

    @property
    def merges_tokens(self) -> bool:
        """Whether a position is made of several tokens; else the architecture is the published."""
        return self.tokens_per_position > 1

    @property
    def context_size(self) -> int:
        """Width of the context vector, E."""
        return self.hidden_size * (2 if self.pooling == "mean_std" else 1)


#: Named sizes. ``published`` is the 512-wide embedding encoder of the publication, ``base`` its
#: pretraining configuration (also in configs/pretrain_config.json); both take one token per sample.
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 256,
        "embedding_size": 16,
        "tokens_per_position": 25,
        "tokens_seen": 75,
        "pooling": "mean_std",
        "max_position_embeddings": 80,
        "type_vocab_size": 0,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.05,
    },
    "small": {
        "hidden_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
        "embedding_size": 16,
        "tokens_per_position": 50,
        "tokens_seen": 200,
        "pooling": "mean_std",
        "max_position_embeddings": 40,
        "type_vocab_size": 0,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.05,
    },
    "published": {"hidden_size": 512, "num_attention_heads": 8, "intermediate_size": 2048},
    "base": {},
}


class DownstreamConfig(_StrictConfig):
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
    preprocessing : dict | None
        Settings of `Preprocessing` for the signal; None means its defaults.
    trained : bool
        False until fine-tuning sets it.
    trained_on : str | None
        What the weights were trained on, in words.
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
    preprocessing: dict[str, Any] = None  # type: ignore[assignment]
    trained: bool = False
    trained_on: str | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        self.preprocessing = Preprocessing.from_dict(self.preprocessing or {}).to_dict()
        super().__post_init__(**kwargs)
        self.num_labels = self.num_classes
        self._require_whole(
            1,
            *("seq_len", "patch_size", "stride", "d_model", "num_classes", "num_channel"),
            *("embedding_dim", "projection_embedding_dim", "classification_hidden_dim"),
        )
        self._require_number(0, 1, "classification_dropout")
        self._require_number(0, float("inf"), "learning_rate", "weight_decay")
        for name, expected in (("class_names", self.num_classes), ("ch_names", self.num_channel)):
            names = getattr(self, name)
            if names is not None and len(names) != expected:
                raise ConfigError(f"{name} has {len(names)} entries; {expected} are expected.")
