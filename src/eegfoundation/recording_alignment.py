"""A recording aligned by its own windows, for a classifier that was trained on aligned ones.

A first pass over the windows gathers what they share, in the memory of a few numbers per channel, a
second one takes it out of each. All windows of the recording count, and the history says so. What
is computed is what `eegfoundation.evaluation.alignment` does to windows that are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from eegfoundation.models import EEGFoundationForClassification
    from eegfoundation.recording import Recording
    from eegfoundation.windows import Windows


def alignment_of(
    model: EEGFoundationForClassification,
    recording: Recording,
    window: float,
    overlap: float,
    progress: bool | None,
) -> Callable[[Windows], tuple[Tensor, Tensor | None]]:
    """Look at the whole recording if the model asks for it; give what aligns a block.

    That is a function to signals (n, C, T) and context vectors (n, C, E): None if the model is to
    compute them.
    """
    import torch
    from tqdm import tqdm

    from eegfoundation.errors import ModelInputError
    from eegfoundation.windows import iter_windows, n_windows

    kind = model.config.alignment
    if kind == "none":
        return lambda block: (torch.from_numpy(block.data), None)
    count = n_windows(recording, window, overlap)
    if count < 2:
        raise ModelInputError(
            f"{recording.name} gives a single window; this classifier aligns a recording by its "
            f"windows (alignment={kind!r}) and needs at least two: give more of it."
        )
    passes = kind.count("+") + 1
    recording.history["alignment"] = {
        "kind": kind,
        "n_windows": count,
        "notes": ["by all windows of this recording, read beforehand, without labels"],
    }
    disable = None if progress is None else not progress
    with tqdm(total=passes * count, desc="aligning", unit="window", disable=disable) as bar:

        def watched() -> Iterator[Windows]:
            for block in iter_windows(recording, window, overlap, block=60.0):
                yield block
                bar.update(len(block.times))

        signal: Callable[[Windows], np.ndarray] = _unchanged
        if "euclidean" in kind:
            signal = _whitening(recording.n_chans, watched())
        if "standardise" not in kind:
            return lambda block: (torch.from_numpy(signal(block)), None)
        return _standardising(model, recording.n_chans, watched(), signal)


def _unchanged(block: Windows) -> np.ndarray:
    return block.data


def _standardising(
    model: EEGFoundationForClassification,
    n_chans: int,
    blocks: Iterator[Windows],
    signal: Callable[[Windows], np.ndarray],
) -> Callable[[Windows], tuple[Tensor, Tensor]]:
    """As `eegfoundation.evaluation.alignment.standardise`, for context vectors."""
    import torch

    encoder = model.encoder.to(model.device)

    def context(block: Windows) -> Tensor:
        x = torch.from_numpy(signal(block)).to(model.device, encoder.dtype)
        return encoder.embed_signal(x).double()

    shape = (3, n_chans, encoder.config.context_size)
    count, total, squares = torch.zeros(shape, dtype=torch.float64, device=model.device)
    for block in blocks:
        x = context(block)
        count += x.isfinite().sum(0)
        x = x.nan_to_num(0.0)
        total += x.sum(0)
        squares += x.square().sum(0)
    mean = total / count.clamp(min=1)
    deviation = (squares / count.clamp(min=1) - mean.square()).clamp(min=0).sqrt() + 1e-6
    return lambda block: (
        torch.from_numpy(signal(block)),
        ((context(block) - mean) / deviation).float(),
    )


def _whitening(n_chans: int, blocks: Iterator[Windows]) -> Callable[[Windows], np.ndarray]:
    """As `eegfoundation.evaluation.alignment.euclidean`; bad channels are left out."""
    from eegfoundation.evaluation.alignment import whitening

    def signal(block: Windows) -> np.ndarray:
        return np.where(block.quality[..., None] > 0, block.data, np.nan)

    covariance = np.zeros((n_chans, n_chans))
    for block in blocks:
        flat = np.nan_to_num(signal(block)).transpose(1, 0, 2).reshape(n_chans, -1)
        covariance += flat.astype(np.float64) @ flat.T
    root = np.zeros_like(covariance)
    present = np.flatnonzero(np.diag(covariance))
    if len(present):
        root[np.ix_(present, present)] = whitening(covariance[np.ix_(present, present)])

    def whitened(block: Windows) -> np.ndarray:
        x = signal(block)
        mixed = np.einsum("ij,njt->nit", root.astype(np.float32), np.nan_to_num(x))
        return np.where(np.isnan(x), np.float32(np.nan), mixed)

    return whitened
