"""Filter kernels and rate changes: source samples in, target samples out.

One fused linear-phase kernel (band-pass, mains notch and anti-alias) runs over the signal by
overlap-save, and the rate changes in the same pass: the kernel leaves nothing at and above the
lower of the two Nyquist frequencies, so a shorter (or longer) inverse transform of the same
spectrum is the resampled signal. Where the rates have no small common ratio (173.61 -> 200 Hz), a
polyphase interpolator follows instead; it is slower, and what the fast pass is tested against.

All of it has finite reach, so a span of the target depends on a known span of the source, and
reading in pieces gives what reading at once gives. The kernels are MNE's designs; running them in
one pass is ours, because it is several times faster and bounds memory.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.errors import PreprocessingError

if TYPE_CHECKING:
    from eegfoundation.preprocessing import Preprocessing

_FIR_LENGTH = 3.3  # a Hamming kernel lasts 3.3 / (transition width in Hz) seconds (MNE's rule)
_MAX_DENOMINATOR = 20_000  # makes 173.61 -> 200 Hz exact; otherwise drifts < 0.3 ms in 24 h
_NOTCH_TRANSITIONS = (1.0, 10.0)  # Hz: MNE's default, and the widest tried on short signals
_ANTI_ALIAS_DB = 120.0  # what is cut off with the spectrum then stays below float32's resolution
_MAX_SPECTRAL_RATIO = 1000  # FFT lengths are multiples of `up` and `down`
MARGIN = 16  # source samples: ringing of the cut beyond the kernel's ends, below 1e-7
_HOP = 5  # kernel lengths per transform: longer ones leave the second-level cache
_ROWS = 4  # channels per transform, which pocketfft computes side by side


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Filter kernel and rate change of one signal of `n_times` source samples."""

    kernel: np.ndarray  # (odd,) symmetric: fused filters at the source's rate
    interpolator: np.ndarray  # (odd,) polyphase kernel at `up` times the source's rate
    up: int
    down: int
    n_times: int
    removes_mean: bool
    spectral: bool  # the rate changes within the filter's transforms, without the interpolator

    @property
    def n_out(self) -> int:
        """Number of target samples."""
        return -(-self.n_times * self.up // self.down)

    @property
    def reach(self) -> int:
        """Source samples on each side that a target sample depends on."""
        half = len(self.kernel) // 2
        if self.up == self.down:
            return half
        return half + (MARGIN if self.spectral else len(self.interpolator) // 2 // self.up + 1)

    @property
    def longest_gap(self) -> int:
        """Gaps up to this are bridged by a line; in longer ones, neither side can see the other."""
        return 2 * self.reach

    def span(self, start: int, stop: int, at_least: int) -> tuple[int, int]:
        """Source samples that exist and lie within reach of target samples `start` to `stop`."""
        reach = max(self.reach, at_least)
        first = start * self.down // self.up - reach
        last = (stop - 1) * self.down // self.up + reach + 2
        return max(first, 0), min(last, self.n_times)

    def nearest(self, start: int, stop: int) -> np.ndarray:
        """Source sample nearest in time to each target sample."""
        index = (2 * np.arange(start, stop) * self.down + self.up) // (2 * self.up)
        return np.minimum(index, self.n_times - 1)

    def __call__(self, x: np.ndarray, first: int, start: int, stop: int) -> np.ndarray:
        """Source samples (..., T) from `first` on -> target samples (..., stop - start)."""
        begin = start * self.down // self.up - self.reach
        end = (stop - 1) * self.down // self.up + self.reach + 2
        left, right = max(0, -begin), max(0, end - self.n_times)
        x = x[..., max(0, begin - first) : end - first]
        if left or right:
            width = [(0, 0)] * (x.ndim - 1) + [(left, right)]
            x = np.pad(x, width, mode="reflect", reflect_type="odd")
        if self.spectral:
            return _overlap_save(x, begin, start, stop, self.kernel, self.up, self.down)
        half = len(self.kernel) // 2
        if half:
            x = _overlap_save(x, begin, begin + half, end - half, self.kernel)
        if self.up == self.down:
            y = x[..., : stop - start]
            return y if half else y.astype(np.float32)  # never a view of what was read
        return self._interpolate(x, begin + half, start, stop)

    def _interpolate(self, x: np.ndarray, first: int, start: int, stop: int) -> np.ndarray:
        """Target sample k = sum over n of interpolator[k * down - n * up + centre] * x[n]."""
        from scipy.signal import upfirdn

        # upfirdn starts at its own sample 0: zeros before the kernel bring `start` onto its grid.
        centre = start * self.down + len(self.interpolator) // 2 - first * self.up
        zeros = -centre % self.down
        kernel = np.concatenate([np.zeros(zeros, np.float32), self.interpolator])
        skip = (centre + zeros) // self.down
        y: np.ndarray = upfirdn(kernel, x, self.up, self.down)
        return y[..., skip : skip + stop - start]


def _overlap_save(
    x: np.ndarray,
    first: int,
    start: int,
    stop: int,
    kernel: np.ndarray,
    up: int = 1,
    down: int = 1,
) -> np.ndarray:
    """Filter (..., T), whose first sample is source sample `first`; target samples start to stop.

    Every transform takes a stretch of the source that begins on a sample both grids share, and
    gives the target samples that the kernel reaches from within it. The spectrum is cut (or
    continued with zeros) at the lower Nyquist frequency, where the kernel has left nothing.

    In float64, rounded to float32 at the end: in float32 the result would depend on how a recording
    is cut into pieces by 4e-7 of the largest amplitude, 1e-4 microvolts of a drifting electrode.
    """
    from scipy import fft

    reach = len(kernel) // 2 + (0 if up == down else MARGIN)
    n_source = -(-(stop - start) * down // up)
    hop = ceil(n_source / max(1, round(n_source / (_HOP * len(kernel)))))
    units = fft.next_fast_len(ceil((hop + 2 * reach) / down) + 2, real=True)
    n_fft, n_ifft = units * down, units * up
    gain = np.repeat(response(kernel, n_fft, n_ifft), 2)  # of real and imaginary parts, in turn
    rows = x.reshape(-1, x.shape[-1])
    y = np.empty((len(rows), stop - start), np.float32)

    for i in range(0, len(rows), _ROWS):
        source, target = rows[i : i + _ROWS], y[i : i + _ROWS]
        piece = np.empty((len(source), n_fft))
        done = start
        while done < stop:
            origin = (done * down // up - reach) // down * down
            shift = origin // down * up
            end = min(stop, (origin + n_fft - 1 - reach) * up // down + 1)
            a, b = max(origin, first), min(origin + n_fft, first + x.shape[-1])
            piece[:, : a - origin] = piece[:, b - origin :] = 0.0
            piece[:, a - origin : b - origin] = source[:, a - first : b - first]
            spectrum = fft.rfft(piece)[:, : len(gain) // 2]
            spectrum.view(np.float64)[...] *= gain
            made = fft.irfft(spectrum, n_ifft)
            target[:, done - start : end - start] = made[:, done - shift : end - shift]
            done = end
    return y.reshape(*x.shape[:-1], -1)


def response(kernel: np.ndarray, n_fft: int, n_ifft: int) -> np.ndarray:
    """Response of a symmetric kernel about its centre, which is real: no delay.

    Parameters
    ----------
    kernel : ndarray of odd length
    n_fft, n_ifft : int
        Lengths of the transforms there and back; their ratio is that of the rates.

    Returns
    -------
    response : ndarray
        For the frequencies up to the lower of the two Nyquist frequencies.
    """
    from scipy import fft

    half = len(kernel) // 2
    centred = np.zeros(n_fft)
    centred[: half + 1], centred[n_fft - half :] = kernel[half:], kernel[:half]
    real: np.ndarray = fft.rfft(centred).real[: min(n_fft, n_ifft) // 2 + 1] * (n_ifft / n_fft)
    if n_fft != n_ifft:
        real[-1] = 0.0  # the Nyquist frequency itself, which one of the two cannot hold
    return real


def pass_band(
    settings: "Preprocessing", sfreq: float
) -> tuple[float | None, float | None, list[str]]:
    """High-pass and low-pass in Hz, as far as a source can hold them, and notes on what cannot be.

    Raises
    ------
    PreprocessingError
        If nothing is left between the two.
    """
    notes = []
    highpass, lowpass = settings.highpass, settings.lowpass
    if lowpass is not None and lowpass > 0.45 * sfreq:
        lowpass = 0.45 * sfreq
        notes.append(f"low-pass lowered to {lowpass:g} Hz: 0.45 of the {sfreq:g} Hz of the source")
    top = min(sfreq, settings.sfreq) / 2 if lowpass is None else lowpass
    if highpass is not None and highpass >= top:
        raise PreprocessingError(
            f"a high-pass of {highpass:g} Hz leaves nothing below the {top:g} Hz that a recording "
            f"at {sfreq:g} Hz can hold: lower highpass."
        )
    return highpass, lowpass, notes


def design_chain(
    settings: "Preprocessing", sfreq: float, n_times: int, line_freq: float | None
) -> tuple[Chain, dict[str, Any]]:
    """Kernels for signals of `n_times` samples, and the part of the history that describes them."""
    from mne.filter import create_filter
    from scipy.signal import fftconvolve, firwin, kaiserord

    seconds = n_times / sfreq
    nyquist = min(sfreq, settings.sfreq) / 2
    highpass, lowpass, notes = pass_band(settings, sfreq)
    top = nyquist if lowpass is None else lowpass
    removes_mean = False
    if highpass is not None:
        needed = _FIR_LENGTH / min(max(0.25 * highpass, 2.0), highpass)
        if removes_mean := seconds < needed:
            notes.append(
                f"not high-passed: {seconds:g} s are shorter than the filter ({needed:g} s at "
                f"{highpass:g} Hz); the mean of each channel was removed instead"
            )
            highpass = None
    kernel = np.ones(1)
    stop = top
    if highpass is not None or lowpass is not None:
        transition: float | str = "auto"
        if lowpass is not None:
            # MNE's automatic width, but the stop band begins at the Nyquist frequency at latest.
            transition = min(max(0.25 * lowpass, 2.0), nyquist - lowpass)
            stop = lowpass + transition
        kernel = create_filter(
            None, sfreq, highpass, lowpass, h_trans_bandwidth=transition, verbose="error"
        )
    notches, notch = _notches(line_freq, stop, sfreq, seconds, notes)
    if notch is not None:
        kernel = fftconvolve(kernel, notch)

    ratio = Fraction(settings.sfreq / sfreq).limit_denominator(_MAX_DENOMINATOR)
    up, down = ratio.numerator, ratio.denominator
    interpolator = np.ones(1)
    if up != down:
        # The stop bands above are 50 dB down; this one lets the spectrum be cut at its end.
        edge = min(stop, 0.95 * nyquist)
        n_taps, beta = kaiserord(_ANTI_ALIAS_DB, (nyquist - edge) / (sfreq / 2))
        cutoff = (edge + nyquist) / 2
        kernel = fftconvolve(kernel, firwin(n_taps | 1, cutoff, window=("kaiser", beta), fs=sfreq))
    if up > 1:
        n_taps, beta = kaiserord(80.0, (sfreq - 2 * edge) / (up * sfreq / 2))
        interpolator = up * firwin(n_taps | 1, sfreq / 2, window=("kaiser", beta), fs=up * sfreq)
    chain = Chain(
        kernel=kernel,
        interpolator=interpolator.astype(np.float32),
        up=up,
        down=down,
        n_times=n_times,
        removes_mean=removes_mean,
        spectral=up != down and max(up, down) <= _MAX_SPECTRAL_RATIO,
    )
    return chain, {"highpass": highpass, "lowpass": lowpass, "notch": notches, "notes": notes}


def _notches(
    line_freq: float | None, stop: float, sfreq: float, seconds: float, notes: list[str]
) -> tuple[list[float], np.ndarray | None]:
    """Band-stop kernel at the mains frequency and its harmonics below `stop` Hz; MNE's widths."""
    from mne.filter import create_filter

    if line_freq is None:
        return [], None
    # A band-stop's transition is shared by its two flanks, so its kernel is twice as long.
    transition = max(_NOTCH_TRANSITIONS[0], 2 * _FIR_LENGTH / seconds)
    if transition > _NOTCH_TRANSITIONS[1]:
        notes.append(f"no notch at {line_freq:g} Hz: {seconds:g} s are too short for its filter")
        return [], None
    wanted = line_freq * np.arange(1, ceil(stop / line_freq))
    half_width = wanted / 400 + transition / 2
    if (wanted[1:] - half_width[1:] <= wanted[:-1] + half_width[:-1]).any():
        notes.append(
            f"no notch at {line_freq:g} Hz: its multiples lie too close for flanks of "
            f"{transition:.3g} Hz"
        )
        return [], None
    fits = (wanted + half_width < sfreq / 2) & (wanted > half_width)
    for freq in wanted[~fits] if wanted.size else [line_freq]:
        why = "not representable" if wanted.size else "beyond the pass band"
        notes.append(f"no notch at {freq:g} Hz: {why} at a sampling rate of {sfreq:g} Hz")
    if not fits.any():
        return [], None
    if transition > _NOTCH_TRANSITIONS[0]:
        notes.append(f"notch with flanks of {transition:.3g} Hz, for a signal of {seconds:g} s")
    kernel = create_filter(
        None,
        sfreq,
        (wanted + half_width)[fits],
        (wanted - half_width)[fits],
        l_trans_bandwidth=transition / 2,
        h_trans_bandwidth=transition / 2,
        verbose="error",
    )
    return wanted[fits].tolist(), kernel


def fill_gaps(x: np.ndarray, gap: np.ndarray, longest: int) -> np.ndarray:
    """Copy of `x` (..., T) with gaps filled.

    Up to `longest` samples by a line between their neighbours, longer ones by the nearer neighbour:
    what is filled in must not depend on samples further away than a piece of a recording is read.
    """
    x = x.copy()
    for row, missing in zip(x.reshape(-1, x.shape[-1]), gap.reshape(-1, x.shape[-1]), strict=True):
        if not missing.any():
            continue
        known, index = np.flatnonzero(~missing), np.flatnonzero(missing)
        if not known.size:
            row[:] = 0.0
            continue
        after = np.searchsorted(known, index)
        left, right = known[np.maximum(after - 1, 0)], known[np.minimum(after, known.size - 1)]
        hold = np.where(index - left <= right - index, row[left], row[right])
        # At the ends both neighbours are the same sample, and np.interp holds it.
        row[index] = np.where(right - left > longest + 1, hold, np.interp(index, known, row[known]))
    return x
