"""Attention on the CPU as matrix products, tile by tile, where PyTorch's fused kernel is slow.

PyTorch's fused kernel for the CPU multiplies bfloat16 as slowly as float32, takes long for windows
of 40 positions, and knows no dropout: asked for some, PyTorch holds all scores of all heads in
float32. Here a tile of a few heads stays in the cache, and scores, softmax and products are
ordinary operations on it. The backward pass makes the scores again instead of keeping them, and
draws the same dropout again from a seed.

In float32 the fused kernel multiplies with MKL, at half the rate of oneDNN on processors that are
not Intel's. oneDNN's products take one head at a time, which pays for long windows only.

Trade-off: scores in bfloat16 have 8 bits, as those of any model that attends without a fused
kernel.

Shape legend: B batch, H heads, N positions, d width of a head; G = B H, one row per head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from eegfoundation.models.linear import linear

#: Scores of a tile: 4 million bfloat16 are 8 MB, which the caches of present processors hold.
TILE = 4_000_000
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # as wide as a float, in bytes


def tiled_attention(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
    """Attend: softmax(q k^T / sqrt(d)) v, in the type of autocast where it is on.

    Parameters
    ----------
    q, k, v : Tensor, shape (B, H, N, d)
        On the CPU.
    dropout : float
        Share of the weights to leave out, from 0 to below 1.

    Returns
    -------
    out : Tensor, shape (B, H, N, d)
    """
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else v.dtype
    rows = (x.to(dtype).flatten(0, 1) for x in (q * q.shape[-1] ** -0.5, k, v))
    out: Tensor = TiledAttention.apply(*rows, dropout)
    return out.view(v.shape)


def attention_by_heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend without gradient, by the products of `linear`, a head at a time.

    Parameters
    ----------
    q, k, v : Tensor, shape (B, H, N, d)

    Returns
    -------
    out : Tensor, shape (B, H, N, d)
    """
    queries, keys, values = (x.flatten(0, 1) for x in (q * q.shape[-1] ** -0.5, k, v.mT))
    values, out = values.contiguous(), torch.empty_like(queries)
    step = max(1, TILE // 2 // q.shape[2])  # float32 is twice as wide
    for head, (key, value) in enumerate(zip(keys, values, strict=True)):
        for begin in range(0, q.shape[2], step):
            rows = slice(begin, begin + step)
            scores = linear(queries[head, rows], key)
            out[head, rows] = linear(scores.softmax(-1), value)
    return out.view(v.shape)


class TiledAttention(torch.autograd.Function):
    """softmax(q k^T) v of rows (G, N, d); nothing of size N x N is kept for the backward pass."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
        ctx.dropout = dropout
        # from the generator that a training run saves and restores
        ctx.seed = int(torch.randint(2**62, ())) if dropout else 0
        out = torch.empty_like(v)
        generator = torch.Generator().manual_seed(ctx.seed)
        with torch.autocast("cpu", enabled=False):
            for rows in tiles(q, k):
                weights = softmax_scores(q[rows], k[rows])
                if dropout:
                    drop_(weights, kept(weights, dropout, generator))
                torch.bmm(weights, v[rows], out=out[rows])
        if dropout:
            out /= 1 - dropout
        ctx.save_for_backward(q, k, v, out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out = ctx.saved_tensors
        gradients = tuple(torch.empty_like(x) for x in (q, k, v))
        generator = torch.Generator().manual_seed(ctx.seed)
        grad = grad.contiguous()
        # sum over each row of weights times their gradient, which softmax's gradient subtracts
        shared = (grad.float() * out.float()).sum(-1, keepdim=True).to(q.dtype)
        grad = grad / (1 - ctx.dropout)
        for rows in tiles(q, k):
            weights = softmax_scores(q[rows], k[rows])
            of_weights = torch.bmm(grad[rows], v[rows].mT)
            dropped = weights
            if ctx.dropout:
                keep = kept(weights, ctx.dropout, generator)
                dropped = drop_(weights.clone(), keep)
                drop_(of_weights, keep)
            # x^T y as (y^T x)^T: the large factor would be read across its rows
            gradients[2][rows] = torch.bmm(grad[rows].mT.contiguous(), dropped).mT
            of_scores = of_weights.sub_(shared[rows]).mul_(weights)
            torch.bmm(of_scores, k[rows], out=gradients[0][rows])
            gradients[1][rows] = torch.bmm(q[rows].mT.contiguous(), of_scores).mT
        return *gradients, None


def tiles(q: Tensor, k: Tensor) -> list[slice]:
    """Rows (G) of queries and keys (G, N, d), as many at once as `TILE` allows."""
    step = max(1, TILE // (q.shape[1] * k.shape[1]))
    return [slice(i, i + step) for i in range(0, len(q), step)]


def softmax_scores(q: Tensor, k: Tensor) -> Tensor:
    """Weights of all keys for every query, (G, N, N)."""
    return torch.bmm(q, k.mT).softmax(-1)


def kept(like: Tensor, dropout: float, generator: torch.Generator) -> Tensor:
    """All bits of an integer where a weight stays, none where it is dropped.

    A tenth of the time of `torch.Tensor.bernoulli_`: 16 random bits decide on a bfloat16.
    """
    width = like.element_size()
    n_draws = -(-like.numel() * width // 8)
    draws = torch.empty(n_draws, dtype=torch.int64).random_(-(2**63), None, generator=generator)
    draws = draws.view(_INTEGERS[width])[: like.numel()].view(like.shape)
    lowest = -(2 ** (8 * width - 1))
    # in place the answers 0 and 1 are integers; 1 less is no bit and all bits: 0 and -1
    return draws.lt_(lowest + round(dropout * 2 ** (8 * width))).sub_(1)


def drop_(weights: Tensor, keep: Tensor) -> Tensor:
    """Set to 0 in place what is not kept."""
    weights.view(keep.dtype).bitwise_and_(keep)
    return weights
