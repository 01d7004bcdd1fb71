"""Networks of braindecode as rows of a table of results: what they are given, how they are trained.

Every network gets what its publication gives it, as far as the windows allow: its sampling rate
(windows are resampled), and its scale. The four for one task have each channel brought to mean 0
and deviation 1 over the training windows of the fold; the two foundation models get units of 100
microvolts, in whole seconds (zeros at the end of the last). Widths and depths are braindecode's
defaults. Unusable samples are 0. How they are trained is in peer_training.py.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from peer_training import Training, log_proba, train
from scipy.signal import resample_poly
from torch import Tensor, nn

from eegfoundation.errors import CheckpointError, TaskError
from eegfoundation.evaluation.alignment import euclidean
from eegfoundation.evaluation.folds import Fold
from eegfoundation.evaluation.row import Row, accuracy
from eegfoundation.tasks import Trials

ALIGNMENTS = ("none", "euclidean")


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A class of braindecode.models and how it is used."""

    name: str
    sfreq: int
    """Hz."""
    learning_rate: float
    weight_decay: float = 0.01
    microvolts: float | None = None
    """What is 1; None: each channel's deviation over the training windows."""
    patch: int = 1
    """Samples; windows are filled up to a multiple."""
    takes_weights: bool = False
    arguments: Mapping[str, object] = field(default_factory=dict)

    @property
    def input(self) -> str:
        """What is made of a window, in words."""
        scale = "deviation over the training windows 1"
        return f"{self.sfreq} Hz, " + (
            f"{scale} per channel"
            if self.microvolts is None
            else f"units of {self.microvolts:g} uV"
        )


_foundation = functools.partial(
    Peer,
    sfreq=200,
    patch=200,
    microvolts=100.0,
    learning_rate=1e-4,
    weight_decay=0.05,
    takes_weights=True,
)
PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            name="EEGNet",
            sfreq=128,
            learning_rate=1e-3,
            arguments={"final_layer_with_constraint": True},  # as published
        ),
        Peer(name="ShallowFBCSPNet", sfreq=250, learning_rate=6.25e-4),
        Peer(name="EEGConformer", sfreq=250, learning_rate=2e-4),
        Peer(name="ATCNet", sfreq=250, learning_rate=1e-3),
        _foundation(name="Labram"),
        _foundation(name="CBraMod"),
    )
}


def load_braindecode() -> object:
    """Import the networks.

    Raises
    ------
    TaskError
        If braindecode, or what it imports, is missing or does not load.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is imported with it
            return importlib.import_module("braindecode.models")
    except (ImportError, OSError) as error:  # OSError: torchaudio of another build of torch
        reason = str(error).partition("\n")[0]
        raise TaskError(
            f"braindecode cannot be imported ({reason}); run `make baselines`, which gives it an "
            "environment of its own."
        ) from error


def peer_rows(
    peer: Peer, trials: Trials, training: Training, weights: Path | None = None
) -> list[Row]:
    """Rows of a network, one per alignment.

    Parameters
    ----------
    peer : Peer
    trials : Trials
        As recorded.
    training : Training
    weights : path | None
        To start from, strictly loaded but for the last layer; None: random ones.
    """
    index = _channels(peer, trials)
    left_out = len(trials.ch_names) - len(index)
    rows = []
    for alignment in ALIGNMENTS:
        given = functools.cache(functools.partial(_inputs, peer, trials, index, alignment))
        rows.append(
            Row(
                model=peer.name if weights is None else f"{peer.name}, {weights.name}",
                kind="baseline",
                strategy="from scratch" if weights is None else "fine-tuned",
                alignment=alignment,
                predict=functools.partial(
                    _predict,
                    peer,
                    trials,
                    [trials.ch_names[i] for i in index],
                    given,
                    training,
                    weights,
                ),
                seeded=True,
                note=f"without {left_out} channels that it does not know" if left_out else "",
            )
        )
    return rows


def build(peer: Peer, ch_names: list[str], n_times: int, n_outputs: int) -> nn.Module:
    """Make a network for windows (n, len(ch_names), n_times)."""
    models = load_braindecode()
    network: nn.Module = getattr(models, peer.name)(
        n_chans=len(ch_names),
        n_times=n_times,
        n_outputs=n_outputs,
        sfreq=peer.sfreq,
        **peer.arguments,
    )
    return network


def load_weights(network: nn.Module, path: Path) -> None:
    """Load everything but the last layer, whose classes are others.

    Raises
    ------
    CheckpointError
        If the file cannot be read or does not fit exactly. Of LaBraM's table with one row per
        second, the first rows are taken.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever an unreadable file makes of either library
        raise CheckpointError(
            f"{path} cannot be read as weights; expected a state dictionary in .safetensors or .pt."
        ) from error
    own = network.state_dict()
    head = {name for name in own if name.startswith("final_layer.")}
    state = {name: value for name, value in state.items() if not name.startswith("final_layer.")}
    table = "temporal_embedding"
    if table in state and table in own:
        state[table] = state[table][:, : own[table].shape[1]]
    missing = sorted(set(own) - head - set(state))
    surplus = sorted(set(state) - set(own))
    shapes = sorted(n for n in set(state) & set(own) if state[n].shape != own[n].shape)
    if missing or surplus or shapes:
        found = "; ".join(
            f"{len(names)} {what} (such as {names[0]})"
            for names, what in (
                (missing, "missing"),
                (surplus, "unknown"),
                (shapes, "of another shape"),
            )
            if names
        )
        raise CheckpointError(
            f"{path.name} does not fit {type(network).__name__}: {found}; give braindecode's own "
            "weights of this network."
        )
    network.load_state_dict({**state, **{name: own[name] for name in head}})


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _channels(peer: Peer, trials: Trials) -> list[int]:
    """Channels that the network can take: LaBraM has a table of names."""
    everything = list(range(len(trials.ch_names)))
    if peer.name != "Labram":
        return everything
    load_braindecode()
    known = {
        name.upper()
        for name in importlib.import_module("braindecode.models.labram").LABRAM_CHANNEL_ORDER
    }
    index = [i for i in everything if trials.ch_names[i].upper() in known]
    if not index:
        raise TaskError(
            f"Labram knows none of the channels {', '.join(trials.ch_names)}; leave it out "
            "(--models)."
        )
    return index


