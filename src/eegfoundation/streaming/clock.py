"""Time stamps -> which samples are missing, late or in their place.

Devices drift, drivers jitter and networks lose. The clock expects every sample one period after the
last and follows slow drift; a stamp further ahead than `TOLERANCE` is a gap, one further behind
is late. A late sample cannot be used: what follows it went through the filters already.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

import numpy as np

logger = logging.getLogger("eegfoundation")

TOLERANCE = 0.05
"""Seconds: drivers that stamp whole chunks are off by tens of milliseconds."""
UNKNOWN = 2**40
"""Samples that count as missing when a clock was set back: nothing of before can be used."""
_FOLLOW = 0.01  # of a deviation is corrected at each sample: drift is followed, jitter is not


@dataclass(kw_only=True)
class Counts:
    """What happened to the samples of a stream."""

    n_samples: int = 0
    """In their place."""
    n_gaps: int = 0
    n_missing: int = 0
    """Samples that the gaps would have held."""
    n_late: int = 0
    """Late, repeated or out of order: not used."""


class SampleClock:
    """Finds the place of every sample.

    Parameters
    ----------
    sfreq : float
        Nominal sampling rate, Hz.
    """

    def __init__(self, sfreq: float) -> None:
        self.sfreq = sfreq
        self.counts = Counts()
        self._expected: float | None = None
        self._late_run = 0

    def place(self, times: np.ndarray) -> Iterator[tuple[int, slice]]:
        """Iterate over runs of samples without a gap inside.

        Parameters
        ----------
        times : ndarray, shape (n,)
            Seconds on any clock. What is not finite counts as expected.

        Yields
        ------
        n_missing : int
            Samples missing before the run; `UNKNOWN` after a clock was set back.
        run : slice
            Samples in their place. Late ones lie between the slices.
        """
        first, missing, n_late, latest = 0, 0, 0, 0.0
        for i, stamp in enumerate(times.tolist()):
            if self._expected is None:
                self._expected = stamp if isfinite(stamp) else 0.0
            ahead = stamp - self._expected if isfinite(stamp) else 0.0
            # late for a whole second: not the samples, the clock is another one
            if ahead < -TOLERANCE and self._late_run < self.sfreq:
                if i > first:
                    yield missing, slice(first, i)
                    missing = 0
                first = i + 1
                self._late_run += 1
                n_late += 1
                latest = max(latest, -ahead)
                continue
            if abs(ahead) > TOLERANCE:
                if i > first:
                    yield missing, slice(first, i)
                    missing = 0
                first = i
                if ahead > 0:
                    gap = round(ahead * self.sfreq)
                    missing += gap
                    self.counts.n_gaps += 1
                    self.counts.n_missing += gap
                    logger.warning(f"gap: {ahead:.3g} s ({gap} samples) are missing")
                else:
                    missing = UNKNOWN
                    logger.warning(f"the clock of the stream was set back by {-ahead:.3g} s")
                self._expected, ahead = stamp, 0.0
            self._late_run = 0
            self.counts.n_samples += 1
            self._expected += 1 / self.sfreq + _FOLLOW * ahead
        if len(times) > first:
            yield missing, slice(first, len(times))
        if n_late:
            self.counts.n_late += n_late
            logger.warning(f"{n_late} samples came late, by up to {latest:.3g} s: not used")
