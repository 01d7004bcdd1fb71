"""``run.json``: what a training was given, so that an interrupted one goes on with nothing else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from eegfoundation.errors import ConfigError, OutputError

RUN = "run.json"
#: Upper ends of what a training can be told: beyond them arithmetic fails before the training does.
LARGEST_COUNT, LARGEST_RATE = 10**12, 1e6


def earlier_run(folder: Path, kind: str, **parts: type) -> dict[str, Any] | None:
    """Read what a run in this folder wrote before; None if there was none.

    Parameters
    ----------
    folder : Path
    kind : str
        What such a run is called: "a pretraining".
    **parts : type
        What its account holds, by name.

    Raises
    ------
    ConfigError
        If there are checkpoints of nobody knows what.
    OutputError
        If the account is damaged, or of something else.
    """
    path = folder / RUN
    if not path.exists():
        if any(folder.glob("checkpoint-*")):
            raise ConfigError(f"{folder} has checkpoints but no {RUN}; choose another folder.")
        return None
    try:
        run = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError):
        run = None
    if not isinstance(run, dict) or not all(
        isinstance(run.get(name), one) for name, one in parts.items()
    ):
        raise OutputError(f"{path} is damaged, or not of {kind}; choose another folder.")
    return run


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def refuse_changes(folder: Path, changed: list[str]) -> None:
    """Refuse to go on with a run if some of its values are others now.

    Raises
    ------
    ConfigError
    """
    if changed:
        raise ConfigError(
            f"{folder} holds a run with other values of {changed}; continue it with the same "
            "values or choose another folder."
        )


def git_commit() -> str | None:
    """Commit of the source, with "-dirty" if it was changed since; None if it is no clone."""

    def git(*args: str) -> str:
        done = subprocess.run(
            ["git", *args], cwd=here.parent, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    here = Path(__file__)
    try:
        git("ls-files", "--error-unmatch", here.name)  # or we are installed in another repository
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return None
