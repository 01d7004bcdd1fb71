"""Where samples come from: what every source can do, and the one that replays a file."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from eegfoundation.errors import ConfigError, RecordingError

if TYPE_CHECKING:
    from eegfoundation.recording import Recording

Chunk = tuple[np.ndarray, np.ndarray]
"""Time stamps (n,) in seconds and samples (n_chans, n) in microvolts."""
WAIT_SECONDS = 0.1  # a source gives up waiting after this, so that the view and Ctrl-C go on


class Source(Protocol):
    """A stream of samples."""

    recording: Recording
    """Channels, rate and positions; it holds no data."""
    checks_units: bool
    """Amplitudes are still to be checked against the declared unit."""

    def read(self, n: int) -> Chunk | None:
        """Wait for up to `n` samples; fewer, or none, if they do not come. None: the end."""

    def backlog(self) -> int:
        """Samples that wait to be read already."""

    def age(self, stamp: float) -> float:
        """Seconds since the sample of this time stamp existed."""

    def close(self) -> None:
        """Let go of whatever is held."""


class ReplaySource:
    """A recording, given out as if it were being made now.

    Parameters
    ----------
    source : path | mne.io.Raw | ndarray | Recording
        Anything continuous that `read_recording` takes.
    speed : float
        1: in real time; 2: twice as fast; 0: as fast as possible, and no prediction is skipped.
    sfreq, ch_names, units
        As in `read_recording`.

    Raises
    ------
    EEGFoundationError
        If the source cannot be read, or is no continuous recording.
    """

    checks_units = False  # reading did

    def __init__(
        self,
        source: Any,
        speed: float = 1.0,
        *,
        sfreq: float | None = None,
        ch_names: list[str] | None = None,
        units: str | None = None,
    ) -> None:
        from eegfoundation.recording import Recording, read_recording

        if not 0 <= speed < float("inf"):
            raise ConfigError(f"speed must be 0 (as fast as possible) or more, found {speed!r}.")
        if not isinstance(source, Recording):
            source = read_recording(source, sfreq=sfreq, ch_names=ch_names, units=units)
        if source.n_epochs is not None:
            raise RecordingError(
                f"{source.name} holds epochs: only a continuous one can be replayed."
            )
        self.recording = source
        self._speed = speed
        self._next = 0
        self._began: float | None = None
        self._block = np.empty((source.n_chans, 0), np.float32)  # read ahead, up to 10 s
        self._block_start = 0
        self._read_at = 0.0

    def read(self, n: int) -> Chunk | None:
        """Wait until `n` samples would have been recorded."""
        if self._began is None:
            self._began = time.monotonic()
        left = self.recording.n_times - self._next
        if left <= 0:
            return None
        n = min(n, left)
        if self._speed:
            due = self._moment(self._next + n)
            time.sleep(min(max(0.0, due - time.monotonic()), WAIT_SECONDS))
            n = min(n, self.backlog())
        start, self._next = self._next, self._next + n
        self._read_at = time.monotonic()
        stamps = np.arange(start, self._next) / self.recording.sfreq
        return stamps, self._samples(start, self._next)

    def _samples(self, start: int, stop: int) -> np.ndarray:
        if stop > self._block_start + self._block.shape[1]:
            ahead = max(stop, start + round(10 * self.recording.sfreq))
            self._block = self.recording.get_data(start, min(ahead, self.recording.n_times))
            self._block_start = start
        return self._block[:, start - self._block_start : stop - self._block_start]

    def _moment(self, n: int) -> float:
        """When `n` samples have been recorded."""
        assert self._began is not None
        return self._began + n / self.recording.sfreq / self._speed

    def backlog(self) -> int:
        """Samples that would have been recorded by now, and were not read."""
        if not self._speed or self._began is None:
            return 0
        recorded = (time.monotonic() - self._began) * self._speed * self.recording.sfreq
        return int(min(recorded + 1e-6, self.recording.n_times)) - self._next

    def age(self, stamp: float) -> float:
        """Seconds since the sample would have been recorded; at speed 0, since it was read."""
        if not self._speed:
            return time.monotonic() - self._read_at
        return time.monotonic() - self._moment(round(stamp * self.recording.sfreq) + 1)

    def close(self) -> None:
        """Nothing is held."""
