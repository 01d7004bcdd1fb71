"""A recording aligned by its own windows, for a classifier that was trained on aligned ones.

A first pass over the windows gathers what they share, in the memory of a few numbers per channel, a
second one takes it out of each. All windows of the recording count, and the history says so. What
is computed is what `eegfoundation.evaluation.alignment` and `eegfoundation.evaluation.components`
do to windows that are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from eegfoundation.alignments import standardises, whitens
from eegfoundation.covariance import CovarianceFeatures, spread
from eegfoundation.evaluation.alignment import whitening
from eegfoundation.evaluation.components import SpectralSums, masks_of, mixed

if TYPE_CHECKING:
    from torch import Tensor

    from eegfoundation.models import DownstreamConfig, EEGFoundationForClassification
    from eegfoundation.recording import Recording
    from eegfoundation.windows import Windows


class SignalAlignment:
    """Whitens windows, and puts components beside them, by what earlier windows told.

    Parameters
    ----------
    config : DownstreamConfig
        Says what is wanted; without whitening, windows stay as they are.
    """

    def __init__(self, config: DownstreamConfig) -> None:
        self.whitens = whitens(config.alignment)
        self._config = config
        self._covariance: np.ndarray | float = 0.0
        self._sums: SpectralSums | None = None
        self._root: np.ndarray | None = None
        self._filters: np.ndarray | None = None

    def add(self, x: np.ndarray) -> None:
        """Count windows (n, n_chans, n_times), microvolts, NaN where unusable."""
        if not self.whitens:
            return
        flat = np.nan_to_num(x).transpose(1, 0, 2).reshape(x.shape[1], -1).astype(np.float64)
        self._covariance = self._covariance + flat @ flat.T
        if self._config.component_names:
            if self._sums is None:
                sfreq = self._config.preprocessing["sfreq"]
                masks = masks_of(x.shape[-1], sfreq, self._config.flicker_hz)
                self._sums = SpectralSums(masks)
            self._sums.add(x)

    def finish(self) -> None:
        """Learn from what was counted; a channel without any usable sample is left out."""
        if not self.whitens:
            return
        covariance = np.atleast_2d(self._covariance)
        self._root = np.zeros_like(covariance)
        present = np.flatnonzero(np.diag(covariance))
        if len(present):
            inner = np.ix_(present, present)
            self._root[inner] = whitening(covariance[inner])
        if self._sums is not None:
            self._filters = self._sums.filters()

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Windows (n, n_chans, n_times) -> (n, n_chans + n_components, n_times)."""
        if self._root is None:
            return x
        whitened = np.einsum("ij,njt->nit", self._root.astype(np.float32), np.nan_to_num(x))
        whitened = np.where(np.isnan(x), np.float32(np.nan), whitened)
        if self._filters is None:
            return whitened
        return np.concatenate([whitened, mixed(self._filters, x)], axis=1)


class Moments:
    """Mean and deviation of context vectors (C, E), of all that were counted so far."""

    def __init__(self) -> None:
        self._sums: Tensor | None = None  # (3, C, E): count, sum, sum of squares

    def add(self, context: Tensor) -> None:
        """Count context vectors (n, C, E), float64, NaN where there are none."""
        import torch

        x = context.nan_to_num(0.0)
        new = torch.stack([context.isfinite().double().sum(0), x.sum(0), x.square().sum(0)])
        self._sums = new if self._sums is None else self._sums + new

    def standardised(self, context: Tensor) -> Tensor:
        """As `eegfoundation.evaluation.alignment.standardise`, float32."""
        assert self._sums is not None
        count, total, squares = self._sums
        mean = total / count.clamp(min=1)
        deviation = (squares / count.clamp(min=1) - mean.square()).clamp(min=0).sqrt() + 1e-6
        return ((context - mean) / deviation).float()


def alignment_of(
    model: EEGFoundationForClassification,
    recording: Recording,
    window: float,
    overlap: float,
    progress: bool | None,
) -> Callable[[Windows], dict[str, Tensor]]:
    """Look at the whole recording if the model asks for it; give what makes input of a block.

    That is a function to ``input_ids`` (n, C, T), components among the C; ``embedding_data``
    (n, C, E), unless the model is to compute it; and ``covariance_data`` (n, d), if it wants some.
    """
    import torch
    from tqdm import tqdm

    from eegfoundation.errors import ModelInputError
    from eegfoundation.windows import iter_windows, n_windows

    kind = model.config.alignment
    signal, moments = SignalAlignment(model.config), Moments()
    together = None
    if model.config.covariance:
        together = CovarianceFeatures(model, recording.positions)
    encoder = model.encoder.to(model.device)

    def context(x: np.ndarray) -> Tensor:
        return encoder.embed_signal(torch.from_numpy(x).to(model.device, encoder.dtype)).double()

    def inputs(block: Windows) -> dict[str, Tensor]:
        x = signal(_usable(block))
        found = {"input_ids": torch.from_numpy(x).to(model.device)}
        if standardises(kind):
            found["embedding_data"] = moments.standardised(context(x))
        if together is not None:
            found["covariance_data"] = together(_usable(block))
        return found

    if kind == "none":
        return inputs
    count = n_windows(recording, window, overlap)
    if count < 2:
        raise ModelInputError(
            f"{recording.name} gives a single window; this classifier aligns a recording by its "
            f"windows (alignment={kind!r}) and needs at least two: give more of it."
        )
    mixes = signal.whitens or together is not None
    passes = mixes + standardises(kind)
    recording.history["alignment"] = {
        "kind": kind,
        "n_windows": count,
        "notes": ["by all windows of this recording, read beforehand, without labels"],
    }
    disable = None if progress is None else not progress
    with tqdm(total=passes * count, desc="aligning", unit="window", disable=disable) as bar:

        def watched() -> Iterator[np.ndarray]:
            for block in iter_windows(recording, window, overlap, block=60.0):
                yield _usable(block)
                bar.update(len(block.times))

        if mixes:
            counted, first = spread(count), 0
            for x in watched():
                signal.add(x)
                own = counted[(counted >= first) & (counted < first + len(x))] - first
                if together is not None and len(own):
                    together.add(x[own])
                first += len(x)
            signal.finish()
            if together is not None:
                together.finish()
        if standardises(kind):
            for x in watched():
                moments.add(context(signal(x)))
    return inputs


def _usable(block: Windows) -> np.ndarray:
    """Windows without what cannot be used: NaN in bad channels."""
    return np.where(block.quality[..., None] > 0, block.data, np.float32(np.nan))
