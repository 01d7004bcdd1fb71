"""What a corpus is made with: one object, checked once and stored beside the shards.

Every value that changes a bit of a shard is in here, and nothing else is: a restart compares these
settings with the stored ones, so that no corpus is half of one kind and half of another.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from typing import Any

from eegfoundation.errors import ConfigError
from eegfoundation.montage import CHANNELS_10_20
from eegfoundation.preprocessing import Preprocessing
from eegfoundation.windows import MAX_SECONDS


@dataclass(frozen=True, kw_only=True)
class CorpusSettings:
    """Settings of `build_corpus`.

    Raises
    ------
    ConfigError
        A value is impossible, or two contradict each other.
    """

    layout: str = "folder"
    """How the sources are arranged: a key of `layouts.LAYOUTS`, or "module:name" of your own."""
    window: float = 10.0
    """Length of a training window, seconds."""
    min_quality: float = 1.0
    """Smallest share of usable samples that a channel window needs, above 0 and up to 1."""
    channels: tuple[str, ...] | None = None
    """Channels to use, every one of which a recording must have; None: whatever is EEG."""
    min_duration: float = 0.0
    """Recordings shorter than this are left out, seconds."""
    skip_start: float = 0.0
    """Seconds cut off at the beginning."""
    skip_end: float = 0.0
    """Seconds cut off at the end."""
    segment: float | None = None
    """Seconds that are kept or rejected together, a multiple of the window; None: the window."""
    segment_uv: float | None = None
    """A segment in which any good channel exceeds this is rejected, microvolts; None: none is."""
    units: str | None = None
    """Unit of the numbers in the files, where they are not what they claim."""
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    """Filters, sampling rate, reference, and the limit of single samples."""

    def __post_init__(self) -> None:
        for name in ("window", "segment", "segment_uv"):
            value = getattr(self, name)
            if value is not None and not (isfinite(value) and value > 0):
                raise ConfigError(f"{name} must be a positive number, found {value!r}.")
        for name in ("min_duration", "skip_start", "skip_end"):
            value = getattr(self, name)
            if not (isfinite(value) and value >= 0):
                raise ConfigError(f"{name} must be 0 s or more, found {value!r}.")
        for name in ("window", "segment", "segment_uv", "min_duration", "skip_start", "skip_end"):
            value = getattr(self, name)
            if value is not None and value > MAX_SECONDS:  # of microvolts it is too much as well
                raise ConfigError(f"{name} must be at most {MAX_SECONDS:g}, found {value!r}.")
        if not 0 < self.min_quality <= 1:
            raise ConfigError(f"min_quality must lie in (0, 1], found {self.min_quality!r}.")
        if self.n_times / self.preprocessing.sfreq != self.window or self.n_times < 2:
            raise ConfigError(
                f"window must be a whole number of samples at {self.preprocessing.sfreq:g} Hz, "
                f"found {self.window!r} s."
            )
        n = self.windows_per_segment
        if n < 1 or abs(n * self.window - (self.segment or self.window)) > 1e-6:
            raise ConfigError(
                f"segment must be a multiple of the window of {self.window:g} s, "
                f"found {self.segment} s."
            )
        if self.segment_uv is not None and self.preprocessing.artefact_uv is not None:
            raise ConfigError(
                f"segment_uv ({self.segment_uv:g}) rejects whole segments and artefact_uv "
                f"({self.preprocessing.artefact_uv:g}) single samples: switch one off by 0."
            )

    @property
    def n_times(self) -> int:
        """Samples per window."""
        return round(self.window * self.preprocessing.sfreq)

    @property
    def windows_per_segment(self) -> int:
        """How many windows are kept or rejected together."""
        return 1 if self.segment is None else round(self.segment / self.window)

    def to_dict(self) -> dict[str, Any]:
        """Values by name, JSON-serialisable."""
        values = asdict(self)
        values["channels"] = None if self.channels is None else list(self.channels)
        return values

    @classmethod
    def for_layout(cls, layout: str, **choices: Any) -> CorpusSettings:
        """Settings of a layout, with the caller's choices on top.

        Parameters
        ----------
        layout : str
            "tueg" starts from the published recipe (19 channels, notch 60 Hz, recordings under
            5 min dropped, first and last minute cut, 30 s segments rejected above 100 microvolts),
            every other layout from the defaults of this class.
        **choices
            Fields of `CorpusSettings` or of `Preprocessing`. None leaves the layout's value; 0
            switches a filter or an amplitude limit off.
        """
        of_preprocessing = {f.name for f in fields(Preprocessing)}
        values = {**_PRESETS.get(layout, {}), **{k: v for k, v in choices.items() if v is not None}}
        for name in _SWITCHES & set(values):
            values[name] = values[name] or None
        if values.get("segment_uv") and "artefact_uv" not in values:
            values["artefact_uv"] = None  # the segment's rule takes the place of the samples'
        if values.get("channels") is not None:
            values["channels"] = tuple(values["channels"]) or None
        preprocessing = {k: values.pop(k) for k in of_preprocessing & set(values)}
        return cls(layout=layout, preprocessing=Preprocessing(**preprocessing), **values)


#: Settings that 0 switches off: on a command line there is no other word for "none".
_SWITCHES = {"highpass", "lowpass", "notch", "artefact_uv", "segment", "segment_uv"}

_PRESETS: dict[str, dict[str, Any]] = {
    "tueg": {
        "channels": CHANNELS_10_20,
        "notch": 60.0,
        "min_duration": 300.0,
        "skip_start": 60.0,
        "skip_end": 60.0,
        "segment": 30.0,
        "segment_uv": 100.0,
    }
}
