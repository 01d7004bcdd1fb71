"""The conversion command: somebody's checkpoint in, a folder for ``from_pretrained`` out.

Two kinds are read: Hugging Face's RoFormer, with or without its masked-token head, and classifiers
in the published form (a ``.pth`` beside a JSON). What is written says which weights found their
place; a single one that did not is an error.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eegfoundation.errors import CheckpointError, ConfigError, OutputError

if TYPE_CHECKING:
    from eegfoundation.models import ConversionReport


def convert_checkpoint(
    source: str,
    out: str,
    classifier_config: str | None = None,
    scaling: str | None = None,
    overwrite: bool = False,
) -> None:
    """Convert a RoFormer or a published classifier into a folder for from_pretrained.

    Parameters
    ----------
    source : str
        Folder of a RoFormer checkpoint (Hugging Face), or the .pth of a classifier.
    out : str
        Folder for config.json, model.safetensors, README.md and, where there is one, run.json.
    classifier_config : str | None
        Of a .pth: its configuration (.json).
    scaling : str | None
        Of a RoFormer: how amplitudes became its tokens, minmax (the published scheme) or asinh.
    overwrite : bool
        Replace a model that lies in out.
    """
    folder = Path(out)
    if (folder / "config.json").exists() and not overwrite:
        raise OutputError(
            f"{folder} holds a model already; choose another folder, or overwrite it "
            "(--overwrite true)."
        )
    if Path(source).suffix == ".pth":
        report = _classifier(Path(source), classifier_config, folder)
    else:
        report = _roformer(Path(source), scaling, folder)
    print(report)
    print(f"{folder}: converted from {Path(source).name}")


def _roformer(source: Path, scaling: str | None, out: Path) -> ConversionReport:
    from eegfoundation.models import from_roformer, load_roformer

    if scaling is None:
        raise ConfigError(
            "A RoFormer checkpoint does not say how amplitudes became tokens; add --scaling minmax "
            "(the published scheme) or --scaling asinh."
        )
    model, report = from_roformer(load_roformer(source), {"scaling": scaling}, trained=True)
    model.save_pretrained(out)
    return report


def _classifier(source: Path, config: str | None, out: Path) -> ConversionReport:
    from eegfoundation.models import ConversionReport, load_downstream_model

    if config is None:
        raise ConfigError(
            f"{source.name} is one of two files; name its configuration with --classifier_config."
        )
    model = load_downstream_model(source, config)  # raises unless every weight fits
    model.save_pretrained(out, run=_account(source))
    names = list(model.state_dict())
    if model.config.encoder_tuned:
        names += [f"encoder.{name}" for name in model.encoder.state_dict()]
    return ConversionReport(matched=sorted(names), missing=[], unexpected=[])


def _account(source: Path) -> dict[str, Any] | None:
    """Account of the training, where it lies beside a .pth: of `finetune`, or as it ships."""
    name = source.name.removesuffix("_model.pth")
    for path in (source.with_name(f"{name}_run.json"), source.with_name("run.json")):
        if not path.exists():
            continue
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            run = None
        if not isinstance(run, dict):
            raise CheckpointError(
                f"{path} is damaged: get it again, or move it elsewhere to convert without it."
            )
        task = run.get("task")
        if path.name != "run.json" or (isinstance(task, dict) and task.get("name") == name):
            return run
    return None
