"""How every figure of the report looks: settings, colours, time axes, the head, the event lane."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib.style
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Circle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from eegfoundation.recording import Recording

INK, MUTED, FAINT, BAD, OTHER = "#1f2933", "#6b7785", "#d9dee4", "#c0392b", "#a8b0b9"
#: Okabe & Ito's colours, told apart by colour-blind eyes too.
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#b8a500")
MAX_BINS = 1200


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw with our settings and none of the user's; afterwards theirs are back."""
    settings = {
        "font.size": 10,
        "font.family": "DejaVu Sans",  # comes with matplotlib
        "text.color": INK,
        "text.parse_math": False,  # a channel or an event may well be called "$1"
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 10.5,
        "axes.titleweight": "bold",
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "legend.frameon": False,
    }
    with matplotlib.style.context(settings, after_reset=True):
        yield


@dataclass(frozen=True)
class TimeAxis:
    """Where the rows of a table of windows lie on a page."""

    edges: np.ndarray
    """(n_rows + 1,) borders in units of the axis."""
    label: str
    seconds: float | None
    """Seconds per unit; None where rows are epochs, which are counted."""

    @classmethod
    def of(cls, centres: np.ndarray, recording: Recording) -> TimeAxis:
        """Axis for windows around `centres` (n_rows,) seconds, or for epochs."""
        n_rows, length = len(centres), recording.duration
        if recording.n_epochs is not None:
            return cls(np.arange(n_rows + 1) + 0.5, "epoch", None)
        units = ((1, "s", 600), (60, "min", 3 * 3600), (3600, "h", np.inf))
        seconds, unit = next((s, name) for s, name, longest in units if length < longest)
        step = np.median(np.diff(centres)) if n_rows > 1 else 2 * min(centres[0], length / 2)
        edges = np.append(centres - step / 2, centres[-1] + step / 2)
        return cls(edges / seconds, f"time ({unit})", seconds)

    @property
    def centres(self) -> np.ndarray:
        """(n_rows,) in units of the axis."""
        return (self.edges[:-1] + self.edges[1:]) / 2

    def binned(self, values: np.ndarray) -> tuple[np.ndarray, TimeAxis]:
        """Average neighbours of `values` (..., n_rows) until there are few enough to draw."""
        n_rows = values.shape[-1]
        size = -(-n_rows // MAX_BINS)
        if size == 1:
            return values, self
        starts = np.arange(0, n_rows, size)
        usable = np.isfinite(values)
        total = np.add.reduceat(np.where(usable, values, 0), starts, axis=-1)
        count = np.add.reduceat(usable.astype(int), starts, axis=-1)
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        edges = np.append(self.edges[starts], self.edges[-1])
        return mean, TimeAxis(edges, self.label, self.seconds)


def plain(text: str) -> str:
    """`text` with what the figures' font lacks replaced: drawing it would warn."""
    return "".join(c if ord(c) in _glyphs() else "□" for c in text if c.isprintable())


@functools.cache
def _glyphs() -> frozenset[int]:
    """Characters of the figures' font."""
    return frozenset(get_font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap())


def known_positions(recording: Recording) -> np.ndarray:
    """Which channels' places are known: (n_chans,) of bool."""
    known: np.ndarray = np.isfinite(recording.positions).all(axis=1)
    return known


def channel_colours(recording: Recording) -> np.ndarray:
    """Colours by place (n_chans, 3): neighbours look alike, unknown is grey."""
    known = known_positions(recording)
    colours = np.tile(to_rgb(MUTED), (len(known), 1))
    if known.any():
        place = recording.positions[known]
        low, high = place.min(axis=0), place.max(axis=0)
        colours[known] = 0.1 + 0.75 * (place - low) / np.maximum(high - low, 1e-6)
    return colours


def draw_head(ax: Axes, positions: np.ndarray) -> np.ndarray:
    """Draw a head from above; give where `positions` (C, 3) lie on it: (C, 2).

    Distance from the vertex (Cz) is the polar angle on a sphere fitted to the 10-20 electrodes; the
    outline lies at 110 degrees, just below their lowest ring.
    """
    x, y, z = (positions - [0.0, 0.017, 0.044]).T
    tilt = np.arctan2(0.011, 0.096)  # of Cz against the vertical of the head frame
    y, z = y * np.cos(tilt) - z * np.sin(tilt), y * np.sin(tilt) + z * np.cos(tilt)
    distance = np.hypot(x, y)
    radius = np.degrees(np.arctan2(distance, z)) / 110
    look: dict[str, Any] = {"color": OTHER, "lw": 1.4, "zorder": 1}
    ax.add_patch(Circle((0, 0), 1, fill=False, ec=OTHER, lw=1.4, zorder=1))
    ax.plot([-0.1, 0, 0.1], [0.995, 1.11, 0.995], **look)
    arc = np.linspace(-1.2, 1.2, 30)
    for side in (-1, 1):
        ax.plot(side * (0.985 + 0.07 * np.cos(arc)), 0.17 * np.sin(arc), **look)
    ax.set(xlim=(-1.22, 1.22), ylim=(-1.15, 1.2), aspect="equal")
    ax.set_axis_off()
    xy: np.ndarray = (np.stack([x, y]) / np.maximum(distance, 1e-9) * radius).T
    return xy


def label_channels(ax: Axes, names: Sequence[str], bads: Sequence[str]) -> None:
    """Name the rows of `ax`, bad ones in red, as many as fit."""
    rows = range(0, len(names), -(-len(names) // 64))
    ax.set_yticks(list(rows), [plain(names[row]) for row in rows], size=8 if len(rows) < 33 else 6)
    ax.tick_params(axis="y", length=0)
    for tick, row in zip(ax.get_yticklabels(), rows, strict=True):
        if names[row] in bads:
            tick.set_color(BAD)


def axes_with_events(
    fig: Any,
    axis: TimeAxis,
    recording: Recording,
    colours: dict[str, str],
    explained: Sequence[str],
) -> Axes:
    """Axes over time; where there are events, below a lane that shows them.

    What is in `explained` needs no legend of its own.
    """
    if not recording.events or axis.seconds is None:
        ax: Axes = fig.subplots()
    else:
        lane, ax = fig.subplots(2, 1, height_ratios=[1, 11], sharex=True)
        smallest = 0.003 * (axis.edges[-1] - axis.edges[0])
        spans: dict[str, list[tuple[float, float]]] = {}
        for onset, length, text in recording.events:
            span = (onset / axis.seconds, max(length / axis.seconds, smallest))
            spans.setdefault(text if text in colours else "other", []).append(span)
        for text, where in sorted(spans.items()):
            label = "_" if text in explained else plain(text)
            lane.broken_barh(where, (0, 1), color=colours.get(text, OTHER), label=label)
        lane.set(ylim=(0, 1), yticks=[0.5], yticklabels=["events"])
        lane.tick_params(length=0, labelbottom=False)
        lane.spines[:].set_visible(False)
        if set(spans) - set(explained):
            place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1)}
            lane.legend(**place, ncols=5, borderaxespad=0.1, handlelength=1, columnspacing=1.2)
    ax.set_xlabel(axis.label)
    ax.set_xlim(axis.edges[0], axis.edges[-1])
    return ax


def stamp(fig: Figure, text: str) -> None:
    """Say in the picture itself, which may be copied without its page, what it comes from."""
    fig.suptitle(text, x=0.995, ha="right", size=10, weight="bold", color=BAD)
