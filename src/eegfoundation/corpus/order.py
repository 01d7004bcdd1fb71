"""In which order windows are read: shuffled over the whole corpus, without a list of them.

What: position -> (epoch, window) is arithmetic. A pseudo-random permutation from Grain (a block
cipher on the numbers below n) computes one entry at a time, so 185 million windows cost no memory,
every epoch has an order of its own, and resuming in the middle of an epoch is starting at another
position. Positions of several ranks interleave (`positions_of_rank`), so the windows seen by step k
do not depend on how many ranks there are.

Why not the sampler of the data loader: a list of 185 million shuffled numbers takes 9 GB and a
minute, per rank.

Use: `CorpusDataset` is a map-style dataset for `torch.utils.data.DataLoader` or transformers'
Trainer. It is shuffled already, so it has to be read in sequence (``shuffle=False``,
``train_sampling_strategy="sequential"``).

Trade-off: neighbours in the order are far apart on the disk. On network storage, copy the corpus to
a local disk first.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from eegfoundation.corpus.reader import Corpus
from eegfoundation.errors import ConfigError


class ReadingOrder:
    """A permutation of the windows for every epoch.

    Parameters
    ----------
    n_windows : int
    seed : int
    shuffle : bool
        False: in the order of the corpus, for validation.
    """

    def __init__(self, n_windows: int, seed: int = 0, *, shuffle: bool = True) -> None:
        if n_windows < 1:
            raise ConfigError(f"there must be a window to read, found {n_windows}.")
        if seed < 0:
            raise ConfigError(f"seed must be 0 or more, found {seed}.")
        self.n_windows, self.seed, self.shuffle = n_windows, seed, shuffle

    def __getitem__(self, position: int) -> tuple[int, int]:
        """Epoch and window at a position, which counts on through all epochs."""
        epoch, index = divmod(position, self.n_windows)
        if not self.shuffle:
            return epoch, index
        return epoch, int(_permutation(self.n_windows, self.seed, epoch)[index])


@functools.lru_cache(maxsize=16)
def _permutation(n_windows: int, seed: int, epoch: int) -> Any:
    """Grain's permutation of one epoch; it holds nothing but these numbers."""
    # Grain's own epochs use seed + epoch: seeds 0 and 1 would share all orders but one.
    first, second = np.random.SeedSequence([seed, epoch]).generate_state(2).tolist()
    # Twice, because once is not enough: neighbours in its order lie near each other in the corpus
    # (correlation up to 0.47 among a million windows, 0.31 among 185 million; twice: below 0.05).
    return _grain().MapDataset.range(n_windows).shuffle(seed=first).shuffle(seed=second)


def _grain() -> Any:
    absl = logging.getLogger("absl")
    level = absl.level
    absl.setLevel(logging.ERROR)  # importing Grain warns that JAX's profiler is not there
    try:
        import grain
    finally:
        absl.setLevel(level)
    return grain


def positions_of_rank(n_positions: int, rank: int, world_size: int, start: int = 0) -> range:
    """Positions that one of several ranks reads, from `start` (counted over all ranks) on.

    A ``sampler`` for `torch.utils.data.DataLoader`. Every rank gets as many; up to
    ``world_size - 1`` positions at the end are left out. (transformers' Trainer shares positions
    among ranks by itself.)
    """
    if not 0 <= rank < world_size or not 0 <= start <= n_positions:
        raise ConfigError(
            f"rank {rank} of {world_size} and start {start} of {n_positions} do not fit: expected "
            "0 <= rank < world_size and 0 <= start <= n_positions."
        )
    stop = start + (n_positions - start) // world_size * world_size
    return range(start + rank, stop, world_size)


class CorpusDataset:
    """Map-style dataset of a corpus in reading order.

    Parameters
    ----------
    path : path
        Folder of a corpus.
    seed : int
        Of the order.
    n_epochs : int
        How often every window comes. All epochs follow each other in one dataset, so a training run
        is one pass over it: a loop over a shorter dataset would repeat its order.
    shuffle : bool
    subjects : collection of str, optional
        As in `Corpus`.

    Notes
    -----
    An item is a dict: ``signal`` (n_times,) float32 microvolts, NaN where unusable; ``window``, the
    number of the window in the whole corpus; ``epoch``. Whatever is random about a window (masking)
    should depend on (seed, epoch, window) only: then resuming is exact.
    """

    def __init__(
        self,
        path: str | Path,
        seed: int = 0,
        n_epochs: int = 1,
        *,
        shuffle: bool = True,
        subjects: Collection[str] | None = None,
    ) -> None:
        if n_epochs < 1:
            raise ConfigError(f"n_epochs must be 1 or more, found {n_epochs}.")
        self.corpus = Corpus(path, subjects)
        self.order = ReadingOrder(len(self.corpus), seed, shuffle=shuffle)
        self.n_epochs = n_epochs

    def __len__(self) -> int:
        """Positions in all epochs."""
        return self.n_epochs * len(self.corpus)

    def __getitem__(self, position: int) -> dict[str, Any]:
        """Return the item at a position."""
        if not 0 <= position < len(self):
            raise IndexError(f"position {position} of {len(self)}")
        epoch, index = self.order[position]
        return {
            "signal": self.corpus.signal(index),
            "window": self.corpus.window(index),
            "epoch": epoch,
        }
