"""Recording in, the same recording filtered, resampled and re-referenced out: lazily.

What happens to every sample, in this order: gaps are bridged, one linear-phase FIR kernel
(band-pass and mains notch in one) runs over the signal, a polyphase filter changes the sampling
rate, samples that cannot be trusted become NaN, and the reference is changed.

Why finite impulse responses only: a target sample then depends on a known, finite stretch of the
source. A 24 h file is read in pieces with that much margin, and the pieces equal the whole. The
price is delay, so this is for recordings, not for closed loops. The kernels are those of MNE's
defaults (`firwin`, Hamming): results match `notch_filter`, `filter` and
`resample(method="polyphase")` of `mne.io.Raw`, but one fused kernel does it in one pass.
Before the first and after the last sample the signal is continued by odd reflection, as in MNE
("reflect_limited").
"""

from dataclasses import asdict, dataclass, fields, replace
from math import ceil
from sys import float_info
from typing import Any

import numpy as np

from eegfoundation.edf import MAX_SFREQ
from eegfoundation.errors import ConfigError, PreprocessingError
from eegfoundation.filtering import Chain, design_chain, fill_gaps
from eegfoundation.plausibility import (
    Excerpt,
    excerpt,
    line_peak,
    mains_elsewhere,
    median_spectrum,
    peculiarities,
    same_signal,
    warn_once,
)
from eegfoundation.quality import (
    ARTEFACT,
    BAD_ANNOTATION,
    FLAT_SECONDS,
    NON_FINITE,
    are_numbers,
    flat_stretches,
    usable_mean,
)
from eegfoundation.recording import Recording
from eegfoundation.rereferencing import REFERENCES, Reference, design_reference
from eegfoundation.tokenizer import MAX_ABS_UV

LOWEST_MAINS = 1.0  # Hz; the notch takes out all multiples of it
#: Settings that whatever works on the same signals has to agree on (a corpus and its encoder, an
#: encoder and its classifier); mains and artefacts are found anew in every recording.
DECISIVE_SETTINGS = ("sfreq", "highpass", "lowpass", "reference")

