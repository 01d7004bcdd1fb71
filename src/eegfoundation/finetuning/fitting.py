"""Labelled windows and an encoder in, a classifier out.

Strategies of rising freedom (see `FinetuneSettings`). A frozen encoder's context vectors are
computed once and kept (`eegfoundation.features`); one that is trained runs in every step.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.errors import ConfigError, TaskError
from eegfoundation.finetuning.data import TuningData, aligned_context, aligned_signals
from eegfoundation.finetuning.settings import FinetuneSettings
from eegfoundation.tasks.task import UNLABELLED

if TYPE_CHECKING:
    from eegfoundation.models import (
        DownstreamConfig,
        EEGFoundationForClassification,
        EEGFoundationModel,
    )
    from eegfoundation.tasks.trials import Trials

_ADAPTED = ("q_proj", "k_proj", "v_proj", "out_proj")


def fit(
    trials: Trials,
    train: np.ndarray,
    validation: np.ndarray,
    encoder: EEGFoundationModel,
    settings: FinetuneSettings | None = None,
    *,
    unlabelled: np.ndarray | None = None,
    out: Path | None = None,
    config: DownstreamConfig | None = None,
    history: list[dict[str, Any]] | None = None,
) -> EEGFoundationForClassification:
    """Train a classifier.

    Parameters
    ----------
    trials : Trials
        Preprocessed as the encoder expects. What is in neither of the next two is only aligned by.
    train, validation : ndarray of integers
        Windows to learn from, and windows that choose when to stop; the probe, which never stops,
        learns from both and chooses its penalty by cross-validation over their subjects. Without
        validation windows, training runs through all epochs.
    encoder : EEGFoundationModel
        It is not changed: strategies that train it work on a copy.
    settings : FinetuneSettings | None
        None: the defaults.
    unlabelled : ndarray of integers | None
        Windows that the probe learns from without looking at their label (see
        `eegfoundation.self_training`).
    out : Path | None
        Folder of checkpoints: an interrupted training goes on from there. None: a temporary one.
    config : DownstreamConfig | None
        Widths, patches, rates, names and words to keep; what the data decide is filled in. None:
        the defaults.
    history : list | None
        Log lines are appended here (see `eegfoundation.finetuning.training.train`).

    Returns
    -------
    model : EEGFoundationForClassification
        In evaluation mode, with its encoder attached.

    Raises
    ------
    TaskError
        If a class has no window to learn from, or the signal does not suit the encoder.

    Examples
    --------
    >>> from eegfoundation import load_encoder
    >>> from eegfoundation.finetuning.fitting import fit
    >>> from eegfoundation.finetuning.predicting import predict_trials
    >>> model = fit(trials, train, validation, load_encoder())  # doctest: +SKIP
    >>> predict_trials(model, trials, test).shape  # doctest: +SKIP
    (120, 2)
    """
    import torch

    settings = settings or FinetuneSettings()
    train, validation = np.asarray(train, dtype=int), np.asarray(validation, dtype=int)
    used = np.concatenate([train, validation])
    others = np.empty(0, dtype=int) if unlabelled is None else np.asarray(unlabelled, dtype=int)
    if len(others) and not settings.probes:
        raise ConfigError(
            f"Windows without labels teach a probe only, found strategy={settings.strategy!r}; "
            "leave them out, or choose strategy='probe'."
        )
    learned = used if settings.probes else train
    if UNLABELLED in trials.y[used]:
        raise TaskError("A window to learn from has no label; give it as unlabelled.")
    if missing := sorted(set(range(len(trials.classes))) - set(trials.y[learned].tolist())):
        names = [trials.classes[i] for i in missing]
        raise TaskError(f"No window to learn from is of class {names}; add some, or drop it.")
    config = classifier_config(trials, used, encoder, settings, config, len(others))
    x = aligned_signals(trials, config)
    if settings.probes:
        return _fit_probe(trials, x, used, others, encoder, config)
    context = aligned_context(trials, x, encoder, settings.alignment)
    with torch.random.fork_rng():  # the caller's random numbers stay as they were
        return _fit_network(
            trials, x, context, (train, validation), encoder, settings, config, out, history
        )


def classifier_config(
    trials: Trials,
    used: np.ndarray,
    encoder: EEGFoundationModel,
    settings: FinetuneSettings,
    base: DownstreamConfig | None = None,
    n_unlabelled: int = 0,
) -> DownstreamConfig:
    """Configuration of a classifier of these windows.

    Parameters
    ----------
    trials : Trials
    used : ndarray of integers
        Windows that it is trained with.
    encoder : EEGFoundationModel
    settings : FinetuneSettings
    base : DownstreamConfig | None
        What the data do not decide; None: the defaults.
    n_unlabelled : int
        Windows without a label that it is trained with as well.

    Returns
    -------
    config : DownstreamConfig
    """
    from eegfoundation.models import DownstreamConfig, fingerprint

    part = trials.select(used)
    count = ", ".join(f"{n} {name}" for name, n in zip(part.classes, part.counts(), strict=True))
    words = f"{len(part)} windows of {len(set(part.subject.tolist()))} subjects ({count})"
    if n_unlabelled:
        words += f" and {n_unlabelled} windows without a label"
    decided: dict[str, Any] = {
        "seq_len": trials.x.shape[-1],
        "num_channel": len(trials.ch_names),
        "num_classes": len(trials.classes),
        "class_names": list(trials.classes),
        "ch_names": list(trials.ch_names),
        "embedding_dim": encoder.config.context_size,
        "preprocessing": encoder.config.preprocessing,
        "encoder_sha256": fingerprint(encoder),
        "encoder_tuned": settings.tunes_encoder,
        "readout": "linear" if settings.probes else "fusion",
        "covariance": settings.covariance,
        "alignment": settings.alignment,
        "flicker_hz": None if settings.flicker_hz is None else list(settings.flicker_hz),
        "trained": True,
    }
    if base is None:
        name = encoder.config.name_or_path or "in memory"
        # the name of what ships, not where it was installed
        shipped = Path(name).parent == Path(__file__).parents[1] / "weights"
        decided["encoder"] = Path(name).name if shipped else name
    if base is None or base.trained_on is None:
        decided["trained_on"] = words
    else:
        decided["trained_on"] = f"{base.trained_on}: {words}"
    kept = {} if base is None else base.to_diff_dict()
    for name in ("transformers_version", "num_labels", "id2label", "label2id", "architectures"):
        kept.pop(name, None)
    return DownstreamConfig(**{**kept, **decided})


def _fit_probe(
    trials: Trials,
    x: np.ndarray,
    used: np.ndarray,
    others: np.ndarray,
    encoder: EEGFoundationModel,
    config: DownstreamConfig,
) -> EEGFoundationForClassification:
    """Logistic regression on the context vectors of all channels side by side.

    If the configuration says so, another one on how channels go together.
    """
    import torch

    from eegfoundation.covariance import centred_trials, reference_of, vectors
    from eegfoundation.models import EEGFoundationForClassification
    from eegfoundation.self_training import fit_self_trained

    context = aligned_context(trials, x, encoder, config.alignment)
    members = [context.reshape(len(context), -1)]
    reference = np.empty(0)
    if config.covariance:
        measured = centred_trials(trials, config)
        reference = reference_of(measured[used]).astype(np.float32)  # as it is kept
        members.append(vectors(measured, reference.astype(float)))
    probe, *second = fit_self_trained(
        members, trials.y, trials.subject, used, others, config.num_classes
    )
    model = EEGFoundationForClassification(config).eval()
    shape = context.shape[1:]
    values = {
        "weight": probe.weight.reshape(*shape, config.num_classes),
        "bias": probe.bias,
        "mean": probe.mean.reshape(shape),
        "scale": probe.scale.reshape(shape),
        "electrodes": trials.positions,
    }
    model.readout.load_state_dict({k: torch.from_numpy(v).float() for k, v in values.items()})
    for other in second:
        values = {name: getattr(other, name) for name in ("weight", "bias", "mean", "scale")}
        values["reference"] = reference
        model.covariance.load_state_dict(
            {k: torch.from_numpy(v).float() for k, v in values.items()}
        )
    model.attach_encoder(encoder)
    return model


def _fit_network(
    trials: Trials,
    x: np.ndarray,
    context: np.ndarray,
    parts: tuple[np.ndarray, np.ndarray],
    encoder: EEGFoundationModel,
    settings: FinetuneSettings,
    config: DownstreamConfig,
    out: Path | None,
    history: list[dict[str, Any]] | None,
) -> EEGFoundationForClassification:
    """Train fusion and head, and the encoder if the strategy says so."""
    import torch

    from eegfoundation.finetuning.training import TuningModule
    from eegfoundation.finetuning.training import train as run_training
    from eegfoundation.models import EEGFoundationForClassification, fingerprint

    torch.manual_seed(settings.seed)
    model = EEGFoundationForClassification(config)
    tuned = _trainable(encoder, settings)
    train, validation = parts
    positions = torch.from_numpy(trials.positions).float()
    module = TuningModule(model, tuned, positions, context[train])

    def data(index: np.ndarray, shuffled: FinetuneSettings | None) -> TuningData:
        part = context[index] if tuned is None else None
        return TuningData(x=x[index], y=trials.y[index], context=part, shuffled=shuffled)

    windows = (data(train, settings), data(validation, None) if len(validation) else None)
    lines = run_training(module, windows, settings, out)
    if history is not None:
        history += lines
    model = module.finish()
    if tuned is not None:
        # LoRA's additions become part of the weights that they were added to
        encoder = tuned.merge_and_unload() if settings.strategy == "lora" else tuned
        encoder.requires_grad_(True).eval()
        model.config.encoder_sha256 = fingerprint(encoder)
    model.attach_encoder(encoder)
    return model


def _trainable(encoder: EEGFoundationModel, settings: FinetuneSettings) -> Any:
    """Copy of the encoder that learns; None if it stays frozen."""
    if not settings.tunes_encoder:
        return None
    own = copy.deepcopy(encoder).requires_grad_(True)
    if settings.strategy == "full":
        return own
    from peft import LoraConfig, LoraModel

    rank = settings.lora_rank
    adapted = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(_ADAPTED))
    return LoraModel(own, adapted, "default")
