"""The rate change within the spectrum equals filtering and then interpolating."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import oaconvolve

from eegfoundation.filtering import _overlap_save, design_chain
from eegfoundation.preprocessing import Preprocessing


def drifting(sfreq: float, seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal((2, round(sfreq * seconds)))
    return np.float32(np.cumsum(steps, axis=1) * 20 / np.sqrt(sfreq) + steps)


@pytest.mark.parametrize("lowpass", [None, 40.0, 75.0])
@pytest.mark.parametrize("sfreq", [100.0, 128.0, 220.0, 256.0, 1000.0, 2048.0])
def test_cutting_the_spectrum_equals_interpolating(sfreq: float, lowpass: float | None) -> None:
    x = drifting(sfreq, 30.0)
    chain, _ = design_chain(Preprocessing(lowpass=lowpass), sfreq, x.shape[1], 50.0)
    assert chain.spectral
    fast = chain(x, 0, 0, chain.n_out)
    plain = replace(chain, spectral=False)(x, 0, 0, chain.n_out)
    # the interpolator lets images pass at -80 dB and bends the last 5% below the Nyquist frequency
    assert np.sqrt(((fast - plain) ** 2).mean()) < 2e-3 * plain.std()


@pytest.mark.parametrize("sfreq", [173.61, 199.99])
def test_odd_ratios_are_interpolated(sfreq: float) -> None:
    chain, _ = design_chain(Preprocessing(), sfreq, 10_000, None)
    assert not chain.spectral


@pytest.mark.parametrize(("mains", "seconds"), [(1.0, 60.0), (4.0, 1.5), (9.0, 0.7)])
def test_notches_that_would_run_into_each_other_are_left_out(mains: float, seconds: float) -> None:
    _, made = design_chain(Preprocessing(), 250.0, round(250 * seconds), mains)
    assert made["notch"] == []
    assert any(f"no notch at {mains:g} Hz: its multiples" in note for note in made["notes"])


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_span_equals_the_whole(data: st.DataObject) -> None:
    """To float32's rounding, however few samples are asked for."""
    sfreq = data.draw(st.sampled_from([100.0, 160.0, 256.0, 500.0]))
    x = drifting(sfreq, 25.0, data.draw(st.integers(0, 9)))
    chain, _ = design_chain(Preprocessing(notch=None), sfreq, x.shape[1], None)
    start = data.draw(st.integers(0, chain.n_out - 1))
    stop = min(chain.n_out, start + data.draw(st.sampled_from([1, 7, 300, 5000])))
    first, last = chain.span(start, stop, 0)
    whole = chain(x, 0, 0, chain.n_out)[:, start:stop]
    np.testing.assert_allclose(chain(x[:, first:last], first, start, stop), whole, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(n_taps=st.integers(0, 300), extra=st.integers(1, 9000), seed=st.integers(0, 9))
def test_overlap_save_equals_scipy(n_taps: int, extra: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    half = rng.standard_normal(n_taps)
    kernel = np.concatenate([half, [1.0], half[::-1]])
    x = rng.standard_normal((5, 2 * n_taps + extra))
    expected = oaconvolve(x, kernel[None], mode="valid", axes=-1)
    found = _overlap_save(x, 100, 100 + n_taps, 100 + n_taps + extra, kernel)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_nothing_is_left_where_the_spectrum_is_cut() -> None:
    """What makes cutting harmless: 120 dB at and above the lower Nyquist frequency."""
    for sfreq in (128.0, 250.0, 512.0):
        chain, _ = design_chain(Preprocessing(lowpass=None), sfreq, 60_000, None)
        response = np.abs(np.fft.rfft(chain.kernel, 2**17))
        freqs = np.fft.rfftfreq(2**17, 1 / sfreq)
        assert response[freqs >= min(sfreq, 200.0) / 2].max() < 2e-6
