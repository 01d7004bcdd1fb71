"""Source, windows and model joined: one row for every moment that a prediction is due."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.streaming.windows import CausalWindows

if TYPE_CHECKING:
    from eegfoundation.streaming.decoder import Decoder
    from eegfoundation.streaming.sources import Source

logger = logging.getLogger("eegfoundation")

_SILENCE = 1.0  # seconds without a sample: say so, and again after each


@dataclass(frozen=True, kw_only=True)
class Row:
    """One prediction, or why there is none."""

    time: float
    """Time stamp of the newest sample in the window."""
    latency: float
    """Seconds from that sample to the prediction."""
    values: np.ndarray | None
    """Probabilities, or an embedding averaged over usable channels; None: no prediction."""
    predicted: str | None
    """Class of the highest probability."""
    quality: np.ndarray
    """(n_chans,) share of usable samples in the window."""
    status: str
    """"ok", or why there is no prediction."""


class Session:
    """Predictions of one model from one stream.

    Parameters
    ----------
    source : Source
    decoder : Decoder
    window : float | None
        Seconds; None: what the model was made for.
    every : float
        Seconds from one prediction to the next.
    line_freq : float | None
        Mains frequency, Hz; None: what the source says, else what its first seconds show.
    """

    def __init__(
        self,
        source: Source,
        decoder: Decoder,
        window: float | None = None,
        every: float = 0.1,
        *,
        line_freq: float | None = None,
    ) -> None:
        self.source = source
        self.decoder = decoder
        self.windows = CausalWindows(
            source.recording,
            decoder.preprocessing,
            decoder.window if window is None else window,
            every,
            line_freq=line_freq,
            checks_units=source.checks_units,
        )
        self.n_predicted = 0
        self.n_skipped = 0
        """Predictions left out because newer samples were waiting already."""

    @property
    def ch_names(self) -> list[str]:
        """Channels of `Row.quality`."""
        return self.windows.reference.ch_names

    @property
    def history(self) -> dict[str, Any]:
        """What was done to the stream, by which model, and what happened on the way."""
        return {
            **self.source.recording.history,
            "preprocessing": self.windows.history,
            "model": self.decoder.describe(),
            "stream": {
                "window": self.windows.n_times / self.decoder.preprocessing.sfreq,
                "every": self.windows.step / self.decoder.preprocessing.sfreq,
                **asdict(self.windows.clock.counts),
                "n_predicted": self.n_predicted,
                "n_skipped": self.n_skipped,
            },
        }

    def rows(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Row]:
        """Iterate over predictions until the source ends, or `stop` says so."""
        windows, source = self.windows, self.source
        stamp, heard, said = 0.0, time.monotonic(), 0
        with self.decoder.running():
            while not stop():
                chunk = source.read(windows.n_until_due)
                if chunk is None:
                    return
                times, x = chunk
                if not len(times):
                    silence = time.monotonic() - heard
                    if silence >= (said + 1) * _SILENCE:
                        said = int(silence // _SILENCE)
                        yield self._silent(stamp, silence)
                    continue
                stamp, heard, said = float(times[-1]), time.monotonic(), 0
                for window in windows.push(times, x):
                    # what is old already when it is done helps nobody
                    if source.backlog() >= windows.n_until_due > 0:
                        self._skip()
                        continue
                    decoded = self.decoder(window)
                    best = None
                    if decoded.values is not None:
                        self.n_predicted += 1
                        if self.decoder.classes:
                            best = self.decoder.classes[int(decoded.values.argmax())]
                    yield Row(
                        time=window.time,
                        latency=source.age(window.time),
                        values=decoded.values,
                        predicted=best,
                        quality=window.quality,
                        status=decoded.status,
                    )

    def _silent(self, stamp: float, silence: float) -> Row:
        return Row(
            time=stamp + silence,
            latency=0.0,
            values=None,
            predicted=None,
            quality=np.zeros(len(self.ch_names), np.float32),
            status=f"no samples for {silence:.0f} s",
        )

    def _skip(self) -> None:
        self.n_skipped += 1
        if self.n_skipped in (1, 10, 100) or self.n_skipped % 1000 == 0:
            logger.warning(
                f"predictions come too late: {self.n_skipped} skipped so far; a longer --every, "
                "more --threads or --dtype bfloat16 helps"
            )
