"""What frozen features are worth: logistic regression on them, against band power and the twin.

    python benchmarks/frozen_probe.py [--model small] [--split design|test] [--data FOLDER]

Two tasks on recordings that lie beside the clone (tests/shared_data.py says where): mental
arithmetic against rest (eegmat, 5 s windows, the last minute of rest) and steady-state visual
responses (ssvep_exo, 3 s windows, three frequencies and rest). Subjects never cross. Every row gets
the same windows, folds and penalties; the penalty is chosen by cross-validation over the design
subjects, fold by subject. ``--split design`` gives those cross-validated scores at the best
penalty (a little optimistic, alike for every row); ``--split test`` fits on all design subjects and
looks at the test subjects, which have decided nothing.

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
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import GroupKFold
from tqdm.auto import tqdm

from eegfoundation import Preprocessing, UntrainedWeightsWarning, load_encoder, preprocess
from eegfoundation.corpus.compact import read_compact

SHARED = os.environ.get("EEGFOUNDATION_SHARED", Path(__file__).parents[2] / "shared")
DATA = Path(SHARED) / "eeg" / "compact"
PENALTIES = 10.0 ** np.arange(-2, 4)  # inverse strength, for features of mean square 1
BANDS = [(1, 4), (4, 8), (8, 10), (10, 13), (13, 20), (20, 30), (30, 45)]
ONE_HERTZ = [(f - 0.5, f + 0.5) for f in range(1, 46)]
N_TWINS = 5
SFREQ = 200


class Task(NamedTuple):
    """Windows of one task with whom they are from."""

    name: str
    x: np.ndarray  # (n, n_chans, n_times) microvolts
    y: np.ndarray  # (n,) class
    subject: np.ndarray  # (n,)
    session: np.ndarray  # (n,) what is standardised together
    test: list[int]  # subjects; all others are for design


class Outcome(NamedTuple):
    """Predictions of one row on the evaluated windows."""

    y: np.ndarray
    guess: np.ndarray
    score: np.ndarray
    subject: np.ndarray

    def accuracy(self, index: np.ndarray | slice = slice(None)) -> float:
        return float(balanced_accuracy_score(self.y[index], self.guess[index]))


def stress(folder: Path, settings: Preprocessing) -> Task:
    """Mental arithmetic (1) against rest (0)."""
    parts = []
    for subject in range(36):
        for label, kind in enumerate(("rest", "arith")):
            path = folder / f"eegmat/Subject{subject:02d}_{kind}.npz"
            x = cut(preprocess(read_compact(path), settings).get_data(), 5 * SFREQ)
            x = x[-12:] if label == 0 else x  # the last minute of rest: classes of equal size
            parts.append((x, np.full(len(x), label), np.full(len(x), subject)))
    x, y, subject = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Task("stress", x, y, subject, subject, list(range(26, 36)))


def ssvep(folder: Path, settings: Preprocessing) -> Task:
    """Rest, 13, 17 or 21 Hz flicker; 2 to 5 s after the cue."""
    parts = []
    for number, path in enumerate(sorted((folder / "ssvep_exo").glob("*.npz"))):
        with np.load(path, allow_pickle=False) as file:
            if json.loads(str(file["meta"]))["excluded_by_authors"]:
                continue
            onsets, labels = file["event_onset"] / float(file["sfreq"]), file["event_label"]
        data = preprocess(read_compact(path), settings).get_data()
        starts = np.round((onsets + 2) * SFREQ).astype(int)
        x = np.stack([data[:, a : a + 3 * SFREQ] for a in starts])
        subject = int(path.name[7:9])
        parts.append((x, labels, np.full(len(x), subject), np.full(len(x), number)))
    x, y, subject, session = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Task("ssvep", x, y, subject, session, list(range(9, 13)))


def cut(data: np.ndarray, n_times: int) -> np.ndarray:
    """(n_chans, T) -> (n, n_chans, n_times)."""
    n = data.shape[1] // n_times
    return data[:, : n * n_times].reshape(len(data), n, n_times).transpose(1, 0, 2)


def band_power(
    x: np.ndarray, bands: list[tuple[float, float]], seconds: float | None = None
) -> np.ndarray:
    """Log power per channel and band, (n, n_chans * n_bands).

    Of the whole window under one taper; or of pieces of so many seconds that overlap by half, their
    power averaged (Welch), which is less noisy and less fine.
    """
    x = np.nan_to_num(x)
    n = x.shape[-1] if seconds is None else round(seconds * SFREQ)
    pieces = np.lib.stride_tricks.sliding_window_view(x, n, axis=-1)[..., :: max(1, n // 2), :]
    taper = np.hanning(n)
    power = np.abs(np.fft.rfft((pieces - pieces.mean(-1, keepdims=True)) * taper)) ** 2
    power = power.mean(-2) / (SFREQ * (taper**2).sum())
    freqs = np.fft.rfftfreq(n, 1 / SFREQ)
    mean = [power[..., (freqs >= low) & (freqs < high)].mean(-1) for low, high in bands]
    return np.log(np.stack(mean, -1) + 1e-3).reshape(len(x), -1)


def embeddings(x: np.ndarray, encoder: torch.nn.Module) -> np.ndarray:
    """Context vectors of all channels, (n, n_chans * E)."""
    with torch.inference_mode():
        parts = [encoder.embed_signal(part) for part in torch.from_numpy(x).split(16)]
    return torch.cat(parts).float().nan_to_num(0.0).flatten(1).numpy()


def standardised(features: np.ndarray, session: np.ndarray) -> np.ndarray:
    """Each session's features to mean 0 and deviation 1, without labels."""
    result = np.empty_like(features)
    for one in np.unique(session):
        part = features[session == one]
        result[session == one] = (part - part.mean(0)) / (part.std(0) + 1e-6)
    return result


