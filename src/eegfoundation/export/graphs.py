"""What an exported file computes: preprocessed signal in, embeddings or probabilities out.

The tokenizer is inside. Batch, channels and length are free. What a classifier needs besides the
signal is an input of its own, so that nobody can forget it: electrode positions always, and what
takes out of a recording whatever its windows share (``config.alignment``):

- *euclidean*: ``whitening``, a matrix that the signals are multiplied by. It is made from all
  windows of the recording (`eegfoundation.evaluation.alignment.whitening`).
- *components*: ``filters`` as well, a matrix that makes components of the signals
  (`eegfoundation.evaluation.components.SpectralSums`); they follow the channels in all that comes
  out, and are standardised like them.
- *standardise*: ``context_mean`` and ``context_deviation``. The graph also gives ``context``, the
  vectors before they are standardised: a first run over all windows, with 0 and 1, gathers both.

A NaN sample is one that cannot be used; a channel of NaN is one to leave out. Nothing in a graph
can raise an error: where there is nothing to go by, results are NaN.

Shape legend: B batch, C channels, T samples, E context width, K classes.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from eegfoundation.alignments import standardises, whitens
from eegfoundation.models import EEGFoundationForClassification, EEGFoundationModel
from eegfoundation.windows import MIN_SECONDS

Model = EEGFoundationModel | EEGFoundationForClassification

#: Name of each axis that is free.
AXES = {
    "signal": ("batch", "channels", "samples"),
    "positions": ("channels", None),
    "whitening": ("channels", "channels"),
    "filters": (None, "channels"),
    "context_mean": ("signals", None),
    "context_deviation": ("signals", None),
}


class EncoderGraph(nn.Module):
    """Signal (B, C, T) -> {"embeddings": (B, C, E)}, NaN for a channel without usable sample."""

    inputs: tuple[str, ...] = ("signal",)
    outputs: tuple[str, ...] = ("embeddings",)

    def __init__(self, encoder: EEGFoundationModel) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, signal: Tensor) -> dict[str, Tensor]:
        """See the class."""
        return {"embeddings": self.encoder.embed_signal(signal)}


class ClassifierGraph(nn.Module):
    """Signal, positions, and what alignment needs -> probabilities, logits and attention.

    The outputs are ``probabilities`` and ``logits`` (B, K), ``attention`` (B, C), and ``context``
    (B, C, E) where context vectors are standardised. Components count in this C.
    """

    def __init__(self, model: EEGFoundationForClassification) -> None:
        super().__init__()
        self.model = model
        self.encoder = model.encoder  # which is not in the model's own tree of modules
        self.inputs: tuple[str, ...] = ("signal", "positions")
        self.outputs: tuple[str, ...] = ("probabilities", "logits", "attention")
        if whitens(model.config.alignment):
            self.inputs += ("whitening",)
        if model.config.component_names:
            self.inputs += ("filters",)
        if standardises(model.config.alignment):
            self.inputs += ("context_mean", "context_deviation")
            self.outputs += ("context",)

    def forward(
        self,
        signal: Tensor,
        positions: Tensor,
        whitening: Tensor | None = None,
        filters: Tensor | None = None,
        context_mean: Tensor | None = None,
        context_deviation: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """See the class and the module."""
        given = signal.nan_to_num()
        if whitening is not None:
            signal = torch.where(signal.isnan(), torch.nan, torch.matmul(whitening, given))
        if filters is not None:
            centred = given - given.mean(-1, keepdim=True)
            signal = torch.cat([signal, torch.matmul(filters, centred)], 1)
        context = own_context = self.encoder.embed_signal(signal)
        if context_mean is not None and context_deviation is not None:
            context = (own_context - context_mean) / context_deviation
        positions = positions.expand(signal.shape[0], -1, -1)
        logits, attention = self.model.read_out(signal, context, positions)
        unknown = ~context.isfinite().all(-1).any(-1, keepdim=True)  # (B, 1)
        if self.model.config.readout == "linear":
            _, found = self.model.readout.match(positions, context.shape[:2])
            unknown = unknown | ~found.any(-1, keepdim=True)
        logits = logits.masked_fill(unknown, torch.nan)
        results = {
            "probabilities": logits.softmax(-1),
            "logits": logits,
            "attention": attention.masked_fill(unknown, torch.nan),
        }
        if "context" in self.outputs:
            results["context"] = own_context
        return results


Graph = EncoderGraph | ClassifierGraph


def make_graph(model: Model) -> Graph:
    """Wrap an encoder or a classifier, in evaluation mode."""
    wrap = EncoderGraph if isinstance(model, EEGFoundationModel) else ClassifierGraph
    return wrap(model).eval()


def shortest_window(model: Model) -> int:
    """Samples of the shortest window that a graph takes."""
    return round(MIN_SECONDS * model.preprocessing.sfreq)


def trace(graph: Graph, example: dict[str, Tensor], shortest: int) -> Any:
    """Make a `torch.export.ExportedProgram` with free batch, channels and length.

    Parameters
    ----------
    graph : EncoderGraph | ClassifierGraph
    example : dict
        A value of each input; its sizes do not matter.
    shortest : int
        Samples of the shortest window.
    """
    channels = torch.export.Dim("channels")
    n_components = len(example["filters"]) if "filters" in graph.inputs else 0
    dims = {
        "batch": torch.export.Dim("batch"),
        "channels": channels,
        "signals": channels + n_components if n_components else channels,
        "samples": torch.export.Dim("samples", min=shortest),
    }
    shapes = {
        name: {i: dims[axis] for i, axis in enumerate(AXES[name]) if axis} for name in graph.inputs
    }
    with torch.no_grad(), quiet():
        return torch.export.export(
            graph,
            (),
            {name: example[name] for name in graph.inputs},
            dynamic_shapes=shapes,
            # lengths enter in ways ("16 T + ... is not ...") that cannot be proved beforehand
            prefer_deferred_runtime_asserts_over_guards=True,
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what exporters say about themselves: the check says whether the file is right."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # PyTorch copies its own structures in a way that it deprecates
            warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
            yield
    finally:
        logging.disable(before)
