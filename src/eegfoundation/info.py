"""Say what a recording or a model is, before anything is computed with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eegfoundation.recording import Recording


def info(
    target: str,
    sfreq: float | None = None,
    ch_names: list[str] | None = None,
    units: str | None = None,
) -> None:
    """Describe a recording or a model.

    Parameters
    ----------
    target : str
        A recording, the name or folder of an encoder, or a model's configuration (.json).
    sfreq : float | None
        Sampling rate in Hz, for .npy recordings; other files know theirs.
    ch_names : list of str | None
        Channels to use, in this order; for an .npy recording, the name of each channel.
    units : str | None
        Unit of the numbers in a recording, if they are not what it claims: V, mV, uV or nV.
    """
    from eegfoundation.models.config import SIZES
    from eegfoundation.recording import read_recording

    path = Path(target)
    if target in SIZES or os.path.isfile(path / "config.json"):
        lines = _describe_encoder(target)
    elif path.suffix == ".json":
        lines = _describe_config(path)
    else:
        recording = read_recording(target, sfreq=sfreq, ch_names=ch_names, units=units)
        lines = _describe_recording(recording)
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        print(f"{name:<{width}}  {value}")


def _describe_recording(recording: Recording) -> list[tuple[str, object]]:
    reading = recording.history["reading"]
    length = f"{recording.duration:.1f} s"
    if recording.n_epochs is not None:
        length = f"{recording.n_epochs} epochs of {recording.n_times / recording.sfreq:.2f} s"
    lines: list[tuple[str, object]] = [
        ("recording", recording.name),
        ("format", reading["format"]),
        ("length", length),
        ("sampling rate", f"{recording.sfreq:g} Hz"),
        ("channels", f"{recording.n_chans}: {', '.join(recording.ch_names)}"),
    ]
    optional = {
        "renamed": ", ".join(f"{old} -> {new}" for old, new in reading["renamed"].items()),
        "left out": ", ".join(f"{name} ({why})" for name, why in reading["dropped"].items()),
        "bad channels": ", ".join(recording.bads),
        "position unknown": ", ".join(reading["positions_unknown"]),
        "bad segments": len(recording.bad_segments) or "",
        "events": ", ".join(sorted({event[2] for event in recording.events})),
    }
    return lines + [(name, value) for name, value in optional.items() if value]


def _describe_encoder(name: str) -> list[tuple[str, object]]:
    from eegfoundation.errors import CheckpointError
    from eegfoundation.models import fingerprint, load_encoder

    try:
        encoder = load_encoder(name)
        weights = "trained" if encoder.config.trained else "UNTRAINED"
        digest = fingerprint(encoder)
    except CheckpointError as error:
        encoder = load_encoder(name, weights="random")
        weights, digest = str(error), "none"
    config = encoder.config
    n_parameters = sum(p.numel() for p in encoder.parameters())
    rate = encoder.preprocessing.sfreq / config.tokens_per_position
    return [
        ("encoder", name),
        ("weights", weights),
        ("sha256", digest),
        ("parameters", f"{n_parameters:,}"),
        ("architecture", f"{config.num_hidden_layers} layers, {config.hidden_size} wide"),
        ("context vector", f"{config.context_size} values per channel and window"),
        ("positions", f"{rate:g} per second and channel"),
        ("tokenizer", config.tokenizer),
        ("preprocessing", config.preprocessing),
    ]


def _describe_config(path: Path) -> list[tuple[str, object]]:
    import json

    from eegfoundation.errors import ConfigError
    from eegfoundation.models import DownstreamConfig, EEGFoundationConfig
    from eegfoundation.paths import check_path

    check_path(path, ConfigError)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"Configuration {path} cannot be read: {error}.") from None
    known = {c.model_type: c for c in (DownstreamConfig, EEGFoundationConfig)}
    kind = known.get(str(values.get("model_type"))) if isinstance(values, dict) else None
    if kind is None:
        raise ConfigError(f"{path} is no model configuration: model_type is none of {list(known)}.")
    kind.from_json_file(path)
    return [("configuration", path.name), *values.items()]
