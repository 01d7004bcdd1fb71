"""Training of a classifier by transformers' Trainer: loss, early stopping, resuming.

Killed at any moment, a training goes on from its last checkpoint and ends with the same weights:
which window comes when, and how it is augmented, depend on (seed, epoch, window) alone, the state
of dropout lies in the checkpoint, and whether to stop is read from the log.

Shape legend: n windows, B batch, C channels, T samples, E context width, K classes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from eegfoundation.errors import CheckpointError
from eegfoundation.finetuning.data import TuningData
from eegfoundation.finetuning.settings import FinetuneSettings
from eegfoundation.models import DownstreamConfig, EEGFoundationForClassification
from eegfoundation.models.processor import multiplies_bfloat16
from eegfoundation.pretraining.record import last_checkpoint
from eegfoundation.pretraining.trainer import ChecksumCallback

#: Columns of the log, and how they are called on a screen.
_LOGGED = {
    "loss": "loss",
    "eval_loss": "validation loss",
    "eval_balanced_accuracy": "validation balanced accuracy",
}


class TuningModule(nn.Module):
    """Classifier, with the encoder beside it if that is trained too.

    Context vectors have large offsets that all windows share, and values of very different spread:
    while it is trained, the classifier gets them standardised by fixed numbers, which `finish`
    builds into its first layer.

    Parameters
    ----------
    classifier : EEGFoundationForClassification
    encoder : nn.Module | None
        With an ``embed_signal``; None: context vectors are given.
    positions : Tensor, shape (C, 3)
    context : ndarray, shape (n, C, E)
        Of the training windows, to standardise by.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        classifier: EEGFoundationForClassification,
        encoder: nn.Module | None,
        positions: Tensor,
        context: np.ndarray,
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.encoder: Any = encoder
        known = context[np.isfinite(context).all(-1)].astype(np.float64)  # (rows, E)
        mean, deviation = known.mean(0), known.std(0)
        scale = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0)
        self.register_buffer("positions", positions, persistent=False)
        self.register_buffer("mean", torch.from_numpy(mean).float(), persistent=False)
        self.register_buffer("scale", torch.from_numpy(scale).float(), persistent=False)

    def forward(
        self, input_ids: Tensor, embedding_data: Tensor | None = None, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Logits of a batch; the loss is the trainer's."""
        context = embedding_data
        if self.encoder is not None:
            context = self.encoder.embed_signal(input_ids)
        assert context is not None
        context = (context - self.mean) * self.scale
        output = self.classifier(input_ids, context, positions=self.positions)
        return {"logits": output.logits}

    @torch.no_grad()
    def finish(self) -> EEGFoundationForClassification:
        """Give the classifier for context vectors as they are. Once."""
        first: Any = self.classifier.fusion.global_context[0]
        first.weight.mul_(self.scale)
        first.bias.sub_(first.weight @ self.mean)
        return self.classifier.eval()


def train(
    module: TuningModule,
    parts: tuple[TuningData, TuningData | None],
    settings: FinetuneSettings,
    out: Path | None,
) -> list[dict[str, Any]]:
    """Train, and leave the module with the weights of the best epoch.

    Parameters
    ----------
    module : TuningModule
    parts : tuple of TuningData
        Training windows, and validation windows: without these, training runs through all epochs.
    settings : FinetuneSettings
    out : Path | None
        Folder of checkpoints, to resume from; None: a temporary one.

    Returns
    -------
    history : list of dict
        One per epoch: ``epoch, loss`` of the training windows, ``eval_loss`` and
        ``eval_balanced_accuracy`` of the validation windows.

    Raises
    ------
    CheckpointError
        If the best checkpoint of an interrupted training is gone.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if out is None else out
        training, validation = parts
        trainer = _Trainer(
            model=module,
            args=_arguments(training, settings, folder, kept=out is not None, tested=validation),
            train_dataset=training,
            eval_dataset=validation,
            data_collator=_collate,
            compute_metrics=_metrics,
            optimizers=(_optimizer(module, settings), None),
            callbacks=[
                ChecksumCallback(),
                *([_EarlyStop(settings)] if validation is not None else []),
            ],
        )
        trainer.class_weight = class_weight(training.y, module.classifier.config, settings)
        trainer.remove_callback(PrinterCallback)
        if out is not None:
            trainer.add_callback(_EpochLines(training.steps_per_epoch))
        checkpoint = last_checkpoint(folder)
        history: list[dict[str, Any]] = []
        best = None
        if checkpoint is not None:
            state = json.loads((Path(checkpoint) / "trainer_state.json").read_text("utf-8"))
            history, best = state["log_history"], state["best_global_step"]
        if checkpoint is None or not stopped(history, settings):
            trainer.train(resume_from_checkpoint=checkpoint)
            history, best = trainer.state.log_history, trainer.state.best_global_step
        if best is not None:
            weights = folder / f"checkpoint-{best}" / "model.safetensors"
            if not weights.is_file():
                raise CheckpointError(
                    f"{weights}, of the best epoch, is gone or was damaged; delete {folder} and "
                    "start again."
                )
            module.load_state_dict(load_file(weights))
    module.eval()
    return _by_epoch(history, training.steps_per_epoch)


def _by_epoch(history: list[dict[str, Any]], steps_per_epoch: int) -> list[dict[str, Any]]:
    """What matters of the log, without clocks: the same for the same training."""
    rows: dict[int, dict[str, Any]] = {}
    for line in history:
        epoch = line["step"] // steps_per_epoch
        found = {key: float(line[key]) for key in _LOGGED if key in line}
        if found:
            rows.setdefault(epoch, {"epoch": epoch}).update(found)
    return list(rows.values())


def stopped(history: list[dict[str, Any]], settings: FinetuneSettings) -> bool:
    """Whether the last epochs of a log brought no improvement."""
    scores = [row[f"eval_{settings.monitor}"] for row in history if "eval_loss" in row]
    if settings.monitor == "loss":
        scores = [-value for value in scores]
    return bool(scores) and len(scores) - 1 - int(np.argmax(scores)) >= settings.patience


def class_weight(
    y: np.ndarray, config: DownstreamConfig, settings: FinetuneSettings
) -> Tensor | None:
    """Weight (K,) of each class in the loss, 1 on average over the windows."""
    if not settings.class_weights:
        return None
    counts = np.bincount(y, minlength=config.num_classes)
    return torch.from_numpy(len(y) / (np.maximum(counts, 1) * config.num_classes)).float()


def balanced_accuracy(y: np.ndarray, guess: np.ndarray) -> float:
    """Mean share of right guesses over the classes that occur."""
    return float(np.mean([(guess[y == label] == label).mean() for label in np.unique(y)]))


def mixed_precision(settings: FinetuneSettings) -> bool:
    """Whether to train in bfloat16: as asked for, else if the machine has units for it."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return multiplies_bfloat16(device) if settings.bf16 is None else settings.bf16


class _Trainer(Trainer):
    """Trainer with weighted classes."""

    class_weight: Tensor | None = None

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        output = model(**inputs)
        weight = None if self.class_weight is None else self.class_weight.to(output["logits"])
        loss = F.cross_entropy(output["logits"], inputs["labels"], weight)
        return (loss, {"loss": loss, **output}) if return_outputs else loss


class _EarlyStop(TrainerCallback):
    """Stop when the log says so: there is no state to restore."""

    def __init__(self, settings: FinetuneSettings) -> None:
        self.settings = settings

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if stopped(state.log_history, self.settings):
            control.should_training_stop = True


class _EpochLines(TrainerCallback):
    """One line per epoch and part."""

    def __init__(self, steps_per_epoch: int) -> None:
        self.steps_per_epoch = steps_per_epoch

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        found = {text: float(logs[key]) for key, text in _LOGGED.items() if logs and key in logs}
        if found:
            shown = ", ".join(f"{text} {value:.3f}" for text, value in found.items())
            print(f"epoch {state.global_step // self.steps_per_epoch}: {shown}", flush=True)


def _collate(items: list[dict[str, Any]]) -> dict[str, Tensor]:
    return {key: torch.from_numpy(np.stack([item[key] for item in items])) for key in items[0]}


def _metrics(prediction: Any) -> dict[str, float]:
    guess = prediction.predictions.argmax(1)
    return {"balanced_accuracy": balanced_accuracy(prediction.label_ids, guess)}


def _optimizer(module: TuningModule, settings: FinetuneSettings) -> torch.optim.Optimizer:
    """AdamW with a learning rate of its own for the encoder; biases and norms do not decay."""
    config = module.classifier.config
    rate = config.learning_rate if settings.learning_rate is None else settings.learning_rate
    decay = config.weight_decay if settings.weight_decay is None else settings.weight_decay
    slow = settings.encoder_learning_rate
    if slow is None:
        slow = rate if settings.strategy == "lora" else rate / 10
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            kind = (name.startswith("encoder."), parameter.ndim > 1)
            groups.setdefault(kind, []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": found, "lr": slow if tuned else rate, "weight_decay": decay * matrix}
            for (tuned, matrix), found in sorted(groups.items())
        ]
    )


