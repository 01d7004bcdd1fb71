import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegfoundation.pretraining.masking import span_mask

SEEDS = st.integers(0, 2**32 - 1)


def draw(n=80, ratio=0.15, span=4, seed=0, epoch=0, window=0):
    return span_mask(n, ratio=ratio, span=span, seed=seed, epoch=epoch, window=window)


def runs(masked):
    """Lengths of the runs of masked positions on the circle (a span may go on at the beginning)."""
    if masked.all():
        return [len(masked)]
    turned = np.roll(masked, -int(np.argmin(masked)))  # begin where nothing is masked
    edges = np.flatnonzero(np.diff(np.concatenate([[0], turned.astype(int), [0]])))
    return (edges[1::2] - edges[::2]).tolist()


@given(
    n=st.integers(1, 400),
    ratio=st.floats(0.001, 0.999),
    span=st.integers(1, 50),
    seed=SEEDS,
    epoch=st.integers(0, 1000),
    window=st.integers(0, 2**40),
)
def test_exactly_the_asked_share_is_masked(n, ratio, span, seed, epoch, window):
    masked = draw(n, ratio, span, seed, epoch, window)
    assert masked.shape == (n,)
    assert masked.dtype == bool
    assert masked.sum() == min(n, max(1, round(ratio * n)))


@given(n=st.integers(10, 400), ratio=st.floats(0.05, 0.9), span=st.integers(1, 12), seed=SEEDS)
def test_all_masked_positions_lie_in_spans_but_for_the_last_one(n, ratio, span, seed):
    """One span may be cut short so that the count is exact; the others are whole or overlap."""
    masked = draw(n, ratio, min(span, n), seed)
    assert sum(length < min(span, n) for length in runs(masked)) <= 1


@settings(max_examples=20)
@given(seed=SEEDS)
def test_spans_have_the_asked_length(seed):
    lengths = runs(draw(10_000, ratio=0.01, span=5, seed=seed))
    assert sum(lengths) == 100
    assert np.median(lengths) == 5


def test_a_span_longer_than_the_window_covers_all_of_it():
    for span in (41, 10**30):
        np.testing.assert_array_equal(draw(40, 0.5, span, 0), draw(40, 0.5, 40, 0))


def test_a_draw_depends_on_seed_epoch_and_window_alone():
    keys = [(s, e, w) for s in range(3) for e in range(3) for w in range(3)]
    forwards = {key: draw(seed=key[0], epoch=key[1], window=key[2]) for key in keys}
    np.random.default_rng(1).normal(size=10)
    for key in reversed(keys):
        np.testing.assert_array_equal(draw(seed=key[0], epoch=key[1], window=key[2]), forwards[key])
    assert len({mask.tobytes() for mask in forwards.values()}) == len(keys)


def test_a_draw_is_the_same_on_every_machine_and_release():
    expected = [10, 11, 12, 13, 21, 22]
    assert np.flatnonzero(draw(40, seed=3, epoch=2, window=1)).tolist() == expected


@pytest.mark.parametrize(("n", "ratio", "span"), [(80, 0.15, 4), (20, 0.05, 4), (16, 0.5, 8)])
def test_every_position_is_as_likely_as_any_other(n, ratio, span):
    """Those at the edges, too, and where the last span is cut short."""
    n_draws = 8000
    share = np.mean([draw(n, ratio, span, window=w) for w in range(n_draws)], axis=0)
    expected = max(1, round(ratio * n)) / n
    sd = (expected * (1 - expected) / n_draws) ** 0.5
    assert np.abs(share - expected).max() < 4.5 * sd
