"""The layer does what `preprocess` does to epochs."""

import numpy as np
import pytest
import torch
from scipy.signal import resample

from eegfoundation import Preprocessing, preprocess, read_recording
from eegfoundation.corpus.compact import read_compact
from eegfoundation.errors import ModelInputError
from eegfoundation.integrations.window_preprocessing import WindowPreprocessing
from shared_data import shared_path

SOFT = Preprocessing(reference="soft average", notch=None)


@pytest.fixture(scope="module")
def rest():
    """A minute of rest, 19 channels at 250 Hz, and their names."""
    recording = read_compact(shared_path("compact", "eegmat", "Subject31_rest.npz"))
    return recording.get_data(0, 15_000), recording.ch_names


def windows_at(signal, sfreq, seconds):
    n_times = round(sfreq * seconds)
    x = resample(signal, round(signal.shape[1] * sfreq / 250), axis=1)[:, : 4 * n_times]
    return x.reshape(len(x), 4, n_times).transpose(1, 0, 2).astype(np.float32)


def both(x, sfreq, names, settings):
    epochs = read_recording(x, sfreq=sfreq, ch_names=names, units="uV")
    expected = preprocess(epochs, settings).get_data()
    layer = WindowPreprocessing(settings, sfreq, names)
    found = layer(torch.from_numpy(x)).numpy()
    assert found.shape[-1] == layer.n_out(x.shape[-1])
    return expected, found


@pytest.mark.parametrize("seconds", [0.5, 4.0, 12.0])
@pytest.mark.parametrize("sfreq", [125.0, 160.0, 200.0, 256.0, 500.0])
def test_equals_preprocess_on_recorded_windows(rest, sfreq, seconds):
    signal, names = rest
    x = windows_at(signal, sfreq, seconds) + 40  # an offset, too
    x[0, 1, 5:9] = np.nan
    x[1, 2] = 0.0
    x[2, 3, : round(1.2 * sfreq)] = 7.0
    x[3, 4, 20:30] += 3000.0
    for settings in (SOFT, Preprocessing(notch=50.0)):
        expected, found = both(x, sfreq, names, settings)
        assert np.isnan(found).any()
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        np.testing.assert_allclose(found, expected, atol=2e-3)


def test_rates_without_a_small_ratio(rest):
    signal, names = rest
    expected, found = both(windows_at(signal, 173.61, 4), 173.61, names, SOFT)
    assert np.abs(found - expected).max() < 0.05


def test_bipolar_channels(rest):
    signal, names = rest
    expected, found = both(
        windows_at(signal, 250, 4), 250, names, Preprocessing(reference="bipolar")
    )
    np.testing.assert_allclose(found, expected, atol=2e-3)
    derived = [f"{name}-Cz" for name in names]
    _, found = both(windows_at(signal, 250, 4), 250, derived, SOFT)
    _, alone = both(windows_at(signal, 250, 4), 250, derived, Preprocessing(notch=None))
    np.testing.assert_array_equal(found, alone)


def test_windows_do_not_depend_on_each_other_and_gradients_pass():
    layer = WindowPreprocessing(SOFT, 500.0, ["C3", "C4", "Pz"])
    x = 20 * torch.randn(4, 3, 1000, generator=torch.Generator().manual_seed(0))
    x.requires_grad_(True)
    found = layer(x)
    torch.testing.assert_close(found[1:2], layer(x[1:2]))
    found.square().sum().backward()
    assert x.grad.abs().amin((0, 1)).max() > 0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(layer(x), found)


def test_nothing_usable_is_nan_and_too_short_is_an_error():
    layer = WindowPreprocessing(SOFT, 250.0, ["C3", "C4"])
    assert layer(torch.zeros(1, 2, 500)).isnan().all()
    assert layer(torch.full((1, 2, 500), torch.nan)).isnan().all()
    with pytest.raises(
        ModelInputError, match=r"100 samples last 0\.4 s at 250 Hz; at least 0\.5 s"
    ):
        layer(torch.zeros(1, 2, 100))
