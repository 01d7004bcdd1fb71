"""Pictures of a fine-tuning: arrays in, matplotlib `Figure` out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from eegfoundation.report.drawing import INK, MUTED, PALETTE, draw_head, plain, style


def curves(history: list[dict[str, Any]]) -> Figure:
    """Losses of the training and validation windows, and balanced accuracy, by epoch.

    Parameters
    ----------
    history : list of dict
        From `eegfoundation.finetuning.training.train`.
    """
    with style():
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        for axis, key, name, colour in (
            (left, "loss", "training", INK),
            (left, "eval_loss", "validation", PALETTE[5]),
            (right, "eval_balanced_accuracy", "validation", PALETTE[5]),
        ):
            rows = [row for row in history if key in row]
            if rows:
                epochs = [row["epoch"] for row in rows]
                axis.plot(epochs, [row[key] for row in rows], ".-", color=colour, label=name)
        left.set(xlabel="epoch", title="Loss", ylim=(0, None))
        right.set(xlabel="epoch", title="Balanced accuracy", ylim=(0, 1))
        losses = [(row["eval_loss"], row["epoch"]) for row in history if "eval_loss" in row]
        if losses:
            for axis in (left, right):
                axis.axvline(min(losses)[1], color=MUTED, lw=0.8, ls=":")
            left.legend()
    return figure


def confusion(y: np.ndarray, guess: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Share of each class (a row) that was taken for each class, with numbers of windows.

    Parameters
    ----------
    y, guess : ndarray of integers, shape (n,)
    classes : sequence of str
    title : str
    """
    n = len(classes)
    counts = np.zeros((n, n), dtype=int)
    np.add.at(counts, (y, guess), 1)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    with style():
        size = 2.6 + 0.55 * n
        figure = Figure(figsize=(size + 0.8, size), layout="constrained")
        axis = figure.subplots()
        image = axis.imshow(share, vmin=0, vmax=1, cmap="Blues")
        for row, column in np.ndindex(n, n):
            colour = "white" if share[row, column] > 0.6 else INK
            text = f"{share[row, column]:.0%}\n{counts[row, column]}"
            axis.text(column, row, text, ha="center", va="center", color=colour, size=8)
        names = [plain(name) for name in classes]
        axis.set_xticks(range(n), names, rotation=0 if n < 5 else 45)
        axis.set_yticks(range(n), names)
        axis.set(xlabel="taken for", ylabel="is", title=title)
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
        bar = figure.colorbar(image, ax=axis, ticks=[0, 0.5, 1], aspect=25)
        bar.ax.set_yticklabels(["0 %", "50 %", "100 %"])
        bar.outline.set_visible(False)
    return figure


def attention(
    share: np.ndarray,
    ch_names: Sequence[str],
    positions: np.ndarray,
    of: str = "the decisions",
) -> Figure:
    """Share of each electrode in the decisions, over the head.

    Fewer than four electrodes of known position, or two in one place (as bipolar pairs can be),
    make no map: then there are bars. A map says what share is not on it.

    Parameters
    ----------
    share : ndarray, shape (n_chans,)
    ch_names : sequence of str
        Components may follow the channels.
    positions : ndarray, shape (n_chans, 3), or less where components have none
        Metres, NaN where unknown.
    of : str
        What is shared out.
    """
    missing = len(share) - len(positions)
    positions = np.pad(positions, ((0, missing), (0, 0)), constant_values=np.nan)
    known = np.isfinite(positions).all(1)
    title = f"Share in {of}"
    with style():
        n_places = len(np.unique(positions[known].round(3), axis=0))
        if n_places < max(4, known.sum()):
            figure = Figure(figsize=(4.6, 1.2 + 0.28 * len(share)), layout="constrained")
            axis = figure.subplots()
            axis.barh([plain(name) for name in ch_names], 100 * share, color=PALETTE[0])
            axis.invert_yaxis()
            axis.set(xlabel="%", title=title)
            return figure
        from mne.viz import plot_topomap

        names = [name for name, there in zip(ch_names, known, strict=True) if there]
        figure = Figure(figsize=(5.2, 4.2), layout="constrained")
        axis = figure.subplots()
        xy = draw_head(axis, positions[known])
        values = 100 * share[known]
        image, _ = plot_topomap(
            values,
            xy,
            axes=axis,
            show=False,
            names=[plain(name) for name in names] if len(names) <= 40 else None,
            cmap="Blues",
            sphere=1.0,
            vlim=(0, max(1.0, float(values.max()))),
            contours=0,
            sensors=True,
            outlines=None,
            extrapolate="local",  # nothing was measured beyond the electrodes
        )
        image.set_clip_path(Circle((0, 0), 1, transform=axis.transData))
        for text in axis.texts:
            text.set(
                size=7, va="bottom", path_effects=[withStroke(linewidth=2, foreground="white")]
            )
        elsewhere = "" if known.all() else f"\n(and {share[~known].sum():.0%} without a place)"
        axis.set_title(title + elsewhere, loc="center")
        bar = figure.colorbar(image, ax=axis, aspect=25, shrink=0.8)
        bar.set_label("%")
        bar.outline.set_visible(False)
    return figure
