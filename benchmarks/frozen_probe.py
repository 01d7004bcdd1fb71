"""What frozen features are worth: logistic regression on them, against band power and the twin.

    python benchmarks/frozen_probe.py [--model small] [--split validation|test] [--data FOLDER]

Two tasks on recordings that lie beside the clone (see tests/shared_data.py for where): mental
arithmetic against rest (eegmat, 5 s windows, the last minute of rest) and steady-state visual
responses (ssvep_exo, 3 s windows, three frequencies and rest). Subjects never cross: training
subjects fit, validation subjects choose the penalty, and only ``--split test`` looks at the test
subjects. Every row gets the same windows, folds, penalties and, in a second column, the same
standardisation of each person's or session's features without labels. Intervals are paired
bootstraps over subjects. The last line printed is JSON with every row.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from eegfoundation import UntrainedWeightsWarning, load_encoder, preprocess
from eegfoundation.corpus.compact import read_compact

PENALTIES = 10.0 ** np.arange(-5, 2)
BANDS = [(1, 4), (4, 8), (8, 10), (10, 13), (13, 20), (20, 30), (30, 45)]
ONE_HERTZ = [(f - 0.5, f + 0.5) for f in range(1, 46)]


class Task(NamedTuple):
    """Windows of one task with whom they are from."""

    name: str
    x: np.ndarray  # (n, n_chans, n_times) microvolts
    y: np.ndarray  # (n,) class
    subject: np.ndarray  # (n,)
    session: np.ndarray  # (n,) what is standardised together
    train: range
    validation: range
    test: range


def stress(folder: Path) -> Task:
    """Mental arithmetic (1) against rest (0)."""
    parts = []
    for subject in range(36):
        for label, kind in enumerate(("rest", "arith")):
            recording = preprocess(read_compact(folder / f"eegmat/Subject{subject:02d}_{kind}.npz"))
            x = windows_of(recording.get_data(), 1000)
            x = x[-12:] if label == 0 else x  # the last minute of rest: classes of equal size
            parts.append((x, np.full(len(x), label), np.full(len(x), subject)))
    x, y, subject = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Task("stress", x, y, subject, subject, range(20), range(20, 26), range(26, 36))


def ssvep(folder: Path) -> Task:
    """Rest, 13, 17 or 21 Hz flicker; 2 to 5 s after the cue."""
    parts = []
    for number, path in enumerate(sorted((folder / "ssvep_exo").glob("*.npz"))):
        with np.load(path, allow_pickle=False) as file:
            if json.loads(str(file["meta"]))["excluded_by_authors"]:
                continue
            onsets, labels = file["event_onset"] / float(file["sfreq"]), file["event_label"]
        data = preprocess(read_compact(path)).get_data()
        starts = np.round((onsets + 2) * 200).astype(int)
        x = np.stack([data[:, a : a + 600] for a in starts])
        subject = int(path.name[7:9])
        parts.append((x, labels, np.full(len(x), subject), np.full(len(x), number)))
    x, y, subject, session = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Task("ssvep", x, y, subject, session, range(1, 8), range(8, 9), range(9, 13))


def windows_of(data: np.ndarray, n_times: int) -> np.ndarray:
    """(n_chans, T) -> (n, n_chans, n_times)."""
    n = data.shape[1] // n_times
    return data[:, : n * n_times].reshape(len(data), n, n_times).transpose(1, 0, 2)


def band_power(x: np.ndarray, bands: list[tuple[float, float]]) -> np.ndarray:
    """Log power per channel and band, (n, n_chans * n_bands)."""
    taper = np.hanning(x.shape[-1])
    x = np.nan_to_num(x)
    power = np.abs(np.fft.rfft((x - x.mean(-1, keepdims=True)) * taper)) ** 2
    power /= 200 * (taper**2).sum()
    freqs = np.fft.rfftfreq(x.shape[-1], 1 / 200)
    mean = [power[..., (freqs >= low) & (freqs < high)].mean(-1) for low, high in bands]
    return np.log(np.stack(mean, -1) + 1e-3).reshape(len(x), -1)


def embeddings(x: np.ndarray, encoder: torch.nn.Module) -> np.ndarray:
    """Context vectors of all channels, (n, n_chans * E)."""
    with torch.inference_mode():
        parts = [encoder.embed_signal(part) for part in torch.from_numpy(x).split(16)]
    return torch.cat(parts).nan_to_num(0.0).flatten(1).numpy()


def probe(features: np.ndarray, task: Task, evaluated: range) -> dict[str, np.ndarray]:
    """Fit on training subjects, choose the penalty on validation subjects, score the others."""
    is_train = np.isin(task.subject, task.train)
    is_validation = np.isin(task.subject, task.validation)
    scores = [
        balanced_accuracy_score(
            task.y[is_validation], fit(features, task.y, is_train, c, is_validation)[0]
        )
        for c in PENALTIES
    ]
    best = PENALTIES[int(np.argmax(scores))]
    rest = np.isin(task.subject, evaluated)
    fitted_on = is_train if evaluated is task.validation else is_train | is_validation
    guess, score = fit(features, task.y, fitted_on, best, rest)
    return {"y": task.y[rest], "guess": guess, "score": score, "subject": task.subject[rest]}


def fit(
    features: np.ndarray, y: np.ndarray, train: np.ndarray, penalty: float, asked: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression on standardised features; guesses and scores of the windows asked."""
    scaler = StandardScaler().fit(features[train])
    a, b = scaler.transform(features[train]), scaler.transform(features[asked])
    if a.shape[1] > a.shape[0]:  # rotated into the span of the training windows: same solution
        _, _, basis = np.linalg.svd(a, full_matrices=False)
        a, b = a @ basis.T, b @ basis.T
    model = LogisticRegression(C=penalty, max_iter=500).fit(a, y[train])
    return model.predict(b), model.decision_function(b)


