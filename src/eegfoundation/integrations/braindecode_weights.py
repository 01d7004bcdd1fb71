"""Weights of braindecode's `EEGFoundation`: where they come from, and that all of them do.

A model that is made has the encoder that was asked for. One that is loaded from a checkpoint is
made first, with whatever numbers, and then gets every weight from there: no other file is looked
for, and none may be missing.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from eegfoundation.embedding import rows_per_batch
from eegfoundation.errors import CheckpointError, UntrainedWeightsWarning
from eegfoundation.integrations.window_preprocessing import WindowPreprocessing
from eegfoundation.models import (
    EEGFoundationConfig,
    EEGFoundationModel,
    fingerprint,
    load_encoder,
)
from eegfoundation.models.checkpoint import load_exactly
from eegfoundation.synthetic import simulate_resting

if TYPE_CHECKING:
    from eegfoundation.integrations.braindecode import EEGFoundation

_LOADING: ContextVar[bool] = ContextVar("_LOADING", default=False)


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Models made in here get all weights from a checkpoint, the encoder's too."""
    token = _LOADING.set(True)
    try:
        yield
    finally:
        _LOADING.reset(token)


def is_loading() -> bool:
    """Whether a model is made only to be filled from a checkpoint."""
    return _LOADING.get()


def open_encoder(
    encoder: str,
    weights: str,
    seed: int,
    config: dict[str, Any] | None,
    sha256: str | None,
) -> EEGFoundationModel:
    """Encoder with the weights that were asked for; while `loading`, with any.

    Raises
    ------
    CheckpointError
        If it is not the one whose fingerprint is `sha256`.
    """
    if is_loading():
        return EEGFoundationModel(EEGFoundationConfig(**(config or {})))
    model = load_encoder(encoder, weights=weights, seed=seed)  # type: ignore[arg-type]
    if weights == "pretrained" and sha256 not in (None, found := fingerprint(model)):
        raise CheckpointError(
            f"The configuration is of encoder {str(sha256)[:12]}, {encoder!r} is {found[:12]} now; "
            "load the saved weights with from_pretrained, or leave out encoder_sha256."
        )
    return model


def context_vectors(encoder: EEGFoundationModel, signal: Tensor) -> Tensor:
    """Context vectors (B, C, E), NaN for dead channels; in parts that bound the memory."""
    rows = signal.flatten(0, 1)
    parts = rows.split(rows_per_batch(encoder, signal.shape[-1]))
    vectors = torch.cat([encoder.embed_signal(part) for part in parts])
    return vectors.unflatten(0, signal.shape[:2])


def usual_values(encoder: EEGFoundationModel) -> tuple[Tensor, Tensor]:
    """Mean and inverse deviation (E,) of context vectors, to standardise them by.

    They have large offsets that all windows share. Statistics of a batch would make a window's
    answer depend on its neighbours; those of simulated rest, eyes open and closed, are near enough:
    on recordings of four devices, the means are then below 1 and the deviations 0.7 to 1.3.
    """
    width = encoder.config.context_size
    if is_loading():  # these too
        return torch.zeros(width), torch.ones(width)
    layer = None
    found = []
    eyes: Literal["open", "closed"]
    for eyes in ("open", "closed"):
        rest = simulate_resting(duration=12.0, eyes=eyes, line_freq=None)
        x = torch.from_numpy(np.stack(np.split(rest.data, 3, axis=1))).float()
        layer = layer or WindowPreprocessing(encoder.preprocessing, rest.sfreq, rest.ch_names)
        with torch.no_grad():
            found.append(context_vectors(encoder, layer(x)).flatten(0, 1))
    values = torch.cat(found)
    values = values[values.isfinite().all(-1)]
    return values.mean(0), 1 / values.std(0).clamp(min=1e-3)


def load_all(model: EEGFoundation, found: dict[str, Tensor], source: str) -> EEGFoundation:
    """Load all weights; a `final_layer` for other channels starts anew, and says so.

    Raises
    ------
    CheckpointError
        If a weight is missing, unexpected or of another shape.
    """
    expected = model.state_dict()
    if changed := [
        name
        for name in expected.keys() & found.keys()
        if name.startswith("final_layer.") and expected[name].shape != found[name].shape
    ]:
        warnings.warn(
            f"final_layer of {source} was made for other channels than these {model.n_chans}: it "
            "starts anew, with UNTRAINED weights.",
            UntrainedWeightsWarning,
            stacklevel=2,
        )
        found = found | {name: expected[name] for name in changed}
    load_exactly(model, found, f"The weights in {source} do not fit EEGFoundation")
    return model.eval()
