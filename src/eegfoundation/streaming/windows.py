"""Samples as they come in -> the window that a prediction is made of, every so often.

As `preprocessing` and `windows` do it to recordings, in the same order: filter, resample, find what
is unusable, re-reference. Everything but the filtering is done anew for each window, so that a
channel which turns out to be flat leaves the window's reference too, also for the seconds before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.errors import PreprocessingError
from eegfoundation.preprocessing import (
    LOWEST_MAINS,
    Preprocessing,
    check_line_freq,
    detect_line_freq,
)
from eegfoundation.quality import (
    ARTEFACT,
    FLAT_SECONDS,
    FLAT_UV,
    NON_FINITE,
    flat_stretches,
)
from eegfoundation.rereferencing import design_reference
from eegfoundation.streaming.clock import SampleClock
from eegfoundation.streaming.filters import CausalDesign, CausalFilter, design_causal
from eegfoundation.streaming.ring import RingBuffer
from eegfoundation.tokenizer import MAX_ABS_UV
from eegfoundation.units import check_units
from eegfoundation.windows import MIN_SECONDS

if TYPE_CHECKING:
    from eegfoundation.recording import Recording

logger = logging.getLogger("eegfoundation")

MAX_SECONDS = 600.0
"""Longest window: all of it is kept in memory, several times."""
START_SECONDS = 4.0
"""Looked at before anything is filtered: mains frequency and units show in it."""


@dataclass(frozen=True, kw_only=True)
class StreamWindow:
    """The newest window of a stream."""

    time: float
    """Time stamp of its newest sample."""
    data: np.ndarray
    """(n_chans, n_times) float32 microvolts at the model's rate, NaN where unusable."""
    quality: np.ndarray
    """(n_chans,) share of usable samples, 0 to 1; 0 for bad and flat channels."""
    n_seen: int
    """Samples at the model's rate since the stream began, or began anew."""

    @property
    def usable(self) -> float:
        """Share of usable samples over all channels."""
        return float(self.quality.mean())