def _arguments(
    training: TuningData, settings: FinetuneSettings, folder: Path, *, kept: bool, tested: Any
) -> TrainingArguments:
    """Translate settings into transformers' words; `kept`: there may be a resuming."""
    steps = training.steps_per_epoch
    saved = kept or tested is not None
    best = {
        "eval_strategy": "steps",
        "eval_steps": steps,
        "load_best_model_at_end": True,  # also: the best checkpoint is not deleted
        "metric_for_best_model": f"eval_{settings.monitor}",
        "greater_is_better": settings.monitor != "loss",
    }
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=settings.epochs * steps,
        per_device_train_batch_size=training.batch_size,
        per_device_eval_batch_size=min(settings.batch_size, max(1, len(tested or ()))),
        lr_scheduler_type="constant_with_warmup",  # how long it will be is not known
        warmup_steps=steps,
        max_grad_norm=1.0,
        bf16=mixed_precision(settings),
        logging_steps=steps,
        save_strategy="steps" if saved else "no",
        save_steps=steps,
        save_total_limit=2,
        save_only_model=not kept,
        seed=settings.seed,
        train_sampling_strategy="sequential",  # the windows are shuffled already
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        label_names=["labels"],
        disable_tqdm=not (kept and sys.stderr.isatty()),
        log_level="error",
        report_to="none",
        use_cpu=not torch.cuda.is_available(),
        **(best if tested is not None else {}),
    )
