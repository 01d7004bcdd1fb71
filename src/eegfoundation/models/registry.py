"""From a name to a model: what is shipped, what lies in a folder, what is on a hub.

Nothing here ever falls back to random weights. A model without trained weights is either asked for
(``weights="random"``, the control that every comparison needs) or announced by an
`UntrainedWeightsWarning`.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Literal, get_args

import torch

from eegfoundation.checksums import check_sum, listed
from eegfoundation.errors import (
    CheckpointError,
    ConfigError,
    SimulatedTrainingWarning,
    UntrainedWeightsWarning,
)
from eegfoundation.models.config import SIZES, EEGFoundationConfig
from eegfoundation.models.encoder import EEGFoundationModel

Weights = Literal["pretrained", "random"]

_PACKAGE = Path(__file__).resolve().parents[1]

# Settings that change embeddings though the shapes of all weights stay as they are
_DECISIVE_SETTINGS = (
    *("tokenizer", "preprocessing", "pooling", "tokens_per_position", "tokens_seen"),
    *("num_attention_heads", "hidden_act", "layer_norm_eps", "rope_theta"),
)


def shipped_path(relative: str) -> Path:
    """Find a file that ships with the project: in the wheel, or in the clone.

    Parameters
    ----------
    relative : str
        Path in the repository, such as ``"configs/BCIC_IV_2a_config.json"``.

    Returns
    -------
    path : Path

    Raises
    ------
    CheckpointError
        If this installation does not have it.
    """
    for root in (_PACKAGE / "shipped", _PACKAGE.parents[1]):
        if (root / relative).exists():
            return root / relative
    raise CheckpointError(f"{relative} is not part of this installation; reinstall eegfoundation.")


def load_encoder(
    name_or_path: str | Path = "small",
    weights: Weights = "pretrained",
    *,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> EEGFoundationModel:
    """Load a temporal encoder.

    Parameters
    ----------
    name_or_path : str | Path
        ``"small"`` or the faster ``"nano"`` (shipped), another name of `eegfoundation.models.SIZES`
        (architecture only), a folder made by ``save_pretrained``, or a hub id.
    weights : {"pretrained", "random"}
        ``"random"`` gives the random-initialised twin of the same architecture.
    seed : int
        Of the random twin.
    device : str | torch.device | None
        Where to put the model; None means the CPU.

    Returns
    -------
    encoder : EEGFoundationModel
        In evaluation mode, float32.

    Raises
    ------
    CheckpointError
        If there are no such weights, or they do not fit exactly.

    Warns
    -----
    UntrainedWeightsWarning
        If the checkpoint says that its weights were never trained.
    """
    if weights not in get_args(Weights):
        raise ConfigError(f"weights={weights!r}; choose one of {list(get_args(Weights))}.")
    folder = _PACKAGE / "weights" / str(name_or_path)
    shipped = os.path.isdir(folder)  # False where a name is too long
    source = folder if shipped else name_or_path
    if weights == "random":
        if not shipped and str(name_or_path) in SIZES:
            config = EEGFoundationConfig(**SIZES[str(name_or_path)])
        else:
            config = EEGFoundationConfig.from_pretrained(source)
        return on_device(random_encoder(config, seed), device)
    if source is not folder and str(name_or_path) in SIZES:
        raise CheckpointError(
            f"No weights are shipped for {name_or_path!r}; use weights='random', or one of "
            f"{sorted(path.name for path in folder.parent.iterdir() if path.is_dir())}."
        )
    if "/" not in str(name_or_path) and not os.path.isdir(source):
        raise CheckpointError(
            f"No encoder is called {str(name_or_path)!r}; expected one of {list(SIZES)}, a folder "
            "made by save_pretrained, or a hub id (owner/name)."
        )
    for name in listed(Path(source)):
        check_sum(Path(source) / name)
    encoder = EEGFoundationModel.from_pretrained(source, dtype=torch.float32).eval()
    encoder = on_device(encoder, device)
    if not encoder.config.trained:
        warnings.warn(untrained_notice(f"Encoder {name_or_path}"), UntrainedWeightsWarning, 2)
    return encoder


def on_device(encoder: EEGFoundationModel, device: str | torch.device | None) -> EEGFoundationModel:
    """Put an encoder where it was asked for; None leaves it where it is.

    Raises
    ------
    ConfigError
        If there is no such device, here or at all, or it has no room.
    """
    if device is None:
        return encoder
    try:
        if torch.device(device).type == "meta":
            raise RuntimeError("it holds no numbers")
        return encoder.to(device)
    except (RuntimeError, AssertionError) as error:  # the latter of a PyTorch without CUDA
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"device={str(device)!r} cannot be used ({reason}): choose cpu, or cuda where there is "
            "a GPU."
        ) from error


def random_encoder(config: EEGFoundationConfig, seed: int = 0) -> EEGFoundationModel:
    """Freshly initialised encoder of an architecture, the same for the same seed.

    Parameters
    ----------
    config : EEGFoundationConfig
    seed : int

    Returns
    -------
    encoder : EEGFoundationModel
        In evaluation mode.
    """
    config = EEGFoundationConfig(**{**config.to_diff_dict(), "trained": False})
    with torch.random.fork_rng():  # the caller's random numbers stay as they were
        torch.manual_seed(seed)
        return EEGFoundationModel(config).eval()


def untrained_notice(what: str) -> str:
    """Sentence that every output of untrained weights carries."""
    return (
        f"{what} has UNTRAINED weights: its outputs show that the pipeline runs and say nothing "
        "about the brain."
    )


def simulated_notice(what: str) -> str:
    """Sentence that every output of weights trained on simulations carries."""
    return (
        f"{what} was trained on SIMULATED recordings only: it shows how such a model is used, and "
        "has never seen a person's EEG with labels."
    )


def warn_of_training(what: str, *, trained: bool, simulated: bool) -> None:
    """Say at the caller's caller if a classifier was not trained, or on simulations only.

    Warns
    -----
    UntrainedWeightsWarning, SimulatedTrainingWarning
    """
    if not trained:
        warnings.warn(untrained_notice(what), UntrainedWeightsWarning, 3)
    elif simulated:
        warnings.warn(simulated_notice(what), SimulatedTrainingWarning, 3)


def fingerprint(encoder: EEGFoundationModel) -> str:
    """SHA-256 of everything that decides an embedding: weights and settings.

    Parameters
    ----------
    encoder : EEGFoundationModel

    Returns
    -------
    digest : str
        64 hexadecimal digits. Weights count as float32.
    """
    settings = {name: getattr(encoder.config, name) for name in _DECISIVE_SETTINGS}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, value in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
