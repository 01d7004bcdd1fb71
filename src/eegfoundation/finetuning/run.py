"""The fine-tuning command: labelled recordings in, a classifier and an account of it out.

The folder of a run::

    run.json                   settings, versions, git commit, who was in which part, scores
    <task>_model.pth           the classifier, for `load_downstream_model` and `predict`, ...
    <task>_config.json         ... and the published keys of its configuration
    model/                     the same, for ``EEGFoundationForClassification.from_pretrained``
    curves.png                 losses by epoch (not of a probe, which has none)
    confusion.png              what the validation windows were taken for
    attention.png              share of each electrode in those decisions
    checkpoint-<step>/         while it runs: to resume from

Test windows are predicted once, at the end, and decide nothing. A probe learns from the validation
windows as well; their scores are those of a probe that did not, nor from others of the same people.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.errors import ConfigError
from eegfoundation.finetuning.settings import FinetuneSettings
from eegfoundation.outputs import new_file, write_json
from eegfoundation.runs import RUN, earlier_run, git_commit, refuse_changes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from eegfoundation.evaluation.folds import Fold
    from eegfoundation.models import (
        DownstreamConfig,
        EEGFoundationForClassification,
        EEGFoundationModel,
    )
    from eegfoundation.tasks import Task, Trials

#: What may change between the two halves of an interrupted run without changing its result.
_FREE_SETTINGS = {"out", "data"}
_VERSIONS = ("eegfoundation", "torch", "transformers", "peft", "scikit-learn", "numpy")
_SCORES = ("balanced_accuracy", "kappa", "weighted_f1", "auroc")


def finetune(
    task: str,
    out: str,
    data: str | None = None,
    strategy: str = "probe",
    alignment: str = "none",
    flicker_hz: list[float] | None = None,
    split: str | None = None,
    shots: int | None = None,
    self_training: bool = False,
    model: str = "small",
    model_config: str | None = None,
    classes: list[str] | None = None,
    window: float | None = None,
    start: float | None = None,
    epochs: int = 30,
    patience: int = 5,
    monitor: str = "loss",
    batch_size: int = 16,
    learning_rate: float | None = None,
    encoder_learning_rate: float | None = None,
    weight_decay: float | None = None,
    class_weights: bool = True,
    augmentation: bool = False,
    lora_rank: int = 8,
    bf16: bool | None = None,
    seed: int = 0,
) -> None:
    """Train a classifier on labelled recordings; run again to resume.

    Parameters
    ----------
    task : str
        Name of a task, a table (.csv, .tsv) with the columns path, subject and label, or a BIDS
        folder.
    out : str
        Folder of the run.
    data : str | None
        Folder of the recordings.
    strategy : str
        What is learned. probe: logistic regression on the frozen encoder. probe+covariance: and
        beside it one on how channels go together. head: spatial fusion and head. lora: these and
        low-rank additions to the encoder. full: everything.
    alignment : str
        What is done to every session without labels. none; standardise: its context vectors;
        euclidean: its signals are whitened; euclidean+standardise: both; components: both, and
        beside its channels (of a probe) what stands out of all of them in each band.
    flicker_hz : list of float | None
        Of a table or BIDS folder: Hz that each class flickers at, in their order, 0 for none;
        components and covariance are of these instead of bands.
    split : str | None
        Name of one of the task's splits; default: its first, else a fifth of the subjects is
        tested and a fifth of the others validates, drawn by seed.
    shots : int | None
        Learn from so many labelled windows per class only.
    self_training : bool
        Let windows without a label teach a probe too: those that shots leave out, and those whose
        label in a table is empty; nobody's who is tested.
    model : str
        Shipped name, folder or hub id of the encoder.
    model_config : str | None
        A .json with the published keys, for the classifier's widths; default: the task's.
    classes : list of str | None
        Of a table or BIDS folder: its labels in the order wanted; default: all, sorted.
    window : float | None
        Of a table or BIDS folder: length of a window in seconds; default: 5 or 2.
    start : float | None
        Of a BIDS folder: where the window begins, seconds from the event; default: 0.
    epochs : int
        Passes over the training windows at most.
    patience : int
        Epochs without improvement on the validation windows after which training stops.
    monitor : str
        What has to improve: loss or balanced_accuracy.
    batch_size : int
        Windows per step.
    learning_rate : float | None
        Of AdamW, for fusion and head; default: what the configuration says.
    encoder_learning_rate : float | None
        For the encoder; default: the same with lora, a tenth of it with full.
    weight_decay : float | None
        Of weights, not of biases and norms; default: what the configuration says.
    class_weights : bool
        Let classes weigh alike, whatever their number of windows.
    augmentation : bool
        Leave out channels, scale and shift, differently in every epoch.
    lora_rank : int
        Rank of the additions.
    bf16 : bool | None
        Train in bfloat16 where that is safe; default: if the machine has units for it.
    seed : int
        Of everything that is drawn.
    """
    given = dict(locals())

    flickers = flicker_hz and [hz for hz in flicker_hz if hz]
    settings = FinetuneSettings(
        **{name: given[name] for name in FinetuneSettings.__dataclass_fields__}
        | {"flicker_hz": flickers}
    )
    if self_training and not settings.probes:
        raise ConfigError(
            f"self_training is for a probe, found strategy={strategy!r}; choose probe or "
            "probe+covariance."
        )
    folder = Path(out)
    before = _earlier_run(folder, given)
    if before is not None and "scores" in before:
        _remove_checkpoints(folder)  # if it was killed while it did so
        print(f"{folder} holds this run, finished; remove the folder to run it anew.")
        return

    from transformers.utils.logging import disable_progress_bar

    from eegfoundation.finetuning.fitting import fit
    from eegfoundation.finetuning.parts import labelled_fold, with_unlabelled
    from eegfoundation.models import fingerprint, load_encoder
    from eegfoundation.tasks import load_task, load_trials

    found = load_task(
        task,
        classes=classes,
        window=window,
        start=start,
        flicker_hz=flicker_hz,
        unlabelled=self_training,
    ).for_split(split, data)
    if any(found.flicker_hz) and (alignment == "components" or settings.covariance):
        flickers = [hz for hz in found.flicker_hz if hz]
        settings = dataclasses.replace(settings, flicker_hz=flickers)
    encoder = load_encoder(model)
    trials = load_trials(found, data, encoder.preprocessing)
    fold = labelled_fold(trials, found, shots, seed)
    whole = with_unlabelled(trials, fold) if self_training else fold
    run = _describe(trials, fold, whole, given) | {
        "command": "finetune",
        "task": {"name": found.name, "title": found.title, "citation": found.citation},
        "encoder_sha256": fingerprint(encoder),
    }
    if not settings.probes:
        from eegfoundation.finetuning.training import mixed_precision

        run["bf16"] = mixed_precision(settings)
    run = _started(folder, run, before)
    disable_progress_bar()  # of files being written
    history: list[dict[str, Any]] = []
    classifier = fit(
        trials,
        fold.train,
        fold.validation,
        encoder,
        settings,
        unlabelled=np.setdiff1d(whole.design, fold.design),
        out=folder,
        config=_base_config(found, encoder, given),
        history=history,
    )
    judge = classifier
    if settings.probes and len(fold.validation):
        # what ships learned from the validation windows too: they are for one that did not
        others = np.setdiff1d(whole.train, fold.train)
        judge = fit(trials, fold.train, fold.validation[:0], encoder, settings, unlabelled=others)
    _finish(folder, run, (classifier, judge), trials, fold, history)


def _earlier_run(folder: Path, given: dict[str, Any]) -> dict[str, Any] | None:
    """Read what a run in this folder wrote before; refuse one with other settings."""
    before = earlier_run(folder, "a fine-tuning", settings=dict, trials=dict, subjects=dict)
    if before is None:
        return None
    missing = object()
    changed = [
        name
        for name, value in given.items()
        if name not in _FREE_SETTINGS and before["settings"].get(name, missing) != value
    ]
    refuse_changes(folder, changed)
    return before


def _started(folder: Path, run: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    """Write run.json, or check that an interrupted run goes on with the same data."""
    if before is None:
        write_json(folder / RUN, run)
        return run
    same = ("trials_sha256", "encoder_sha256")
    refuse_changes(folder, [name for name in same if before.get(name) != run[name]])
    # the same data: all but what made the first half is known better now than from a file
    made_with = ("versions", "git_commit", "bf16")
    return {**run, **{name: before[name] for name in made_with if name in before}}


def _describe(trials: Trials, fold: Fold, whole: Fold, given: dict[str, Any]) -> dict[str, Any]:
    """Account of a run, as far as it is known before it."""
    from eegfoundation.tasks.task import PARTS

    parts = {part: trials.select(getattr(fold, part)) for part in PARTS}
    digest = hashlib.sha256(np.ascontiguousarray(trials.x).tobytes())
    others = np.setdiff1d(whole.design, fold.design)
    for value in (trials.y, trials.group("run"), fold.train, fold.validation, fold.test, others):
        digest.update(np.ascontiguousarray(value).tobytes())
    taught = {"unlabelled": len(others)} if len(others) else {}
    return {
        # where files lay on one machine is nobody's business
        "settings": {name: given[name] for name in given if name not in _FREE_SETTINGS},
        "versions": {name: version(name) for name in _VERSIONS},
        "git_commit": git_commit(),
        "trials_sha256": digest.hexdigest(),
        "channels": list(trials.ch_names),
        "notes": dict(trials.notes),
        "trials": {
            part: dict(zip(trials.classes, some.counts(), strict=True))
            for part, some in parts.items()
        },
        "subjects": {part: sorted(set(some.subject.tolist())) for part, some in parts.items()},
        **taught,
    }


def _base_config(
    task: Task, encoder: EEGFoundationModel, given: dict[str, Any]
) -> DownstreamConfig:
    """What the data do not decide: widths, patches and rates as published."""
    from eegfoundation.models import DownstreamConfig
    from eegfoundation.models.registry import shipped_path

    path = given["model_config"] or shipped_path(task.config)
    config: DownstreamConfig = DownstreamConfig.from_json_file(path)
    config.encoder = given["model"]
    config.trained_on = f"{task.name} ({task.title})"
    config.simulated = task.simulated
    return config


def _finish(
    folder: Path,
    run: dict[str, Any],
    models: tuple[EEGFoundationForClassification, EEGFoundationForClassification],
    trials: Trials,
    fold: Fold,
    history: list[dict[str, Any]],
) -> None:
    """Write the classifier, its scores and its pictures; run.json last.

    `models`: what is kept and tested, and what predicts the validation windows.
    """
    from eegfoundation.evaluation.scores import Predictions, scores
    from eegfoundation.finetuning import figures
    from eegfoundation.finetuning.predicting import electrode_shares, predict_trials
    from eegfoundation.models import save_downstream_model

    name = run["task"]["name"]
    model, judge = models
    save_downstream_model(model, folder / f"{name}_model.pth", folder / f"{name}_config.json")
    found: dict[str, Any] = {}
    for part in ("validation", "test"):
        index = getattr(fold, part)
        if len(index):
            # the smallest float32, so that a certain answer has a finite logarithm
            asked = judge if part == "validation" else model
            probability = np.maximum(predict_trials(asked, trials, index), 1e-38)
            predictions = Predictions(
                log_proba=np.log(probability)[None],
                y=trials.y[index],
                subject=trials.subject[index],
            )
            every = scores(predictions)
            found[part] = {key: every[key] for key in _SCORES}
    part = "validation" if len(fold.validation) else "train"
    index = getattr(fold, part)
    guess = predict_trials(judge, trials, index).argmax(1)
    shares = electrode_shares(model, trials, index).mean(0)
    title = f"{part.capitalize()} windows"
    _save(
        figures.confusion(trials.y[index], guess, trials.classes, title), folder / "confusion.png"
    )
    names = [*trials.ch_names, *model.config.component_names]
    of = model.config.shared_out
    _save(figures.attention(shares, names, trials.positions, of), folder / "attention.png")
    if history:
        _save(figures.curves(history), folder / "curves.png")
    run = {**run, "history": history, "scores": found}
    model.save_pretrained(folder / "model", run=run)
    write_json(folder / RUN, run, overwrite=True)
    _remove_checkpoints(folder)
    shown = ", ".join(f"{part} {values['balanced_accuracy']:.3f}" for part, values in found.items())
    print(f"{folder / f'{name}_model.pth'}: balanced accuracy {shown}; figures beside it")


def _remove_checkpoints(folder: Path) -> None:
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)


def _save(figure: Figure, path: Path) -> None:
    with new_file(path, overwrite=True) as unfinished:
        figure.savefig(unfinished, format="png", dpi=120)
