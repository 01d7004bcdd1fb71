"""All results in one picture: of every kind of model the row that validation chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from eegfoundation.evaluation.page import read_results
from eegfoundation.report.drawing import INK, MUTED, OTHER, PALETTE, plain, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"ours": PALETTE[0], "baseline": INK, "random twin": OTHER}
_ROW = 0.24  # inches


def plot_results(results: str | Path = "results") -> Figure:
    """Balanced accuracy with its interval over subjects, a panel per result.

    Parameters
    ----------
    results : path
        Folder of what ``eegfoundation evaluate`` wrote; `make_page` says whether it is in order.

    Returns
    -------
    figure : Figure
        Dotted: chance. In brackets: alignment.
    """
    panels = [
        (path.stem, content, chosen([*content["rows"], *(peers["rows"] if peers else [])]))
        for path, content, peers in read_results(results)
    ]
    heights = [len(rows) + 3 for *_, rows in panels]
    with style():
        figure = Figure(figsize=(9, 0.3 + _ROW * sum(heights)), layout="constrained")
        axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=heights)
        for axis, (name, content, rows) in zip(axes[:, 0], panels, strict=True):
            _draw(axis, rows)
            axis.axvline(1 / len(content["classes"]), color=MUTED, lw=0.8, ls=":")
            axis.set_title(plain(f"{name}: {content['title'].partition(':')[0]}"))
        axes[-1, 0].set(xlim=(0, 1), xlabel="balanced accuracy, 95% interval over subjects")
    return figure


def chosen(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of every kind of model and strategy the row with the highest validation score.

    What is scored on some of the classes only is left out. Lowest balanced accuracy first.
    """
    best: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for row in rows:
        if "only_classes" in row:
            continue
        key = (row["kind"], _family(row), row["strategy"])
        before = best.setdefault(key, row)
        if row["validation_balanced_accuracy"] > before["validation_balanced_accuracy"]:
            best[key] = row
    return sorted(best.values(), key=lambda row: row["balanced_accuracy"])


def _draw(axis: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    for place, row in enumerate(rows):
        colour = _COLOURS[row["kind"]]
        if row["interval"] is not None:
            axis.plot(row["interval"], [place, place], color=colour, lw=1.2)
        axis.plot(row["balanced_accuracy"], place, "o", color=colour, ms=5)
    axis.set_yticks(range(len(rows)), [plain(_label(row)) for row in rows], size=8)
    axis.set_ylim(-0.8, len(rows) - 0.2)
    axis.tick_params(length=0)
    for tick, row in zip(axis.get_yticklabels(), rows, strict=True):
        tick.set_color(_COLOURS["ours"] if row["kind"] == "ours" else INK)


def _label(row: Mapping[str, Any]) -> str:
    words = [_family(row), *row["strategy"].split(", ")]
    alignment = "" if row["alignment"] == "none" else f" ({row['alignment']})"
    return ", ".join(word for word in words if word != "logistic regression") + alignment


def _family(row: Mapping[str, Any]) -> str:
    """What "band power, 7 bands, Welch" is of, "band power"; a twin is a twin."""
    name: str = row["model"].partition(",")[0]
    return f"{name}, random weights" if row["kind"] == "random twin" else name
