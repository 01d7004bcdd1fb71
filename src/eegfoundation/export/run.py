"""The command that exports a model, and what its files say about themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from eegfoundation.errors import ConfigError, OutputError
from eegfoundation.outputs import new_file

if TYPE_CHECKING:
    from eegfoundation.export.graphs import Graph, Model

#: Formats, and how the names of their files end.
SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}

#: What each input and output is, for whoever holds nothing but the file.
MEANING = {
    "signal": "float32 (batch, channels, samples): microvolts, preprocessed as said here; NaN "
    "marks samples that cannot be used, and a channel of NaN is left out",
    "positions": "float32 (channels, 3): electrodes in metres in MNE's head frame, NaN where "
    "unknown",
    "whitening": "float32 (channels, channels): takes out what all windows of the recording share; "
    "from their covariance, see docs/export.md",
    "filters": "float32 (components, channels): makes components of the recording's signals, which "
    "then count as channels after the others; see docs/export.md",
    "context_mean": "float32 (channels, width): mean of the output context over all windows of the "
    "recording",
    "context_deviation": "float32 (channels, width): standard deviation of the output context over "
    "all windows of the recording, plus 1e-6",
    "embeddings": "float32 (batch, channels, width): NaN for a channel without a usable sample",
    "probabilities": "float32 (batch, classes): NaN for a window without a usable channel",
    "logits": "float32 (batch, classes)",
    "attention": "float32 (batch, channels): share of each channel in the decision",
    "context": "float32 (batch, channels, width): context vectors before they are standardised",
}


def export_model(
    checkpoint: str,
    out: str,
    format: str = "onnx",
    classifier_config: str | None = None,
    overwrite: bool = False,
) -> None:
    """Export a model as one file that runs without this package, checked against PyTorch.

    Parameters
    ----------
    checkpoint : str
        Shipped name, folder or hub id of an encoder; folder, hub id or weights (.pth) of a
        classifier.
    out : str
        File to write: .onnx, or .pt2 for --format torch.
    format : str
        onnx (for ONNX Runtime) or torch (for torch.export.load).
    classifier_config : str | None
        Configuration (.json) that goes with a classifier's .pth.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    EEGFoundationError
        If the model cannot be loaded, or the file computes something else; no file is left then.
    """
    if format not in SUFFIXES:
        raise ConfigError(f"format={format!r}; choose one of {list(SUFFIXES)}.")
    if Path(out).suffix != SUFFIXES[format]:
        raise ConfigError(
            f"{out} does not end in {SUFFIXES[format]}, as files of format {format} do; rename it."
        )
    with new_file(out, overwrite=overwrite) as unfinished:
        from eegfoundation.export import check, files
        from eegfoundation.export.graphs import make_graph, shortest_window, trace
        from eegfoundation.prediction import load_model

        if format == "onnx":
            files.require_onnx()
        model = load_model(checkpoint, classifier_config)
        if getattr(model.config, "covariance", False):
            raise ConfigError(
                f"{checkpoint} learned from covariances as well (strategy='probe+covariance'), "
                "which no graph computes; export a classifier of strategy='probe'."
            )
        graph = make_graph(model)
        metadata = describe_export(model, graph)
        # sizes that nothing in a model has: one that did would be taken for it
        example = check.example_inputs(model, graph, 3, 6, 611)
        program = trace(graph, example, shortest_window(model))
        if format == "onnx":
            files.write_onnx(unfinished, program, graph, metadata)
            run = files.run_onnx(unfinished)
        else:
            files.write_torch(unfinished, program, metadata)
            run = files.run_torch(unfinished)
        difference, shapes = check.compare(model, graph, run)
        if not difference <= check.TOLERANCE:
            raise OutputError(
                f"{out} was not written: it differs from PyTorch by {difference:.1e}, more than "
                f"{check.TOLERANCE:g}; please report it with the versions of torch and onnxruntime."
            )
    sizes = ", ".join(" x ".join(map(str, shape)) for shape in shapes)
    print(f"{out}: {metadata['kind']}, {', '.join(graph.inputs)} -> {', '.join(graph.outputs)}")
    print(f"Largest difference to PyTorch: {difference:.1e}, on windows of {sizes}")


def describe_export(model: Model, graph: Graph) -> dict[str, Any]:
    """Everything that somebody with nothing but the file needs to know, as JSON."""
    import numpy as np

    from eegfoundation import __version__
    from eegfoundation.models import EEGFoundationModel, fingerprint
    from eegfoundation.models.registry import untrained_notice
    from eegfoundation.montage import positions
    from eegfoundation.prediction import describe
    from eegfoundation.windows import MIN_SECONDS

    encoder = graph.encoder
    content: dict[str, Any] = {
        "eegfoundation": __version__,
        "kind": "encoder" if isinstance(model, EEGFoundationModel) else "classifier",
        "purpose": "research; not a medical device",
        "preprocessing": model.preprocessing.to_dict(),
        "shortest_window": MIN_SECONDS,
        "tokenizer": encoder.tokenizer.to_dict(),
        "encoder_sha256": fingerprint(encoder),
        "width": encoder.config.context_size,
        "trained": encoder.config.trained,
        "inputs": {name: MEANING[name] for name in graph.inputs},
        "outputs": {name: MEANING[name] for name in graph.outputs},
    }
    if not encoder.config.trained:
        content["notice"] = untrained_notice("The encoder")
    if isinstance(model, EEGFoundationModel):
        return content
    said = describe(model)
    names = model.config.ch_names
    places = None
    if names is not None:
        places = [[x if np.isfinite(x) else None for x in place] for place in positions(names)]
    return {
        **content,
        "class_names": said.pop("classes"),
        "window": model.config.seq_len / model.preprocessing.sfreq,
        "ch_names": names,
        "positions": places,
        "readout": model.config.readout,
        "components": _components(model),
        **said,
    }


def _components(model: Any) -> dict[str, Any] | None:
    """What ``filters`` are made for; None without components."""
    from eegfoundation.alignments import BANDS

    config = model.config
    if not config.component_names:
        return None
    return {
        "names": config.component_names,
        "flicker_hz": config.flicker_hz,
        "bands": None if config.flicker_hz else [list(band) for band in BANDS],
    }
