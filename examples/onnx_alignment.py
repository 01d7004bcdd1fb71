"""Run a classifier that aligns recordings, with ONNX Runtime and NumPy alone (docs/export.md).

What all windows of a recording share is taken out of each, as `eegfoundation predict` does: the
signals' covariance (*euclidean*), and mean and deviation of the context vectors (*standardise*).
"""

import numpy as np
from onnx_inference import run


def run_aligned(session, about, signal, **others):
    """As `run`, for all windows (windows, channels, samples) of one recording; at least two."""
    if "euclidean" in about["alignment"]:
        others["whitening"] = whitening(signal)
    if "standardise" in about["alignment"]:
        shape = signal.shape[1], about["width"]
        as_it_is = {"context_mean": np.zeros(shape), "context_deviation": np.ones(shape)}
        context = run(session, about, signal=signal, **others, **as_it_is)["context"]
        known = np.isfinite(context)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, context, 0).sum(0, dtype=float) / count
        variance = (np.where(known, context - mean, 0) ** 2).sum(0) / count
        others |= {"context_mean": mean, "context_deviation": np.sqrt(variance) + 1e-6}
    return run(session, about, signal=signal, **others)


def whitening(signal):
    """Matrix that makes channels uncorrelated and equally strong, at their mean power."""
    flat = np.nan_to_num(signal).transpose(1, 0, 2).reshape(signal.shape[1], -1).astype(float)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    kept = values > 1e-6 * values[-1]  # an average reference leaves a direction empty
    root = (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T
    return root * np.sqrt(values.sum() / kept.sum())
