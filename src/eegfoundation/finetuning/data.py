"""Windows as a classifier hears them: aligned, in some order, a little different every time.

Alignment is within a session and over all of its windows: those that are to be predicted count,
their labels do not.

Order and augmentation depend on (seed, epoch, window) alone, so that a resumed training sees what
an uninterrupted one would have seen.

Shape legend: n windows, C channels, T samples, E context width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from eegfoundation.finetuning.settings import FinetuneSettings

if TYPE_CHECKING:
    from eegfoundation.models import DownstreamConfig, EEGFoundationModel
    from eegfoundation.tasks.trials import Trials

#: Augmentation: share of channels left out, deviation of log amplitude, largest share shifted.
DROPPED, SCALING, SHIFT = 0.1, 0.1, 0.1


def aligned_signals(trials: Trials, config: DownstreamConfig) -> np.ndarray:
    """Signals (n, n_chans, n_times) as a classifier wants them: whitened, with components."""
    from eegfoundation.alignments import whitens
    from eegfoundation.evaluation.alignment import euclidean
    from eegfoundation.evaluation.components import components, masks_of

    x, session = trials.x, trials.group("session")
    if not whitens(config.alignment):
        return x
    whitened = euclidean(x, session)
    if not config.component_names:
        return whitened
    masks = masks_of(x.shape[-1], trials.sfreq, config.flicker_hz)
    return np.concatenate([whitened, components(x, session, masks)], axis=1)


def aligned_context(
    trials: Trials,
    x: np.ndarray,
    encoder: EEGFoundationModel,
    alignment: str,
    *,
    cache: bool = True,
) -> np.ndarray:
    """Context vectors (n, n_chans, E) of signals, standardised if that is asked for."""
    from eegfoundation.alignments import standardises
    from eegfoundation.evaluation.alignment import standardise
    from eegfoundation.features import context_vectors

    context = context_vectors(x, trials.preprocessing, encoder, cache=cache)
    return standardise(context, trials.group("session")) if standardises(alignment) else context


@dataclass(frozen=True, kw_only=True)
class TuningData:
    """Windows of one part, in the order in which a training asks for them."""

    x: np.ndarray
    """(n, C, T) microvolts."""
    y: np.ndarray
    """(n,) classes."""
    context: np.ndarray | None
    """(n, C, E) of a frozen encoder."""
    shuffled: FinetuneSettings | None = None
    """Shuffle, and augment if these settings say so; None: as they are, once."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one pass."""
        assert self.shuffled is not None
        return -(-len(self.x) // self.batch_size)

    @property
    def batch_size(self) -> int:
        """Windows per step: no more than there are."""
        assert self.shuffled is not None
        return min(self.shuffled.batch_size, len(self.x))

    def __len__(self) -> int:
        if self.shuffled is None:
            return len(self.x)
        # an epoch is full batches: the last one is filled up from the beginning
        return self.shuffled.epochs * self.steps_per_epoch * self.batch_size

    def __getitem__(self, item: int) -> dict[str, np.ndarray]:
        index, x = item, None
        if self.shuffled is not None:
            seed = self.shuffled.seed
            epoch, place = divmod(item, self.steps_per_epoch * self.batch_size)
            order = np.random.default_rng([seed, epoch]).permutation(len(self.x))
            index = int(order[place % len(order)])
            if self.shuffled.augmentation:
                x = augmented(self.x[index], np.random.default_rng([seed, epoch, index]))
        found = {"input_ids": self.x[index] if x is None else x, "labels": self.y[index]}
        if self.context is not None:
            found["embedding_data"] = self.context[index]
        return found


def augmented(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change a window a little: fewer channels, another amplitude, shifted in time.

    Each channel is left out with probability `DROPPED` (one stays), amplitudes are multiplied by
    one factor of log-normal spread `SCALING`, and the window is rotated by up to `SHIFT` of its
    length. Context vectors of a frozen encoder stay those of the window as it was.

    Parameters
    ----------
    x : ndarray, shape (C, T)
    rng : numpy.random.Generator

    Returns
    -------
    changed : ndarray, shape (C, T)
        NaN where a channel was left out.
    """
    keep = rng.random(len(x)) >= DROPPED
    keep[rng.integers(len(x))] = True
    reach = int(SHIFT * x.shape[1])
    changed = np.roll(x, rng.integers(-reach, reach + 1), axis=1) * np.exp(rng.normal(0, SCALING))
    return np.where(keep[:, None], changed, np.nan).astype(np.float32)
