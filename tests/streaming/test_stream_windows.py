import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_helpers import NAMES, recorded, signal

from eegfoundation.errors import PreprocessingError, UnitsError
from eegfoundation.preprocessing import Preprocessing
from eegfoundation.streaming.filters import CausalFilter
from eegfoundation.streaming.windows import CausalWindows

SETTINGS = Preprocessing(reference="soft average")


def windows_of(x, sfreq=250.0, cuts=(), index=None, bads=(), **more):
    """Feed a signal in pieces; `index`: which samples the columns are."""
    recording = recorded(signal(len(x), sfreq), sfreq)
    recording.bads = list(bads)
    cutter = CausalWindows(recording, SETTINGS, 2.0, 0.1, **more)
    times = (np.arange(x.shape[1]) if index is None else index) / sfreq
    found = []
    for at, piece in zip(
        np.split(times, sorted(cuts)), np.split(x, sorted(cuts), axis=1), strict=True
    ):
        found += list(cutter.push(at, piece))
    return cutter, found


@settings(deadline=None, max_examples=15)
@given(st.sets(st.integers(0, 1750), max_size=30), st.booleans(), st.booleans())
def test_windows_do_not_depend_on_how_the_stream_is_cut(cuts, with_gap, with_nan):
    x = signal(3, 250.0, 7.0)
    if with_nan:
        x[1, 1200:1450] = np.nan
    index = np.arange(1750) + 100 * (np.arange(1750) >= 1300) * with_gap
    _, whole = windows_of(x, index=index)
    _, pieces = windows_of(x, cuts=cuts, index=index)
    assert len(whole) == len(pieces) >= 60
    for a, b in zip(whole, pieces, strict=True):
        assert a.time == pytest.approx(b.time)
        np.testing.assert_array_equal(a.data, b.data)
        np.testing.assert_array_equal(a.quality, b.quality)


@pytest.mark.parametrize(("sfreq", "n_chans"), [(250.0, 3), (500.0, 7), (173.61, 2)])
def test_a_window_is_the_filtered_signal_less_its_soft_average(sfreq, n_chans):
    x = signal(n_chans, sfreq, 9.0)
    cutter, found = windows_of(x, sfreq)
    y = CausalFilter(cutter.design, n_chans)(x.astype(np.float64))
    y = y - y.sum(axis=0) / (n_chans + 2)
    assert cutter.history["line_freq"] == 50.0
    assert cutter.history["line_freq_source"] == "detected"
    assert len(found) == y.shape[1] // 20
    for i, window in enumerate(found[20:], start=21):  # the first holds what was before
        np.testing.assert_allclose(window.data, y[:, 20 * i - 400 : 20 * i], atol=1e-3)
        assert window.usable == 1
        assert window.time == pytest.approx(20 * i / 200, abs=2 / sfreq + 0.005)


def test_a_gap_advances_the_window_with_unusable_samples():
    x = signal(3, 250.0, 9.0)
    index = np.arange(2250) + 125 * (np.arange(2250) >= 1500)  # 0.5 s are missing after 6 s
    cutter, found = windows_of(x, index=index)
    assert cutter.clock.counts.n_missing == 125
    inside = next(w for w in found if w.time > 7.0)
    assert inside.quality == pytest.approx(np.full(3, 0.75), abs=0.01)
    assert np.isnan(inside.data).mean() == pytest.approx(0.25, abs=0.01)
    assert found[-1].time == pytest.approx((2250 + 125) / 250, abs=0.1)
    assert found[-1].usable == 1


def test_a_gap_longer_than_the_window_starts_anew():
    index = np.arange(2250) + 100_000 * (np.arange(2250) >= 1500)
    _, found = windows_of(signal(3, 250.0, 9.0), index=index)
    after = [w for w in found if w.time > 100]
    assert after[0].n_seen == 20
    assert after[-1].usable == 1


def test_a_channel_that_dies_is_lost_and_leaves_the_reference(caplog):
    x = signal(4, 250.0, 12.0)
    x[2, 1500:2250] = 700.0  # a loose electrode
    cutter, found = windows_of(x)
    dead = next(w for w in found if w.time > 8.6)
    assert dead.quality[2] == 0
    assert (dead.quality[[0, 1, 3]] == 1).all()
    assert np.isnan(dead.data[2]).all()
    alive = CausalFilter(cutter.design, 4)(x.astype(np.float64))[[0, 1, 3]]
    end = dead.n_seen
    expected = (alive - alive.sum(axis=0) / 5)[:, end - 400 : end]
    np.testing.assert_allclose(dead.data[[0, 1, 3]], expected, atol=1e-3)
    assert found[-1].quality[2] == 1
    assert f"{NAMES[2]}: no signal" in caplog.text
    assert f"{NAMES[2]}: is back" in caplog.text


def test_bad_channels_and_artefacts_have_less_quality():
    x = signal(3, 250.0, 8.0)
    x[1, 1700:1750] += 5000 * np.sin(2 * np.pi * 5 * np.arange(50) / 250)
    _, found = windows_of(x, bads=[NAMES[0]])
    assert found[-1].quality[0] == 0
    assert 0.5 < found[-1].quality[1] < 1
    assert found[-1].quality[2] == 1


def test_units_are_checked_by_the_first_seconds():
    x = signal(3, 250.0, 6.0)
    with pytest.raises(UnitsError, match="look like V"):
        windows_of((x - x.mean(1, keepdims=True)) * 1e-6)
    windows_of((x - x.mean(1, keepdims=True)) * 1e-6, checks_units=False)


@pytest.mark.parametrize(("window", "every"), [(0.1, 0.1), (2.0, 0.001), (2.0, 3.0)])
def test_impossible_settings_are_refused(window, every):
    with pytest.raises(PreprocessingError, match="must l"):
        CausalWindows(recorded(signal()), SETTINGS, window, every)