def rotated(train: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standardise by the training windows; turn into the space that they span.

    Logistic regression with a ridge has its solution in the span of what it is fitted on, so with
    more features than windows nothing is lost, and the long axis is dealt with once, not once per
    penalty and iteration.
    """
    mean, sd = train.mean(0), train.std(0)
    scale = 1 / (np.where(sd > 0, sd, 1) * train.shape[1] ** 0.5)
    train, asked = (train - mean) * scale, (asked - mean) * scale
    if train.shape[1] <= len(train):
        return train, asked
    values, vectors = np.linalg.eigh((train @ train.T).astype(np.float64))
    kept = values > 1e-9 * values[-1]
    turn = vectors[:, kept] / np.sqrt(values[kept])
    return (train @ train.T) @ turn, (asked @ train.T) @ turn


def probe(features: np.ndarray, task: Task, split: str) -> Outcome:
    """Choose the penalty on design subjects; predict them, or the test subjects."""
    is_test = np.isin(task.subject, task.test)
    design, y, subject = features[~is_test], task.y[~is_test], task.subject[~is_test]
    classes = np.unique(y)
    scores = np.zeros((len(PENALTIES), len(y), len(classes)))
    folds = GroupKFold(min(8, len(np.unique(subject)))).split(design, y, subject)
    for train, held_out in folds:
        for row, found in zip(
            scores, fits(design[train], y[train], design[held_out], PENALTIES), strict=True
        ):
            row[held_out] = found
    guesses = classes[scores.argmax(-1)]
    best = int(np.argmax([balanced_accuracy_score(y, guess) for guess in guesses]))
    if split == "design":
        return Outcome(y, guesses[best], scores[best], subject)
    (score,) = fits(design, y, features[is_test], PENALTIES[best : best + 1])
    return Outcome(task.y[is_test], classes[score.argmax(-1)], score, task.subject[is_test])


def fits(
    train: np.ndarray, y: np.ndarray, asked: np.ndarray, penalties: np.ndarray
) -> Iterator[np.ndarray]:
    """Log probabilities (n, n_classes) of the windows asked, for every penalty."""
    train, asked = rotated(train, asked)
    for penalty in penalties:
        model = LogisticRegression(C=penalty, max_iter=5000).fit(train, y)
        yield model.predict_log_proba(asked)


def bootstrap(ours: dict[str, list[Outcome]], theirs: dict[str, list[Outcome]]) -> list[float]:
    """Interval of the mean difference over tasks, subjects of each task resampled in pairs."""
    rng = np.random.default_rng(0)
    differences = np.zeros(2000)
    for name, rows in ours.items():
        where = {s: np.flatnonzero(rows[0].subject == s) for s in np.unique(rows[0].subject)}
        for i in range(len(differences)):
            drawn = rng.choice(list(where), len(where))
            index = np.concatenate([where[s] for s in drawn])
            difference = np.mean([r.accuracy(index) for r in rows]) - np.mean(
                [r.accuracy(index) for r in theirs[name]]
            )
            differences[i] += difference / len(ours)
    return [round(float(v), 3) for v in np.percentile(differences, [2.5, 97.5])]


def rows_of_task(
    load: object, data: Path, model: str, split: str
) -> dict[tuple[str, bool], list[Outcome]]:
    """Every row of one task: {(name, standardised): one outcome per initialisation}."""
    encoder = load_encoder(model)
    plain, given = load(data, Preprocessing()), load(data, encoder.preprocessing)
    is_test = np.isin(plain.subject, plain.test) == (split == "test")
    classes, counts = np.unique(plain.y[is_test], return_counts=True)
    n_subjects = len(np.unique(plain.subject[is_test]))
    per_class = dict(zip(classes.tolist(), counts.tolist(), strict=True))
    print(f"{plain.name}: {n_subjects} subjects, windows per class {per_class}")
    features = {}
    for name, bands, seconds in (
        ("band power, 1-Hz bins", ONE_HERTZ, None),
        ("band power, 7 bands", BANDS, None),
        ("band power, 1-Hz bins, Welch", ONE_HERTZ, 1.0),
    ):
        features[name] = [band_power(plain.x, bands, seconds)]
        features[f"{name}, {given_name(encoder)}"] = [band_power(given.x, bands, seconds)]
    twins = [load_encoder(model, weights="random", seed=seed) for seed in range(N_TWINS)]
    features["random twin"] = [embeddings(given.x, twin) for twin in twins]
    features[model] = [embeddings(given.x, encoder)]
    found: dict[tuple[str, bool], list[Outcome]] = {}
    for name, variants in tqdm(features.items(), desc=plain.name, disable=None):
        for aligned in (False, True):
            found[name, aligned] = [
                probe(standardised(x, plain.session) if aligned else x, plain, split)
                for x in variants
            ]
    return found


@functools.cache
def design_tasks(data: Path, preprocessing: Preprocessing) -> list[Task]:
    """Windows of both tasks, without the test subjects."""
    tasks = []
    for load in (stress, ssvep):
        task = load(data, preprocessing)
        is_design = ~np.isin(task.subject, task.test)
        x, y, subject, session = (part[is_design] for part in task[1:5])
        tasks.append(task._replace(x=x, y=y, subject=subject, session=session))
    return tasks


def design_scores(encoder: Any, data: Path) -> dict[str, float]:
    """Balanced accuracy per task and their mean, as it is and standardised."""
    found = {}
    for task in design_tasks(data, encoder.preprocessing):
        x = embeddings(task.x, encoder)
        found[task.name] = probe(x, task, "design").accuracy()
        x = standardised(x, task.session)
        found[f"{task.name}_standardised"] = probe(x, task, "design").accuracy()
    for kind in ("", "_standardised"):
        found[f"mean{kind}"] = (found[f"stress{kind}"] + found[f"ssvep{kind}"]) / 2
    return {name: round(value, 4) for name, value in found.items()}


def given_name(encoder: torch.nn.Module) -> str:
    return f"{encoder.preprocessing.reference} reference"


def main() -> None:
    """Print a table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="small", help="shipped name or folder")
    parser.add_argument("--split", choices=["design", "test"], default="design")
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UntrainedWeightsWarning)
    tasks = {
        load.__name__: rows_of_task(load, arguments.data, arguments.model, arguments.split)
        for load in (stress, ssvep)
    }
    rows = []
    for key in tasks["stress"]:
        name, aligned = key
        per_task = {task: found[key] for task, found in tasks.items()}
        accuracy = {t: [o.accuracy() for o in outcomes] for t, outcomes in per_task.items()}
        row = {"model": name, "standardised": aligned}
        row |= {task: round(float(np.mean(values)), 3) for task, values in accuracy.items()}
        row["mean"] = round(float(np.mean([np.mean(v) for v in accuracy.values()])), 3)
        if name == "random twin":
            row["sd"] = round(float(np.std(np.mean(list(accuracy.values()), axis=0))), 3)
        row["stress_auroc"] = round(
            float(np.mean([roc_auc_score(o.y, o.score[:, 1]) for o in per_task["stress"]])), 3
        )
        if name != arguments.model:
            ours = {t: found[arguments.model, aligned] for t, found in tasks.items()}
            row["ours_above"] = bootstrap(ours, per_task)
        rows.append(row)
        print(row)
    print(json.dumps({"model": arguments.model, "split": arguments.split, "rows": rows}))


if __name__ == "__main__":
    main()
