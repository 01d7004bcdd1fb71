"""From a recording to class probabilities: one row per window."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.batch import each_file
from eegfoundation.embedding import inference
from eegfoundation.errors import CheckpointError
from eegfoundation.outputs import new_file, write_json
from eegfoundation.recording_alignment import alignment_of

if TYPE_CHECKING:
    import pandas as pd

    from eegfoundation.models import EEGFoundationForClassification, EEGFoundationModel

#: The classifier of the published quick start.
DEFAULT_MODEL = "models/BCIC-2a_model.pth"
DEFAULT_CONFIG = "configs/BCIC_IV_2a_config.json"


def predict(
    source: Any,
    model: EEGFoundationForClassification,
    window: float | None = None,
    overlap: float = 0.0,
    *,
    sfreq: float | None = None,
    ch_names: list[str] | None = None,
    units: str | None = None,
    line_freq: float | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Classify every window of a recording.

    Parameters
    ----------
    source : path | mne.io.Raw | mne.Epochs | ndarray | Recording
        Anything that `read_recording` takes, with any channels.
    model : EEGFoundationForClassification
        From `load_downstream_model`.
    window : float | None
        Seconds; None: the window that the model was made for.
    overlap : float
        Seconds.
    sfreq, ch_names, units
        As in `read_recording`.
    line_freq : float | None
        Mains frequency in Hz for the notch; None: what the file says, else what is detected.
    progress : bool | None
        Show a progress bar; None: only on a terminal.

    Returns
    -------
    table : pandas.DataFrame
        One row per window: ``start, stop`` (seconds from the first sample), ``predicted``, one
        ``p_<class>`` per class, and ``quality``, the share of usable samples. Without any usable
        channel the probabilities are NaN and ``predicted`` is empty. ``table.attrs["history"]``
        says what was done to the recording, and by which model; ``table.attrs["attention"]`` maps
        each electrode (and component) to its mean share in the decisions, where there was any. A
        model whose configuration asks for alignment looks at all windows before it decides on the
        first.

    Raises
    ------
    EEGFoundationError
        If the source cannot be read or classified; the message says what to do.
    """
    import pandas as pd
    import torch

    from eegfoundation.preprocessing import preprocess
    from eegfoundation.recording import Recording, read_recording
    from eegfoundation.windows import watch_windows

    if not isinstance(source, Recording):
        source = read_recording(source, sfreq=sfreq, ch_names=ch_names, units=units)
    recording = preprocess(source, model.preprocessing, line_freq=line_freq)
    if window is None:
        window = model.config.seq_len / recording.sfreq
    positions = torch.from_numpy(recording.positions)
    names = class_names(model)
    tables = []
    shares = []
    with inference(model):
        inputs_of = alignment_of(model, recording, window, overlap, progress)
        for block in watch_windows(recording, window, overlap, block=60.0, progress=progress):
            usable = block.quality > 0
            output = model(
                **inputs_of(block),
                positions=positions,
                channel_mask=torch.from_numpy(usable),
            )
            probability = output.logits.softmax(-1).cpu().numpy()
            if not np.isfinite(probability[usable.any(1)]).all():
                raise CheckpointError(
                    f"{recording.name}: the classifier gives NaN for usable signal; its weights, "
                    "or those of its encoder, are damaged."
                )
            probability[~usable.any(1)] = np.nan
            shares.append(output.attentions[0].cpu().numpy()[usable.any(1)])
            half = block.data.shape[-1] / recording.sfreq / 2
            table = pd.DataFrame({"start": block.times - half, "stop": block.times + half})
            best = probability.argmax(1)
            table["predicted"] = [
                names[i] if usable[row].any() else None for row, i in enumerate(best)
            ]
            for i, name in enumerate(names):
                table[f"p_{name}"] = probability[:, i]
            table["quality"] = block.quality.mean(1)
            tables.append(table)
    result = pd.concat(tables, ignore_index=True)
    result.attrs["history"] = {**recording.history, "classifier": describe(model)}
    share = np.concatenate(shares)
    if len(share):
        mean = share.mean(0, dtype=float).tolist()
        names = [*recording.ch_names, *model.config.component_names]
        result.attrs["attention"] = dict(zip(names, mean, strict=True))
    return result