class CausalWindows:
    """Cuts the windows out of a stream.

    Parameters
    ----------
    recording : Recording
        What is known of the stream: `ch_names`, `sfreq`, `positions`, `bads`, `line_freq`; its
        data is not looked at.
    settings : Preprocessing
        Of the model.
    window : float
        Seconds.
    every : float
        Seconds from one window to the next, rounded to samples of the model.
    line_freq : float | None
        Mains frequency, Hz; None: what the stream says, else what its first seconds show.
    checks_units : bool
        Refuse amplitudes that no EEG has.

    Raises
    ------
    PreprocessingError
        The settings do not fit.
    """

    def __init__(
        self,
        recording: Recording,
        settings: Preprocessing,
        window: float,
        every: float = 0.1,
        *,
        line_freq: float | None = None,
        checks_units: bool = True,
    ) -> None:
        sfreq = recording.sfreq
        if not MIN_SECONDS <= window <= MAX_SECONDS:
            raise PreprocessingError(
                f"a window must last at least {MIN_SECONDS} s and at most {MAX_SECONDS:g} s, found "
                f"{window!r}."
            )
        if not 1 / settings.sfreq <= every <= window:
            raise PreprocessingError(
                f"every must lie between a sample and the window of {window:g} s, found {every!r}."
            )
        check_line_freq(line_freq)
        self.recording = recording
        self.settings = settings
        self.n_times = round(window * settings.sfreq)
        self.step = round(every * settings.sfreq)
        self.clock = SampleClock(sfreq)
        self.reference = design_reference(settings.reference, recording)
        self.design: CausalDesign | None = None
        """None until the first seconds are there."""
        self.history: dict[str, Any] = {}
        """What is done to the stream, once that is known: as `history["preprocessing"]`."""
        self._line_freq = line_freq
        self._checks_units = checks_units
        self._bad = np.isin(self.reference.ch_names, self.reference.bads)
        self._lost = np.zeros(len(self.reference.ch_names), bool)
        # a single channel has to be watched for longer to find the mains
        self._n_start = ceil(max(START_SECONDS, 8.0 / recording.n_chans) * sfreq)
        self._first: list[tuple[np.ndarray, np.ndarray]] = []
        self._time = 0.0

    @property
    def n_until_due(self) -> int:
        """Source samples until the next window, if none is missing."""
        if self.design is None:
            return self._n_start - sum(len(times) for times, _ in self._first)
        return self._filter.n_needed(self._due)

    def push(self, times: np.ndarray, x: np.ndarray) -> Iterator[StreamWindow]:
        """Take samples in; give the windows that end within them.

        Parameters
        ----------
        times : ndarray, shape (n,)
            Time stamps, seconds.
        x : ndarray, shape (n_chans, n)
            Microvolts.

        Raises
        ------
        UnitsError
            The amplitudes of the first seconds are no EEG in these units.
        """
        x = np.where(np.abs(x) <= MAX_ABS_UV, x, np.nan)
        for n_missing, run in self.clock.place(times):
            if self.design is None:
                yield from self._begin(times[run], x[:, run], n_missing)
                continue
            if n_missing > self._raw.capacity:
                logger.warning("the gap is longer than the window: starting anew")
                self._restart()
            elif n_missing:
                before = times[run.start] + (np.arange(n_missing) - n_missing) / self.design.sfreq
                yield from self._run(before, np.full((len(x), n_missing), np.nan))
            yield from self._run(times[run], x[:, run])

    def _begin(self, times: np.ndarray, x: np.ndarray, n_missing: int) -> Iterator[StreamWindow]:
        """Collect the first seconds without a gap; then design the filters and run them through."""
        if n_missing:
            self._first = []
        self._first.append((times, x))
        if self.n_until_due > 0:
            return
        stamps = np.concatenate([t for t, _ in self._first])
        x = np.hstack([part for _, part in self._first])
        self._first = []
        recording, settings = self.recording, self.settings
        if self._checks_units:
            first = x.astype(np.float32)
            check_units(replace(recording, reader=lambda a, b: first[:, a:b], n_times=x.shape[1]))
        freq, source = self._mains(x)
        design = design_causal(settings, recording.sfreq, freq)
        self.history = {
            "settings": settings.to_dict(),
            "sfreq_before": recording.sfreq,
            "sfreq": settings.sfreq,
            **design.description,
            "line_freq": freq,
            "line_freq_source": source,
            "delay_ms_at_10_hz": round(1e3 * design.delay(10.0), 1),
            "reference": settings.reference,
            "artefact_uv": settings.artefact_uv,
            "notes": design.description["notes"] + self.reference.notes,
        }
        self.design = design
        # what comes out at a moment was put in this long before
        self._lag = max(0, round(design.delay(10.0) * design.sfreq))
        self._restart()
        yield from self._run(stamps, x)

    def _mains(self, x: np.ndarray) -> tuple[float | None, str]:
        """Mains frequency and who said so."""
        notch = self.settings.notch
        if notch is None:
            return None, "off"
        if self._line_freq is not None:
            return self._line_freq, "argument"
        if not isinstance(notch, str):
            return float(notch), "settings"
        if self.recording.line_freq and self.recording.line_freq >= LOWEST_MAINS:
            return self.recording.line_freq, "stream"
        good = ~np.isin(self.recording.ch_names, self.recording.bads)
        found = detect_line_freq(x[good], self.recording.sfreq)
        return found, "none found" if found is None else "detected"

    def _restart(self) -> None:
        """Forget every sample."""
        assert self.design is not None
        design, n_chans = self.design, self.recording.n_chans
        span = ceil((self.n_times + 2) * design.down / design.up) + self._lag
        self._raw = RingBuffer(n_chans, span + ceil(FLAT_SECONDS * design.sfreq))
        # a slow source gives several target samples at once, and a window may end before the last
        self._filtered = RingBuffer(n_chans, self.n_times + ceil(design.up / design.down))
        self._filter = CausalFilter(design, n_chans)
        self._due = self.step

    def _run(self, times: np.ndarray, x: np.ndarray) -> Iterator[StreamWindow]:
        """Samples without a gap, cut where a window is due."""
        while len(times):
            n = min(self._filter.n_needed(self._due), len(times))
            self._raw.push(x[:, :n])
            self._filtered.push(self._filter(x[:, :n]))
            self._time = float(times[n - 1])
            while self._filter.n_out >= self._due:
                due, self._due = self._due, self._due + self.step
                yield self._window(due)
            times, x = times[n:], x[:, n:]

    def _window(self, end: int) -> StreamWindow:
        """Mark, re-reference and judge the window before target sample `end`."""
        newer = self._filter.n_out - end
        y = self._filtered.last(self.n_times + newer)[:, : self.n_times].copy()[None]
        causes = self._causes(y[0], end)
        y, why = self.reference(y, None if causes is None else causes[None])
        y = y[0]
        quality = np.ones(len(y), np.float32)
        if why is not None:
            y[why[0] > 0] = np.nan
            quality = 1 - (why[0] > 0).mean(axis=1, dtype=np.float32)
        flat = np.fmax.reduce(y, axis=1) - np.fmin.reduce(y, axis=1) < FLAT_UV
        y[flat] = np.nan
        quality[flat | self._bad] = 0
        self._watch(y)
        return StreamWindow(time=self._time, data=y, quality=quality, n_seen=end)

    def _causes(self, y: np.ndarray, end: int) -> np.ndarray | None:
        """Why samples of `y` (n_chans, n_times) are unusable: positions in `quality.CAUSES`."""
        assert self.design is not None
        design = self.design
        x = self._raw.last(self._raw.capacity)
        missing = ~np.isfinite(x)
        why = missing.astype(np.uint8) * np.uint8(NON_FINITE)
        flat = flat_stretches(np.where(missing, np.float32(1e9), x), design.sfreq)
        if flat is not None:
            why = np.where(missing, why, flat)
        k = np.arange(end - self.n_times, end)
        source = k * design.down // design.up - self._lag
        causes: np.ndarray = why[:, source - self._filter.n_in]  # counted from the newest sample
        causes = np.where(np.isfinite(y), causes, NON_FINITE).astype(np.uint8)
        if self.settings.artefact_uv is not None:
            causes[(np.abs(y) > self.settings.artefact_uv) & (causes == 0)] = ARTEFACT
        return causes if causes.any() else None

    def _watch(self, y: np.ndarray) -> None:
        """Say when a channel is lost, and when it is back: by its newest second."""
        n_recent = min(round(self.settings.sfreq), self.n_times)
        if self._filter.n_out < n_recent + self.step:
            return
        recent = np.isfinite(y[:, -n_recent:]).mean(axis=1)
        lost = np.where(self._lost, recent < 0.9, recent == 0) & ~self._bad
        for text, which in (("no signal", lost & ~self._lost), ("is back", self._lost & ~lost)):
            if which.any():
                names = np.array(self.reference.ch_names)[which]
                shown = ", ".join(names) if not which.all() else "all channels"
                logger.warning(f"{shown}: {text}")
        self._lost = lost
