"""The report's figures: arrays in, matplotlib `Figure` out.

Nothing here touches pyplot, a display or the user's settings: figures are objects of their own, to
be drawn inside `drawing.style`. All are equally wide, so that letters have one size on the page,
and colours keep their meaning: an electrode, a class and "bad" look the same everywhere.

Shape legend: C channels, T samples, F frequencies, R rows (windows or epochs).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from eegfoundation.report.drawing import (
    BAD,
    FAINT,
    INK,
    MUTED,
    OTHER,
    TimeAxis,
    axes_with_events,
    channel_colours,
    draw_head,
    known_positions,
    label_channels,
    plain,
)
from eegfoundation.tokenizer import N_BINS, PAD, UNK, AmplitudeTokenizer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from eegfoundation.recording import Recording

WIDTH = 11.0  # inches
MAX_TRACES, MAX_DOTS = 32, 3000
QUALITY = LinearSegmentedColormap.from_list("quality", [BAD, "#f2b35e", "#f7ecc8", "#cfe6dd"])
SPECIAL = {"UNK: sample not usable": (UNK, "#f2c230"), "PAD: channel flat or missing": (PAD, MUTED)}
CENTRE = (N_BINS - 1) / 2


def electrodes_and_quality(recording: Recording, quality: np.ndarray, axis: TimeAxis) -> Figure:
    """Electrodes seen from above, beside the share of usable samples (R, C)."""
    n_chans = recording.n_chans
    known = known_positions(recording)
    height = float(np.clip(0.19 * n_chans + 0.9, 4.6 if known.any() else 1.8, 9.0))
    fig = Figure(figsize=(WIDTH, height), dpi=160, layout="constrained")
    if known.any():
        head, ax = fig.subplots(1, 2, width_ratios=[1, 1.3])
        _draw_electrodes(head, recording, known)
    else:
        ax = fig.subplots()
    ax.set_title("Usable share of every window")
    values, axis = axis.binned(quality.T)
    image = ax.imshow(
        values,
        aspect="auto",
        cmap=QUALITY,
        norm=Normalize(0, 1),
        interpolation="nearest",
        extent=(axis.edges[0], axis.edges[-1], n_chans - 0.5, -0.5),
    )
    label_channels(ax, recording.ch_names, recording.bads)
    ax.set_xlabel(axis.label)
    bar = fig.colorbar(image, ax=ax, aspect=30, pad=0.02, ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["0 %", "50 %", "100 %"])
    bar.outline.set_visible(False)
    return fig


def _draw_electrodes(ax: Axes, recording: Recording, known: np.ndarray) -> None:
    ax.set_title("Electrodes, seen from above")
    xy = draw_head(ax, recording.positions[known])
    few, some = recording.n_chans <= 40, recording.n_chans <= 80
    ax.scatter(
        xy[:, 0], xy[:, 1], s=60 if some else 25, c=channel_colours(recording)[known], zorder=3
    )
    for (x, y), i in zip(xy, np.flatnonzero(known), strict=True):
        name = recording.ch_names[i]
        is_bad = name in recording.bads
        if is_bad:
            ax.scatter(x, y, s=110, c=BAD, marker="x", linewidths=2.2, zorder=4)
        look: dict[str, Any] = {"size": 8.5 if few else 6.5 if some else 4.5, "ha": "center"}
        ax.text(x, y - 0.055, plain(name), color=BAD if is_bad else INK, va="top", **look)


def signal_and_tokens(
    x: np.ndarray,
    times: np.ndarray,
    recording: Recording,
    tokenizer: AmplitudeTokenizer,
    colours: dict[str, str],
) -> Figure:
    """Traces of `x` (C, T) microvolts at `times` (T,) seconds, above the tokens of every sample."""
    picks = np.linspace(0, len(x) - 1, min(len(x), MAX_TRACES)).round().astype(int)
    x, names = x[picks], [recording.ch_names[i] for i in picks]
    half = float(np.clip(0.17 * len(x), 1.4, 4.2))
    # fine enough for a column of pixels per sample: averaged tokens would be no tokens
    fig = Figure(figsize=(WIDTH, 2 * half + 1.2), dpi=220, layout="constrained")
    top, bottom = fig.subplots(2, 1, sharex=True)
    _draw_traces(top, x, times, names, recording.bads, 0.8 * channel_colours(recording)[picks])
    top.set_title(f"The signal, filtered and resampled to {recording.sfreq:g} Hz", pad=16)
    span = (float(times[0]), float(times[-1]))
    _draw_tokens(fig, bottom, tokenizer.encode(x)[0], tokenizer, span)
    bottom.set_title("What the model reads: one token per sample")
    bottom.set_xlabel("time (s)")
    for ax in (top, bottom):
        label_channels(ax, names, recording.bads)
    last = -np.inf
    for onset, _, text in recording.events:
        if span[0] <= onset <= span[1] and recording.n_epochs is None:
            colour = colours.get(text, OTHER)
            for ax in (top, bottom):
                ax.axvline(onset, color=colour, lw=1.4, zorder=4)
            if onset - last > (span[1] - span[0]) / 12:  # names must not overprint each other
                top.text(onset, -1.05, f" {plain(text)[:24]}", color=colour, size=9)
                last = onset
    return fig


def _draw_traces(
    ax: Axes,
    x: np.ndarray,
    times: np.ndarray,
    names: Sequence[str],
    bads: Sequence[str],
    colours: np.ndarray,
) -> None:
    """One trace per row; bad channels grey and clipped."""
    spacing = _spacing([row for row, name in zip(x, names, strict=True) if name not in bads])
    for row, (trace, name) in enumerate(zip(x, names, strict=True)):
        is_bad = name in bads
        y = np.clip(trace, -spacing, spacing) if is_bad else trace
        ax.plot(times, row - y / spacing, color=OTHER if is_bad else tuple(colours[row]), lw=0.6)
    ax.set(ylim=(len(x), -1), xlim=(times[0], times[-1]))
    height = 1 / (len(x) + 1)  # of one spacing, in axes units
    look: dict[str, Any] = {"transform": ax.transAxes, "color": INK}
    (line,) = ax.plot([1.01] * 2, [0.5 - height / 2, 0.5 + height / 2], lw=2, clip_on=False, **look)
    text = ax.text(1.017, 0.5, f"{spacing:g} µV", va="center", **look)
    for artist in (line, text):  # stands beside the colour bar of the tokens: needs no room
        artist.set_in_layout(False)
    ax.spines["left"].set_visible(False)


def _spacing(rows: Sequence[np.ndarray]) -> float:
    """Microvolts between neighbouring traces: a round number that keeps most of them apart."""
    spreads = [np.ptp(np.percentile(row[np.isfinite(row)], [1, 99])) for row in rows
               if np.isfinite(row).any()]  # fmt: skip
    wanted = max(float(np.median(spreads)), 1e-3) if spreads else 100.0
    power = 10.0 ** np.floor(np.log10(wanted))
    return float(power * min((1, 2, 5, 10), key=lambda m: abs(np.log(m * power / wanted))))


def _draw_tokens(
    fig: Figure,
    ax: Axes,
    ids: np.ndarray,
    tokenizer: AmplitudeTokenizer,
    span: tuple[float, float],
) -> None:
    """Colour by token (C, T); the colour bar says which amplitude that is."""
    amplitudes = ids[ids < N_BINS]
    if tokenizer.scaling == "minmax" or amplitudes.size == 0:
        norm = Normalize(0, N_BINS - 1)
        ticks = np.array([0, 500, 1000, 1500, N_BINS - 1])
        labels = [f"token {tick}" for tick in ticks]
    else:
        reach = max(float(np.percentile(np.abs(amplitudes - CENTRE), 99.5)), 10.0)
        norm = Normalize(CENTRE - reach, CENTRE + reach)
        coarse, fine = (10, 100, 1000), (3, 10, 30, 100, 300, 1000)
        positive = np.array(coarse if len(ids) < 9 else fine, dtype=float)
        microvolts = np.concatenate([-positive[::-1], [0.0], positive])
        ticks = tokenizer.encode(microvolts)[0]
        inside = np.abs(ticks - CENTRE) <= reach
        ticks, microvolts = ticks[inside], microvolts[inside]
        labels = [
            f"{'+' if v > 0 else ''}{v:g} µV: {t}" for v, t in zip(microvolts, ticks, strict=True)
        ]
    cmap = mpl.colormaps["RdBu_r"]
    rgb = cmap(norm(ids))[..., :3]
    for token, colour in SPECIAL.values():
        rgb[ids == token] = to_rgb(colour)
    ax.imshow(rgb, aspect="auto", interpolation="nearest", extent=(*span, len(ids) - 0.5, -0.5))
    scale = mpl.cm.ScalarMappable(norm, cmap)
    bar = fig.colorbar(scale, ax=ax, ticks=list(ticks), pad=0.012, aspect=30)
    bar.ax.set_yticklabels(labels, fontsize=8.5)
    bar.outline.set_visible(False)
    found = [Patch(color=c, label=name) for name, (t, c) in SPECIAL.items() if (ids == t).any()]
    if found:
        ax.legend(handles=found, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderpad=0)


def spectra(
    densities: Sequence[tuple[np.ndarray, np.ndarray]], recordings: Sequence[Recording]
) -> Figure:
    """Frequencies (F,) and power (C, F), before and after preprocessing; a line per channel."""
    done = recordings[1].history["preprocessing"]
    fig = Figure(figsize=(WIDTH, 3.9), dpi=160, layout="constrained")
    axes = fig.subplots(1, 2, sharey=True)
    stop = min(float(densities[0][0][-1]), 125.0)
    edge = stop if done["lowpass"] is None else min(done["lowpass"], stop)
    levels = []
    for ax, (freqs, psd), recording in zip(axes, densities, recordings, strict=True):
        decibels = 10 * np.log10(np.maximum(psd, 1e-9))
        decibels[~(psd.max(axis=1) > 1e-6)] = np.nan  # flat: no line
        colours = 0.9 * channel_colours(recording)
        for row, name in enumerate(recording.ch_names):
            is_bad = name in recording.bads
            look = {"color": OTHER, "ls": ":"} if is_bad else {"color": tuple(colours[row])}
            ax.plot(freqs, decibels[row], lw=0.9, alpha=0.85, **look)
        shown = decibels[:, (freqs >= 1) & (freqs <= edge)]
        levels.append(shown[np.isfinite(shown)])
        ax.set(xlabel="frequency (Hz)", xlim=(0, stop))
        ax.grid(color=FAINT, lw=0.6)
    level = np.concatenate(levels)
    low, high = np.percentile(level, [1, 100]) if level.size else (-20, 20)
    top = high + 8
    axes[0].set(ylim=(low - 10, top), ylabel="power (dB re 1 µV²/Hz)")
    axes[0].set_title(f"Before: as recorded ({recordings[0].sfreq:g} Hz)")
    axes[1].set_title(f"After: what is tokenised ({recordings[1].sfreq:g} Hz)")
    lines = done["notch"] or ([done["line_freq"]] if done["line_freq"] else [])
    for ax in axes:
        for freq in lines:
            if freq <= stop:
                ax.axvline(freq, color=BAD, lw=1, ls="--", zorder=1)
                ax.text(freq, top, f" {freq:g} Hz", color=BAD, size=8.5, va="top")
    if edge < stop:
        axes[1].axvspan(edge, stop, color=FAINT, alpha=0.5, lw=0)
        middle = (edge + stop) / 2
        axes[1].text(middle, top, "filtered out", color=MUTED, size=8.5, va="top", ha="center")
    return fig


def embedding_map(
    scores: np.ndarray,
    explained: np.ndarray,
    similarity: np.ndarray,
    axis: TimeAxis,
    recording: Recording,
    colours: dict[str, str],
) -> Figure:
    """Principal components (R, K), and how alike all pairs of (averaged) windows are."""
    fig = Figure(figsize=(WIDTH, 7.6), dpi=160, layout="constrained")
    upper, lower = _subfigures(fig, 2, 1, height_ratios=[1.75, 1], hspace=0.03)
    path, pairs = upper.subplots(1, 2, width_ratios=[1.12, 1])
    step = -(-len(scores) // MAX_DOTS)
    path.plot(*scores[::step, :2].T, color=FAINT, lw=0.9, zorder=1)
    size = 26 if len(scores) < 500 else 9
    when = axis.centres[::step]
    dots = path.scatter(*scores[::step, :2].T, c=when, cmap="viridis", s=size, zorder=2)
    path.set_title("Path through embedding space")
    path.set_xlabel(f"PC 1 ({explained[0]:.0%} of variance)")
    path.set_ylabel(f"PC 2 ({explained[1]:.0%})")
    extent = (axis.edges[0], axis.edges[-1], axis.edges[-1], axis.edges[0])
    norm = Normalize(-1, 1)
    image = pairs.imshow(
        similarity, cmap="RdBu_r", norm=norm, interpolation="nearest", extent=extent
    )
    pairs.set_title("Every window against every other")
    pairs.set_xlabel(axis.label)
    for ax, drawn, label in ((path, dots, axis.label), (pairs, image, "correlation")):
        bar = upper.colorbar(drawn, ax=ax, label=label, aspect=35, pad=0.02)
        bar.outline.set_visible(False)

    ax = axes_with_events(lower, axis, recording, colours, ())
    values, axis = axis.binned(scores.T)
    look: dict[str, Any] = {"marker": "o", "ms": 3} if len(axis.centres) < 100 else {}
    for row, (value, colour) in enumerate(
        zip(values, ("#264653", "#2a9d8f", "#e9a23b"), strict=False)
    ):
        ax.plot(axis.centres, value, lw=1.3, color=colour, label=f"PC {row + 1}", **look)
    ax.set_ylabel("score")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), borderaxespad=0.2)
    ax.grid(axis="y", color=FAINT, lw=0.6)
    return fig


def _subfigures(fig: Figure, n_rows: int, n_cols: int, **layout: Any) -> list[Any]:
    """`Figure.subfigures`, whose declared type forgets that several come as an array."""
    parts: Any = fig.subfigures(n_rows, n_cols, **layout)
    return list(parts)


def class_probabilities(
    probabilities: np.ndarray,
    classes: Sequence[str],
    axis: TimeAxis,
    recording: Recording,
    colours: dict[str, str],
    shares: dict[str, float] | None,
) -> Figure:
    """Probabilities (n_classes, R), stacked; beside them each electrode's share of attention."""
    fig = Figure(figsize=(WIDTH, 3.9), dpi=160, layout="constrained")
    main: Any = fig
    known = known_positions(recording)
    if shares and known.sum() > 1:
        main, side = _subfigures(fig, 1, 2, width_ratios=[2.6, 1])
        ax = side.subplots()
        xy = draw_head(ax, recording.positions[known])
        percent = [100 * shares[recording.ch_names[i]] for i in np.flatnonzero(known)]
        dots = ax.scatter(*xy.T, c=percent, cmap="magma_r", s=95, ec=MUTED, lw=0.6, zorder=3)
        label = "attention per electrode (%)"
        bar = side.colorbar(dots, ax=ax, orientation="horizontal", label=label, aspect=25, pad=0.02)
        bar.outline.set_visible(False)
    ax = axes_with_events(main, axis, recording, colours, classes)
    values, axis = axis.binned(probabilities)
    upper = np.cumsum(values, axis=0)
    lower = np.vstack([np.zeros(values.shape[1]), upper[:-1]])
    for name, a, b in zip(classes, lower, upper, strict=True):
        ax.stairs(
            b, axis.edges, baseline=a, fill=True, color=colours[name], alpha=0.88, label=plain(name)
        )
    ax.set(ylim=(0, 1), ylabel="probability", yticks=[0, 0.25, 0.5, 0.75, 1])
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=5, columnspacing=1.2)
    return fig
