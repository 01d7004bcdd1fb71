import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import freqz
from stream_helpers import signal

from eegfoundation.errors import PreprocessingError
from eegfoundation.filtering import design_chain
from eegfoundation.preprocessing import Preprocessing
from eegfoundation.streaming.filters import CausalFilter, design_causal

RATES = (128.0, 160.0, 173.61, 200.0, 250.0, 256.0, 500.0, 1000.0)


def in_pieces(design, x, cuts):
    filter_ = CausalFilter(design, len(x))
    return np.hstack([filter_(piece) for piece in np.split(x, sorted(cuts), axis=1)])


@pytest.mark.parametrize("sfreq", RATES)
def test_the_magnitude_is_that_of_the_offline_chain(sfreq):
    """Within 1 dB in the pass band (beside the notch), and 30 dB down where offline is 40."""
    causal = design_causal(Preprocessing(), sfreq, 50.0)
    chain, _ = design_chain(Preprocessing(), sfreq, int(100 * sfreq), 50.0)
    top = min(75.0, 0.45 * sfreq)
    freqs = np.linspace(0.3, 99, 1000)
    freqs = freqs[(np.abs(freqs - 50) > 2) & (freqs < 0.99 * sfreq / 2)]
    offline = np.abs(freqz(chain.kernel, worN=freqs, fs=sfreq)[1])
    offline = 20 * np.log10(offline + 1e-9)
    found = 20 * np.log10(np.abs(causal.response(freqs)) + 1e-9)
    passed = freqs <= top
    assert np.abs(found - offline)[passed].max() < 1
    assert found[offline < -40].max(initial=-99) < -30
    assert 20 * np.log10(np.abs(causal.response(np.array([50.0])))[0] + 1e-9) < -60
    assert 0 < causal.delay(10.0) < 0.2


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([173.61, 200.0, 250.0, 500.0]),
    st.sets(st.integers(0, 1500), max_size=12),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1400), st.integers(1, 300)), max_size=4),
)
def test_pieces_give_the_same_bits_as_the_whole(sfreq, cuts, gaps):
    x = signal(3, 250.0, 6.0)
    for channel, start, length in gaps:
        x[channel, start : start + length] = np.nan
    design = design_causal(Preprocessing(), sfreq, 50.0)
    whole = in_pieces(design, x, [])
    np.testing.assert_array_equal(in_pieces(design, x, cuts), whole)
    assert np.isfinite(whole).all()
    assert whole.shape[1] == -(-1500 * design.up // design.down)


def test_the_filter_never_looks_ahead():
    x = signal(2, 250.0, 4.0)
    design = design_causal(Preprocessing(), 250.0, 50.0)
    changed = x.copy()
    changed[:, 700:] = 1e4
    before, after = in_pieces(design, x, []), in_pieces(design, changed, [])
    np.testing.assert_array_equal(before[:, : 700 * 4 // 5], after[:, : 700 * 4 // 5])


def test_offsets_and_gaps_leave_no_ringing():
    """A channel that comes back after a second, 3 mV off, is back within a moment."""
    x = signal(2, 250.0, 12.0)
    x[0, 1000:1500] = np.nan
    x[0, 1500:] += 3000
    y = in_pieces(design_causal(Preprocessing(), 250.0, 50.0), x, [])
    assert np.abs(y[:, :700]).max() < 150
    assert np.abs(y[0, 1210:]).max() < 150
    np.testing.assert_allclose(y[0, 2200:].std(), y[1, 2200:].std(), rtol=0.2)


def test_a_high_pass_that_leaves_nothing_is_refused():
    with pytest.raises(PreprocessingError, match="leaves nothing"):
        design_causal(Preprocessing(highpass=50.0), 100.0)
