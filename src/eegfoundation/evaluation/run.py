"""The evaluation command: a task in, a table of results out, ours and everybody's.

    <out>/<task>-<split or protocol>[-<n>shots].json     what was compared, and how it went
    <out>/<the same name>/folds.json                     which windows were learnt from and tested
    <out>/<the same name>/unfinished/                    while it runs: to go on from after a kill

The same command gives the same files: everything is drawn from seeds, and nothing of when and
where it ran is written down.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import shlex
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.errors import OutputError, TaskError
from eegfoundation.outputs import write_json
from eegfoundation.runs import git_commit

if TYPE_CHECKING:
    from eegfoundation.evaluation.folds import Fold
    from eegfoundation.models import DownstreamConfig, EEGFoundationModel
    from eegfoundation.tasks import Task, Trials

_VERSIONS = (
    *("eegfoundation", "torch", "transformers", "numpy", "scipy", "scikit-learn", "pyriemann"),
)
_OWN_REFERENCE = "as recorded"


def evaluate(
    task: str,
    data: str | None = None,
    protocol: str = "split",
    split: str | None = None,
    model: str = "small",
    strategies: list[str] | None = None,
    alignments: list[str] | None = None,
    seeds: int = 5,
    shots: int | None = None,
    n_splits: int = 5,
    seed: int = 0,
    epochs: int | None = None,
    classes: list[str] | None = None,
    window: float | None = None,
    start: float | None = None,
    flicker_hz: list[float] | None = None,
    out: str = "results",
    overwrite: bool = False,
) -> None:
    """Compare an encoder with baselines and its random twin on the same folds; rerun to resume.

    Parameters
    ----------
    task : str
        Name of a task, a table (.csv, .tsv) with the columns path, subject and label, or a BIDS
        folder.
    data : str | None
        Folder of the recordings.
    protocol : str
        Who is tested. split: the task's own subjects. loso: every subject, left out alone. kfold:
        every subject, several at a time. session: of every person the last session. run: of every
        person every run.
    split : str | None
        Name of one of the task's splits; default: its first.
    model : str
        Shipped name, folder or hub id of the encoder.
    strategies : list of str | None
        What is compared of ours: probe, probe+covariance, head, lora, full; default: the first
        two. self-training: these, the twin and the baselines, taught by windows without labels as
        well.
    alignments : list of str | None
        What is done to every session without labels: none, standardise, euclidean,
        euclidean+standardise, riemann, components; default: all of them, each a row where it
        suits.
    seeds : int
        Initialisations of the random twin, runs of what is fine-tuned; with shots, draws of
        windows.
    shots : int | None
        Learn from so many labelled windows per class only.
    n_splits : int
        Folds of kfold, and per person of run at most.
    seed : int
        Of who validates, and of who is tested together.
    epochs : int | None
        Of what is fine-tuned, at most; default: as in finetune.
    classes : list of str | None
        Of a table or BIDS folder: its labels in the order wanted; default: all, sorted.
    window : float | None
        Of a table or BIDS folder: length of a window in seconds; default: 5 or 2.
    start : float | None
        Of a BIDS folder: where the window begins, seconds from the event; default: 0.
    flicker_hz : list of float | None
        Of a table or BIDS folder: Hz that each class flickers at, in their order, 0 for none.
    out : str
        Folder of the results.
    overwrite : bool
        Replace existing results.
    """
    given = dict(locals())
    _check(given)

    from eegfoundation.evaluation.compare import as_text, compare
    from eegfoundation.evaluation.folds import PROTOCOLS, folds_to_json, make_folds
    from eegfoundation.evaluation.row import ALIGNMENTS, STRATEGIES, Material
    from eegfoundation.evaluation.rows import make_rows
    from eegfoundation.evaluation.unfinished import Unfinished
    from eegfoundation.models import load_encoder
    from eegfoundation.tasks import load_task

    found = load_task(task, classes=classes, window=window, start=start, flicker_hz=flicker_hz)
    if protocol == "split":
        if not found.splits:
            raise TaskError(f"{found.name} has no split of subjects; choose --protocol kfold.")
        found = found.for_split(split, data)
        split = next(iter(found.splits))
    name = _name(found.name, protocol, split, shots)
    path = Path(out) / f"{name}.json"
    if path.exists() and not overwrite:
        raise OutputError(
            f"{path} exists already; choose another folder, or overwrite it (--overwrite true)."
        )
    encoder = load_encoder(model)
    inside, plain = load_both(found, data, encoder, split)
    loaded = inside if plain is None else plain
    own = None if split is None else found.splits[split]
    folds = make_folds(loaded, protocol, own, n_splits, seed)
    material = Material(
        given=inside,
        plain=plain,
        encoder=encoder,
        model=f"EEGFoundation {Path(model).name}",
        level=PROTOCOLS[protocol],
        flicker_hz=found.flicker_hz,
        config=_config(found, model),
        epochs=epochs,
    )
    rows = make_rows(material, strategies or STRATEGIES[:2], alignments or ALIGNMENTS)
    description = _description(found, encoder, model, loaded, folds, given, split)
    named = folds_to_json(loaded, folds, protocol, seed)
    known = {**description, "folds": named, "git_commit": git_commit()}
    unfinished = Unfinished(Path(out) / name, given, known)
    results = compare(unfinished.remember(rows), loaded, folds, seeds=seeds, shots=shots)
    content = {"command": command(given), **description, "rows": results}
    # Folds first: where there is a result, all of it is there.
    write_json(Path(out) / name / "folds.json", named, overwrite=True)
    write_json(path, content, overwrite=overwrite)
    unfinished.remove()
    print(as_text(results))
    print(f"{path}: {len(results)} rows; * is the best row of a model by validation score")


def load_both(
    task: Task, data: str | Path | None, encoder: EEGFoundationModel, split: str | None = None
) -> tuple[Trials, Trials | None]:
    """Windows as the encoder gets them, and as they were recorded (None if that is the same).

    Raises
    ------
    TaskError
        If something cannot be found, or the two are not the same windows.
    """
    from eegfoundation.tasks import load_trials
    from eegfoundation.tasks.task import PARTS

    subjects = None
    if split is not None:
        subjects = [name for part in PARTS for name in getattr(task.splits[split], part)]
    settings = encoder.preprocessing
    inside = load_trials(task, data, settings, subjects=subjects)
    if settings.reference == _OWN_REFERENCE:
        return inside, None
    recorded = dataclasses.replace(settings, reference=_OWN_REFERENCE)
    plain = load_trials(task, data, recorded, subjects=subjects)
    same = np.array_equal(inside.group("run"), plain.group("run"))
    if not same or not np.array_equal(inside.y, plain.y):
        raise TaskError(f"The recordings of {task.name} changed while they were read; start again.")
    return inside, plain


def command(given: dict[str, Any]) -> str:
    """The command line that makes a result, without where its recordings and results lie."""
    words = ["eegfoundation", "evaluate"]
    for name, parameter in inspect.signature(evaluate).parameters.items():
        value = given[name]
        if name in ("out", "overwrite") or value == parameter.default:
            continue
        if name == "data":
            value = "DIR"
        elif name in ("task", "model"):
            value = Path(value).name
        elif isinstance(value, list):
            value = f"[{','.join(map(str, value))}]"
        words += [f"--{name}", shlex.quote(str(value))]
    return " ".join(words)


def _check(given: dict[str, Any]) -> None:
    from eegfoundation.evaluation.folds import PROTOCOLS

    if given["protocol"] not in PROTOCOLS:
        raise TaskError(
            f"protocol={given['protocol']!r} is unknown; choose one of {list(PROTOCOLS)}."
        )
    if given["protocol"] != "split" and given["split"] is not None:
        raise TaskError(
            f"split={given['split']!r} is for protocol split, found protocol {given['protocol']}; "
            "leave one of them out."
        )
    for name in ("seeds", "shots", "epochs"):
        if given[name] is not None and given[name] < 1:
            raise TaskError(f"{name}={given[name]}; it must be at least 1.")
    if given["seed"] < 0:
        raise TaskError(f"seed={given['seed']}; it must be 0 or more.")


def _name(task: str, protocol: str, split: str | None, shots: int | None) -> str:
    parts = [task, protocol if split is None else split]
    if shots is not None:
        parts.append(f"{shots}shots")
    return re.sub(r"[^\w.-]+", "_", "-".join(parts))


def _config(task: Task, model: str) -> DownstreamConfig:
    """Widths, patches and rates of what is fine-tuned, as `finetune` takes them."""
    from eegfoundation.models import DownstreamConfig
    from eegfoundation.models.registry import shipped_path

    config: DownstreamConfig = DownstreamConfig.from_json_file(shipped_path(task.config))
    config.encoder = model
    return config


def _description(
    task: Task,
    encoder: EEGFoundationModel,
    model: str,
    trials: Trials,
    folds: Sequence[Fold],
    given: dict[str, Any],
    split: str | None,
) -> dict[str, Any]:
    """What a reader of the rows must know: data, encoder, folds, versions."""
    from eegfoundation.evaluation.folds import sorted_names
    from eegfoundation.models import fingerprint
    from eegfoundation.models.registry import untrained_notice
    from eegfoundation.tasks.task import PARTS

    parts = {fold.name: {part: getattr(fold, part) for part in PARTS} for fold in folds}
    used = np.unique(np.concatenate([np.concatenate(list(one.values())) for one in parts.values()]))
    left_out = set(trials.subject.tolist()) - set(trials.subject[used].tolist())
    content: dict[str, Any] = {
        "task": task.name,
        "title": task.title,
        "classes": list(task.classes),
        "window_seconds": task.window,
        "channels": list(trials.ch_names),
        "protocol": given["protocol"],
        "split": split,
        "shots": given["shots"],
        "seeds": given["seeds"],
        "encoder": {
            "name": Path(model).name,
            "sha256": fingerprint(encoder),
            "reference": encoder.preprocessing.reference,
        },
        "versions": {name: version(name) for name in _VERSIONS},
        "trial_counts": {
            name: {
                part: dict(zip(task.classes, trials.select(index).counts(), strict=True))
                for part, index in one.items()
            }
            for name, one in parts.items()
        },
        "subjects": {
            name: {part: sorted_names(trials.subject[index]) for part, index in one.items()}
            for name, one in parts.items()
        },
        "left_out": sorted_names(np.array(sorted(left_out), dtype=str)),
    }
    if trials.notes:
        content["notes"] = dict(trials.notes)
    if not encoder.config.trained:
        content["notice"] = untrained_notice(f"Encoder {Path(model).name}")
    if task.citation:
        content["citation"] = task.citation
    return content
