"""The table gives the tokens of the plain formula, at every edge and for any settings."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eegfoundation.tokenizer import MAX_ABS_UV, N_BINS, AmplitudeTokenizer
from eegfoundation.tokenizer_table import amplitude_table

LARGEST = int(np.float32(MAX_ABS_UV).view(np.int32))


def look_up(table, x):
    out = np.empty(x.shape, np.int32)
    table.look_up(x, np.empty(x.shape, np.intp), out)
    return out


def of_bits(bits):
    return np.asarray(bits, dtype=np.int32).view(np.float32)


def same(tokenizer, x):
    np.testing.assert_array_equal(look_up(amplitude_table(tokenizer), x), tokenizer.bins(x))


def test_around_every_edge():
    tokenizer = AmplitudeTokenizer()
    edges = tokenizer.expand(np.arange(N_BINS - 1) + 0.5).astype(np.float32)  # before rounding
    bits = np.abs(edges).view(np.int32)[:, None] + np.arange(-1500, 1500)
    x = of_bits(bits.clip(0)) * np.sign(edges)[:, None]
    found = look_up(amplitude_table(tokenizer), x)
    at_zero = N_BINS // 2 - 1  # that edge is not approached from both sides here
    assert (found[:, 0] != found[:, -1]).nonzero()[0].tolist() == [
        n for n in range(N_BINS - 1) if n != at_zero
    ]
    same(tokenizer, x)


def test_zero_and_the_ends():
    ends = np.array([0, 1, LARGEST - 1, LARGEST])
    same(AmplitudeTokenizer(), np.concatenate([of_bits(ends), -of_bits(ends)]))


@given(
    knee=st.floats(1e-6, 1e4),
    ratio=st.floats(1.001, 1e5),
    bits=st.lists(st.integers(0, LARGEST), min_size=1, max_size=200),
)
@settings(max_examples=40, deadline=None)
def test_any_settings_and_samples(knee, ratio, bits):
    assume(knee * ratio <= MAX_ABS_UV)
    tokenizer = AmplitudeTokenizer(knee_uv=knee, max_uv=knee * ratio)
    x = of_bits(bits)
    same(tokenizer, np.concatenate([x, -x, (x % np.float32(knee * ratio))]))
