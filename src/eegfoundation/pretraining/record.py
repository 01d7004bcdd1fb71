"""The account of a pretraining run: what it was given, how it went, what it saw."""

from __future__ import annotations

import csv
import json
import subprocess
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eegfoundation.errors import ConfigError
from eegfoundation.outputs import new_file, write_json

if TYPE_CHECKING:
    from eegfoundation.corpus.reader import Corpus
    from eegfoundation.models.objective import EEGFoundationForPreTraining

#: What may change between the two halves of an interrupted run without changing its result.
_FREE_SETTINGS = {"out", "corpus", "workers", "save_steps", "log_steps", "report_to"}


def start_run(out: Path, settings: dict[str, Any], corpus: Corpus) -> dict[str, Any]:
    """Write ``run.json``, or check that an interrupted run is continued with the same settings.

    Raises
    ------
    ConfigError
        If the folder holds a run with other settings or another corpus.
    """
    run = {
        "settings": settings,
        "corpus_hash": corpus.meta["hash"],
        "corpus_settings": corpus.meta["settings"],
        "versions": {
            name: version(name) for name in ("eegfoundation", "torch", "transformers", "numpy")
        },
        "git_commit": _git_commit(),
    }
    path = out / "run.json"
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = [
            name
            for name in settings
            if name not in _FREE_SETTINGS and before["settings"].get(name) != settings[name]
        ]
        if before["corpus_hash"] != run["corpus_hash"]:
            changed.append("corpus")
        if changed:
            raise ConfigError(
                f"{out} holds a run with other values of {changed}; continue it with the same "
                "values or choose another folder."
            )
        return dict(before)
    write_json(path, run)
    return run


def finish_run(
    out: Path,
    run: dict[str, Any],
    model: EEGFoundationForPreTraining,
    corpus: Corpus,
    log_history: list[dict[str, Any]],
) -> None:
    """Write the encoder, what it was trained on, and the curves."""
    encoder = out / "encoder"
    model.as_masked_lm().save_pretrained(encoder)
    write_json(encoder / "training_data.json", training_data(corpus), overwrite=True)
    write_json(encoder / "run.json", run, overwrite=True)
    rows = [row for row in log_history if "loss" in row]
    columns = ["step", *sorted({key for row in rows for key in row} - {"step", "epoch"})]
    with (
        new_file(out / "metrics.csv", overwrite=True) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    with new_file(out / "curves.png", overwrite=True) as unfinished:
        _draw(rows).savefig(unfinished, format="png", dpi=110)
    print(f"{encoder}: trained on {len(corpus)} channel windows; curves in {out / 'curves.png'}")


def training_data(corpus: Corpus) -> dict[str, Any]:
    """List every recording of a corpus."""
    pairs = zip(corpus.recordings, corpus.subjects, strict=True)
    return {
        "corpus_hash": corpus.meta["hash"],
        "n_windows": len(corpus),
        "channel_hours": round(len(corpus) * corpus.n_times / corpus.sfreq / 3600, 2),
        "n_subjects": len(Counter(corpus.subjects)),
        "recordings": [{"recording": name, "subject": subject} for name, subject in pairs],
    }


def _draw(rows: list[dict[str, Any]]) -> Any:
    """Loss and token accuracy against steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = [row["step"] for row in rows]
    left.plot(steps, [row["loss"] for row in rows], color="#1f2933", label="loss")
    for name, color in (("spectrum_loss", "#2a6f97"), ("window_loss", "#f4a261")):
        if rows and name in rows[0]:
            left.plot(steps, [row[name] for row in rows], color=color, label=name)
    left.set(xlabel="step", title="Loss", ylim=(0, None))
    left.legend(frameon=False)
    if rows and "token_accuracy" in rows[0]:
        right.plot(steps, [row["token_accuracy"] for row in rows], color="#2a6f97")
    right.set(xlabel="step", title="Masked tokens guessed exactly", ylim=(0, None))
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _git_commit() -> str | None:
    """Commit of the source, where it is a clone."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
