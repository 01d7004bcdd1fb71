"""How networks that are compared with ours are trained: alike.

AdamW, classes weighted by their rarity, until the loss of the validation windows has not fallen for
`patience` epochs; the weights of the best epoch predict. Validation windows are not learnt from,
as in our own fine-tuning.

Trade-off: one recipe and no search makes none of them as good as its authors could.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is alike for all networks."""

    epochs: int = 300
    patience: int = 100
    """Epochs without a lower validation loss. On the design subjects of the flicker, EEGNet's is
    above that of chance for 75 epochs and lowest after 200: with 20 it stays at chance."""
    batch_size: int = 64
    device: str = "cpu"


def train(
    network: nn.Module,
    learnt: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor] | None,
    training: Training,
    learning_rate: float,
    weight_decay: float,
) -> list[float]:
    """Train a network, and leave it with the weights of the epoch of least validation loss.

    Parameters
    ----------
    network : Module
        From (n, n_chans, n_times) to (n, n_classes).
    learnt, validation : tuple of Tensor
        Windows and classes; without any to validate by, training runs through all epochs.
    training : Training
    learning_rate, weight_decay : float

    Returns
    -------
    losses : list of float
        Of the validation windows after each epoch.
    """
    x, y = learnt
    counts = torch.bincount(y)
    weight = (len(y) / (counts.count_nonzero() * counts.clamp(min=1))).to(training.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay)
    losses: list[float] = []
    best: dict[str, Tensor] = {}
    for _ in range(training.epochs):
        network.train()
        for index in torch.randperm(len(y)).split(training.batch_size):
            optimizer.zero_grad()
            logits = network(x[index].to(training.device))
            F.cross_entropy(logits, y[index].to(training.device), weight).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        if validation is None:
            continue
        found = log_proba(network, validation[0], training)
        losses.append(float(F.nll_loss(found, validation[1], weight.double().cpu())))
        if losses[-1] == min(losses):
            best = copy.deepcopy(network.state_dict())
        elif len(losses) - 1 - int(np.argmin(losses)) >= training.patience:
            break
    if best:
        network.load_state_dict(best)
    return losses


@torch.no_grad()
def log_proba(network: nn.Module, x: Tensor, training: Training) -> Tensor:
    """Predict log probabilities, (n, n_classes), in double precision."""
    network.eval()
    parts = [network(part.to(training.device)).cpu() for part in x.split(training.batch_size)]
    return F.log_softmax(torch.cat(parts).double(), dim=1)
