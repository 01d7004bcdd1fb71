"""Where on the head, and in which band, a classifier finds what it decides by.

Two views, both one value per class and electrode:

- *attention*: the share that each electrode has in the decisions, as the model itself weighs it.
- *occlusion*: how far the probability of a class drops when an electrode is taken away, or a band
  is filtered out of it. A negative drop says that the class becomes *more* likely: what was taken
  away spoke against it. So an imagined movement of the left hand, which weakens the mu rhythm over
  the right hemisphere, shows as a negative drop there, and as a positive one on the left, where the
  rhythm goes on.

Trade-off: a signal without its alpha is like nothing that the model has seen, so an occlusion says
what the model makes of it, not what the brain would. Bands are taken out of single electrodes after
re-referencing; with Euclidean alignment, out of the aligned channels. Components of a recording
count as further electrodes, without a place on the head. Of a `probe+covariance` it is the
encoder's part that is explained: what covariance says stays as it is.

Shape legend: n windows, C channels, T samples, E context width, K classes, F bands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.electrode_map import ElectrodeMap
from eegfoundation.electrode_map import plot_topomaps as plot_topomaps
from eegfoundation.errors import ModelInputError

if TYPE_CHECKING:
    from eegfoundation.models import EEGFoundationForClassification
    from eegfoundation.tasks.trials import Trials

#: Hz.
BANDS: Mapping[str, tuple[float, float]] = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
}
EVERYTHING = "all frequencies"
_BATCH = 64


def attention(model: EEGFoundationForClassification, source: Any, **reading: Any) -> ElectrodeMap:
    """Mean share of each electrode in the decisions, per class.

    Parameters
    ----------
    model : EEGFoundationForClassification
    source : Trials | path | mne.io.Raw | mne.Epochs | ndarray | Recording
        Trials go by their labels, a recording's windows by what they are taken for.
    **reading
        For a source that is no `Trials`: ``sfreq, ch_names, units`` of `read_recording`.

    Returns
    -------
    shares : ElectrodeMap
        One band, "all frequencies". A class's shares sum to 1.
    """
    from eegfoundation.finetuning.predicting import electrode_shares

    trials = _trials(model, source, reading)
    shares = electrode_shares(model, trials)
    quantity = f"share in {model.config.shared_out}"
    return _map(model, trials, shares[:, None], trials.y, quantity, (EVERYTHING,))


def occlusion(
    model: EEGFoundationForClassification,
    source: Any,
    by: str = "both",
    *,
    bands: Mapping[str, tuple[float, float]] = BANDS,
    target: str = "true",
    **reading: Any,
) -> ElectrodeMap:
    """Mean drop of a class's probability when a part of the signal is taken away.

    Parameters
    ----------
    model : EEGFoundationForClassification
    source : Trials | path | mne.io.Raw | mne.Epochs | ndarray | Recording
    by : {"channel", "band", "both"}
        Take away an electrode (all of it), a band (of all electrodes), or a band of an electrode.
    bands : mapping of str to (float, float)
        Edges in Hz.
    target : {"true", "predicted"}
        Whose probability drops, and over whose windows is averaged. A recording has no labels: its
        windows always go by what they are taken for.
    **reading
        For a source that is no `Trials`: ``sfreq, ch_names, units`` of `read_recording`.

    Returns
    -------
    drops : ElectrodeMap
        Differences of probabilities, -1 to 1. By "channel" there is one band, "all frequencies"; by
        "band" one channel, "all channels".

    Raises
    ------
    ModelInputError
        If `by` or `target` is none of these, or a band does not lie within the signal's.

    Notes
    -----
    The encoder sees each channel by itself, so every band is encoded once, not once per channel.
    """
    for name, value, allowed in (
        ("by", by, ("channel", "band", "both")),
        ("target", target, ("true", "predicted")),
    ):
        if value not in allowed:
            raise ModelInputError(f"{name}={value!r}; choose one of {allowed}.")
    trials = _trials(model, source, reading)
    for name, (low, high) in bands.items():
        if not 0 < low < high < trials.sfreq / 2:
            raise ModelInputError(
                f"The band {name} is {low:g} to {high:g} Hz; expected edges between 0 and "
                f"{trials.sfreq / 2:g} Hz, the lower one first."
            )
    reader = _Reader(model, trials)
    everything = reader.probability(reader.x, reader.context)
    label = trials.y if target == "true" else everything.argmax(1)

    def drop(x: np.ndarray, context: np.ndarray) -> np.ndarray:
        difference = everything - reader.probability(x, context)
        return difference[np.arange(len(label)), label]

    columns: list[list[np.ndarray]] = []  # (n,) for every band and channel
    if by == "channel":
        x, context = (np.full_like(part, np.nan) for part in (reader.x, reader.context))
        columns.append([drop(*one) for one in reader.each_channel(x, context)])
    for band in () if by == "channel" else bands:
        x = band_stop(reader.x, *bands[band], trials.sfreq)
        context = reader.encode(x, band)
        parts = [(x, context)] if by == "band" else reader.each_channel(x, context)
        columns.append([drop(*one) for one in parts])
    values = np.array(columns).transpose(2, 0, 1)  # (n, F, C)
    names = (EVERYTHING,) if by == "channel" else tuple(bands)
    return _map(model, trials, values, label, "drop of the probability", names)


def band_stop(x: np.ndarray, low: float, high: float, sfreq: float) -> np.ndarray:
    """Filter a band out, without delay (Butterworth, order 4, forwards and backwards).

    Parameters
    ----------
    x : ndarray, shape (..., n_times)
        NaN stays NaN; what is filtered has a straight line there.
    low, high, sfreq : float
        Hz.

    Returns
    -------
    filtered : ndarray, shape (..., n_times)
    """
    from scipy.signal import butter, sosfiltfilt

    filled = x.astype(np.float64)
    missing = np.isnan(x)
    for row, gap in zip(
        filled.reshape(-1, x.shape[-1]), missing.reshape(-1, x.shape[-1]), strict=True
    ):
        if gap.all():
            row[:] = 0.0
        elif gap.any():
            row[gap] = np.interp(np.flatnonzero(gap), np.flatnonzero(~gap), row[~gap])
    sos = butter(4, (low, high), "bandstop", fs=sfreq, output="sos")
    y = sosfiltfilt(sos, filled, axis=-1).astype(x.dtype)
    y[missing] = np.nan
    return y


class _Reader:
    """A model and the windows that it is asked about, aligned as it wants them."""

    def __init__(self, model: EEGFoundationForClassification, trials: Trials) -> None:
        from eegfoundation.alignments import standardises
        from eegfoundation.covariance import features_of_trials
        from eegfoundation.finetuning.data import aligned_signals

        self.model, self.trials = model, trials
        self.group = trials.group("session")
        self.x = aligned_signals(trials, model.config)
        self.moments: list[tuple[np.ndarray, np.ndarray]] = []
        clean = self.encode(self.x, "windows")
        if standardises(model.config.alignment):
            # a band that is missing everywhere must not be standardised away
            for one in np.unique(self.group):
                part = np.ma.masked_invalid(clean[self.group == one])
                self.moments.append((part.mean(0).filled(0), part.std(0).filled(0) + 1e-6))
            clean = self._standardised(clean)
        self.context = clean
        self.together = features_of_trials(model, trials) if model.config.covariance else None

    def encode(self, x: np.ndarray, label: str) -> np.ndarray:
        """Context vectors (n, C, E) of the windows or of what is left of them."""
        from eegfoundation.features import context_vectors

        cache = not self.model.config.encoder_tuned
        trials, encoder = self.trials, self.model.encoder
        context = context_vectors(x, trials.preprocessing, encoder, cache=cache, label=label)
        return self._standardised(context) if self.moments else context

    def probability(self, x: np.ndarray, context: np.ndarray) -> np.ndarray:
        """(n, K)."""
        import torch

        from eegfoundation.embedding import inference

        model = self.model
        positions = torch.from_numpy(self.trials.positions).float().to(model.device)
        parts = []
        with inference(model):
            for first in range(0, len(x), _BATCH):
                part = slice(first, first + _BATCH)
                signal, vectors = (torch.from_numpy(a[part]).to(model.device) for a in (x, context))
                together = None if self.together is None else self.together[part]
                logits = model(
                    signal, vectors, positions=positions, covariance_data=together
                ).logits
                parts.append(logits.softmax(-1).double().cpu().numpy())
        return np.concatenate(parts)

    def each_channel(
        self, x: np.ndarray, context: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The windows with one channel after the other from `x` and `context`."""
        for i in range(x.shape[1]):
            own_x, own_context = self.x.copy(), self.context.copy()
            own_x[:, i], own_context[:, i] = x[:, i], context[:, i]
            yield own_x, own_context

    def _standardised(self, context: np.ndarray) -> np.ndarray:
        result = np.empty_like(context)
        for one, (mean, deviation) in zip(np.unique(self.group), self.moments, strict=True):
            result[self.group == one] = (context[self.group == one] - mean) / deviation
        return result


