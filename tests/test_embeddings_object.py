"""What holds the embeddings of a recording: averages, tables, files.

Not named after its module alone: pytest refuses two test files of one name, and models/ has one.
"""

import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eegfoundation import Embeddings, embed
from eegfoundation.errors import OutputError
from samples import NAMES, files_in, waves


@pytest.fixture(scope="module")
def plain(encoder):
    """30 s of waves in three channels, embedded in windows of 5 s."""
    return embed(waves(200), encoder, 5.0, sfreq=200, ch_names=NAMES[:3])


@given(st.data())
def test_pooled_is_the_mean_over_good_channels(data):
    shape = data.draw(hnp.array_shapes(min_dims=3, max_dims=4, max_side=4))
    values = data.draw(hnp.arrays(np.float32, shape, elements=st.floats(-4, 4, width=32)))
    quality = data.draw(hnp.arrays(np.float32, shape[:2], elements=st.sampled_from([0, 0.25, 1])))
    values[quality == 0] = data.draw(st.sampled_from([np.nan, 3.0]))  # no channel, a bad channel
    pooled = Embeddings(
        values=values, times=np.zeros(len(values)), quality=quality, ch_names=[], history={}
    ).pooled()
    assert pooled.shape == (shape[0], *shape[2:])
    for row, good, found in zip(values, quality > 0, pooled, strict=True):
        if good.any():
            np.testing.assert_allclose(found, row[good].mean(0), atol=1e-5)
        else:
            assert np.isnan(found).all()


def test_dataframe(plain):
    table = plain.to_dataframe()
    assert list(table.columns[:5]) == ["row", "time", "channel", "quality", "e000"]
    assert table.shape == (6 * 3, 4 + 128)
    assert table["row"].tolist() == [row for row in range(6) for _ in range(3)]
    assert table["channel"].tolist() == NAMES[:3] * 6
    line = table.iloc[7]
    assert (line["row"], line["time"], line["channel"]) == (2, 12.5, "C3")
    np.testing.assert_array_equal(line["e000":].astype(np.float32), plain.values[2, 1])


def test_save_and_load(plain, tmp_path):
    path = tmp_path / "new" / "x.npz"
    plain.save(path)
    assert files_in(tmp_path) == ["new/x.npz", "new/x.preprocessing.json"]
    loaded = Embeddings.load(path)
    for name in ("values", "times", "quality"):
        found, expected = getattr(loaded, name), getattr(plain, name)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    assert loaded.ch_names == plain.ch_names
    assert loaded.history == plain.history
    assert json.loads(path.with_suffix(".preprocessing.json").read_text()) == plain.history


@pytest.mark.parametrize("name", ["values", "times", "quality", "ch_names", "history"])
def test_a_member_that_is_no_array(plain, tmp_path, name):
    plain.save(tmp_path / "x.npz")
    with (
        zipfile.ZipFile(tmp_path / "x.npz") as sound,
        zipfile.ZipFile(tmp_path / "y.npz", "w") as damaged,
    ):
        for member in sound.namelist():
            content = sound.read(member)
            damaged.writestr(member, b"X" + content[1:] if member == f"{name}.npy" else content)
    with pytest.raises(OutputError, match=r"y\.npz (cannot be read as|holds) embeddings"):
        Embeddings.load(tmp_path / "y.npz")


def test_saving_over_a_result_has_to_be_asked_for(plain, tmp_path):
    path = tmp_path / "x.npz"
    path.write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        plain.save(path)
    assert path.read_text() == "precious"
    plain.save(path, overwrite=True)
    assert Embeddings.load(path).values.shape == plain.values.shape