_BLOCK_SECONDS = 300.0  # bounds the temporary memory of one read


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Settings of `preprocess`; they travel in a checkpoint's `config.json`.

    Raises
    ------
    ConfigError
        A value is impossible, or two contradict each other.
    """

    sfreq: float = 200.0
    """Sampling rate after preprocessing, Hz."""
    highpass: float | None = 0.3
    """Lower edge of the pass band, Hz; None: off."""
    lowpass: float | None = 75.0
    """Upper edge of the pass band, Hz, lowered to 0.45 of the source's sampling rate; None: off."""
    notch: float | str | None = "auto"
    """Mains frequency, Hz; "auto": the caller's, else the file's, else detected; None: off."""
    reference: str = "as recorded"
    """"as recorded", "average" (mean of the good channels), "soft average" (counting two more at
    zero, see `eegfoundation.rereferencing`) or "bipolar" (neighbouring pairs)."""
    artefact_uv: float | None = 500.0
    """Filtered samples beyond this absolute amplitude are unusable, microvolts; None: off."""

    def __post_init__(self) -> None:
        for name in ("sfreq", "highpass", "lowpass", "notch", "artefact_uv"):
            value = getattr(self, name)
            if (value is None and name != "sfreq") or (name == "notch" and value == "auto"):
                continue
            if not _is_positive(value):
                raise ConfigError(f"{name} must be a positive number, found {value!r}.")
        if not isinstance(self.notch, str | None) and self.notch < LOWEST_MAINS:
            raise ConfigError(
                f"notch must be at least {LOWEST_MAINS:g} Hz, found {self.notch:g} Hz."
            )
        if self.sfreq > MAX_SFREQ:
            raise ConfigError(f"sfreq must be at most {MAX_SFREQ:g} Hz, found {self.sfreq:g}.")
        if self.reference not in REFERENCES:
            raise ConfigError(f"reference must be one of {REFERENCES}, found {self.reference!r}.")
        if self.lowpass is not None and self.lowpass > 0.45 * self.sfreq:
            raise ConfigError(
                f"lowpass must be at most 0.45 * sfreq = {0.45 * self.sfreq:g} Hz, "
                f"found {self.lowpass:g} Hz at sfreq {self.sfreq:g} Hz: lower it or raise sfreq."
            )
        top = self.sfreq / 2 if self.lowpass is None else self.lowpass
        if self.highpass is not None and self.highpass >= top:
            raise ConfigError(f"highpass must lie below {top:g} Hz, found {self.highpass:g} Hz.")

    def to_dict(self) -> dict[str, Any]:
        """Values by name, JSON-serialisable."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any] | None) -> "Preprocessing":
        """Inverse of `to_dict`; a name that is no setting raises `ConfigError`. None: defaults."""
        values = {} if values is None else values
        if not isinstance(values, dict):
            raise ConfigError(f"preprocessing is {values!r}; expected settings by their names.")
        known = [f.name for f in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise ConfigError(f"unknown preprocessing settings {unknown}; known are {known}.")
        return cls(**values)


def preprocess(
    recording: Recording, settings: Preprocessing | None = None, *, line_freq: float | None = None
) -> Recording:
    """Filter, resample and re-reference a recording, lazily: when `get_data` asks.

    Up to 60 s from all over it are read at once, to find the mains frequency and contradictions
    (see `eegfoundation.plausibility`).

    Parameters
    ----------
    recording : Recording
        Continuous or epoched, microvolts. It is not changed.
    settings : Preprocessing | None
        None: the defaults.
    line_freq : float | None
        Mains frequency, Hz: goes before what the settings, the file or the signal say.

    Returns
    -------
    Recording
        At `settings.sfreq`; sample k lies at k / sfreq seconds, and there are ceil(n_times * ratio)
        of them. Unusable samples are NaN: non-finite or flat for at least 1 s in the source, inside
        `bad_segments` (not of epochs: cutting epochs drops the bad ones), beyond `artefact_uv`.
        `history["preprocessing"]` says what was done, and what was not; what contradicts itself is
        also logged as a warning.

    Raises
    ------
    PreprocessingError
        The settings do not fit this recording.

    Notes
    -----
    A signal (recording or epoch) shorter than the high-pass kernel (11 s at 0.3 Hz) is not
    high-passed: each channel's mean over its usable samples is removed instead.
    """
    if "preprocessing" in recording.history:
        raise PreprocessingError(
            f"{recording.name} is preprocessed already: give the recording as it was read."
        )
    settings = settings or Preprocessing()
    sample = excerpt(recording)
    freq, freq_source = _line_freq(recording, settings, line_freq, sample)
    chain, band = design_chain(settings, recording.sfreq, recording.n_times, freq)
    reference = design_reference(settings.reference, recording)
    reader = PreprocessedReader(
        source=recording,
        chain=chain,
        reference=reference,
        sfreq=settings.sfreq,
        artefact_uv=settings.artefact_uv,
    )
    doubts = [same_signal(sample), None if freq is None else mains_elsewhere(sample, freq)]
    contradictions = [doubt for doubt in doubts if doubt]
    for text in contradictions:
        warn_once(f"{recording.name}: {text}")
    nyquist = min(recording.sfreq, settings.sfreq) / 2
    kept = min(nyquist if settings.lowpass is None else settings.lowpass, 0.9 * nyquist)
    done = {
        "settings": settings.to_dict(),
        "sfreq_before": recording.sfreq,
        "sfreq": settings.sfreq,
        "resampled_by": f"{chain.up}/{chain.down}",
        **band,
        "line_freq": freq,
        "line_freq_source": freq_source,
        "reference": settings.reference,
        "artefact_uv": settings.artefact_uv,
        "edges": "odd reflection",
        "contradictions": contradictions,
        "notes": band["notes"] + peculiarities(sample, kept, settings.reference) + reference.notes,
    }
    return replace(
        recording,
        ch_names=reference.ch_names,
        positions=reference.positions,
        bads=reference.bads,
        sfreq=settings.sfreq,
        n_times=chain.n_out,
        reader=reader,
        history={**recording.history, "preprocessing": done},
    )


@dataclass(frozen=True, kw_only=True)
class PreprocessedReader:
    """The `reader` of a preprocessed recording; `read` also tells why samples are NaN."""

    source: Recording
    chain: Chain
    reference: Reference
    sfreq: float
    artefact_uv: float | None

    def __call__(self, start: int, stop: int) -> np.ndarray:
        """Return samples (or epochs) `start` to `stop`, float32 microvolts."""
        return self.read(start, stop)[0]

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Samples (or epochs) `start` to `stop`, and the cause of each NaN.

        Returns
        -------
        data : np.ndarray, shape (n_chans, n_times) or (n_epochs, n_chans, n_times)
            Float32 microvolts, NaN where unusable.
        causes : np.ndarray of uint8, same shape, or None
            Positions in `CAUSES`; None where every sample is usable.
        """
        n_chans, n_out = len(self.reference.ch_names), self.chain.n_out
        epoched = self.source.n_epochs is not None
        step = max(1, int(_BLOCK_SECONDS * self.sfreq) // (n_out if epoched else 1))
        if 0 < stop - start <= step:
            return self._epochs(start, stop) if epoched else self._samples(start, stop)
        shape = (stop - start, n_chans, n_out) if epoched else (n_chans, stop - start)
        data = np.empty(shape, np.float32)
        causes = None
        for a in range(start, stop, step):
            b = min(a + step, stop)
            here = np.s_[a - start : b - start] if epoched else np.s_[:, a - start : b - start]
            data[here], why = self._epochs(a, b) if epoched else self._samples(a, b)
            if why is not None:
                causes = np.zeros(shape, np.uint8) if causes is None else causes
                causes[here] = why
        return data, causes

    def _samples(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Target samples `start` to `stop` of a continuous recording."""
        chain, n_times = self.chain, self.source.n_times
        if chain.removes_mean:
            first, last = 0, n_times
        else:
            first, last = chain.span(start, stop, ceil(FLAT_SECONDS * self.source.sfreq))
        x = self.source.get_data(first, last)
        # A gap that goes on beyond the margin: read on until its length decides how it is bridged.
        more = chain.longest_gap + 1
        if last < n_times and not are_numbers(x[:, -1]):
            x = np.hstack([x, self.source.get_data(last, min(last + more, n_times))])
        if first > 0 and not are_numbers(x[:, 0]):
            first, known = max(first - more, 0), first
            x = np.hstack([self.source.get_data(first, known), x])
        return self._run(x[None], first, start, stop)

    def _epochs(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Epochs `start` to `stop`, each a signal of its own."""
        return self._run(self.source.get_data(start, stop), 0, 0, self.chain.n_out)

    def _run(
        self, x: np.ndarray, first: int, start: int, stop: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Source samples (E, C, T) from `first` on -> target samples `start` to `stop`, causes."""
        chain, sfreq, source = self.chain, self.sfreq, self.source
        why: np.ndarray | None = None  # at the source's rate
        if not are_numbers(x):
            x = np.where(np.abs(x) <= MAX_ABS_UV, x, np.float32(np.nan))
            why = np.where(np.isnan(x), NON_FINITE, 0).astype(np.uint8)
        # Padding, saturation, loose electrodes: after a high-pass or a reference they look alive.
        flat = flat_stretches(x if why is None else np.where(why > 0, 1e9, x), source.sfreq)
        if flat is not None:
            why = flat if why is None else np.where(why > 0, why, flat)
        if chain.removes_mean:
            bad = self._annotated(first, first + x.shape[-1], source.sfreq)
            x = x - usable_mean(x, ~bad if why is None else ~bad & (why == 0))
        if why is not None:
            x = fill_gaps(x, why == NON_FINITE, chain.longest_gap)
        y = chain(x, first, start, stop)
        causes = None if why is None else why[..., chain.nearest(start, stop) - first]

        def mark(unusable: np.ndarray | bool, code: int) -> None:
            nonlocal causes
            if np.any(unusable):
                causes = np.zeros(y.shape, np.uint8) if causes is None else causes
                causes[unusable & (causes == 0)] = code

        mark(self._annotated(start, stop, sfreq), BAD_ANNOTATION)
        if self.artefact_uv is not None and max(y.max(), -y.min()) > self.artefact_uv:
            mark(np.abs(y) > self.artefact_uv, ARTEFACT)
        y, causes = self.reference(y, causes)
        if causes is not None:
            y[causes > 0] = np.nan
            causes = causes if causes.any() else None
        if source.n_epochs is not None:
            return y, causes
        return y[0], None if causes is None else causes[0]

    def _annotated(self, start: int, stop: int, sfreq: float) -> np.ndarray:
        """Which samples lie in bad segments: (stop - start,). Epochs have none of their own."""
        inside = np.zeros(stop - start, bool)
        if self.source.n_epochs is None:
            for span in self.source.bad_segments:
                # The first sample at or after each border: segments are [start, stop) in seconds.
                a, b = np.clip(np.ceil(np.round(span * sfreq, 6)), start, stop).astype(int) - start
                inside[a:b] = True
        return inside


def detect_line_freq(data: np.ndarray, sfreq: float) -> float | None:
    """Mains frequency (50 or 60 Hz) that stands out of the spectrum, or None.

    The median Welch spectrum over channels must have a peak within 0.5 Hz of the candidate at least
    6 dB above the median of its neighbours, 3 to 8 Hz away on both sides.

    Parameters
    ----------
    data : np.ndarray, shape (..., n_times)
        Microvolts, unfiltered. Rows with non-finite samples are left out.
    sfreq : float
        Sampling rate, Hz.
    """
    found = median_spectrum(data, sfreq)
    return None if found is None else line_peak(*found, sfreq)


def check_line_freq(line_freq: float | None) -> None:
    """Refuse a mains frequency that is none; None: it is not known."""
    if line_freq is not None and not (_is_positive(line_freq) and line_freq >= LOWEST_MAINS):
        raise PreprocessingError(
            f"line_freq must be a positive number of Hz, at least {LOWEST_MAINS:g}, found "
            f"{line_freq!r}."
        )


def _line_freq(
    recording: Recording, settings: Preprocessing, argument: float | None, sample: Excerpt
) -> tuple[float | None, str]:
    """Mains frequency and who said so."""
    check_line_freq(argument)
    if settings.notch is None:
        if argument is not None:
            raise PreprocessingError(
                f"line_freq is {argument:g} Hz but the settings say notch=None: give only one."
            )
        return None, "off"
    if argument is not None:
        return float(argument), "argument"
    if not isinstance(settings.notch, str):
        return float(settings.notch), "settings"
    if recording.line_freq and recording.line_freq >= LOWEST_MAINS:  # else it is damaged
        return float(recording.line_freq), "file"
    found = None if sample.spectrum is None else line_peak(*sample.spectrum, recording.sfreq)
    return found, "none found" if found is None else "detected"


def _is_positive(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value <= float_info.max  # type: ignore[operator]