def _trials(
    model: EEGFoundationForClassification, source: Any, reading: Mapping[str, Any]
) -> Trials:
    """`source` as trials; windows of a recording are labelled with what they are taken for."""
    import dataclasses

    from eegfoundation.finetuning.predicting import predict_trials
    from eegfoundation.prediction import class_names
    from eegfoundation.preprocessing import preprocess
    from eegfoundation.recording import Recording, read_recording
    from eegfoundation.samples import usable_windows
    from eegfoundation.tasks.trials import Trials

    if isinstance(source, Trials):
        return _usable(source)
    if not isinstance(source, Recording):
        source = read_recording(source, **reading)
    recording = preprocess(source, model.preprocessing)
    x = usable_windows(recording, model.config.seq_len / recording.sfreq)
    unknown = np.zeros(len(x), dtype=np.int64)
    trials = Trials(
        x=x,
        y=unknown,
        subject=unknown.astype(str),
        session=unknown.astype(str),
        run=unknown.astype(str),
        classes=tuple(class_names(model)),
        ch_names=tuple(recording.ch_names),
        positions=recording.positions,
        preprocessing=model.preprocessing,
    )
    trials = _usable(trials)
    return dataclasses.replace(trials, y=predict_trials(model, trials).argmax(1))


def _usable(trials: Trials) -> Trials:
    """Windows that hold anything."""
    usable = np.isfinite(trials.x).any((1, 2))
    if not usable.any():
        raise ModelInputError(
            f"None of {len(trials)} windows holds a usable sample; there is nothing to explain."
        )
    return trials if usable.all() else trials.select(usable)


def _map(
    model: EEGFoundationForClassification,
    trials: Trials,
    values: np.ndarray,
    label: np.ndarray,
    quantity: str,
    bands: Sequence[str],
) -> ElectrodeMap:
    """Average values (n, F, C) over the windows of each class."""
    n_chans = values.shape[2]
    mean = np.full((len(trials.classes), *values.shape[1:]), np.nan)
    for i in range(len(trials.classes)):
        if (label == i).any():
            mean[i] = values[label == i].mean(0)
    components = tuple(model.config.component_names)
    names = (*trials.ch_names, *components)
    places = np.pad(trials.positions, ((0, len(components)), (0, 0)), constant_values=np.nan)
    each = n_chans == len(names)
    return ElectrodeMap(
        values=mean,
        quantity=quantity,
        classes=trials.classes,
        bands=tuple(bands),
        ch_names=names if each else ("all channels",),
        positions=places if each else np.full((1, 3), np.nan),
    )
