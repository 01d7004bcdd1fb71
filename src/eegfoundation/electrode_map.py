"""A value for every electrode, band and class: to look up, as a table, and drawn on heads.

Shape legend: C channels, K classes, F bands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.errors import ModelInputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True, eq=False)
class ElectrodeMap:
    """A value for every class, band and electrode."""

    values: np.ndarray
    """(K, F, C); NaN for a class without windows."""
    quantity: str
    """What the values are, in words."""
    classes: tuple[str, ...]
    bands: tuple[str, ...]
    ch_names: tuple[str, ...]
    positions: np.ndarray
    """(C, 3) metres, NaN where unknown."""

    def to_dataframe(self) -> pd.DataFrame:
        """One line per class, band and channel: ``class, band, channel, value``."""
        import pandas as pd

        names = ["class", "band", "channel"]
        index = pd.MultiIndex.from_product([self.classes, self.bands, self.ch_names], names=names)
        return pd.DataFrame({"value": self.values.ravel()}, index=index).reset_index()

    def at(self, label: str, band: str, channel: str) -> float:
        """Look one value up by names."""
        place = (
            self.classes.index(label),
            self.bands.index(band),
            self.ch_names.index(channel),
        )
        return float(self.values[place])


def plot_topomaps(found: ElectrodeMap) -> Figure:
    """Draw a row of heads for every class, a column for every band, all on one scale.

    Parameters
    ----------
    found : ElectrodeMap
        From `attention` or `occlusion`. Electrodes of unknown position are left out.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Not bound to pyplot: ``figure.savefig("map.png")``.

    Raises
    ------
    ModelInputError
        If fewer than four electrodes, or two in one place, have a known position.
    """
    from matplotlib.figure import Figure

    from eegfoundation.report.drawing import plain, style

    known = np.isfinite(found.positions).all(1)
    n_places = len(np.unique(found.positions[known].round(3), axis=0))
    if n_places < max(4, int(known.sum())):
        raise ModelInputError(
            f"{int(known.sum())} of {len(known)} channels have a known position, {n_places} of "
            "them different; a map needs at least four, each in its own place: see to_dataframe()."
        )
    values = found.values[..., known]
    n_rows, n_columns = values.shape[:2]
    largest = max(float(np.nanmax(np.abs(values), initial=0.0)), 1e-6)
    signed = bool(np.nanmin(values, initial=0.0) < 0)
    colours = ("RdBu_r", (-largest, largest)) if signed else ("Blues", (0.0, largest))
    with style():
        size = (1.2 + 1.75 * n_columns + 0.9, 0.5 + 1.75 * n_rows)
        figure = Figure(figsize=size, dpi=160, layout="constrained")
        axes = figure.subplots(n_rows, n_columns, squeeze=False)
        for (row, column), ax in np.ndenumerate(axes):
            image = _topomap(ax, values[row, column], found.positions[known], *colours)
            if row == 0:
                ax.set_title(plain(found.bands[column]), loc="center")
            if column == 0:
                place = {"transform": ax.transAxes, "ha": "right", "va": "center"}
                ax.text(-0.05, 0.5, plain(found.classes[row]), weight="bold", **place)
        bar = figure.colorbar(image, ax=axes, aspect=30, shrink=0.8)
        bar.set_label(found.quantity)
        bar.outline.set_visible(False)
    return figure


def _topomap(
    ax: Axes, values: np.ndarray, positions: np.ndarray, cmap: str, vlim: tuple[float, float]
) -> Any:
    """One head; values (C,) at positions (C, 3)."""
    from matplotlib.patches import Circle
    from mne.viz import plot_topomap

    from eegfoundation.report.drawing import draw_head

    xy = draw_head(ax, positions)
    image, _ = plot_topomap(
        np.nan_to_num(values),
        xy,
        axes=ax,
        show=False,
        cmap=cmap,
        vlim=vlim,
        sphere=1.0,
        contours=0,
        outlines=None,
        extrapolate="local",  # nothing was measured beyond the electrodes
    )
    image.set_clip_path(Circle((0, 0), 1, transform=ax.transData))
    return image
