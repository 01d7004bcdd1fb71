"""Rotary position embedding (Su et al. 2021, RoFormer, arXiv:2104.09864, eq. 34).

Half-split form: component ``i`` of a head is paired with component ``i + d/2`` instead of with its
neighbour. Both forms are the same function once the rows of the query and key projections are
reordered, which `convert` does; this one needs no interleaving copies.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor


@functools.lru_cache(maxsize=32)
def _tables(n_positions: int, head_dim: int, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines, each (n_positions, head_dim), in float64.

    float64 because an angle of 2,000 radians has lost four digits in float32; arrays because a
    tensor made in inference mode could not serve a training step later.
    """
    frequencies = theta ** (-np.arange(0, head_dim, 2) / head_dim)
    angles = np.outer(np.arange(n_positions), frequencies)
    angles = np.concatenate([angles, angles], axis=-1)
    return np.cos(angles), np.sin(angles)


def _tables_in_graph(n_positions: int, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """As `_tables`, in operations that an exported graph can hold."""
    frequencies = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    angles = torch.arange(n_positions, dtype=torch.float64).unsqueeze(1) * frequencies
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotary_tables(
    n_positions: int, head_dim: int, theta: float, like: Tensor
) -> tuple[Tensor, ...]:
    """Cosines and sines, each (n_positions, head_dim), on the device and in the type of `like`."""
    if torch.compiler.is_exporting():  # a graph of any length makes its tables itself
        return tuple(table.to(like) for table in _tables_in_graph(n_positions, head_dim, theta))
    tables = _tables(n_positions, head_dim, float(theta))
    return tuple(torch.from_numpy(table).to(like) for table in tables)


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
        In the type of `x`, computed in that of the tables: under autocast queries are bfloat16 and
        tables float32, and attention would round what is written in float32 a pass later.
    """
    first, second = x.chunk(2, dim=-1)
    cos, sin = cos[..., : first.shape[-1]], sin[..., : first.shape[-1]]  # the halves are equal
    halves = (
        torch.addcmul(first * cos, second, sin, value=-1),
        torch.addcmul(second * cos, first, sin),
    )
    return torch.cat([half.to(x.dtype) for half in halves], dim=-1)
