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
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from eegfoundation.errors import ConfigError
from eegfoundation.runs import LARGEST_COUNT, LARGEST_RATE

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from eegfoundation.corpus.reader import Corpus
    from eegfoundation.models import EEGFoundationConfig
    from eegfoundation.models.objective import Objective


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
    verify: bool = True,
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
    verify : bool
        Compare the checksums of the corpus first, which reads all of it once (several processes
        share that).
    """
    settings = dict(locals())

    import torch
    from torch.utils.data import Subset
    from transformers.utils.logging import disable_progress_bar

    from eegfoundation.corpus.order import CorpusDataset
    from eegfoundation.models.objective import EEGFoundationForPreTraining, Objective
    from eegfoundation.pretraining import record
    from eegfoundation.pretraining.trainer import ChecksumCallback, Masker, PretrainingTrainer

    _check(settings)
    disable_progress_bar()  # of files being written; the one of training stays
    objective = Objective(
        token_weight=token_weight,
        spectrum_weight=spectrum_weight,
        window_weight=window_weight,
        ordinal_sigma=ordinal_sigma,
        token_stride=token_stride,
    )
    dataset = CorpusDataset(corpus, seed)
    config = _model_config(settings, dataset.corpus)
    n_positions = _n_positions(dataset.corpus, config, objective)
    arguments = _arguments(settings)
    if verify:
        dataset.corpus.verify(
            progress=None, rank=arguments.process_index, world_size=arguments.world_size
        )
    if batch_size > len(dataset.corpus):
        raise ConfigError(
            f"batch_size={batch_size} is more than the corpus has windows, {len(dataset.corpus)}; "
            "choose a smaller one, or build a larger corpus."
        )
    n_windows = steps * arguments.train_batch_size * gradient_accumulation * arguments.world_size
    dataset.n_epochs = math.ceil(n_windows / len(dataset.corpus))
    torch.manual_seed(seed)
    model = EEGFoundationForPreTraining(config, objective)
    with arguments.main_process_first(local=False):  # it writes what the others then find
        run = record.start_run(
            Path(out), settings, dataset.corpus, config, n_processes=arguments.world_size
        )
        checkpoint = record.last_checkpoint(Path(out))
    trainer = PretrainingTrainer(
        model=model,
        args=arguments,
        # not a window more: a finished run, started again, has nothing left to learn from
        train_dataset=Subset(cast("Any", dataset), range(n_windows)),
        data_collator=Masker(n_positions, mask_ratio, mask_span, seed),
        callbacks=[ChecksumCallback()],
    )
    if hasattr(sys.stdout, "reconfigure"):  # a log file shows its lines as they come, too
        sys.stdout.reconfigure(line_buffering=True)
    trainer.train(resume_from_checkpoint=checkpoint)
    weights = trainer.accelerator.get_state_dict(trainer.model)  # gathered, if they are sharded
    if trainer.is_world_process_zero():
        history = trainer.state.log_history
        record.finish_run(Path(out), run, model.as_masked_lm(weights), dataset.corpus, history)


def _model_config(settings: dict[str, Any], corpus: Corpus) -> EEGFoundationConfig:
    """Architecture, with the preprocessing of the corpus: what the encoder has to be given."""
    from eegfoundation.models import SIZES, EEGFoundationConfig
    from eegfoundation.preprocessing import DECISIVE_SETTINGS

    if settings["model_config"] is not None:
        config = EEGFoundationConfig.from_json_file(settings["model_config"])
    elif settings["size"] in SIZES:
        config = EEGFoundationConfig(**SIZES[settings["size"]])
    else:
        raise ConfigError(f"size={settings['size']!r} is unknown; choose one of {sorted(SIZES)}.")
    made_with = corpus.meta["settings"]["preprocessing"]
    kept = {name: made_with[name] for name in DECISIVE_SETTINGS}
    config.preprocessing = {**config.preprocessing, **kept}
    return config


def _n_positions(corpus: Corpus, config: EEGFoundationConfig, objective: Objective) -> int:
    """Positions per window of a corpus that suits the model."""
    if corpus.n_times % config.tokens_per_position:
        raise ConfigError(
            f"The corpus has windows of {corpus.n_times} samples; a multiple of "
            f"tokens_per_position={config.tokens_per_position} is needed."
        )
    if objective.wants_spectra and corpus.n_times < corpus.sfreq:
        raise ConfigError(
            f"The corpus has windows of {corpus.n_times / corpus.sfreq:g} s; spectral targets need "
            "at least 1 s: set spectrum_weight and window_weight to 0."
        )
    return corpus.n_times // config.tokens_per_position


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
        logging_steps=min(settings["log_steps"], steps),
        disable_tqdm=not sys.stderr.isatty(),
        log_level="error",
        ddp_find_unused_parameters=False,
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
    counts = (
        "steps",
        "batch_size",
        "gradient_accumulation",
        "mask_span",
        "save_steps",
        "log_steps",
    )
    for name in counts:
        if settings[name] < 1:
            raise ConfigError(f"{name}={settings[name]}; it must be at least 1.")
        if settings[name] > LARGEST_COUNT:
            raise ConfigError(f"{name}={settings[name]}; it must be at most {LARGEST_COUNT}.")
    for name in ("mask_ratio", "warmup"):
        if not 0 < settings[name] < 1:
            raise ConfigError(f"{name}={settings[name]}; it must lie between 0 and 1.")
    for name in ("learning_rate", "weight_decay", "workers"):
        if not 0 <= settings[name] < math.inf:
            raise ConfigError(f"{name}={settings[name]}; it must be 0 or more.")
        if settings[name] > LARGEST_RATE:
            raise ConfigError(f"{name}={settings[name]}; it must be at most {LARGEST_RATE:g}.")
    if not 0 <= settings["seed"] < 2**32:
        raise ConfigError(f"seed={settings['seed']}; it must lie between 0 and 2**32 - 1.")
    if settings["report_to"] not in ("none", "tensorboard"):
        raise ConfigError(f"report_to={settings['report_to']!r}; choose 'none' or 'tensorboard'.")
    if settings["report_to"] == "tensorboard" and find_spec("tensorboard") is None:
        raise ConfigError("TensorBoard is absent: pip install 'eegfoundation[tensorboard]'.")
