"""The account of a pretraining run: what it was given, how it went, what it saw."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import warnings
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eegfoundation.checksums import damaged_files, listed
from eegfoundation.outputs import new_file, write_json
from eegfoundation.runs import RUN, earlier_run, git_commit, refuse_changes

if TYPE_CHECKING:
    from eegfoundation.corpus.reader import Corpus
    from eegfoundation.models import EEGFoundationConfig, EEGFoundationForMaskedLM

#: What may change between the two halves of an interrupted run without changing its result.
_FREE_SETTINGS = {"out", "corpus", "workers", "save_steps", "log_steps", "report_to", "verify"}


def start_run(
    out: Path,
    settings: dict[str, Any],
    corpus: Corpus,
    config: EEGFoundationConfig,
    n_processes: int,
) -> dict[str, Any]:
    """Write ``run.json``, or check that an interrupted run is continued with the same settings.

    Raises
    ------
    ConfigError
        If the folder holds a run with other settings, another corpus, model or number of processes.
    OutputError
        If its ``run.json`` is damaged, or not of a pretraining.
    """
    run = {
        "settings": settings,
        "model": {k: v for k, v in config.to_diff_dict().items() if k != "transformers_version"},
        "processes": n_processes,
        "corpus_hash": corpus.meta["hash"],
        "corpus_settings": corpus.meta["settings"],
        "versions": {
            name: version(name) for name in ("eegfoundation", "torch", "transformers", "numpy")
        },
        "git_commit": git_commit(),
    }
    before = earlier_run(
        out, "a pretraining", settings=dict, versions=dict, corpus_settings=dict, corpus_hash=str
    )
    if before is None:
        write_json(out / RUN, run)
        return run
    changed = [
        name
        for name in settings
        if name not in _FREE_SETTINGS and before["settings"].get(name) != settings[name]
    ]
    changed += [name for name in ("model", "processes") if before.get(name, run[name]) != run[name]]
    if before["corpus_hash"] != run["corpus_hash"]:
        changed.append("corpus")
    refuse_changes(out, changed)
    return before


def last_checkpoint(out: Path) -> str | None:
    """Find the checkpoint to go on from; remove those that are unfinished or damaged.

    What a killed run left half written, or had half removed, goes without a word; of files that
    differ from their checksums a warning tells.
    """
    steps = {folder: _step_of(folder) for folder in out.glob("checkpoint-*")}
    damaged = {folder: damaged_files(folder) for folder in steps}
    whole = {folder: step for folder, step in steps.items() if step >= 0 and not damaged[folder]}
    # Where others have checksums, the one without was just being written. Where none has, a
    # version wrote them that knew no checksums.
    with_sums = {folder: step for folder, step in whole.items() if listed(folder)}
    kept = with_sums if any(map(listed, steps)) else whole
    last = max(kept.values(), default=-1)
    for folder in steps.keys() - kept.keys():
        # Nothing changed, files missing, a later one whole: that one was taking its place.
        gone = not any((folder / name).exists() for name in damaged[folder])
        if damaged[folder] and not (gone and _number(folder) < last):
            _say_damaged(folder, damaged[folder])
        shutil.rmtree(folder)
    return str(max(kept, key=kept.__getitem__)) if kept else None


def _number(folder: Path) -> int:
    """Step in the name of a checkpoint."""
    digits = folder.name.removeprefix("checkpoint-")
    return int(digits) if digits.isdecimal() else sys.maxsize


def _step_of(folder: Path) -> int:
    """Step at which a checkpoint was written; -1 if it does not say."""
    try:
        state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
        return int(state["global_step"])
    # written last but the checksums; whole or not, what a damaged one says is no number
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return -1


def _say_damaged(folder: Path, files: list[str]) -> None:
    warnings.warn(
        f"{folder} is damaged and was removed ({', '.join(files)}: not as written); the run goes "
        "on from the checkpoint before it, or from the start.",
        stacklevel=3,
    )


def finish_run(
    out: Path,
    run: dict[str, Any],
    model: EEGFoundationForMaskedLM,
    corpus: Corpus,
    log_history: list[dict[str, Any]],
) -> None:
    """Write the encoder, what it was trained on, and the curves."""
    encoder = out / "encoder"
    # travels with the weights: where files lay on one machine is nobody's business
    settings = {k: v for k, v in run["settings"].items() if k not in ("corpus", "out")}
    account = {**run, "settings": settings}
    model.save_pretrained(encoder, run=account, training_data=training_data(corpus))
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
