"""A classifier and windows in, probabilities and shares of electrodes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eegfoundation.errors import TaskError
from eegfoundation.finetuning.data import aligned_context, aligned_signals

if TYPE_CHECKING:
    from eegfoundation.models import EEGFoundationForClassification
    from eegfoundation.tasks.trials import Trials

_AT_ONCE = 32  # windows


def predict_trials(
    model: EEGFoundationForClassification, trials: Trials, index: np.ndarray | None = None
) -> np.ndarray:
    """Probabilities of windows.

    Parameters
    ----------
    model : EEGFoundationForClassification
    trials : Trials
        Preprocessed as the model expects. If it asks for alignment, each session is aligned by all
        of its windows in here.
    index : ndarray of integers | None
        Windows to predict; None: all.

    Returns
    -------
    probability : ndarray, shape (n, n_classes)
        float32.

    Raises
    ------
    TaskError
        If the model gives no numbers, as after a training that diverged.
    """
    probability = _run(model, trials, index)[0]
    if not np.isfinite(probability).all():
        raise TaskError(
            "The classifier gives NaN instead of probabilities: its training diverged. Train it "
            "with a lower learning_rate."
        )
    return probability


def electrode_shares(
    model: EEGFoundationForClassification, trials: Trials, index: np.ndarray | None = None
) -> np.ndarray:
    """Share of each electrode in the decisions on windows, (n, n_chans); see `predict_trials`.

    Components, if the model has some, follow the electrodes.
    """
    return _run(model, trials, index)[1]


def _run(
    model: EEGFoundationForClassification, trials: Trials, index: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, n_classes) and shares of electrodes and components (n, n_chans)."""
    import torch

    from eegfoundation.covariance import features_of_trials
    from eegfoundation.embedding import inference

    x = aligned_signals(trials, model.config)
    # a tuned encoder is one of many: its vectors are not worth keeping
    cache = not model.config.encoder_tuned
    chosen = np.arange(len(trials)) if index is None else np.asarray(index, dtype=int)
    if cache:
        context = aligned_context(trials, x, model.encoder, model.config.alignment)[chosen]
    else:
        context = aligned_context(
            trials.select(chosen), x[chosen], model.encoder, model.config.alignment, cache=False
        )
    positions = torch.from_numpy(trials.positions).float()
    together = features_of_trials(model, trials)[chosen] if model.config.covariance else None
    probabilities, shares = [], []
    with inference(model):
        for first in range(0, len(chosen), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            output = model(
                torch.from_numpy(x[chosen[part]]).to(model.device),
                torch.from_numpy(context[part]).to(model.device),
                positions=positions.to(model.device),
                covariance_data=None if together is None else together[part],
            )
            probabilities.append(output.logits.softmax(-1).float().cpu().numpy())
            shares.append(output.attentions[0].float().cpu().numpy())
    if not probabilities:
        n_chans = x.shape[1]
        return np.empty((0, model.config.num_classes), np.float32), np.empty(
            (0, n_chans), np.float32
        )
    return np.concatenate(probabilities), np.concatenate(shares)
