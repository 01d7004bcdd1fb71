"""Weights of Hugging Face RoFormer models, in and out.

With ``tokens_per_position=1`` our encoder is RoFormer; only names and the layout of the rotary
pairs differ. RoFormer rotates neighbours (0, 1), (2, 3), ...; ours rotates (0, d/2), (1, d/2 + 1),
... Reordering the rows of each head's query and key projections makes the two the same function
(the dot product of queries and keys does not see a common permutation of both).

Nothing is converted in part: a weight that is missing, left over or of another shape is an error
that names it. Checkpoints on disk are held to the same, since transformers would fill what is
missing with random numbers.
"""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import RoFormerConfig, RoFormerForMaskedLM, RoFormerModel

from eegfoundation.errors import CheckpointError, ConfigError, some_of
from eegfoundation.models.config import EEGFoundationConfig
from eegfoundation.models.encoder import EEGFoundationModel
from eegfoundation.models.masked_lm import EEGFoundationForMaskedLM
from eegfoundation.models.sharing import quiet

# (RoFormer's name, ours), in the order of a forward pass; # stands for a layer's number
_ENCODER = [
    ("embeddings.word_embeddings", "embeddings.word_embeddings"),
    ("embeddings.token_type_embeddings", "embeddings.token_type_embeddings"),
    ("embeddings.LayerNorm", "embeddings.norm"),
    ("embeddings_project", "embeddings.project"),
    ("encoder.layer.#.attention.self.query", "layers.#.attention.q_proj"),
    ("encoder.layer.#.attention.self.key", "layers.#.attention.k_proj"),
    ("encoder.layer.#.attention.self.value", "layers.#.attention.v_proj"),
    ("encoder.layer.#.attention.output.dense", "layers.#.attention.out_proj"),
    ("encoder.layer.#.attention.output.LayerNorm", "layers.#.attention_norm"),
    ("encoder.layer.#.intermediate.dense", "layers.#.fc1"),
    ("encoder.layer.#.output.dense", "layers.#.fc2"),
    ("encoder.layer.#.output.LayerNorm", "layers.#.output_norm"),
]
_HEAD = [
    ("transform.dense", "dense"),
    ("transform.LayerNorm", "norm"),
    ("decoder", "decoder"),
]
_LAYER_NUMBER = r"(?<=\.)\d+(?=\.)"
# RoFormer's keys that hold no weight of their own: a sine table, the decoder's bias once more
_NOT_WEIGHTS = {"encoder.embed_positions.weight", "bias"}


@dataclasses.dataclass(frozen=True)
class ConversionReport:
    """Which keys of a conversion found their place.

    Attributes
    ----------
    matched : list of str
        Target keys that were filled.
    missing : list of str
        Target keys that nothing filled.
    unexpected : list of str
        Source keys that have no place.
    """

    matched: list[str]
    missing: list[str]
    unexpected: list[str]

    def __add__(self, other: ConversionReport) -> ConversionReport:
        return ConversionReport(
            self.matched + other.matched,
            self.missing + other.missing,
            self.unexpected + other.unexpected,
        )

    def __str__(self) -> str:
        """One line for each list; matched keys are counted."""
        return "\n".join(
            [
                f"matched: {len(self.matched)} weights",
                f"missing: {', '.join(self.missing) or 'none'}",
                f"unexpected: {', '.join(self.unexpected) or 'none'}",
            ]
        )


