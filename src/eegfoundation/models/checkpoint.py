"""Classifiers in the published form: a ``.pth`` with weights, a JSON with settings.

The published JSON has 14 keys. What they have no place for (class names, preprocessing, which
encoder, what the weights were trained on) travels as a JSON string inside the ``.pth``, and so does
an encoder that was trained along with the classifier. Nothing is loaded by running code, and
nothing that does not fit exactly.
"""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from eegfoundation.checksums import check_sum
from eegfoundation.errors import (
    CheckpointError,
    ConfigError,
    some_of,
)
from eegfoundation.models.classifier import EEGFoundationForClassification
from eegfoundation.models.config import EEGFoundationConfig
from eegfoundation.models.downstream_config import EXTRA_KEYS, PUBLISHED_KEYS, DownstreamConfig
from eegfoundation.models.encoder import EEGFoundationModel, all_finite
from eegfoundation.models.registry import warn_of_training
from eegfoundation.outputs import new_file, write_json
from eegfoundation.paths import check_path


class _Checkpoint(NamedTuple):
    """Content of a .pth."""

    weights: dict[str, Tensor]
    extras: dict[str, Any]
    encoder: dict[str, Any] | None
    """"config" as JSON and "state_dict" of a tuned encoder."""


def load_downstream_model(
    model_path: str | Path, config_path: str | Path
) -> EEGFoundationForClassification:
    """Load a classifier in the published form: a ``.pth`` with weights, a JSON with settings.

    Parameters
    ----------
    model_path : str | Path
        Written by `save_downstream_model`. Loaded without running code from the file.
    config_path : str | Path
        The published configuration keys.

    Returns
    -------
    model : EEGFoundationForClassification
        In evaluation mode.

    Raises
    ------
    ConfigError
        If the configuration is missing, broken, or has unknown keys.
    CheckpointError
        If the weights are missing or damaged, or do not fit the configuration exactly.

    Warns
    -----
    UntrainedWeightsWarning
        If the checkpoint says that its weights were never trained.
    SimulatedTrainingWarning
        If it says that they were trained on simulated recordings only.
    """
    path = Path(model_path)
    saved = _read_checkpoint(path)
    DownstreamConfig.from_json_file(config_path)  # checks it
    settings = json.loads(Path(config_path).read_text(encoding="utf-8"))
    doubled = sorted(settings.keys() & set(EXTRA_KEYS))
    if doubled:
        raise ConfigError(
            f"{config_path} sets {doubled}, which belong to the weights; remove them."
        )
    config = DownstreamConfig(**settings, **saved.extras)
    model = EEGFoundationForClassification(config)
    load_exactly(model, saved.weights, f"The weights in {path} do not fit {config_path}")
    if config.encoder_tuned != (saved.encoder is not None):
        raise CheckpointError(
            f"{path} says encoder_tuned={config.encoder_tuned} and "
            f"{'holds' if saved.encoder else 'lacks'} an encoder; it is damaged, save it anew."
        )
    if saved.encoder is not None:
        model.attach_encoder(_tuned_encoder(saved.encoder, path))
    known = {"trained": config.trained, "simulated": config.simulated}
    warn_of_training(f"Classifier {path.name}", **known)
    return model.eval()


def load_exactly(model: nn.Module, found: dict[str, Tensor], complaint: str) -> None:
    """Load weights; raise `CheckpointError` with a list of what does not fit."""
    expected = model.state_dict()
    problems = {
        "missing": sorted(expected.keys() - found.keys()),
        "unexpected": sorted(found.keys() - expected.keys()),
        "of another shape": sorted(
            key for key in expected.keys() & found.keys() if expected[key].shape != found[key].shape
        ),
    }
    if any(problems.values()):
        listing = "; ".join(f"{kind} {some_of(keys)}" for kind, keys in problems.items() if keys)
        raise CheckpointError(f"{complaint}: {listing}.")
    if broken := sorted(key for key, value in found.items() if not all_finite(value)):
        raise CheckpointError(f"{complaint}: {broken[0]} holds NaN or infinity, it is damaged.")
    model.load_state_dict(found)


def _tuned_encoder(saved: dict[str, Any], path: Path) -> EEGFoundationModel:
    """Make the encoder that was trained along."""
    encoder = EEGFoundationModel(EEGFoundationConfig(**json.loads(saved["config"])))
    complaint = f"The encoder's weights in {path} do not fit its configuration"
    load_exactly(encoder, saved["state_dict"], complaint)
    return encoder.eval()


def _read_checkpoint(path: Path) -> _Checkpoint:
    """Read what `save_downstream_model` wrote."""
    if os.path.exists(path):
        check_path(path, CheckpointError)
        check_sum(path)
    try:
        _check_archive(path)
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"Weights {path} not found; check the path.") from None
    except CheckpointError:
        raise
    except Exception as error:  # a damaged or foreign pickle can fail in any way
        first_line = f"{type(error).__name__} {error}".strip().splitlines()[0]
        raise CheckpointError(
            f"{path} cannot be loaded as weights: {first_line.rstrip('.')}; is it a whole .pth?"
        ) from error
    try:
        weights, extras = dict(saved["state_dict"]), json.loads(saved["extras"])
        encoder, settings = saved.get("encoder"), [extras]
        tensors = list(weights.values())
        if encoder is not None:
            tensors += encoder["state_dict"].values()
            settings.append(json.loads(encoder["config"]))
        sound = all(isinstance(value, Tensor) for value in tensors)
        sound &= all(isinstance(one, dict) for one in settings)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        sound = False
    if not sound:
        raise CheckpointError(
            f"{path} holds no checkpoint of save_downstream_model (expected 'state_dict' and "
            "'extras'); weights of other code cannot be used."
        )
    return _Checkpoint(weights, extras, encoder)


def _check_archive(path: Path) -> None:
    """Refuse what unpacks to more than its size (PyTorch does not compress), and flipped bits.

    torch.save writes a checksum with every tensor, torch.load does not look at it.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as file:
        unpacked = sum(member.file_size for member in file.infolist())
        if unpacked > path.stat().st_size:
            raise CheckpointError(
                f"{path} is a compressed archive; expected weights of torch.save."
            )
        if damaged := file.testzip():
            raise CheckpointError(
                f"{path} is damaged: {Path(damaged).name} in it differs from its checksum; get it "
                "again."
            )


def save_downstream_model(
    model: EEGFoundationForClassification,
    model_path: str | Path,
    config_path: str | Path | None = None,
) -> None:
    """Save a classifier's weights, and what the published JSON has no place for, as ``.pth``.

    Parameters
    ----------
    model : EEGFoundationForClassification
    model_path : str | Path
        Replaced if it exists. A missing folder is made.
    config_path : str | Path | None
        Where to write the published keys as JSON; None: not at all.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    if config_path is not None:
        write_json(
            config_path, {key: getattr(model.config, key) for key in PUBLISHED_KEYS}, overwrite=True
        )
    extras = {key: getattr(model.config, key) for key in EXTRA_KEYS}
    content = {"state_dict": model.state_dict(), "extras": json.dumps(extras)}
    if model.config.encoder_tuned:
        content["encoder"] = {
            "config": json.dumps(model.encoder.config.to_diff_dict()),
            "state_dict": model.encoder.state_dict(),
        }
    with new_file(model_path, overwrite=True) as unfinished:
        torch.save(content, unfinished)
