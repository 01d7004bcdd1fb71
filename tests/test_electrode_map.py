"""Values of electrodes by name, as a table, and on heads."""

import numpy as np
import pytest

from eegfoundation.electrode_map import ElectrodeMap, plot_topomaps
from eegfoundation.errors import ModelInputError
from eegfoundation.montage import positions


def example(n_classes, n_bands, positions):
    rng = np.random.default_rng(0)
    n_chans = len(positions)
    return ElectrodeMap(
        values=rng.normal(size=(n_classes, n_bands, n_chans)),
        quantity="drop of the probability",
        classes=tuple("abc"[:n_classes]),
        bands=tuple("uvw"[:n_bands]),
        ch_names=tuple(f"E{i}" for i in range(n_chans)),
        positions=positions,
    )


def test_figure_has_a_head_per_class_and_band(tmp_path):
    places = positions(["Fz", "C3", "Cz", "C4", "Pz", "unknown"])
    figure = plot_topomaps(example(2, 3, places))
    assert len(figure.axes) == 2 * 3 + 1  # and the scale
    assert [ax.get_title() for ax in figure.axes[:3]] == ["u", "v", "w"]
    path = tmp_path / "map.png"
    figure.savefig(path)
    assert path.stat().st_size > 20_000


def test_too_few_places_make_no_map():
    with pytest.raises(ModelInputError, match="0 of 5 channels have a known position"):
        plot_topomaps(example(2, 1, np.full((5, 3), np.nan)))


def test_a_value_is_found_by_names_and_in_the_table():
    found = example(2, 3, np.full((4, 3), np.nan))
    assert found.at("b", "w", "E3") == found.values[1, 2, 3]
    table = found.to_dataframe()
    assert list(table.columns) == ["class", "band", "channel", "value"]
    assert len(table) == 2 * 3 * 4
    line = table[(table["class"] == "b") & (table.band == "w") & (table.channel == "E3")]
    assert line.value.item() == found.values[1, 2, 3]


def test_it_is_offered_where_it_is_made():
    from eegfoundation import explain

    assert explain.plot_topomaps is plot_topomaps