def load_roformer(folder: str | Path) -> RoFormerModel | RoFormerForMaskedLM:
    """Read a RoFormer checkpoint, all of it or not at all.

    Parameters
    ----------
    folder : str | Path
        Written by ``save_pretrained`` of `transformers.RoFormerModel` or
        `transformers.RoFormerForMaskedLM`: ``config.json``, and ``model.safetensors`` or
        ``pytorch_model.bin`` (read without running code).

    Returns
    -------
    model : RoFormerModel | RoFormerForMaskedLM
        With the masked-token head if the checkpoint says that it has one. Float32.

    Raises
    ------
    CheckpointError
        If there is no such checkpoint, or any weight is missing, unexpected or of another shape.
    """
    try:
        about = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} has no readable config.json: {error}.") from None
    if not isinstance(about, dict) or about.get("model_type") != "roformer":
        found = about.get("model_type") if isinstance(about, dict) else None
        raise CheckpointError(
            f"{folder} holds a model of type {found!r}; expected 'roformer', a checkpoint of "
            "RoFormerModel or RoFormerForMaskedLM."
        )
    with_head = "RoFormerForMaskedLM" in (about.get("architectures") or [])
    loader: Any = RoFormerForMaskedLM if with_head else RoFormerModel
    try:
        with quiet():
            model, info = loader.from_pretrained(
                folder, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True
            )
    except (OSError, SafetensorError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise CheckpointError(f"Cannot load {folder}: {first_line}") from error
    kinds = ("missing_keys", "unexpected_keys", "mismatched_keys")
    missing, unexpected, misshapen = (
        sorted(str(key) for key in info[kind] if str(key) not in _NOT_WEIGHTS) for kind in kinds
    )
    _refuse(f"Reading {folder} as {loader.__name__}", missing, unexpected, misshapen)
    return model.eval()


def from_roformer(
    source: RoFormerModel | RoFormerForMaskedLM,
    tokenizer: dict[str, object] | None = None,
    preprocessing: dict[str, object] | None = None,
    *,
    trained: bool = False,
) -> tuple[EEGFoundationModel | EEGFoundationForMaskedLM, ConversionReport]:
    """Copy a RoFormer model into ours.

    Parameters
    ----------
    source : RoFormerModel | RoFormerForMaskedLM
    tokenizer, preprocessing : dict | None
        What the source was trained with, as RoFormer's configuration has no place for it; the
        published scheme is ``tokenizer={"scaling": "minmax"}``. None: the defaults.
    trained : bool
        Whether the source was; False lets everything that runs on the weights say so.

    Returns
    -------
    model : EEGFoundationModel | EEGFoundationForMaskedLM
        Float32. Gives the same hidden states (the same logits), in evaluation mode.
    report : ConversionReport

    Raises
    ------
    ConfigError
        If the source is no plain encoder with this vocabulary.
    CheckpointError
        If any weight is missing, unexpected or of another shape.
    """
    theirs = source.config
    if theirs.rotary_value or theirs.is_decoder:
        raise ConfigError("rotary_value and is_decoder of RoFormer are not supported here.")
    shared = _shared_settings(theirs)
    config = EEGFoundationConfig(
        **shared,
        tokens_per_position=1,
        pooling="mean",
        tokenizer=tokenizer,
        preprocessing=preprocessing,
        trained=trained,
    )
    with_head = isinstance(source, RoFormerForMaskedLM)
    model = EEGFoundationForMaskedLM(config) if with_head else EEGFoundationModel(config)
    heads = config.num_attention_heads
    if not with_head:
        return model.eval(), _copy(source, model, _ENCODER, heads, interleaved=False)
    encoder = _copy(source.roformer, model.encoder, _ENCODER, heads, interleaved=False)
    head = _copy(source.cls.predictions, model.head, _HEAD, heads, interleaved=False)
    return model.eval(), encoder + head


def to_roformer(
    source: EEGFoundationModel | EEGFoundationForMaskedLM,
) -> tuple[RoFormerModel | RoFormerForMaskedLM, ConversionReport]:
    """Copy our model into Hugging Face's RoFormer, for tools that know that class.

    Parameters
    ----------
    source : EEGFoundationModel | EEGFoundationForMaskedLM
        With ``tokens_per_position=1``.

    Returns
    -------
    model : RoFormerModel | RoFormerForMaskedLM
        In evaluation mode. It takes at most ``max_position_embeddings`` positions.
    report : ConversionReport

    Raises
    ------
    ConfigError
        If the architecture has no counterpart in RoFormer.
    CheckpointError
        If any weight is missing, unexpected or of another shape.
    """
    ours = source.config
    if ours.tokens_per_position != 1 or not ours.type_vocab_size or ours.rope_theta != 10000:
        raise ConfigError(
            "Only tokens_per_position=1, type_vocab_size>=1 and rope_theta=10000 exist in RoFormer;"
            f" found {ours.tokens_per_position}, {ours.type_vocab_size} and {ours.rope_theta}."
        )
    config = RoFormerConfig(**_shared_settings(ours))
    with_head = isinstance(source, EEGFoundationForMaskedLM)
    model = RoFormerForMaskedLM(config) if with_head else RoFormerModel(config)
    heads = ours.num_attention_heads
    encoder_names = [(mine, theirs) for theirs, mine in _ENCODER]
    head_names = [(mine, theirs) for theirs, mine in _HEAD]
    if not with_head:
        return model.eval(), _copy(source, model, encoder_names, heads, interleaved=True)
    encoder = _copy(source.encoder, model.roformer, encoder_names, heads, interleaved=True)
    head = _copy(source.head, model.cls.predictions, head_names, heads, interleaved=True)
    return model.eval(), encoder + head


def _shared_settings(config: RoFormerConfig | EEGFoundationConfig) -> dict[str, object]:
    names = [
        *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
        *("intermediate_size", "embedding_size", "hidden_act", "hidden_dropout_prob"),
        *("attention_probs_dropout_prob", "max_position_embeddings", "type_vocab_size"),
        *("initializer_range", "layer_norm_eps", "pad_token_id", "tie_word_embeddings"),
    ]
    return {name: getattr(config, name) for name in names}


def _copy(
    source: nn.Module,
    target: nn.Module,
    renames: list[tuple[str, str]],
    num_heads: int,
    *,
    interleaved: bool,
) -> ConversionReport:
    """Copy all weights of `source` into `target`, every one or none."""
    new_names = dict(renames)
    weights = {}
    for key, value in source.state_dict().items():
        module, _, leaf = key.rpartition(".")
        layer = re.search(_LAYER_NUMBER, module)
        module = re.sub(_LAYER_NUMBER, "#", module)
        name = new_names.get(module, module).replace("#", layer.group() if layer else "#")
        if module.endswith(("query", "key", "q_proj", "k_proj")):
            value = _reorder(value, num_heads, interleaved=interleaved)
        weights[f"{name}.{leaf}" if name else leaf] = value
    weights = {key: value for key, value in weights.items() if key not in _NOT_WEIGHTS}
    expected = {k: v for k, v in target.state_dict().items() if k not in _NOT_WEIGHTS}
    report = ConversionReport(
        matched=sorted(weights.keys() & expected.keys()),
        missing=sorted(expected.keys() - weights.keys()),
        unexpected=sorted(weights.keys() - expected.keys()),
    )
    misshapen = [
        f"{key} {tuple(weights[key].shape)} for {tuple(expected[key].shape)}"
        for key in report.matched
        if weights[key].shape != expected[key].shape
    ]
    _refuse(f"Conversion to {type(target).__name__}", report.missing, report.unexpected, misshapen)
    target.load_state_dict(weights, strict=False)  # strict but for _NOT_WEIGHTS: checked above
    return report


def _refuse(what: str, missing: list[str], unexpected: list[str], misshapen: list[str]) -> None:
    if missing or unexpected or misshapen:
        raise CheckpointError(
            f"{what} is not exact: missing {some_of(missing)}, unexpected {some_of(unexpected)}, "
            f"of another shape {some_of(misshapen)}."
        )


def _reorder(value: Tensor, num_heads: int, *, interleaved: bool) -> Tensor:
    """Reorder each head's rows: interleaved pairs <-> half-split pairs."""
    rows = value.unflatten(0, (num_heads, -1))
    if interleaved:
        first, second = rows.chunk(2, dim=1)
        return torch.stack([first, second], dim=2).flatten(1, 2).flatten(0, 1)
    return torch.cat([rows[:, 0::2], rows[:, 1::2]], dim=1).flatten(0, 1)
