"""What frozen features are worth: logistic regression on them, against band power and the twin.

    python benchmarks/frozen_probe.py [--model small] [--split design|test] [--data FOLDER]

Two tasks on recordings that lie beside the clone (tests/shared_data.py says where): mental
arithmetic against rest (eegmat, 5 s windows, the last minute of rest) and steady-state visual
responses (ssvep_exo, 3 s windows, three frequencies and rest). Subjects never cross. Windows,
folds, rows and probes are those of `eegfoundation evaluate`; added here are means over both tasks.
``--split test`` fits on all design subjects and looks at the test subjects, which have decided
nothing. ``--split design`` tests the design subjects in five folds. In both, the penalty is chosen
by cross-validation over the subjects that are learnt from.

Rows: log band power in 1-Hz bins and in 7 bands, of the whole window and by Welch's method, from
the recording as it is and from what the encoder is given (its reference is part of the model); the
encoder with random weights, which is also where its training starts, in 5 initialisations; the
encoder. Each as it is, and with features standardised per person (arithmetic) or session (flicker)
without labels. Differences of the means over both tasks come with a paired bootstrap over subjects.
The last line printed is JSON with every row.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from eegfoundation import UntrainedWeightsWarning, load_encoder
from eegfoundation.evaluation.alignment import standardise
from eegfoundation.evaluation.folds import Fold, make_folds
from eegfoundation.evaluation.row import Material, Row
from eegfoundation.evaluation.rows import make_rows
from eegfoundation.evaluation.run import load_both
from eegfoundation.evaluation.scores import Predictions, bootstrap, interval, scores
from eegfoundation.features import context_vectors
from eegfoundation.models import EEGFoundationModel
from eegfoundation.preprocessing import Preprocessing
from eegfoundation.probe import fit_probe
from eegfoundation.tasks import Trials, load_task, load_trials

SHARED = os.environ.get("EEGFOUNDATION_SHARED", Path(__file__).parents[2] / "shared")
DATA = Path(SHARED) / "eeg" / "compact"
TASKS = {"stress": ("ours", "eegmat"), "ssvep": ("split", "ssvep_exo")}
"""The split of each task, and the folder of its recordings."""
ALIGNMENTS = ("none", "standardise")
N_TWINS = 5


def load(
    name: str, data: Path, encoder: EEGFoundationModel, split: str
) -> tuple[Material, list[Fold]]:
    """Windows of a task, and who is tested."""
    own, folder = TASKS[name]
    task = load_task(name).for_split(own, data / folder)
    parts = task.splits[own]
    inside, plain = load_both(task, data / folder, encoder, own)
    if split == "test":
        folds = make_folds(inside, "split", parts)
    else:
        kept = np.flatnonzero(np.isin(inside.subject, [*parts.train, *parts.validation]))
        inside, plain = inside.select(kept), None if plain is None else plain.select(kept)
        folds = make_folds(inside, "kfold", n_splits=5)
    material = Material(
        given=inside,
        plain=plain,
        encoder=encoder,
        model=Path(encoder.config.name_or_path).name,
        level="subject",
    )
    return material, folds


def rows_of(material: Material) -> list[Row]:
    """Band power, the twin and the encoder."""
    rows = make_rows(material, ["probe"], ALIGNMENTS)
    return [row for row in rows if row.kind != "baseline" or row.model.startswith("band power")]


def predict(row: Row, trials: Trials, folds: list[Fold]) -> Predictions:
    """Predictions of the tested windows, once per initialisation."""
    found = [
        np.concatenate([row.predict(fold, seed)[0] for fold in folds])
        for seed in range(N_TWINS if row.seeded else 1)
    ]
    tested = np.concatenate([fold.test for fold in folds])
    return Predictions(
        log_proba=np.stack(found), y=trials.y[tested], subject=trials.subject[tested]
    )


def predictions_of(
    name: str, data: Path, model: str, split: str
) -> dict[tuple[str, str, str], Predictions]:
    """Every row of one task: {(kind, model, alignment): predictions}."""
    material, folds = load(name, data, load_encoder(model), split)
    trials, tested = material.given, np.concatenate([fold.test for fold in folds])
    counts = dict(zip(trials.classes, trials.select(tested).counts(), strict=True))
    print(f"{name}: {len(set(trials.subject[tested]))} subjects, windows per class {counts}")
    return {
        (row.kind, row.model, row.alignment): predict(row, trials, folds)
        for row in tqdm(rows_of(material), desc=name, disable=None)
    }


def table(tasks: dict[str, dict[tuple[str, str, str], Predictions]]) -> list[dict[str, Any]]:
    """One line per row, with means over tasks and what the encoder is above."""
    first = next(iter(tasks.values()))
    ours = {key[2]: key for key in first if key[0] == "ours"}
    lines = []
    for key in first:
        kind, model, alignment = key
        found = {task: scores(predictions[key]) for task, predictions in tasks.items()}
        line: dict[str, Any] = {"model": model, "standardised": alignment != "none"}
        line |= {task: _rounded(one["balanced_accuracy"]) for task, one in found.items()}
        mean = np.mean([one["balanced_accuracy"] for one in found.values()])
        line["mean"] = _rounded(mean)
        line |= {f"{task}_auroc": _rounded(one["auroc"]) for task, one in found.items()}
        if kind != "ours":
            draws = [bootstrap(p[ours[alignment]]) - bootstrap(p[key]) for p in tasks.values()]
            of_ours = [scores(p[ours[alignment]])["balanced_accuracy"] for p in tasks.values()]
            line["ours_above"] = _rounded(np.mean(of_ours) - mean)
            line["interval"] = [_rounded(end) for end in interval(np.mean(draws, axis=0))]
        lines.append(line)
    return lines


@functools.cache
def design_windows(data: Path, preprocessing: Preprocessing) -> dict[str, Trials]:
    """Windows of both tasks, as an encoder gets them, without the test subjects."""
    found = {}
    for name, (own, folder) in TASKS.items():
        task = load_task(name).for_split(own, data / folder)
        parts = task.splits[own]
        subjects = [*parts.train, *parts.validation]
        found[name] = load_trials(task, data / folder, preprocessing, subjects=subjects)
    return found


def design_scores(encoder: EEGFoundationModel, data: Path) -> dict[str, float]:
    """Cross-validated balanced accuracy per task, as it is and standardised, and their means.

    At the best penalty, so a little optimistic, alike for every encoder.
    """
    found = {}
    for name, trials in design_windows(data, encoder.preprocessing).items():
        context = context_vectors(trials.x, trials.preprocessing, encoder, cache=False)
        aligned = standardise(context, trials.group("session"))
        for kind, x in (("", context), ("_standardised", aligned)):
            probe = fit_probe(x.reshape(len(x), -1), trials.y, trials.subject, len(trials.classes))
            found[name + kind] = probe.validation_score
    for kind in ("", "_standardised"):
        found[f"mean{kind}"] = float(np.mean([found[name + kind] for name in TASKS]))
    return {name: round(value, 4) for name, value in found.items()}


def _rounded(value: float) -> float:
    return round(float(value), 3)


def main() -> None:
    """Print a table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="small", help="shipped name or folder")
    parser.add_argument("--split", choices=["design", "test"], default="design")
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UntrainedWeightsWarning)
    lines = table(
        {
            name: predictions_of(name, arguments.data, arguments.model, arguments.split)
            for name in TASKS
        }
    )
    for line in lines:
        print(line)
    print(json.dumps({"model": arguments.model, "split": arguments.split, "rows": lines}))


if __name__ == "__main__":
    main()