def _inputs(peer: Peer, trials: Trials, index: list[int], alignment: str) -> np.ndarray:
    """All windows at the network's rate, in microvolts, (n, n_chans, n_times)."""
    x = trials.x if alignment == "none" else euclidean(trials.x, trials.group("session"))
    x = np.nan_to_num(x[:, index])
    ratio = Fraction(peer.sfreq / trials.sfreq).limit_denominator(1000)
    if ratio != 1:
        x = resample_poly(x, ratio.numerator, ratio.denominator, axis=-1).astype(np.float32)
    return np.pad(x, ((0, 0), (0, 0), (0, -x.shape[-1] % peer.patch)))


def _predict(
    peer: Peer,
    trials: Trials,
    ch_names: list[str],
    given: functools._lru_cache_wrapper[np.ndarray],
    training: Training,
    weights: Path | None,
    fold: Fold,
    seed: int,
) -> tuple[np.ndarray, float]:
    x = given()
    mean, scale = np.zeros((1, 1, 1)), np.full((1, 1, 1), peer.microvolts or 1.0)
    if peer.microvolts is None:
        learnt = x[fold.train]
        mean = learnt.mean((0, 2), dtype=np.float64)[None, :, None]
        deviation = learnt.std((0, 2), dtype=np.float64)[None, :, None]
        scale = np.where(deviation > 0, deviation, 1)

    def part(index: np.ndarray) -> Tensor:
        return torch.from_numpy(((x[index] - mean) / scale).astype(np.float32))

    torch.manual_seed(seed)
    network = build(peer, ch_names, x.shape[-1], len(trials.classes))
    if weights is not None:
        load_weights(network, weights)
    network = _Named(network, ch_names) if peer.name == "Labram" else network
    network.to(training.device)
    y = torch.from_numpy(trials.y)
    validation = None
    if len(fold.validation):
        validation = part(fold.validation), y[fold.validation]
    learnt = part(fold.train), y[fold.train]
    train(network, learnt, validation, training, peer.learning_rate, peer.weight_decay)
    # with a few labelled windows nothing may be left to validate by
    asked = fold.validation if len(fold.validation) else fold.train
    guess = log_proba(network, part(asked), training).argmax(1)
    score = accuracy(trials.y[asked], guess.numpy(), len(trials.classes))
    return log_proba(network, part(fold.test), training).numpy(), score


class _Named(nn.Module):
    """LaBraM looks its channels up by name."""

    def __init__(self, network: nn.Module, ch_names: list[str]) -> None:
        super().__init__()
        self.network = network
        self.ch_names = ch_names

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x, ch_names=self.ch_names)
