import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyriemann.estimation import Covariances
from pyriemann.tangentspace import TangentSpace
from scipy.signal import welch

from eegfoundation.alignments import BANDS
from eegfoundation.evaluation.baselines import (
    ONE_HERTZ,
    band_power,
    canonical_correlations,
    covariances,
    tangent_features,
)

SFREQ = 200


def noise(n=6, n_chans=3, seconds=5.0, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 10, (n, n_chans, round(seconds * SFREQ))).astype(np.float32)


def wave(hertz, seconds=5.0, phase=0.3):
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * SFREQ)) / SFREQ + phase)


@pytest.mark.parametrize("piece", [None, 1.0])
def test_power_is_that_of_scipy(piece):
    x = noise()
    n = x.shape[-1] if piece is None else SFREQ
    taper = np.hanning(n + 2)[1:-1]
    freqs, power = welch(x, SFREQ, taper, n, n // 2)
    expected = [power[..., (freqs >= a) & (freqs < b)].mean(-1) / 2 for a, b in BANDS]  # one-sided
    found = band_power(x, SFREQ, BANDS, piece).reshape(6, 3, 7)
    np.testing.assert_allclose(found, np.log(np.stack(expected, -1) + 1e-3), rtol=1e-4)


@pytest.mark.parametrize("piece", [None, 1.0])
@pytest.mark.parametrize("seconds", [3.0, 5.0])
@pytest.mark.parametrize("hertz", [3, 10, 21, 40])
def test_a_rhythm_is_found_in_its_bin(hertz, seconds, piece):
    x = noise(1, 1, seconds) + 20 * wave(hertz, seconds)[None, None]
    found = band_power(x, SFREQ, ONE_HERTZ, piece)[0]
    assert int(found.argmax()) + 1 == hertz


@settings(max_examples=30, deadline=None)
@given(n_times=st.integers(100, 700), sfreq=st.sampled_from([100.0, 128.0, 200.0]))
def test_features_are_as_many_for_any_window(n_times, sfreq):
    x = noise(2, 2)[..., :n_times]
    for bands in (BANDS, ONE_HERTZ):
        for piece in (None, 1.0):
            found = band_power(x, sfreq, bands, piece)
            assert found.shape == (2, 2 * len(bands))
            assert np.isfinite(found).all()


def with_gaps():
    x = noise(5, 3)
    x[0, 0, 100:300] = np.nan
    x[1, 1] = np.nan  # an absent channel
    x[2] = np.nan  # nothing at all
    x[3, 2] = 5.0  # dead
    return x


def test_gaps_and_absent_channels_do_no_harm():
    x, clean = with_gaps(), noise(5, 3)
    power = band_power(x, SFREQ, BANDS).reshape(5, 3, 7)
    assert np.isnan(power[1, 1]).all()
    assert np.isnan(power[2]).all()
    known = np.ones((5, 3), dtype=bool)
    known[1, 1] = known[2] = False
    assert np.isfinite(power[known]).all()
    same = np.ones((5, 3), dtype=bool)
    same[[0, 1, 3], [0, 1, 2]] = same[2] = False
    np.testing.assert_array_equal(
        power[same], band_power(clean, SFREQ, BANDS).reshape(5, 3, 7)[same]
    )
    matrices = covariances(x)
    assert np.isnan(matrices[2]).all()
    kept = matrices[[0, 1, 3, 4]]
    assert (np.linalg.eigvalsh(kept) > 0).all()
    assert matrices[1, 1, 0] == 0
    assert matrices[1, 1, 1] == pytest.approx(matrices[1, [0, 2], [0, 2]].mean())
    features = tangent_features(matrices, np.arange(5))
    assert np.isnan(features[2]).all()
    assert np.isfinite(features[[0, 1, 3, 4]]).all()
    correlations = canonical_correlations(x, SFREQ, [10, 15])
    assert np.isfinite(correlations).all()
    assert (correlations[2] == 0).all()


def test_covariances_and_tangent_vectors_are_those_of_pyriemann():
    x = noise(12)
    matrices = covariances(x)
    centred = x.astype(float) - x.mean(-1, keepdims=True, dtype=float)
    np.testing.assert_allclose(matrices, Covariances("oas").transform(centred), rtol=1e-5)
    fitted_on = np.arange(8)
    space = TangentSpace().fit(matrices[fitted_on])
    found = tangent_features(matrices, fitted_on)
    np.testing.assert_allclose(found, space.transform(matrices), atol=1e-4)


def test_the_reference_of_tangent_vectors_is_of_the_windows_to_learn_from_alone():
    matrices = covariances(noise(12))
    changed = matrices.copy()
    changed[8:] *= 100
    fitted_on = np.arange(8)
    one, other = (tangent_features(m, fitted_on) for m in (matrices, changed))
    np.testing.assert_array_equal(one[:8], other[:8])


def test_canonical_correlation_finds_the_flicker():
    frequencies = [13, 21, 17]
    for i, hertz in enumerate(frequencies):
        x = noise(8, 4, 3.0, seed=i)
        x += (6 * wave(hertz, 3.0, phase=i) + 3 * wave(2 * hertz, 3.0)).astype(np.float32)
        found = canonical_correlations(x, SFREQ, frequencies, 75.0)
        assert (found.argmax(1) == i).all()
        assert (found <= 1).all()


def test_canonical_correlation_is_that_of_its_definition():
    """Against a direct search by least squares with one channel: the multiple correlation."""
    x = noise(3, 1, 3.0)
    times = np.arange(600) / SFREQ
    angle = 2 * np.pi * 13 * np.outer(times, [1, 2, 3])
    design = np.column_stack([np.sin(angle), np.cos(angle), np.ones(600)])
    correlations = canonical_correlations(x, SFREQ, [13])[:, 0]
    for window, found in zip(x[:, 0].astype(float), correlations, strict=True):
        fit = design @ np.linalg.lstsq(design, window, rcond=None)[0]
        assert found == pytest.approx(np.corrcoef(fit, window)[0, 1], rel=1e-4)


def test_harmonics_that_were_filtered_away_are_not_looked_at():
    x = noise(4, 2, 3.0) + 30 * wave(42, 3.0).astype(np.float32)  # second harmonic of 21 Hz
    with_it, without = (canonical_correlations(x, SFREQ, [21], top) for top in (75, 40))
    assert (with_it > 0.8).all()
    assert (without < 0.5).all()


def test_channels_that_depend_on_each_other_do_no_harm():
    x = noise(4, 3, 3.0)
    np.testing.assert_allclose(
        canonical_correlations(np.concatenate([x, x[:, :1]], axis=1), SFREQ, [13]),
        canonical_correlations(x, SFREQ, [13]),
        rtol=1e-4,
    )
