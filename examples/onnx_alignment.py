"""Run a classifier that aligns recordings, with ONNX Runtime and NumPy alone (docs/export.md).

What all windows of a recording share is taken out of each, as `eegfoundation predict` does: the
signals' covariance (*euclidean*), and mean and deviation of the context vectors (*standardise*).
*components* is both, and mixtures of the channels beside them in which a band stands out.
"""

import numpy as np
from onnx_inference import run


def run_aligned(session, about, signal, **others):
    """As `run`, for all windows (windows, channels, samples) of one recording; at least two."""
    kind, n_signals = about["alignment"], signal.shape[1]
    if "euclidean" in kind or kind == "components":
        others["whitening"] = whitening(signal)
    if kind == "components":
        others["filters"] = component_filters(signal, about)
        n_signals += len(others["filters"])
    if "standardise" in kind or kind == "components":
        shape = n_signals, about["width"]
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


def component_filters(signal, about):
    """Matrix that makes two components for every band, or every flicker (at least two channels).

    Those mixtures of channels in which the band is strongest beside the other frequencies.
    """
    x = np.nan_to_num(signal).astype(float)
    x -= x.mean(-1, keepdims=True)
    taper = np.hanning(x.shape[-1])
    spectra = np.fft.rfft(x * taper)
    freqs = np.fft.rfftfreq(x.shape[-1], 1 / about["preprocessing"]["sfreq"])
    total = shared(x)
    present = np.flatnonzero(np.diag(total))
    if len(present) < len(total):  # the others have no signal
        filters = np.zeros((len(about["components"]["names"]), len(total)))
        filters[:, present] = component_filters(signal[:, present], about)
        return filters
    power = np.trace(total) / len(total)
    ridge = 1e-3 * power * np.sum(taper**2) * np.eye(len(total))
    filters = []
    for inside, outside in bins(freqs, about["components"]):
        values, vectors = np.linalg.eigh(shared(spectra[..., outside]) + ridge)
        root = vectors / np.sqrt(values) @ vectors.T
        turn = np.linalg.eigh(root @ shared(spectra[..., inside]) @ root)[1]
        for weights in (root @ turn[:, ::-1][:, :2]).T:
            weights = weights * np.sign(weights[np.argmax(np.abs(weights))])
            filters.append(weights * np.sqrt(power / (weights @ total @ weights)))
    return np.array(filters)


def shared(x):
    """What channels share, the mean over windows and samples (or frequencies)."""
    flat = x.transpose(1, 0, 2).reshape(x.shape[1], -1)
    return (flat @ flat.conj().T).real / max(1, flat.shape[1])


def bins(freqs, components):
    """Of every band or flicker the frequencies inside, and those that it is compared with."""
    if components["flicker_hz"] is None:
        broad = (freqs >= 1) & (freqs <= 45)
        for low, high in components["bands"]:
            inside = (freqs >= low) & (freqs < high)
            yield inside, broad & ~inside
        return
    step = 1.01 * freqs[1]
    for hz in components["flicker_hz"]:
        distance = np.minimum(abs(freqs - hz), abs(freqs - 2 * hz))
        yield distance <= step, (distance > step) & (distance <= step + 2)
