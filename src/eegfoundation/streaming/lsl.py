"""Lab Streaming Layer: samples in by `LSLSource`, predictions out by `LSLOutlet`.

mne-lsl brings liblsl along and is needed only here. Lost streams are looked for by name until they
are back, by us instead of by liblsl: what happened is then known, logged, and checked to be the
same channels at the same rate. Time stamps are mapped to this machine's clock but not smoothed:
smoothing would hide gaps.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.errors import ChannelError, EEGFoundationError, RecordingError
from eegfoundation.montage import select_channels
from eegfoundation.streaming.sources import WAIT_SECONDS, Chunk
from eegfoundation.units import MICROVOLTS

if TYPE_CHECKING:
    from eegfoundation.recording import Recording
    from eegfoundation.streaming.session import Row

logger = logging.getLogger("eegfoundation")

_UNITS = {
    **dict.fromkeys(("v", "volt", "volts", "0"), "V"),
    **dict.fromkeys(("mv", "millivolt", "millivolts", "-3"), "mV"),
    **dict.fromkeys(("uv", "\u00b5v", "\u03bcv", "microvolt", "microvolts", "-6"), "uV"),
    **dict.fromkeys(("nv", "nanovolt", "nanovolts", "-9"), "nV"),
}
_BUFFERED_SECONDS = 60


def _import_lsl() -> Any:
    try:
        from mne_lsl import lsl
    except ImportError as error:
        raise EEGFoundationError(
            f"Lab Streaming Layer needs mne-lsl, which cannot be imported ({error}): install it by "
            'pip install "eegfoundation[realtime]".'
        ) from error
    return lsl


class LSLSource:
    """A stream on the network.

    Parameters
    ----------
    name : str
        Of the stream.
    timeout : float
        Seconds to look for it.
    ch_names : list of str | None
        Channels to use; None: all that are EEG.
    units : str | None
        Unit of the numbers: V, mV, uV or nV; None: what the stream says, else uV.

    Raises
    ------
    RecordingError
        If there is no such stream, or it has no regular rate or no numbers.
    ChannelError
        If its channels are not named uniquely, or a wanted one is absent.
    """

    def __init__(
        self,
        name: str,
        timeout: float = 10.0,
        *,
        ch_names: list[str] | None = None,
        units: str | None = None,
    ) -> None:
        import mne

        from eegfoundation.recording import read_recording

        self._lsl = _import_lsl()
        self.name = name
        self._inlet: Any = None
        found = self._resolve(timeout)
        if found is None:
            others = sorted({stream.name for stream in self._lsl.resolve_streams(timeout=1.0)})
            seen = f"there are {', '.join(others)}" if others else "there are none at all"
            raise RecordingError(
                f"No LSL stream is called {name!r}, {seen}: start it, or give its exact name."
            )
        info = self._connect(found)
        self._check(info)
        self._n_chans, self._sfreq = info.n_channels, info.sfreq
        given = info.get_channel_names() or [None] * info.n_channels
        names = [n or f"ch{i + 1}" for i, n in enumerate(given)]
        if len(set(names)) < len(names):
            raise ChannelError(f"Stream {name!r} names a channel twice: {', '.join(names)}.")
        channel_info = info.get_channel_info()
        types = channel_info.get_channel_types()
        blank = mne.create_info(names, info.sfreq, types)
        for row, channel in zip(blank["chs"], channel_info["chs"], strict=True):
            row["loc"], row["coord_frame"] = channel["loc"], channel["coord_frame"]
        scale, unit = self._scale(info.get_channel_units() or [None] * len(names), units)
        raw = mne.io.RawArray(np.zeros((len(names), 1)), blank, verbose="ERROR")
        self._picks = select_channels(name, names, types, ch_names).picks
        self.recording: Recording = read_recording(raw, ch_names=ch_names, units=unit)
        self.recording.name = name
        self.recording.history["reading"] |= {"source": name, "format": "LSL", "units": unit}
        self._scale_uv = scale[self._picks, None]
        self.checks_units = units is None

    def _scale(self, declared: list[str | None], units: str | None) -> tuple[np.ndarray, str]:
        """Microvolts per number of each channel, and the unit of most."""
        if units is not None:
            if units not in MICROVOLTS:
                raise RecordingError(f"units={units!r} is unknown: expected one of V, mV, uV, nV.")
            return np.full(len(declared), MICROVOLTS[units]), units
        found = [_UNITS.get(str(unit).strip().lower()) for unit in declared]
        unknown = sorted(
            {str(unit) for unit, known in zip(declared, found, strict=True) if not known}
        )
        if unknown:
            logger.warning(f"{self.name}: unit {', '.join(unknown)} taken for uV")
        known = [unit or "uV" for unit in found]
        most = max(sorted(set(known)), key=known.count)
        return np.array([MICROVOLTS[unit] for unit in known]), most

    def _check(self, info: Any) -> None:
        if info.sfreq <= 0 or info.dtype == "string":
            raise RecordingError(
                f"Stream {self.name!r} has {info.sfreq:g} Hz and type {info.dtype}: expected "
                "numbers at a regular rate."
            )

    def _resolve(self, timeout: float) -> Any:
        found = self._lsl.resolve_streams(timeout=timeout, name=self.name)
        if len(found) > 1:
            logger.warning(f"{len(found)} streams are called {self.name!r}: the newest is used")
        return max(found, key=lambda stream: stream.created_at, default=None)

    def _connect(self, stream: Any) -> Any:
        """Open the stream; give its description."""
        inlet = self._lsl.StreamInlet(
            stream, max_buffered=_BUFFERED_SECONDS, recover=False, processing_flags=["clocksync"]
        )
        inlet.open_stream(timeout=10.0)
        self._inlet = inlet
        return inlet.get_sinfo(timeout=10.0)

    def read(self, n: int) -> Chunk | None:
        """Wait for up to `n` samples; look for the stream if it is lost. It never ends."""
        if self._inlet is None and not self._find_again():
            return self._nothing()
        try:
            samples, stamps = self._inlet.pull_chunk(timeout=WAIT_SECONDS, max_samples=n)
        except RuntimeError as error:  # liblsl: "the connection has been lost"
            logger.warning(f"stream {self.name!r} is lost ({error}); looking for it")
            self._inlet = None
            return self._nothing()
        x = np.asarray(samples, np.float64).T
        return stamps.copy(), x[self._picks] * self._scale_uv

    def _find_again(self) -> bool:
        try:
            found = self._resolve(1.0)
            if found is None:
                return False
            info = self._connect(found)
        except (RuntimeError, TimeoutError) as error:  # gone again in the meantime
            logger.warning(f"stream {self.name!r} did not answer ({error}); trying again")
            self._inlet = None
            return False
        if (info.n_channels, info.sfreq) != (self._n_chans, self._sfreq):
            raise RecordingError(
                f"Stream {self.name!r} came back with {info.n_channels} channels at {info.sfreq:g} "
                f"Hz instead of {self._n_chans} at {self._sfreq:g} Hz: start again."
            )
        logger.warning(f"stream {self.name!r} is back")
        return True

    def _nothing(self) -> Chunk:
        return np.empty(0), np.empty((len(self._picks), 0))

    def backlog(self) -> int:
        """Samples that arrived and were not read."""
        return 0 if self._inlet is None else int(self._inlet.samples_available)

    def age(self, stamp: float) -> float:
        """Seconds since the sample was taken, as its time stamp says."""
        return float(self._lsl.local_clock()) - stamp

    def close(self) -> None:
        """Leave the stream."""
        self._inlet = None


class LSLOutlet:
    """Predictions as a stream: one channel per class, then the share of usable samples.

    NaN stands for no prediction. Time stamps are those of the newest sample in the window.

    Parameters
    ----------
    name : str
        Of the stream; its type is "Predictions", its rate irregular.
    names : list of str
        Of the values.
    """

    def __init__(self, name: str, names: list[str]) -> None:
        lsl = _import_lsl()
        self._clock = lsl.local_clock
        self._n_values = len(names)
        source = f"eegfoundation-{name}-{os.getpid()}"
        info = lsl.StreamInfo(name, "Predictions", len(names) + 1, 0.0, "float32", source)
        info.set_channel_names([*names, "quality"])
        self._outlet = lsl.StreamOutlet(info)

    def write(self, row: Row) -> None:
        """Send one prediction, as of when its newest sample was taken."""
        values = np.full(self._n_values, np.nan) if row.values is None else row.values
        stamp = self._clock() - row.latency
        sample = np.append(values, row.quality.mean()).astype(np.float32)
        self._outlet.push_sample(sample, timestamp=stamp)
