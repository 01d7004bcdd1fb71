"""Configuration of the temporal encoder.

It carries the tokenizer and the preprocessing that the weights were trained with, so that a
checkpoint can never be used with the wrong ones.
"""

from __future__ import annotations

from typing import Any

from transformers.activations import ACT2FN

from eegfoundation import tokenizer as vocabulary
from eegfoundation.errors import ConfigError
from eegfoundation.models.strict_config import StrictConfig
from eegfoundation.preprocessing import Preprocessing
from eegfoundation.tokenizer import AmplitudeTokenizer

POOLINGS = ("mean", "mean_std", "mean_first_last")


class EEGFoundationConfig(StrictConfig):
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
    pooling : {"mean", "mean_std", "mean_first_last"}
        How positions become the context vector: their mean; mean and standard deviation; or the
        mean after the first and the mean after the last layer, side by side.
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
        self.tokenizer = AmplitudeTokenizer.from_dict(self.tokenizer).to_dict()
        self.preprocessing = Preprocessing.from_dict(self.preprocessing).to_dict()
        super().__post_init__(**kwargs)
        self._check()

    def _check(self) -> None:
        for name in ("mask", "pad", "cls", "sep", "unk"):
            found, expected = getattr(self, f"{name}_token_id"), getattr(vocabulary, name.upper())
            if found != expected:
                raise ConfigError(f"{name}_token_id={found!r}; the tokenizer's is {expected}.")
        if self.vocab_size != vocabulary.VOCAB_SIZE:
            raise ConfigError(
                f"vocab_size={self.vocab_size!r}; the tokenizer's is {vocabulary.VOCAB_SIZE}."
            )
        self._require_whole(
            1,
            *("hidden_size", "num_attention_heads", "intermediate_size"),
            *("embedding_size", "tokens_per_position", "tokens_seen", "max_position_embeddings"),
        )
        self._require_whole(1, "num_hidden_layers", maximum=1000)
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
        self._require_number(0, float("inf"), "initializer_range", "layer_norm_eps")
        self._require_number(1, float("inf"), "rope_theta")
        if not isinstance(self.hidden_act, str) or self.hidden_act not in ACT2FN:
            raise ConfigError(f"hidden_act={self.hidden_act!r} is unknown; 'gelu' is usual.")
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ConfigError(
                f"hidden_size={self.hidden_size} must be an even multiple of "
                f"num_attention_heads={self.num_attention_heads} for rotary positions."
            )
        if self.pooling not in POOLINGS:
            raise ConfigError(f"pooling={self.pooling!r}; choose one of {POOLINGS}.")

    @property
    def merges_tokens(self) -> bool:
        """Whether a position is made of several tokens; else the architecture is the published."""
        return self.tokens_per_position > 1

    @property
    def context_size(self) -> int:
        """Width of the context vector, E."""
        return self.hidden_size * (1 if self.pooling == "mean" else 2)


#: Named sizes. ``published`` is the 512-wide embedding encoder of the publication, ``base`` its
#: pretraining configuration (also in configs/pretrain_config.json); both take one token per sample.
#: ``nano`` does four tenths of the work of ``small``: narrower, and with half its layers.
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 256,
        "embedding_size": 16,
        "tokens_per_position": 25,
        "tokens_seen": 75,
        "pooling": "mean_first_last",
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
        "pooling": "mean_first_last",
        "max_position_embeddings": 40,
        "type_vocab_size": 0,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.05,
    },
    "nano": {
        "hidden_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 768,
        "embedding_size": 16,
        "tokens_per_position": 50,
        "tokens_seen": 200,
        "pooling": "mean_first_last",
        "max_position_embeddings": 40,
        "type_vocab_size": 0,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.05,
    },
    "published": {"hidden_size": 512, "num_attention_heads": 8, "intermediate_size": 2048},
    "base": {},
}
