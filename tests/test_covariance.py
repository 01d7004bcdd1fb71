"""How channels go together: measured, centred, seen from a reference, on any recording."""

import numpy as np
import pytest
import torch

from eegfoundation.alignments import BANDS
from eegfoundation.covariance import (
    MAX_WINDOWS,
    Centre,
    CovarianceFeatures,
    features_of_trials,
    measure,
    reference_of,
    spread,
    vectors,
)
from eegfoundation.errors import ModelInputError
from eegfoundation.evaluation import baselines
from eegfoundation.evaluation.alignment import geometric_mean
from eegfoundation.models import DownstreamConfig, EEGFoundationForClassification
from eegfoundation.montage import positions

NAMES = ["Fz", "C3", "Cz", "C4", "Oz"]
SFREQ = 200


def config(**settings):
    base = {"num_channel": len(NAMES), "ch_names": NAMES, "readout": "linear", "covariance": True}
    return DownstreamConfig(**{**base, "preprocessing": {"sfreq": SFREQ}, **settings})


def classifier(**settings):
    model = EEGFoundationForClassification(config(**settings)).eval()
    for band in model.covariance.reference:
        band.copy_(100 * torch.eye(len(NAMES)))
    return model


def windows(n=12, n_chans=5, seed=0):
    rng = np.random.default_rng(seed)
    x = np.einsum(
        "ij,njt->nit", rng.normal(size=(n_chans, n_chans)), rng.normal(size=(n, n_chans, 400))
    )
    return (10 * x + 20 * np.sin(2 * np.pi * 10 * np.arange(400) / SFREQ)).astype(np.float32)


def test_what_is_measured_is_what_the_baselines_measure():
    x = windows()
    x[3] = np.nan
    found = measure(x, config())
    assert found.shape == (12, len(BANDS), 5, 5)
    expected = baselines.covariances(baselines.band_pass(x, SFREQ, *BANDS[2]))
    np.testing.assert_array_equal(found[:, 2], expected)
    assert np.isnan(found[3]).all()
    flickers = measure(x, config(flicker_hz=[10.0, 17.0]))
    assert flickers.shape == (12, 2)
    assert np.isnan(flickers[3]).all()
    known = np.delete(flickers, 3, axis=0)
    assert (known[:, 0] > known[:, 1]).all()


def test_centred_matrices_have_the_identity_as_their_mean():
    measured = measure(windows(), config())
    measured[4] = np.nan
    centred = Centre(measured)(measured)
    known = np.delete(centred, 4, axis=0)
    for band in range(known.shape[1]):
        np.testing.assert_allclose(geometric_mean(known[:, band]), np.eye(5), atol=1e-6)
    assert np.isnan(centred[4]).all()


def test_centred_correlations_are_standardised():
    measured = measure(windows(), config(flicker_hz=[10.0, 17.0]))
    measured[4] = np.nan
    known = np.delete(Centre(measured)(measured), 4, axis=0)
    np.testing.assert_allclose(known.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(known.std(0), 1, atol=1e-2)


@pytest.mark.parametrize("flicker_hz", [None, [10.0]])
def test_a_recording_of_which_nothing_is_known_changes_nothing(flicker_hz):
    measured = measure(windows(), config(flicker_hz=flicker_hz))
    np.testing.assert_array_equal(Centre(np.full_like(measured, np.nan))(measured), measured)


def test_vectors_are_those_of_the_baseline():
    measured = measure(windows(), config())
    measured[2] = np.nan
    found = vectors(measured, reference_of(measured[:8]))
    expected = np.hstack(
        [baselines.tangent_features(measured[:, band], np.arange(8)) for band in range(7)]
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert found.shape[1] == config().n_covariances == 7 * 15
    assert config(flicker_hz=[10.0, 17.0]).n_covariances == 2


def test_a_long_recording_is_represented_by_windows_of_all_of_it():
    assert spread(3).tolist() == [0, 1, 2]
    many = spread(100_000)
    assert (len(many), many[0], many[-1]) == (MAX_WINDOWS, 0, 99_999)
    assert np.diff(many).max() < 210


def features(model, x, names):
    found = CovarianceFeatures(model, positions(names))
    found.add(x[:5])
    found.add(x[5:])
    found.finish()
    return found(x).numpy()


def test_electrodes_are_found_by_their_place():
    model, x = classifier(alignment="standardise"), windows()
    expected = features(model, x, NAMES)
    order = [3, 0, 4, 2, 1]
    turned = features(model, x[:, order], [NAMES[i] for i in order])
    np.testing.assert_allclose(turned, expected, atol=1e-4)
    more = np.concatenate([windows(seed=1)[:, :2], x], axis=1)
    np.testing.assert_allclose(features(model, more, ["P7", "P8", *NAMES]), expected, atol=1e-4)


def test_an_electrode_without_a_channel_of_its_own_is_absent():
    model, x = classifier(), windows()
    absent = x.copy()
    absent[:, 1] = np.nan
    expected = features(model, absent, NAMES)
    rest = [0, 2, 3, 4]
    found = features(model, x[:, rest], [NAMES[i] for i in rest])
    assert np.isfinite(found).all()
    # Cz is C3's nearest channel, but it is itself read as Cz
    np.testing.assert_allclose(found, expected, atol=1e-4)
    with pytest.raises(ModelInputError, match="None of the 2 channels lies within"):
        features(model, x[:, :2], ["P9", "P10"])


def test_flickers_are_seen_by_any_channels():
    model, x = classifier(flicker_hz=[10.0, 17.0]), windows()
    found = features(model, x[:, [4, 1]], ["Oz", "C3"])
    few = measure(x[:, [1, 4]], config(flicker_hz=[10.0, 17.0]))
    np.testing.assert_allclose(found, Centre(few)(few), atol=1e-4)


def test_sessions_are_centred_by_themselves():
    from eegfoundation.preprocessing import Preprocessing
    from eegfoundation.tasks.trials import Trials

    model, x = classifier(alignment="standardise"), windows()
    session = np.repeat(["a", "b"], 6)
    trials = Trials(
        x=x,
        y=np.zeros(12, int),
        subject=np.full(12, "0"),
        session=session,
        run=session,
        classes=("one", "two"),
        ch_names=tuple(NAMES),
        positions=positions(NAMES),
        preprocessing=Preprocessing.from_dict(model.config.preprocessing),
    )
    together = features_of_trials(model, trials).numpy()
    apart = [features(model, x[session == one], NAMES) for one in "ab"]
    np.testing.assert_allclose(together, np.concatenate(apart), atol=1e-5)
    plain = classifier()
    one_by_one = CovarianceFeatures(plain, positions(NAMES))
    np.testing.assert_allclose(features_of_trials(plain, trials), one_by_one(x).numpy(), atol=1e-5)


def test_without_a_usable_window_there_is_still_a_reference():
    measured = np.full((3, 7, 5, 5), np.nan)
    np.testing.assert_array_equal(reference_of(measured), np.tile(np.eye(5), (7, 1, 1)))
    assert np.isnan(vectors(measured, reference_of(measured))).all()