def predict_files(
    files: list[str],
    out: str,
    classifier: str | None = None,
    classifier_config: str | None = None,
    window: float | None = None,
    overlap: float = 0.0,
    sfreq: float | None = None,
    ch_names: list[str] | None = None,
    units: str | None = None,
    line_freq: float | None = None,
    overwrite: bool = False,
) -> None:
    """Classify recordings: one .csv of probabilities per file.

    Parameters
    ----------
    files : list of str
        Recordings, in any format that is read.
    out : str
        Folder for <name>_predictions.csv and <name>_predictions.preprocessing.json.
    classifier : str | None
        Weights (.pth) of a classifier; default: the motor-imagery classifier that ships.
    classifier_config : str | None
        Its configuration (.json).
    window : float | None
        Length of a window in seconds; default: what the model was made for.
    overlap : float
        Overlap of windows in seconds.
    sfreq : float | None
        Sampling rate in Hz, for .npy files; other files know theirs.
    ch_names : list of str | None
        Channels to use, in this order; for .npy files, the name of each channel.
    units : str | None
        Unit of the numbers in the files, if they are not what they claim: V, mV, uV or nV.
    line_freq : float | None
        Mains frequency in Hz; default: what the file says, else what is detected.
    overwrite : bool
        Replace existing results.
    """
    settings = dict(locals())
    model = load_classifier(classifier, classifier_config)

    def work(file: str, path: Path, overwrite: bool) -> None:
        with new_file(path, overwrite=overwrite) as unfinished:
            table = predict(
                file,
                model,
                window,
                overlap,
                sfreq=sfreq,
                ch_names=ch_names,
                units=units,
                line_freq=line_freq,
            )
            table.to_csv(unfinished, index=False, float_format="%.6g")
            history = table.attrs["history"]
            write_json(path.with_suffix(".preprocessing.json"), history, overwrite=True)
        print(f"{path}: {len(table)} windows, classes {', '.join(class_names(model))}")

    each_file(files, work, out=out, ending="_predictions.csv", settings=settings)


def load_classifier(
    weights: str | None = None, config: str | None = None
) -> EEGFoundationForClassification:
    """Load the classifier that a command names, or the one that ships.

    Raises
    ------
    ConfigError
        If only one of the two files is named.
    """
    from eegfoundation.errors import ConfigError
    from eegfoundation.models import load_downstream_model
    from eegfoundation.models.registry import shipped_path

    if (weights is None) != (config is None):
        raise ConfigError(
            "A classifier is two files: give both --classifier (.pth) and --classifier_config "
            "(.json), or neither."
        )
    if weights is None or config is None:
        return load_downstream_model(shipped_path(DEFAULT_MODEL), shipped_path(DEFAULT_CONFIG))
    return load_downstream_model(weights, config)


def load_model(
    checkpoint: str | None = None, classifier_config: str | None = None
) -> EEGFoundationForClassification | EEGFoundationModel:
    """Load an encoder or a classifier, whatever the name stands for.

    Parameters
    ----------
    checkpoint : str | None
        Shipped name, folder or hub id of an encoder; folder, hub id or weights (.pth) of a
        classifier; None: the classifier that ships.
    classifier_config : str | None
        Configuration (.json) that goes with a .pth.

    Raises
    ------
    ConfigError
        If a configuration is missing, or one is given that nothing needs.
    CheckpointError
        If there are no such weights, or they do not fit.
    """
    import torch

    from eegfoundation.errors import ConfigError
    from eegfoundation.models import EEGFoundationForClassification, load_encoder

    if checkpoint is None or checkpoint.endswith(".pth"):
        if checkpoint is not None and classifier_config is None:
            raise ConfigError(
                f"{checkpoint} is one file of two: give the configuration (.json) that it was "
                "saved with as --classifier_config."
            )
        return load_classifier(checkpoint, classifier_config)
    if classifier_config is not None:
        raise ConfigError(
            f"--classifier_config goes with weights (.pth), and {checkpoint} is none: leave it out."
        )
    if _is_classifier(checkpoint):
        model = EEGFoundationForClassification.from_pretrained(checkpoint, dtype=torch.float32)
        return model.eval()
    return load_encoder(checkpoint)


def _is_classifier(name: str) -> bool:
    """Whether a folder or hub id holds a classifier; of what is wrong, `load_encoder` speaks."""
    from transformers import PretrainedConfig

    from eegfoundation.models import DownstreamConfig

    if "/" not in name and not os.path.isdir(name):
        return False
    try:
        values, _ = PretrainedConfig.get_config_dict(name)
    except OSError:
        return False
    return values.get("model_type") == DownstreamConfig.model_type


def class_names(model: EEGFoundationForClassification) -> list[str]:
    """Names of a classifier's outputs; numbers where it has none."""
    return model.config.class_names or [str(i) for i in range(model.config.num_classes)]


def describe(model: EEGFoundationForClassification) -> dict[str, Any]:
    """What a reader of an output must know about the classifier."""
    from eegfoundation.models.registry import simulated_notice, untrained_notice

    description: dict[str, Any] = {
        "classes": class_names(model),
        "encoder": model.config.encoder,
        "trained": model.config.trained,
        "trained_on": model.config.trained_on,
        "alignment": model.config.alignment,
    }
    if model.config.simulated:
        description["notice"] = simulated_notice("The classifier")
    if not model.config.trained:
        description["notice"] = untrained_notice("The classifier")
    return description
