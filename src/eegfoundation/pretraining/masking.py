"""Which positions a model has to guess: spans, drawn anew for every window and epoch.

The draw depends on (seed, epoch, window) alone and not on a running random state. Exact resumption
depends on that: a window gets the same mask whatever was read before it, by whichever worker.
"""

from __future__ import annotations

import numpy as np


def span_mask(
    n_positions: int, *, ratio: float, span: int, seed: int, epoch: int, window: int
) -> np.ndarray:
    """Draw spans until their share of all positions is reached.

    Parameters
    ----------
    n_positions : int
        N.
    ratio : float
        Share of positions to mask, 0 to 1; the published recipe takes 0.15.
    span : int
        Positions that are masked together.
    seed, epoch, window : int
        Together they decide the draw.

    Returns
    -------
    masked : ndarray of bool, shape (N,)
        Exactly ``max(1, round(ratio * N))`` positions are True.
    """
    rng = np.random.default_rng((seed, epoch, window))
    wanted = min(n_positions, max(1, round(ratio * n_positions)))
    # A span that reaches the end goes on at the beginning: no position is likelier than another.
    starts = rng.choice(n_positions, wanted, replace=False)
    span = min(span, n_positions)  # a longer one covers no more
    positions = (starts[:, None] + np.arange(span)).ravel() % n_positions
    _, first = np.unique(positions, return_index=True)
    masked = np.zeros(n_positions, dtype=bool)
    masked[positions[np.sort(first)[:wanted]]] = True
    return masked