def standardised(features: np.ndarray, session: np.ndarray) -> np.ndarray:
    """Each session's features to mean 0 and deviation 1, without labels."""
    result = np.empty_like(features)
    for one in np.unique(session):
        part = features[session == one]
        result[session == one] = (part - part.mean(0)) / (part.std(0) + 1e-6)
    return result


def paired_bootstrap(rows: list[dict[str, np.ndarray]], others: list[dict[str, np.ndarray]]):
    """Interval of the difference in balanced accuracy over resampled subjects."""
    rng = np.random.default_rng(0)
    subjects = np.unique(rows[0]["subject"])
    differences = []
    for _ in range(2000):
        drawn = rng.choice(subjects, len(subjects))
        index = np.concatenate([np.flatnonzero(rows[0]["subject"] == s) for s in drawn])
        ours, theirs = (
            np.mean([balanced_accuracy_score(r["y"][index], r["guess"][index]) for r in group])
            for group in (rows, others)
        )
        differences.append(ours - theirs)
    return [round(float(v), 3) for v in np.percentile(differences, [2.5, 97.5])]


def main() -> None:
    """Print a table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="small")
    parser.add_argument("--split", choices=["validation", "test"], default="validation")
    shared = os.environ.get("EEGFOUNDATION_SHARED", Path(__file__).parents[2] / "shared")
    parser.add_argument("--data", type=Path, default=Path(shared) / "eeg" / "compact")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UntrainedWeightsWarning)
    warnings.simplefilter("ignore", UserWarning)  # a fold of one class, without a score
    models = {"band power, 1-Hz bins": [ONE_HERTZ], "band power, bands": [BANDS]}
    twins = [load_encoder(arguments.model, weights="random", seed=s) for s in range(5)]
    models |= {"random twin": twins, arguments.model: [load_encoder(arguments.model)]}
    rows = []
    for task in (stress(arguments.data), ssvep(arguments.data)):
        evaluated = getattr(task, arguments.split)
        classes, counts = np.unique(task.y[np.isin(task.subject, evaluated)], return_counts=True)
        print(f"{task.name}: windows per class {dict(zip(classes, counts, strict=True))}")
        results: dict[tuple[str, bool], list[dict[str, np.ndarray]]] = {}
        for name, variants in models.items():
            for variant in variants:
                is_power = isinstance(variant, list)
                x = band_power(task.x, variant) if is_power else embeddings(task.x, variant)
                for aligned in (False, True):
                    features = standardised(x, task.session) if aligned else x
                    results.setdefault((name, aligned), []).append(probe(features, task, evaluated))
        for (name, aligned), found in results.items():
            accuracy = [balanced_accuracy_score(r["y"], r["guess"]) for r in found]
            row = {
                "task": task.name,
                "model": name,
                "standardised": aligned,
                "balanced_accuracy": round(float(np.mean(accuracy)), 3),
                "sd": round(float(np.std(accuracy)), 3),
            }
            if task.name == "stress":
                auroc = [roc_auc_score(r["y"], r["score"]) for r in found]
                row["auroc"] = round(float(np.mean(auroc)), 3)
            if name == arguments.model:
                rivals = [key for key in results if key[1] == aligned and key[0] != name]
                best = max(
                    rivals,
                    key=lambda k: np.mean(
                        [balanced_accuracy_score(r["y"], r["guess"]) for r in results[k]]
                    ),
                )
                row["best_rival"] = best[0]
                row["difference_interval"] = paired_bootstrap(found, results[best])
            rows.append(row)
            print(row)
    print(json.dumps({"split": arguments.split, "rows": rows}))


if __name__ == "__main__":
    main()
