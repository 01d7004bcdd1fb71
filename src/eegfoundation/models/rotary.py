"""Rotary position embedding (Su et al. 2021, RoFormer, arXiv:2104.09864, eq. 34).

Half-split form: component ``i`` of a head is paired with component ``i + d/2`` instead of with its
neighbour. Both forms are the same function once the rows of the query and key projections are
reordered, which `convert` does; this one needs no interleaving copies.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor


@functools.lru_cache(maxsize=32)
def _tables(n_positions: int, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each (n_positions, head_dim), in float64.

    float64 because an angle of 2,000 radians has lost four digits in float32.
    """
    frequencies = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    angles = torch.outer(torch.arange(n_positions, dtype=torch.float64), frequencies)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotary_tables(n_positions: int, head_dim: int, theta: float, like: Tensor) -> tuple[Tensor, ...]:
    """Cosines and sines of shape (n_positions, head_dim), on the device and in the type of `like`."""
    return tuple(table.to(like) for table in _tables(n_positions, head_dim, float(theta)))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate queries or keys by their position.

    Parameters
    ----------
    x : Tensor, shape (B, H, N, D / H)
    cos, sin : Tensor, shape (N, D / H)
        From `rotary_tables`.

    Returns
    -------
    rotated : Tensor, shape (B, H, N, D / H)
    """
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin
