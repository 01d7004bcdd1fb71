"""Labelled windows and an encoder in, a classifier out.

Strategies of rising freedom (see `FinetuneSettings`). A frozen encoder's context vectors are
computed once and kept (`eegfoundation.features`); one that is trained runs in every step.

Alignment is within a session and over all of its windows: those that are to be predicted count,
their labels do not.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.errors import ConfigError, TaskError
from eegfoundation.finetuning.settings import FinetuneSettings

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
    >>> from eegfoundation.finetuning.fitting import fit, predict_trials
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
    if missing := sorted(set(range(len(trials.classes))) - set(trials.y[learned].tolist())):
        names = [trials.classes[i] for i in missing]
        raise TaskError(f"No window to learn from is of class {names}; add some, or drop it.")
    config = classifier_config(trials, used, encoder, settings, config)
    x = aligned_signals(trials, config)
    if settings.probes:
        return _fit_probe(trials, x, used, others, encoder, config)
    context = aligned_context(trials, x, encoder, settings.alignment)
    with torch.random.fork_rng():  # the caller's random numbers stay as they were
        return _fit_network(
            trials, x, context, (train, validation), encoder, settings, config, out, history
        )


def predict_trials(
    model: EEGFoundationForClassification, trials: Trials, index: np.ndarray | None = None
) -> np.ndarray:
    """Probabilities of windows.

    Parameters
    ----------
    model : EEGFoundationForClassification
    trials : Trials
        Preprocessed as the model expects. If it asks for alignment, each session is aligned by all
        of its windows in here.
    index : ndarray of integers | None
        Windows to predict; None: all.

    Returns
    -------
    probability : ndarray, shape (n, n_classes)
        float32.

    Raises
    ------
    TaskError
        If the model gives no numbers, as after a training that diverged.
    """
    probability = _run(model, trials, index)[0]
    if not np.isfinite(probability).all():
        raise TaskError(
            "The classifier gives NaN instead of probabilities: its training diverged. Train it "
            "with a lower learning_rate."
        )
    return probability


def electrode_shares(
    model: EEGFoundationForClassification, trials: Trials, index: np.ndarray | None = None
) -> np.ndarray:
    """Share of each electrode in the decisions on windows, (n, n_chans); see `predict_trials`.

    Components, if the model has some, follow the electrodes.
    """
    return _run(model, trials, index)[1]


def classifier_config(
    trials: Trials,
    used: np.ndarray,
    encoder: EEGFoundationModel,
    settings: FinetuneSettings,
    base: DownstreamConfig | None = None,
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

    Returns
    -------
    config : DownstreamConfig
    """
    from eegfoundation.models import DownstreamConfig, fingerprint

    part = trials.select(used)
    count = ", ".join(f"{n} {name}" for name, n in zip(part.classes, part.counts(), strict=True))
    words = f"{len(part)} windows of {len(set(part.subject.tolist()))} subjects ({count})"
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


def aligned_signals(trials: Trials, config: DownstreamConfig) -> np.ndarray:
    """Signals (n, n_chans, n_times) as a classifier wants them: whitened, with components."""
    from eegfoundation.alignments import whitens
    from eegfoundation.evaluation.alignment import euclidean
    from eegfoundation.evaluation.components import components, masks_of

    x, session = trials.x, trials.group("session")
    if not whitens(config.alignment):
        return x
    whitened = euclidean(x, session)
    if not config.component_names:
        return whitened
    masks = masks_of(x.shape[-1], trials.sfreq, config.flicker_hz)
    return np.concatenate([whitened, components(x, session, masks)], axis=1)


def aligned_context(
    trials: Trials,
    x: np.ndarray,
    encoder: EEGFoundationModel,
    alignment: str,
    *,
    cache: bool = True,
) -> np.ndarray:
    """Context vectors (n, n_chans, E) of signals, standardised if that is asked for."""
    from eegfoundation.alignments import standardises
    from eegfoundation.evaluation.alignment import standardise
    from eegfoundation.features import context_vectors

    context = context_vectors(x, trials.preprocessing, encoder, cache=cache)
    return standardise(context, trials.group("session")) if standardises(alignment) else context


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

    from eegfoundation.finetuning.data import TuningData
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


def _run(
    model: EEGFoundationForClassification, trials: Trials, index: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, n_classes) and shares of electrodes and components (n, n_chans)."""
    import torch

    from eegfoundation.covariance import features_of_trials
    from eegfoundation.embedding import inference

    x = aligned_signals(trials, model.config)
    # a tuned encoder is one of many: its vectors are not worth keeping
    cache = not model.config.encoder_tuned
    chosen = np.arange(len(trials)) if index is None else np.asarray(index, dtype=int)
    if cache:
        context = aligned_context(trials, x, model.encoder, model.config.alignment)[chosen]
    else:
        context = aligned_context(
            trials.select(chosen), x[chosen], model.encoder, model.config.alignment, cache=False
        )
    positions = torch.from_numpy(trials.positions).float()
    together = features_of_trials(model, trials)[chosen] if model.config.covariance else None
    probabilities, shares = [], []
    with inference(model):
        for first in range(0, len(chosen), 32):
            part = slice(first, first + 32)
            output = model(
                torch.from_numpy(x[chosen[part]]).to(model.device),
                torch.from_numpy(context[part]).to(model.device),
                positions=positions.to(model.device),
                covariance_data=None if together is None else together[part],
            )
            probabilities.append(output.logits.softmax(-1).float().cpu().numpy())
            shares.append(output.attentions[0].float().cpu().numpy())
    if not probabilities:
        n_chans = x.shape[1]
        return np.empty((0, model.config.num_classes), np.float32), np.empty(
            (0, n_chans), np.float32
        )
    return np.concatenate(probabilities), np.concatenate(shares)
