"""Causal filters: what `filtering` does to a recording, done to a stream as it comes in.

Offline, one linear-phase FIR kernel looks 5 s ahead. A stream cannot: here are infinite impulse
responses with nearly the same magnitude (1 dB in the pass band) and with a delay that depends on
frequency: about 30 ms at 10 Hz for a source at 250 Hz, far more below 1 Hz. Second-order sections
with their state kept between calls: any way of cutting a stream into pieces gives the same bits.

- high-pass: Butterworth, -6 dB where the FIR kernel has it;
- low-pass: Chebyshev II, flat below the pass edge, 40 dB down where the FIR kernel's stop begins;
- mains: one notch for each harmonic, -6 dB where the FIR kernel has it;
- rate change: a polyphase FIR interpolator of its own, shorter than the offline one.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, log10
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.filtering import pass_band
from eegfoundation.tokenizer import MAX_ABS_UV

if TYPE_CHECKING:
    from eegfoundation.preprocessing import Preprocessing

RESTART_SECONDS = 0.5
"""A channel that was missing this long starts anew: going on from its last value would ring."""
_NEVER = 2**40  # samples that a channel counts as missing before its first
_MAX_DENOMINATOR = 20_000
_STOP_DB = 40.0  # of the low-pass
_IMAGES_DB = 60.0  # of the interpolator: images of what the low-pass left


@dataclass(frozen=True, kw_only=True)
class CausalDesign:
    """Filters for one sampling rate; the same for all channels."""

    sfreq: float
    sos: np.ndarray  # (n_sections, 6), at the source's rate
    interpolator: np.ndarray  # (n_taps,) at `up` times the source's rate
    up: int
    down: int
    description: dict[str, Any]

    def response(self, freqs: np.ndarray) -> np.ndarray:
        """Complex gain at frequencies in Hz."""
        from scipy.signal import freqz, freqz_sos

        gain: np.ndarray = freqz_sos(self.sos, freqs, fs=self.sfreq)[1]
        fine = self.up * self.sfreq
        return gain * freqz(self.interpolator / self.up, worN=freqs, fs=fine)[1]

    def delay(self, freq: float = 10.0) -> float:
        """Group delay in seconds at a frequency in Hz."""
        step = 1e-3
        below, above = np.angle(self.response(np.array([freq - step, freq + step])))
        turned = np.angle(np.exp(1j * (above - below)))
        return float(-turned / (2 * np.pi * 2 * step))


def design_causal(
    settings: Preprocessing, sfreq: float, line_freq: float | None = None
) -> CausalDesign:
    """Filters with the magnitude of `eegfoundation.filtering.design_chain`.

    Parameters
    ----------
    settings : Preprocessing
        Of the model.
    sfreq : float
        Of the stream, Hz.
    line_freq : float | None
        Mains frequency, Hz; None: no notch.

    Raises
    ------
    PreprocessingError
        The settings do not fit this sampling rate.
    """
    from scipy.signal import butter, cheb2ord, cheby2, firwin, iirnotch, kaiserord, tf2sos

    nyquist = min(sfreq, settings.sfreq) / 2
    highpass, lowpass, notes = pass_band(settings, sfreq)
    top = nyquist if lowpass is None else lowpass
    sections = [np.array([[1.0, 0, 0, 1, 0, 0]])]
    if highpass is not None:
        half = highpass - min(max(0.25 * highpass, 2.0), highpass) / 2  # MNE's kernel: -6 dB here
        # the lowest order, which rings least, that costs 1 dB at most at the edge
        for order in range(2, 9):
            corner = half * 3 ** (0.5 / order)
            if 10 * log10(1 + (corner / highpass) ** (2 * order)) <= 1:
                break
        sections.append(butter(order, corner, "highpass", fs=sfreq, output="sos"))
    stop = top
    if lowpass is not None:
        stop = lowpass + min(max(0.25 * lowpass, 2.0), nyquist - lowpass)
        edges = lowpass, min(stop, 0.99 * sfreq / 2)
        order, corner = cheb2ord(*edges, gpass=0.5, gstop=_STOP_DB, fs=sfreq)
        sections.append(cheby2(order, _STOP_DB, corner, fs=sfreq, output="sos"))
    notches = []
    if line_freq is not None:
        for freq in line_freq * np.arange(1, ceil(stop / line_freq)):
            half_width = freq / 400 + 0.25  # where MNE's kernel has -6 dB
            if freq + 2 * half_width >= sfreq / 2:
                notes.append(f"no notch at {freq:g} Hz: not representable at {sfreq:g} Hz")
                continue
            quality = freq / (2 * 3**0.5 * half_width)
            sections.append(tf2sos(*iirnotch(freq, quality, fs=sfreq)))
            notches.append(float(freq))
        if not notches:
            notes.append(f"no notch at {line_freq:g} Hz: beyond the pass band, or not in the rate")

    ratio = Fraction(settings.sfreq / sfreq).limit_denominator(_MAX_DENOMINATOR)
    up, down = ratio.numerator, ratio.denominator
    interpolator = np.ones(1)
    if up > 1 or (down > 1 and lowpass is None):
        edge, end = (0.9 * nyquist, 1.1 * nyquist) if lowpass is None else (top, sfreq - top)
        n_taps, beta = kaiserord(_IMAGES_DB, (end - edge) / (up * sfreq / 2))
        cutoff = (edge + end) / 2
        interpolator = up * firwin(n_taps | 1, cutoff, window=("kaiser", beta), fs=up * sfreq)
    return CausalDesign(
        sfreq=sfreq,
        sos=np.concatenate(sections),
        interpolator=interpolator,
        up=up,
        down=down,
        description={
            "highpass": highpass,
            "lowpass": lowpass,
            "notch": notches,
            "resampled_by": f"{up}/{down}",
            "causal": True,
            "notes": notes,
        },
    )


class CausalFilter:
    """A `CausalDesign` at work on the channels of a stream.

    Missing samples (NaN, infinite, beyond what an amplifier can mean) are bridged by the last good
    one. Which they were is for the caller to remember.

    Parameters
    ----------
    design : CausalDesign
    n_chans : int
    """

    def __init__(self, design: CausalDesign, n_chans: int) -> None:
        from scipy.signal import sosfilt_zi

        self.design = design
        self.n_out = 0
        """Target samples given so far."""
        self.n_in = 0
        """Source samples taken so far."""
        self._unit: np.ndarray = sosfilt_zi(design.sos)
        self._state = np.zeros((len(design.sos), n_chans, 2))
        self._held = np.zeros(n_chans)
        self._missing = np.full(n_chans, _NEVER)
        n_taps = -(-len(design.interpolator) // design.up)
        padded = np.zeros(n_taps * design.up)
        padded[: len(design.interpolator)] = design.interpolator
        self._taps = padded.reshape(n_taps, design.up).T  # (up, n_taps): one row for each phase
        self._before = np.zeros((n_chans, n_taps - 1))

    def n_needed(self, n_out: int) -> int:
        """Source samples still to come until `n_out` target samples are out."""
        last = (n_out - 1) * self.design.down // self.design.up
        return last + 1 - self.n_in

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Source samples (n_chans, n), microvolts -> target samples (n_chans, m), float32."""
        from scipy.signal import sosfilt

        x, restarts = self._bridge(x)
        y = np.empty_like(x)
        # a channel that comes back starts as if its first value had been there for ever
        cuts = [0, *np.flatnonzero(restarts.any(axis=0)).tolist(), x.shape[1]]
        for start, end in itertools.pairwise(cuts):
            if start == end:
                continue
            anew = np.flatnonzero(restarts[:, start])
            self._state[:, anew] = self._unit[:, None] * x[anew, start, None]
            y[:, start:end], self._state = sosfilt(
                self.design.sos, x[:, start:end], zi=self._state, axis=1
            )
        return self._resample(y).astype(np.float32)

    def _bridge(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Hold the last good value; say which samples are the first after a long absence."""
        x = np.asarray(x, np.float64)
        n = x.shape[1]
        good = np.abs(x) <= MAX_ABS_UV
        restarts = np.zeros(x.shape, bool)
        if n == 0 or (good.all() and not self._missing.any()):
            if n:
                self._held = x[:, -1].copy()
            return x, restarts
        index = np.arange(n)
        last = np.maximum.accumulate(np.where(good, index, -1), axis=1)
        held = np.take_along_axis(x, np.maximum(last, 0), axis=1)
        filled = np.where(last >= 0, held, self._held[:, None])
        virtual = -1 - self._missing[:, None]  # where the last good sample of before lies
        previous = np.hstack([virtual, np.where(last >= 0, last, virtual)[:, :-1]])
        limit = RESTART_SECONDS * self.design.sfreq
        restarts = good & (index - previous - 1 >= limit)
        self._missing = n - 1 - np.where(last[:, -1] >= 0, last[:, -1], virtual[:, 0])
        self._held = filled[:, -1].copy()
        return filled, restarts

    def _resample(self, y: np.ndarray) -> np.ndarray:
        """Target k = sum over l of interpolator[k * down % up + l * up] * y[k * down // up - l]."""
        up, down = self.design.up, self.design.down
        n_taps = self._taps.shape[1]
        n_in = self.n_in + y.shape[1]
        n_out = -(-n_in * up // down)  # target k needs source k * down // up, which is < n_in
        k = np.arange(self.n_out, n_out)
        padded = np.hstack([self._before, y])
        newest = k * down // up - self.n_in + n_taps - 1
        phase = k * down % up
        # tap by tap: a matrix product may round otherwise for other lengths
        out = self._taps[phase, 0] * padded[:, newest]
        for tap in range(1, n_taps):
            out += self._taps[phase, tap] * padded[:, newest - tap]
        self._before = padded[:, padded.shape[1] - (n_taps - 1) :]
        self.n_in, self.n_out = n_in, n_out
        return out
