import numpy as np
import pytest

from eegfoundation.evaluation.alignment import (
    euclidean,
    geometric_mean,
    recentre,
    standardise,
)

GROUP = np.repeat(["a", "b", "c"], 20)


@pytest.fixture
def x(rng):
    """Three sessions with mixings of their own."""
    source = rng.normal(0, 10, (60, 4, 200))
    mixing = {name: rng.normal(size=(4, 4)) + 2 * np.eye(4) for name in "abc"}
    return np.stack([mixing[g] @ s for g, s in zip(GROUP, source, strict=True)]).astype(np.float32)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_standardised_features_have_mean_0_and_deviation_1(rng):
    features = rng.normal(5, 3, (60, 7, 2))
    features[3, 1] = np.nan
    features[GROUP == "b", 2] = 4.0  # constant within a session
    features[GROUP == "c", 5] = np.nan  # absent there
    aligned = standardise(features, GROUP)
    np.testing.assert_array_equal(np.isnan(aligned), np.isnan(features))
    np.testing.assert_array_equal(aligned[GROUP == "b", 2], 0)
    part = aligned[GROUP == "a"]
    np.testing.assert_allclose(np.nanmean(part, 0), 0, atol=1e-6)
    np.testing.assert_allclose(np.nanstd(part, 0), 1, atol=1e-5)


@pytest.mark.parametrize("align", [standardise, euclidean])
def test_a_session_is_aligned_by_itself(align, x):
    """What other recordings are in the data must not matter, nor the order of windows."""
    aligned = align(x, GROUP)
    alone = align(x[GROUP == "b"], GROUP[GROUP == "b"])
    np.testing.assert_allclose(aligned[GROUP == "b"], alone, rtol=1e-5, atol=1e-5)
    order = np.random.default_rng(1).permutation(60)
    np.testing.assert_allclose(align(x[order], GROUP[order]), aligned[order], rtol=1e-3, atol=1e-3)


def test_whitened_channels_are_uncorrelated_with_the_power_of_before(x):
    aligned = euclidean(x, GROUP).astype(float)
    for name in "abc":
        before, after = x[name == GROUP], aligned[name == GROUP]
        covariance = np.einsum("nct,ndt->cd", after, after) / (20 * 200)
        power = (before.astype(float) ** 2).mean()
        np.testing.assert_allclose(covariance, power * np.eye(4), atol=1e-3 * power)


def test_mixing_electrodes_differently_makes_no_difference_after_whitening(x, rng):
    """Up to a rotation, which the symmetric root keeps small: powers per window agree."""
    mixed = (np.eye(4) * [1, 2, 3, 0.5]).astype(np.float32) @ x
    one, other = euclidean(x, GROUP), euclidean(mixed, GROUP)
    power = [(part.astype(float) ** 2).mean((1, 2)) for part in (one, other)]
    by_group = [[p[g == GROUP] / p[g == GROUP].mean() for g in "abc"] for p in power]
    np.testing.assert_allclose(by_group[0], by_group[1], rtol=1e-3)


def test_whitening_bears_gaps_absent_channels_and_silence(x):
    x[5, 1, :50] = np.nan
    x[GROUP == "b", 2] = np.nan
    x[GROUP == "c"] = np.nan
    aligned = euclidean(x, GROUP)
    np.testing.assert_array_equal(np.isnan(aligned), np.isnan(x))
    x[GROUP == "c"] = 0
    np.testing.assert_array_equal(euclidean(x, GROUP)[GROUP == "c"], 0)


def test_whitening_bears_an_average_reference(x):
    """Four channels with the rank of three."""
    aligned = euclidean(x - x.mean(1, keepdims=True), GROUP)
    assert np.abs(aligned).max() < 20 * np.abs(x).max()
    np.testing.assert_allclose(aligned.mean(1), 0, atol=1e-2)


def test_recentred_covariances_have_the_identity_as_their_mean(x):
    matrices = np.einsum("nct,ndt->ncd", x, x).astype(float) / 200
    matrices[7] = np.nan
    aligned = recentre(matrices, GROUP)
    assert np.isnan(aligned[7]).all()
    for name in "abc":
        part = aligned[(name == GROUP) & (np.arange(60) != 7)]
        np.testing.assert_allclose(geometric_mean(part), np.eye(4), atol=1e-6)


def test_recentring_undoes_any_mixing(x, rng):
    """What covariances of two recordings of the same brain differ by is gone, but a rotation."""
    matrices = np.einsum("nct,ndt->ncd", x, x).astype(float) / 200
    mixing = rng.normal(size=(4, 4)) + 3 * np.eye(4)
    one, other = recentre(matrices, GROUP), recentre(mixing @ matrices @ mixing.T, GROUP)
    np.testing.assert_allclose(np.linalg.eigvalsh(one), np.linalg.eigvalsh(other), rtol=1e-6)
