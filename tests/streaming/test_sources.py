import time

import numpy as np
import pytest
from stream_helpers import recorded, signal

from eegfoundation.errors import ConfigError, RecordingError
from eegfoundation.streaming.sources import ReplaySource


def all_of(source, n):
    chunks = []
    while (chunk := source.read(n)) is not None:
        chunks.append(chunk)
    return np.concatenate([t for t, _ in chunks]), np.hstack([x for _, x in chunks])


@pytest.mark.parametrize("n", [1, 25, 4000])
def test_a_replay_is_the_recording(n):
    recording = recorded(signal(2, 250.0, 12.0))
    times, x = all_of(ReplaySource(recording, speed=0), n)
    np.testing.assert_array_equal(x, recording.get_data())
    np.testing.assert_allclose(times, np.arange(3000) / 250)


def test_a_replay_keeps_the_pace():
    """2 s, eight times as fast; nothing is given out before its time."""
    source = ReplaySource(recorded(signal(2, 250.0, 2.0)), speed=8)
    began, n_read = time.monotonic(), 0
    while (chunk := source.read(25)) is not None:
        n_read += len(chunk[0])
        assert n_read / 250 / 8 <= time.monotonic() - began + 0.01
    assert n_read == 500
    assert time.monotonic() - began == pytest.approx(0.25, abs=0.2)
    assert source.age(1.0) > 0.1
    source = ReplaySource(recorded(signal(2, 250.0, 2.0)), speed=8)
    source.read(5)
    time.sleep(0.1)
    assert source.backlog() >= 190  # somebody did not come to read


def test_what_cannot_be_replayed_is_refused():
    with pytest.raises(ConfigError, match="speed"):
        ReplaySource(recorded(signal()), speed=-1)
    with pytest.raises(RecordingError, match="epochs"):
        ReplaySource(signal(6, 250.0, 4.0).reshape(3, 2, 1000), sfreq=250.0)


def test_whatever_the_speed_no_more_is_waiting_than_was_recorded() -> None:
    source = ReplaySource(recorded(signal(2, 250.0, 2.0)), speed=1e308)
    source.read(100)
    assert source.backlog() == 400
