"""The pretraining command: a corpus in, an encoder and an account of the run out.

transformers' Trainer does the work (mixed precision, accumulation, checkpoints, several processes
under ``torchrun``); this file says what a batch is and writes down what happened. The folder of a
run::

    run.json               settings, versions, git commit, hash of the corpus
    checkpoint-<step>/     to resume from
    metrics.csv            losses and token accuracy by step
    curves.png             the same as a picture
    encoder/               the result: config.json, model.safetensors, training_data.json

Killed at any moment, the same command goes on from the last checkpoint and ends with the same
weights: the order of windows and their masks depend on (seed, epoch, window) alone.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eegfoundation.errors import ConfigError

if TYPE_CHECKING:
    from transformers import TrainingArguments


def pretrain(
    corpus: str,
    out: str,
    size: str = "small",
    model_config: str | None = None,
    steps: int = 3000,
    batch_size: int = 64,
    gradient_accumulation: int = 1,
    learning_rate: float = 5e-4,
    warmup: float = 0.01,
    weight_decay: float = 1e-5,
    mask_ratio: float = 0.15,
    mask_span: int = 4,
    token_weight: float = 0.2,
    spectrum_weight: float = 1.0,
    window_weight: float = 1.0,
    ordinal_sigma: float = 0.0,
    token_stride: int = 5,
    seed: int = 0,
    bf16: bool = True,
    compile: bool = False,
    save_steps: int = 250,
    log_steps: int = 25,
    workers: int = 0,
    report_to: str = "none",
) -> None:
    """Pretrain an encoder on a corpus; run again to resume.

    Parameters
    ----------
    corpus : str
        Folder made by build-corpus.
    out : str
        Folder of the run.
    size : str
        Architecture: a name of eegfoundation.models.SIZES.
    model_config : str | None
        A config.json to use instead of a named size.
    steps : int
        Optimizer steps.
    batch_size : int
        Channel windows per process and forward pass.
    gradient_accumulation : int
        Forward passes per step.
    learning_rate : float
        Highest rate of AdamW (betas 0.9 and 0.98, epsilon 1e-6).
    warmup : float
        Share of the steps until it is reached; then it falls linearly to 2%.
    weight_decay : float
        Of weights, not of biases and norms.
    mask_ratio : float
        Share of positions to guess.
    mask_span : int
        Positions masked together.
    token_weight : float
        Of the masked tokens' cross-entropy in the loss.
    spectrum_weight : float
        Of each position's log spectrum.
    window_weight : float
        Of the window's log spectrum.
    ordinal_sigma : float
        Width in bins over which a token's target is smoothed; 0: not at all.
    token_stride : int
        Guess every n-th token of a masked position.
    seed : int
        Of initialisation, order and masks.
    bf16 : bool
        Compute in bfloat16 where that is safe.
    compile : bool
        Compile the model first.
    save_steps : int
        Steps between checkpoints.
    log_steps : int
        Steps between lines of metrics.csv.
    workers : int
        Processes that load windows; 0: none but this one.
    report_to : str
        "none" or "tensorboard" (pip install eegfoundation[tensorboard]).
    """
    settings = dict(locals())

    import torch
    from transformers.trainer_utils import get_last_checkpoint

    from eegfoundation.corpus.order import CorpusDataset
    from eegfoundation.models import SIZES, EEGFoundationConfig
    from eegfoundation.models.objective import EEGFoundationForPreTraining, Objective
    from eegfoundation.pretraining import record
    from eegfoundation.pretraining.trainer import Masker, PretrainingTrainer

    _check(settings)
    if model_config is not None:
        config = EEGFoundationConfig.from_json_file(model_config)
    elif size in SIZES:
        config = EEGFoundationConfig(**SIZES[size])
    else:
        raise ConfigError(f"size={size!r} is unknown; choose one of {sorted(SIZES)}.")
    dataset = CorpusDataset(corpus, seed)
    arguments = _arguments(settings)
    windows_per_step = batch_size * gradient_accumulation * arguments.world_size
    dataset.n_epochs = math.ceil(steps * windows_per_step / len(dataset.corpus))
    n_times = dataset.corpus.n_times
    if n_times % config.tokens_per_position:
        raise ConfigError(
            f"The corpus has windows of {n_times} samples; a multiple of tokens_per_position="
            f"{config.tokens_per_position} is needed."
        )
    run = record.start_run(Path(out), settings, dataset.corpus)
    torch.manual_seed(seed)
    objective = Objective(
        token_weight=token_weight,
        spectrum_weight=spectrum_weight,
        window_weight=window_weight,
        ordinal_sigma=ordinal_sigma,
        token_stride=token_stride,
    )
    model = EEGFoundationForPreTraining(config, objective)
    trainer = PretrainingTrainer(
        model=model,
        args=arguments,
        train_dataset=dataset,
        data_collator=Masker(n_times // config.tokens_per_position, mask_ratio, mask_span, seed),
    )
    trainer.train(resume_from_checkpoint=get_last_checkpoint(out))
    if trainer.is_world_process_zero():
        record.finish_run(Path(out), run, model, dataset.corpus, trainer.state.log_history)


def _arguments(settings: dict[str, Any]) -> TrainingArguments:
    """Translate settings into transformers' words."""
    import torch
    from transformers import TrainingArguments

    steps = settings["steps"]
    warmup_steps = max(1, round(settings["warmup"] * steps))
    return TrainingArguments(
        output_dir=settings["out"],
        max_steps=steps,
        per_device_train_batch_size=settings["batch_size"],
        gradient_accumulation_steps=settings["gradient_accumulation"],
        learning_rate=settings["learning_rate"],
        lr_scheduler_type="warmup_stable_decay",
        lr_scheduler_kwargs={
            "num_decay_steps": max(1, steps - warmup_steps),
            "decay_type": "linear",
            "min_lr_ratio": 0.02,
        },
        warmup_steps=warmup_steps,
        weight_decay=settings["weight_decay"],
        adam_beta2=0.98,
        adam_epsilon=1e-6,
        max_grad_norm=2.0,
        bf16=settings["bf16"],
        torch_compile=settings["compile"],
        save_steps=settings["save_steps"],
        save_total_limit=2,
        logging_steps=settings["log_steps"],
        report_to=settings["report_to"],
        seed=settings["seed"],
        train_sampling_strategy="sequential",  # the dataset is shuffled already
        dataloader_num_workers=settings["workers"],
        dataloader_drop_last=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        use_cpu=not torch.cuda.is_available(),
    )


def _check(settings: dict[str, Any]) -> None:
    for name in ("steps", "batch_size", "gradient_accumulation", "mask_span", "save_steps"):
        if settings[name] < 1:
            raise ConfigError(f"{name}={settings[name]}; it must be at least 1.")
    for name in ("mask_ratio", "warmup"):
        if not 0 < settings[name] < 1:
            raise ConfigError(f"{name}={settings[name]}; it must lie between 0 and 1.")
