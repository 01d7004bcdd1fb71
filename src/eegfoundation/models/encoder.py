"""The temporal encoder: amplitude tokens of one channel -> states and one context vector.

A RoFormer (Su et al. 2021): rotary positions, post-norm blocks with biases, GELU. One class, two
regimes, one parameter between them: ``tokens_per_position=1`` is the published architecture, one
position per sample; with ``tokens_per_position=P`` there is one position per P tokens (see
`embeddings`), so attention sees P times fewer positions of the same signal. No weight depends on
the number of channels or on the window length.

Shape legend: B batch (every channel of every window is its own row), C channels, T samples,
N positions (ceil(T / P)), D width, E context width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPooling

from eegfoundation.errors import CheckpointError, EEGFoundationError, ModelInputError, some_of
from eegfoundation.models.attention import attention_by_heads, tiled_attention
from eegfoundation.models.config import EEGFoundationConfig
from eegfoundation.models.embeddings import (
    FilterBank,
    TokenEmbeddings,
    fourier_filters,
    ordinal_table,
)
from eegfoundation.models.linear import Linear, activated, suits_onednn
from eegfoundation.models.processor import has_matrix_units, slows_mkl
from eegfoundation.models.rotary import rotary_tables, rotate
from eegfoundation.models.sharing import SharedModel, quiet
from eegfoundation.preprocessing import Preprocessing
from eegfoundation.tokenizer import N_BINS, PAD, AmplitudeTokenizer

_POSITIONS_FOR_UNITS = 128  # from here on PyTorch's attention is faster on matrix units
_POSITIONS_BY_HEADS = 1000  # from here on the products of one head outweigh the calls for them
_RESIDUAL = 0.1  # of what is added in a new block: at first the spectrum passes nearly unchanged


def masked_score(dtype: torch.dtype) -> float:
    """Attention score of what is masked: low enough to count as none, but finite.

    Half of the lowest number, because the lowest of float32 rounds to -inf in bfloat16 (autocast),
    and a row of which everything is masked would become NaN.
    """
    return torch.finfo(dtype).min / 2


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, dropout: float = 0.0
) -> Tensor:
    """Scaled dot-product attention, (B, H, N, D / H) each.

    PyTorch's kernel, but for low precision on a CPU: there it multiplies as slowly as in float32,
    and tiles of plain products are half as fast again; with dropout (in training), several times.
    Only where the processor has matrix units, the kernel uses them, and is twice as fast as tiles
    if there are many positions and no gradient (docs/performance.md). In float32 the kernel is slow
    where MKL is, on AMD: there long windows are attended to head by head.
    """
    own = mask is None and q.device.type == "cpu" and not torch.compiler.is_compiling()
    # a traced graph (compile, export) takes any number of positions: no question of it may be asked
    if own and (dropout or (_low_precision(q) and not _suits_matrix_units(q))):
        return tiled_attention(q, k, v, dropout)
    if own and q.shape[2] >= _POSITIONS_BY_HEADS and slows_mkl() and suits_onednn(q, k):
        return attention_by_heads(q, k, v)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)


def _low_precision(q: Tensor) -> bool:
    return torch.is_autocast_enabled("cpu") or q.dtype != torch.float32


def _suits_matrix_units(q: Tensor) -> bool:
    learns = torch.is_grad_enabled() and q.requires_grad
    return has_matrix_units() and not learns and q.shape[2] >= _POSITIONS_FOR_UNITS


class ResidualLinear(Linear):
    """Last layer of a residual branch."""


class SelfAttention(nn.Module):
    """Attention over the positions of one channel, (B, N, D) -> (B, N, D)."""

    def __init__(self, config: EEGFoundationConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.dropout = config.attention_probs_dropout_prob
        self.q_proj = Linear(size, size)
        self.k_proj = Linear(size, size)
        self.v_proj = Linear(size, size)
        self.out_proj = ResidualLinear(size, size)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        q, k, v = (
            proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        dropout = self.dropout if self.training else 0.0
        x = attend(rotate(q, *rotary), rotate(k, *rotary), v, mask, dropout)
        return self.out_proj(x.transpose(1, 2).flatten(2))


class EncoderLayer(GradientCheckpointingLayer):
    """One post-norm block."""

    def __init__(self, config: EEGFoundationConfig) -> None:
        super().__init__()
        size, eps = config.hidden_size, config.layer_norm_eps
        self.attention = SelfAttention(config)
        self.attention_norm = nn.LayerNorm(size, eps=eps)
        self.fc1 = Linear(size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.fc2 = ResidualLinear(config.intermediate_size, size)
        self.output_norm = nn.LayerNorm(size, eps=eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        x = self.attention_norm(x + self.dropout(self.attention(x, rotary, mask)))
        wide = activated(self.fc1, self.activation, x)
        return self.output_norm(x + self.dropout(self.fc2(wide)))


class EEGFoundationPreTrainedModel(SharedModel):
    """Hugging Face saving, loading and sharing, made strict."""

    config_class = EEGFoundationConfig
    base_model_prefix = "encoder"
    supports_gradient_checkpointing = True
    _supports_sdpa = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        config = self.config
        if isinstance(module, nn.Linear | nn.Embedding | FilterBank):
            nn.init.normal_(module.weight, std=config.initializer_range)
        if isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
        if isinstance(module, nn.Linear | nn.LayerNorm | FilterBank) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if not (isinstance(config, EEGFoundationConfig) and config.merges_tokens):
            return
        if isinstance(module, nn.Embedding) and module.num_embeddings > N_BINS:
            table = ordinal_table(config.embedding_size)
            module.weight[:N_BINS] = table * config.initializer_range
        elif isinstance(module, FilterBank):
            tokenizer = AmplitudeTokenizer.from_dict(config.tokenizer)
            size = config.embedding_size, config.tokens_seen
            module.weight.copy_(fourier_filters(config.hidden_size, *size, tokenizer))
        elif isinstance(module, ResidualLinear):
            module.weight.mul_(_RESIDUAL)

    @classmethod
    def from_pretrained(cls, name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint from a folder or hub id, all of it or not at all.

        Takes the arguments of `transformers.PreTrainedModel.from_pretrained`.

        Raises
        ------
        CheckpointError
            If a weight is missing, unexpected or of another shape, or if
            ``model.safetensors`` is absent or damaged. Transformers itself would fill gaps with
            random numbers.
        """
        wants_info = kwargs.pop("output_loading_info", False)
        kwargs.setdefault("use_safetensors", True)  # never unpickle
        kwargs["ignore_mismatched_sizes"] = True  # collected below instead of half-reported
        try:
            with quiet():
                model, info = super().from_pretrained(
                    name_or_path, *args, output_loading_info=True, **kwargs
                )
        except EEGFoundationError:
            raise
        except (OSError, ValueError, SafetensorError) as error:
            first_line = str(error).strip().splitlines()[0]
            raise CheckpointError(
                f"Cannot load {name_or_path}: {first_line.rstrip('.')}; is it a whole checkpoint?"
            ) from error
        except RuntimeError as error:
            if "allocate memory" not in str(error):
                raise
            raise CheckpointError(
                f"Cannot load {name_or_path}: its config.json asks for more memory than there is."
            ) from error
        problems = [
            f"{kind.split('_')[0]} {some_of([str(name) for name in info[kind]])}"
            for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")
            if info[kind]
        ]
        if problems:
            raise CheckpointError(
                f"The weights in {name_or_path} do not fit {cls.__name__}: {'; '.join(problems)}."
            )
        if broken := [name for name, value in model.state_dict().items() if not all_finite(value)]:
            raise CheckpointError(
                f"The weights in {name_or_path} are damaged: {broken[0]} holds NaN or infinity."
            )
        return (model, info) if wants_info else model


