"""From rows and folds to a table of results: every row on the same windows.

Nothing here knows what a row is. Which of a model's rows is its best, and which baseline is the
best, is decided by their validation scores; the baseline that happens to be highest on the test
windows is named beside it, since that is the one a critic would choose.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.evaluation.folds import Fold, thin
from eegfoundation.evaluation.row import Row
from eegfoundation.evaluation.scores import Predictions, bootstrap, interval, scores

if TYPE_CHECKING:
    from eegfoundation.tasks import Trials

_DIGITS = 4


def compare(
    rows: Sequence[Row],
    trials: Trials,
    folds: Sequence[Fold],
    *,
    seeds: int = 5,
    shots: int | None = None,
    progress: bool | None = None,
) -> list[dict[str, Any]]:
    """Score every row.

    Parameters
    ----------
    rows : sequence of Row
    trials : Trials
        Whose windows the folds are made of.
    folds : sequence of Fold
        No window is tested twice.
    seeds : int
        Of rows that have one; with ``shots``, draws of windows, the same for every row.
    shots : int | None
        Labelled windows per class to learn from; None: all.
    progress : bool | None
        Show a progress bar; None: on a terminal, and elsewhere a line per row, on standard error.

    Returns
    -------
    results : list of dict
        For JSON, in the order of the rows; see ``docs/results.md`` for what is in them.
    """
    from tqdm.auto import tqdm

    n_seeds = [seeds if row.seeded or shots is not None else 1 for row in rows]
    drawn = {
        seed: [fold if shots is None else thin(trials, fold, shots, seed) for fold in folds]
        for seed in range(max(n_seeds, default=0))
    }
    disable = None if progress is None else not progress
    predictions, results = [], []
    with tqdm(total=sum(n_seeds) * len(folds), desc="rows", unit="fit", disable=disable) as bar:
        for row, n in zip(rows, n_seeds, strict=True):
            found: list[np.ndarray] = []
            validation: list[float] = []
            for seed in range(n):
                parts = []
                for fold in drawn[seed]:
                    bar.set_postfix_str(f"{row.model}, {row.alignment}", refresh=False)
                    log_proba, score = row.predict(fold, seed)
                    parts.append(log_proba)
                    validation.append(score)
                    bar.update()
                found.append(np.concatenate(parts))
            predictions.append(_scored(row, np.stack(found), trials, folds))
            results.append(_described(row, predictions[-1], n, float(np.mean(validation))))
            if progress is None and bar.disable:
                print(_line(results[-1], len(results), len(rows)), file=sys.stderr, flush=True)
    _mark_best(results)
    _add_differences(rows, results, predictions)
    return results


def _scored(row: Row, log_proba: np.ndarray, trials: Trials, folds: Sequence[Fold]) -> Predictions:
    """Predictions of the test windows of all folds, or of those whose classes the row knows."""
    tested = np.concatenate([fold.test for fold in folds])
    y = trials.y[tested]
    if row.classes is None:
        return Predictions(log_proba=log_proba, y=y, subject=trials.subject[tested])
    asked = np.isin(y, row.classes)
    return Predictions(
        log_proba=log_proba[:, asked],
        y=np.searchsorted(row.classes, y[asked]),
        subject=trials.subject[tested][asked],
    )


def _described(row: Row, predictions: Predictions, seeds: int, validation: float) -> dict[str, Any]:
    found = scores(predictions, calibration=row.classes is None)
    several = len(np.unique(predictions.subject)) > 1
    result: dict[str, Any] = {
        "model": row.model,
        "kind": row.kind,
        "strategy": row.strategy,
        "alignment": row.alignment,
        "best": False,
        "validation_balanced_accuracy": _rounded(validation),
        "balanced_accuracy": _rounded(found["balanced_accuracy"]),
        "balanced_accuracy_sd": _rounded(found["balanced_accuracy_sd"]),
        "interval": _ends(bootstrap(predictions)) if several else None,
        **{name: _rounded(found[name]) for name in ("auroc", "auc_pr", "kappa", "weighted_f1")},
        "calibration": {name: _rounded(found[name]) for name in ("ece", "brier")},
        "seeds": seeds,
    }
    if row.classes is not None:
        result["only_classes"] = list(row.classes)
    if row.note:
        result["note"] = row.note
    return result


def _mark_best(results: Sequence[dict[str, Any]]) -> None:
    """Of every model the row with the highest validation score; the first, if there are several."""
    best: dict[str, dict[str, Any]] = {}
    for result in results:
        if "only_classes" in result:
            continue
        before = best.setdefault(result["model"], result)
        if result["validation_balanced_accuracy"] > before["validation_balanced_accuracy"]:
            best[result["model"]] = result
    for result in best.values():
        result["best"] = True


def _add_differences(
    rows: Sequence[Row],
    results: Sequence[dict[str, Any]],
    predictions: Sequence[Predictions],
) -> None:
    """How far each of our rows is above others, subjects drawn in pairs."""
    baselines = [i for i, row in enumerate(rows) if row.kind == "baseline" and row.classes is None]
    draws: dict[int, np.ndarray] = {}
    for i, row in enumerate(rows):
        if row.kind != "ours":
            continue
        others: dict[str, int] = {}
        if baselines:
            others["best baseline"] = max(
                baselines, key=lambda j: results[j]["validation_balanced_accuracy"]
            )
            others["highest baseline"] = max(
                baselines, key=lambda j: results[j]["balanced_accuracy"]
            )
        for j, other in enumerate(rows):
            alike = (other.strategy, other.alignment) == (row.strategy, row.alignment)
            if other.kind == "random twin" and alike:
                others["random twin"] = j
        for j in {i, *others.values()}:
            if results[j]["interval"] is not None and j not in draws:
                draws[j] = bootstrap(predictions[j])
        results[i]["differences"] = {
            name: {
                **{key: results[j][key] for key in ("model", "strategy", "alignment")},
                "mean": _rounded(_accuracy(predictions[i]) - _accuracy(predictions[j])),
                "interval": _ends(draws[i] - draws[j]) if i in draws else None,
            }
            for name, j in others.items()
        }


def _accuracy(predictions: Predictions) -> float:
    value = scores(predictions, calibration=False)["balanced_accuracy"]
    assert value is not None
    return value


def _ends(values: np.ndarray) -> list[float]:
    return [round(value, _DIGITS) for value in interval(values)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _line(result: Mapping[str, Any], i: int, n: int) -> str:
    named = ", ".join(result[name] for name in ("model", "strategy", "alignment"))
    return f"row {i} of {n}: {named}: balanced accuracy {result['balanced_accuracy']:.3f}"


def as_text(results: Sequence[Mapping[str, Any]]) -> str:
    """Plain table, highest balanced accuracy first; ``*`` marks the best row of each model."""
    columns = ("", "model", "strategy", "alignment", "validation", "bal. acc.", "95%", "AUROC")
    lines = [columns]
    for result in sorted(results, key=lambda one: -one["balanced_accuracy"]):
        name = result["model"] + (f" ({result['note']})" if "note" in result else "")
        accuracy = f"{result['balanced_accuracy']:.3f}"
        if result["seeds"] > 1:
            accuracy += f" ± {result['balanced_accuracy_sd']:.3f}"
        ends = result["interval"]
        lines.append(
            (
                "*" if result["best"] else "",
                name,
                result["strategy"],
                result["alignment"],
                f"{result['validation_balanced_accuracy']:.3f}",
                accuracy,
                "" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}",
                "" if result["auroc"] is None else f"{result['auroc']:.3f}",
            )
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
