"""Whether an exported file computes what PyTorch does, on windows of sizes it was not made with.

Exporters fail quietly: one rounded a negative length the other way and gave plausible numbers. So
no file gets its name before its outputs were compared.

A sum of products depends in its last digits on the processor, and where it lies on the edge of a
bin, so does its token. Hence signals and the matrices that mix them are multiples of a power of two
here: their sums are exact, in whatever order.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from eegfoundation.evaluation.alignment import whitening
from eegfoundation.evaluation.components import SpectralSums, masks_of
from eegfoundation.export.graphs import EncoderGraph, Graph, Model, shortest_window
from eegfoundation.montage import CHANNELS_10_20
from eegfoundation.montage import positions as standard_positions
from eegfoundation.synthetic import simulate_resting

Run = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]

#: Largest absolute difference to PyTorch that counts as the same.
TOLERANCE = 1e-4

#: Windows, channels and seconds of what is compared, besides the shortest window of one channel.
SIZES = ((2, 7, 4.305), (1, 19, 1.25))

# of signals and of matrices; float32 holds eight products of 512 uV by 8 exactly
_STEP_UV, _STEP = 1 / 16, 1 / 32


def compare(model: Model, graph: Graph, run: Run) -> tuple[float, list[tuple[int, ...]]]:
    """Run a file and PyTorch on the same windows.

    Parameters
    ----------
    model : EEGFoundationModel | EEGFoundationForClassification
    graph : EncoderGraph | ClassifierGraph
        What was exported.
    run : callable
        The file: arrays by name -> arrays by name.

    Returns
    -------
    difference : float
        Largest absolute difference of any output; infinite where only one of both is NaN.
    shapes : list of tuple
        (windows, channels, samples) that were compared.
    """
    sfreq = model.preprocessing.sfreq
    sizes = [(n, chans, round(seconds * sfreq)) for n, chans, seconds in SIZES]
    sizes.append((1, 1, shortest_window(model)))
    worst = 0.0
    shapes = []
    for size in sizes:
        inputs = example_inputs(model, graph, *size)
        shapes.append(tuple(inputs["signal"].shape))
        with torch.no_grad():
            expected = graph(**inputs)
        found = run({name: value.numpy() for name, value in inputs.items()})
        worst = max(worst, *(_difference(expected[name].numpy(), found[name]) for name in expected))
    return worst, shapes


def example_inputs(
    model: Model, graph: Graph, n_windows: int, n_chans: int, n_times: int
) -> dict[str, Tensor]:
    """Simulated EEG with what recordings have: unusable samples, a flat channel, no position.

    The channels are those that a classifier was made for, as far as there are enough.
    """
    own = None if isinstance(graph, EncoderGraph) else model.config.ch_names
    names = list(own or CHANNELS_10_20)[:n_chans]
    sfreq = model.preprocessing.sfreq
    flat = simulate_resting(names, duration=n_windows * n_times / sfreq, sfreq=sfreq).data
    x = flat.reshape(len(names), n_windows, n_times).transpose(1, 0, 2).copy()
    places = standard_positions(names)
    x[0, 0, n_times // 2 : n_times // 2 + 20] = np.nan
    if len(names) > 3:
        x[0, 1] = 0.0
        x[-1, 2] = np.nan
        places[3] = np.nan
    x = _whole_steps(x)
    arrays = {"signal": x, "positions": places, "whitening": whitening(flat @ flat.T)}
    n_signals = len(names)
    if "filters" in graph.inputs:
        sums = SpectralSums(masks_of(n_times, sfreq, model.config.flicker_hz))
        sums.add(x)
        arrays["filters"] = sums.filters()
        n_signals += len(arrays["filters"])
    for name in {"whitening", "filters"} & set(arrays):
        arrays[name] = np.round(arrays[name] / _STEP) * _STEP
    inputs = {name: torch.from_numpy(array).float() for name, array in arrays.items()}
    inputs["signal"] = inputs["signal"].contiguous()
    with torch.no_grad():
        context = graph.encoder.embed_signal(inputs["signal"]).flatten(0, 1)
    context = context[context.isfinite().all(-1)]
    shape = n_signals, -1
    # of a single window, neither the mean itself (nothing would be left) nor no deviation
    inputs["context_mean"] = 0.9 * context.mean(0).expand(shape).contiguous()
    spread = context.std(0, correction=0).clamp(min=0.1)
    inputs["context_deviation"] = spread.expand(shape).contiguous()
    return {name: inputs[name] for name in graph.inputs}


def _whole_steps(x: np.ndarray) -> np.ndarray:
    """Signals (..., T) as multiples of `_STEP_UV`, the mean of their usable samples exactly 0."""
    steps = np.round(x / _STEP_UV)
    for row in steps.reshape(-1, x.shape[-1]):
        known = np.flatnonzero(np.isfinite(row))
        if len(known):
            mean, rest = divmod(int(row[known].sum()), len(known))
            row[known] -= mean
            row[known[:rest]] -= 1
    return steps * _STEP_UV


def _difference(expected: np.ndarray, found: np.ndarray) -> float:
    known = np.isfinite(expected)
    if expected.shape != found.shape or (known != np.isfinite(found)).any():
        return float("inf")
    return float(np.abs(expected[known] - found[known]).max(initial=0.0))
