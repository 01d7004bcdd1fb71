"""From tokens to positions: what the encoder's attention works on.

With one token per position this is RoFormer's table of embeddings. With several, a position is made
of the tokens around its middle (neighbouring positions overlap): a bank of filters over the
embedded tokens gives pairs in quadrature, and what goes on is each pair and the logarithm of its
energy. The filters start as a windowed Fourier transform of the amplitudes that the tokens stand
for, and the energy is how rhythms are told: from there, training refines; from random filters, two
hours on two cores teach little more than the overall amplitude (docs/experiments.md).

Shape legend: B batch, T samples, N positions, D width, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eegfoundation.models.config import EEGFoundationConfig
from eegfoundation.models.linear import Linear, linear
from eegfoundation.tokenizer import N_BINS, PAD, AmplitudeTokenizer, TokenizerState

_UNIT_UV = 20.0  # amplitude that the filters take for 1: about the deviation of scalp EEG
_TRUSTED = 2.0  # amplitudes up to about this are read closely, larger ones are compressed
_HIGHEST = 0.35  # of the sampling rate, the highest filter: 70 Hz at 200 Hz
_SLOW = 0.05  # of the sampling rate: filters below are weakened, above strengthened, as EEG is 1/f
_FLOOR = 1e-3  # energy below is noise


class TokenEmbeddings(nn.Module):
    """Tokens (B, T) -> positions (B, N, D)."""

    def __init__(self, config: EEGFoundationConfig) -> None:
        super().__init__()
        size, width = config.embedding_size, config.hidden_size
        self.tokens_per_position = config.tokens_per_position
        self.tokens_seen = config.tokens_seen
        self.word_embeddings = nn.Embedding(config.vocab_size, size)
        # RoFormer always adds row 0 of this table; sizes of our own leave it out
        self.token_type_embeddings = (
            nn.Embedding(config.type_vocab_size, size) if config.type_vocab_size else None
        )
        self.norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.filters: FilterBank | None = None
        self.project: nn.Linear | None = None
        if config.merges_tokens:
            self.filters = FilterBank(
                size, width, seen=self.tokens_seen, step=self.tokens_per_position
            )
            self.project = Linear(width + width // 2, width)
        elif size != width:
            self.project = Linear(size, width)

    def forward(self, input_ids: Tensor) -> Tensor:
        if self.filters is not None:
            # the last position is filled up, and the first and last see beyond the window's edge
            n_times, step = input_ids.shape[-1], self.tokens_per_position
            missing = (n_times + step - 1) // step * step - n_times  # a form that exporters follow
            beyond = (self.tokens_seen - self.tokens_per_position) // 2
            input_ids = F.pad(input_ids, (beyond, missing + beyond), value=PAD)
        # Normalised once per row of the table, not once per sample. Both tables are asked, as their
        # weights may be shards (FSDP).
        every = torch.arange(self.word_embeddings.num_embeddings, device=input_ids.device)
        table = self.word_embeddings(every)
        if self.token_type_embeddings is not None:
            table = table + self.token_type_embeddings(every[:1])
        x = self.dropout(F.embedding(input_ids, self.norm(table)))
        if self.filters is not None:
            pairs = self.filters(x)
            precise = torch.promote_types(pairs.dtype, torch.float32)
            real, imaginary = pairs.to(precise).chunk(2, dim=-1)
            energy = (real.square() + imaginary.square() + _FLOOR).log()
            x = torch.cat([pairs, energy.to(pairs.dtype)], dim=-1)
        return x if self.project is None else self.project(x)


class FilterBank(nn.Module):
    """D / 2 pairs of filters in quadrature over embedded tokens, (B, T, size) -> (B, N, D).

    Position n is filtered from tokens ``n * step`` to ``n * step + seen``.
    """

    def __init__(self, size: int, width: int, *, seen: int, step: int) -> None:
        super().__init__()
        self.seen, self.step = seen, step
        # drawn as a linear layer's, so that a seed gives the encoder that it always gave
        linear = nn.Linear(seen * size, width)
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, x: Tensor) -> Tensor:
        seen, step = self.seen, self.step
        if seen % step:
            stretches = x.unfold(1, seen, step).transpose(2, 3).flatten(2)
            return linear(stretches, self.weight, self.bias)
        # Stretches overlap, so each step of tokens meets each part of the filters once, and no
        # stretch is copied; the parts of one stretch are then added up.
        n_parts = seen // step
        weight = self.weight.unflatten(1, (n_parts, -1)).transpose(0, 1).flatten(0, 1)
        parts = linear(x.unflatten(1, (-1, step)).flatten(2), weight).unflatten(2, (n_parts, -1))
        n_positions = parts.shape[1] - n_parts + 1
        filtered = parts[:, :n_positions, 0]
        for i in range(1, n_parts):
            filtered = filtered + parts[:, i : i + n_positions, i]
        return filtered + self.bias


def ordinal_table(width: int) -> Tensor:
    """Initial embeddings in which neighbouring amplitudes are neighbours, (2000, width).

    Sines of the bin's number at 1 to 32 half-cycles over all bins, their phases spread evenly.
    Independent random vectors would scramble amplitude (docs/experiments.md).
    """
    cycles = torch.logspace(0, 1.5, width)
    phase = 2 * torch.pi * (torch.arange(width) * 0.6180339887 % 1)
    position = torch.linspace(-1, 1, N_BINS).unsqueeze(1)
    return (torch.pi * cycles * position + phase).sin() * 2**0.5


def fourier_filters(
    n_filters: int, size: int, tokens_seen: int, tokenizer: AmplitudeTokenizer
) -> Tensor:
    """Initial filters: cosines and sines under a Hann window, as if of amplitudes.

    Parameters
    ----------
    n_filters : int
        D: cosines at D / 2 equally spaced frequencies, then sines.
    size : int
        Width of a token's embedding.
    tokens_seen : int
        Length of the window.
    tokenizer : AmplitudeTokenizer
        What amplitude a token stands for.

    Returns
    -------
    weight : Tensor, shape (D, tokens_seen * size)
    """
    n_pairs = n_filters // 2
    freqs = torch.arange(1, n_pairs + 1).unsqueeze(1) / n_pairs * _HIGHEST
    phase = 2 * torch.pi * freqs * (torch.arange(tokens_seen) - (tokens_seen - 1) / 2)
    taper = torch.hann_window(tokens_seen + 2)[1:-1]
    taper = taper / taper.square().sum().sqrt() * freqs / _SLOW
    filters = torch.cat([phase.cos() * taper, phase.sin() * taper])
    return (filters.unsqueeze(-1) * _amplitude_readout(size, tokenizer)).flatten(1)


def _amplitude_readout(size: int, tokenizer: AmplitudeTokenizer) -> Tensor:
    """Direction in which embeddings (size,) tell their amplitude: a ridge regression over bins."""
    table = F.layer_norm(ordinal_table(size), (size,))
    if tokenizer.scaling == "minmax":  # microvolts are forgotten: a window spans -2 to 2
        amplitude = torch.linspace(-2, 2, N_BINS)
    else:
        state = TokenizerState(torch.tensor(1 / _UNIT_UV), torch.tensor(0.0))
        amplitude = tokenizer.decode(torch.arange(N_BINS), state)
    weight = (-0.5 * (amplitude / _TRUSTED).square()).exp() + 1e-3
    x, y = table * weight.unsqueeze(1), amplitude * weight
    ridge = 1e-4 * torch.eye(size)  # else the readout is a difference of large numbers
    return torch.linalg.solve(x.T @ x / N_BINS + ridge, x.T @ y / N_BINS)
