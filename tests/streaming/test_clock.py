import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegfoundation.streaming.clock import UNKNOWN, SampleClock


def placed(clock, times, cuts=()):
    """Places of the samples: their index on the clock's grid, by pieces."""
    grid, result, start = 0, {}, 0
    for stop in [*sorted(cuts), len(times)]:
        for missing, run in clock.place(times[start:stop]):
            grid += missing
            for i in range(run.start, run.stop):
                result[start + i] = grid
                grid += 1
        start = stop
    return result


@given(st.sets(st.integers(0, 500), max_size=6), st.integers(20, 200), st.integers(100, 400))
def test_gaps_are_where_samples_are_missing_however_the_stream_is_cut(cuts, length, at):
    index = np.r_[0:at, at + length : 500 + length]
    clock = SampleClock(250.0)
    found = placed(clock, 7.0 + index / 250, cuts)
    assert found == dict(enumerate(index.tolist()))
    assert (clock.counts.n_gaps, clock.counts.n_missing) == (1, length)


def test_jitter_and_drift_are_no_gaps():
    """Ten minutes of a device that is 0.1% fast, with 10 ms of jitter."""
    rng = np.random.default_rng(0)
    times = np.arange(150_000) / 250.25 + rng.uniform(-0.01, 0.01, 150_000)
    clock = SampleClock(250.0)
    assert len(placed(clock, times)) == 150_000
    assert clock.counts.n_gaps == clock.counts.n_late == 0


def test_late_and_repeated_samples_are_left_out(caplog):
    times = np.arange(300) / 100.0
    times = np.r_[times[:200], times[100:150], times[200:]]
    clock = SampleClock(100.0)
    found = placed(clock, times)
    assert set(found) == {*range(200), *range(250, 350)}
    assert list(found.values()) == list(range(300))
    assert clock.counts.n_late == 50
    assert "50 samples came late" in caplog.text


def test_a_clock_that_was_set_back_does_not_end_the_stream(caplog):
    times = np.r_[1000 + np.arange(300) / 100.0, np.arange(500) / 100.0]
    clock = SampleClock(100.0)
    runs = list(clock.place(times))
    assert runs[-1] == (UNKNOWN, slice(400, 800))  # a second was taken for late
    assert "set back" in caplog.text


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_stamp_that_is_no_number_counts_as_expected(bad):
    times = np.arange(100) / 100.0
    times[[0, 40]] = bad
    clock = SampleClock(100.0)
    assert len(placed(clock, times)) == 100
