import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eegfoundation.streaming.ring import RingBuffer


@given(st.integers(1, 20), st.lists(st.integers(0, 50), max_size=30))
def test_it_holds_the_newest_samples(capacity, lengths):
    buffer = RingBuffer(2, capacity)
    pushed = np.full((2, capacity), np.nan, np.float32)
    for n in lengths:
        new = np.arange(2 * n, dtype=np.float32).reshape(2, n) + pushed.shape[1]
        buffer.push(new)
        pushed = np.hstack([pushed, new])
        np.testing.assert_array_equal(buffer.last(capacity), pushed[:, -capacity:])