def all_finite(value: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinity."""
    return not value.is_floating_point() or bool(value.isfinite().all())


class EEGFoundationModel(EEGFoundationPreTrainedModel):
    """Temporal encoder without a head.

    Examples
    --------
    >>> import torch
    >>> from eegfoundation.models import EEGFoundationConfig, EEGFoundationModel, SIZES
    >>> encoder = EEGFoundationModel(EEGFoundationConfig(**SIZES["tiny"])).eval()
    >>> encoder.embed_signal(torch.randn(2, 19, 1000) * 20).shape  # 2 windows of 19 channels, 5 s
    torch.Size([2, 19, 128])
    """

    # a checkpoint saved with its masked-token head loads without it
    _keys_to_ignore_on_load_unexpected = (r"^head\.",)

    def __init__(self, config: EEGFoundationConfig) -> None:
        super().__init__(config)
        self.embeddings = TokenEmbeddings(config)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_hidden_layers))
        self.tokenizer = AmplitudeTokenizer.from_dict(config.tokenizer)
        self.preprocessing = Preprocessing.from_dict(config.preprocessing)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Table of token embeddings."""
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the table of token embeddings."""
        self.embeddings.word_embeddings = value

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> BaseModelOutputWithPooling:
        """Encode tokens.

        Parameters
        ----------
        input_ids : Tensor of integers, shape (B, T)
            From `AmplitudeTokenizer.encode`; every row is one channel's window.
        attention_mask : Tensor, shape (B, T) | None
            True (or 1) at samples that exist, False at padding. None: all exist.
        output_hidden_states : bool
            Also return the embeddings and every layer's states.

        Returns
        -------
        output : BaseModelOutputWithPooling
            ``last_hidden_state`` (B, N, D); ``pooler_output``, the context vector (B, E);
            ``hidden_states``, a tuple of (B, N, D), if asked for.

        Raises
        ------
        ModelInputError
            If the shapes do not fit.
        """
        if input_ids.ndim != 2 or input_ids.shape[1] == 0 or input_ids.is_floating_point():
            raise ModelInputError(
                f"input_ids has shape {tuple(input_ids.shape)} and type {input_ids.dtype}; "
                "expected integer tokens (B, T), one channel's window per row. For a (B, C, T) "
                "signal in microvolts use embed_signal."
            )
        valid = self._valid_positions(input_ids, attention_mask)
        if attention_mask is not None and self.config.tokens_per_position > 1:
            # a position that is valid only in part must not see what lies under the padding
            input_ids = input_ids.masked_fill(~attention_mask.bool(), PAD)
        x = self.embeddings(input_ids)
        mask = None
        if valid is not None:
            # additive like RoFormer's: a row without any valid position stays finite
            mask = torch.zeros(valid.shape, dtype=x.dtype, device=x.device)
            mask = mask.masked_fill(~valid, masked_score(x.dtype))[:, None, None, :]
            mask = mask.expand(-1, 1, x.shape[1], -1)
        config = self.config
        head_dim = config.hidden_size // config.num_attention_heads
        rotary = rotary_tables(x.shape[1], head_dim, config.rope_theta, like=x)
        states = [x]
        for layer in self.layers:
            x = layer(x, rotary, mask)
            states.append(x)
        return BaseModelOutputWithPooling(
            last_hidden_state=x,
            pooler_output=self._pool(states, valid),
            hidden_states=tuple(states) if output_hidden_states else None,
        )

    def embed_signal(self, x: Tensor, *, time_resolved: bool = False) -> Tensor:
        """Encode windows of preprocessed signal.

        Parameters
        ----------
        x : Tensor, shape (..., T), usually (B, C, T)
            Microvolts at ``preprocessing.sfreq``; NaN marks unusable samples.
        time_resolved : bool
            Return the states of all positions instead of the context vector.

        Returns
        -------
        values : Tensor, shape (..., E), or (..., N, D) if ``time_resolved``
            NaN for a channel that is flat or has no usable sample.
        """
        ids, _ = self.tokenizer.encode(x)
        rows = ids.reshape(-1, ids.shape[-1])
        output = self(rows)
        values = output.last_hidden_state if time_resolved else output.pooler_output
        dead = (rows == PAD).all(-1).view(-1, *[1] * (values.ndim - 1))
        return values.masked_fill(dead, torch.nan).reshape(*ids.shape[:-1], *values.shape[1:])

    def _valid_positions(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor | None:
        """(B, T) mask of samples -> (B, N) mask of positions with at least one sample."""
        if attention_mask is None:
            return None
        if attention_mask.shape != input_ids.shape:
            raise ModelInputError(
                f"attention_mask has shape {tuple(attention_mask.shape)}; expected that of "
                f"input_ids, {tuple(input_ids.shape)}."
            )
        per_position = self.config.tokens_per_position
        valid = F.pad(attention_mask.bool(), (0, -input_ids.shape[1] % per_position))
        return valid.unflatten(1, (-1, per_position)).any(-1)

    def _pool(self, states: list[Tensor], valid: Tensor | None) -> Tensor:
        """Embeddings and states (B, N, D) of every layer -> context vector (B, E) over the valid
        positions, in float32 or better.
        """
        first, last = states[1], states[-1]
        precise = torch.promote_types(last.dtype, torch.float32)
        if valid is None:
            weight = torch.full(
                last.shape[:2], 1 / last.shape[1], dtype=precise, device=last.device
            )
        else:
            weight = valid.to(precise) / valid.sum(1, keepdim=True).clamp(min=1)
        weight = weight.unsqueeze(-1)
        mean = (last.to(precise) * weight).sum(1)
        if self.config.pooling == "mean":
            return mean
        if self.config.pooling == "mean_first_last":
            # what the first layer hears is plainer, and needs fewer labels to be read
            return torch.cat([(first.to(precise) * weight).sum(1), mean], dim=-1)
        variance = ((last.to(precise) - mean.unsqueeze(1)).square() * weight).sum(1)
        return torch.cat([mean, (variance + self.config.layer_norm_eps).sqrt()], dim=-1)
