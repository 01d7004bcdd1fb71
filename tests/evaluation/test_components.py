import numpy as np
import pytest

from eegfoundation.alignments import BANDS, N_COMPONENTS, component_names
from eegfoundation.evaluation.components import (
    SpectralSums,
    band_masks,
    components,
    flicker_masks,
    masks_of,
    mixed,
)

SFREQ, N_TIMES = 100.0, 300
FREQS = np.fft.rfftfreq(N_TIMES, 1 / SFREQ)


def recording(frequency, pattern, n=12, seed=0, strength=2.0):
    """Pink noise that neighbours share, and an oscillation of random phase under a pattern."""
    rng = np.random.default_rng(seed)
    n_chans = len(pattern)
    noise = np.fft.irfft(
        np.fft.rfft(rng.standard_normal((n, n_chans, N_TIMES))) / np.maximum(FREQS, 1), N_TIMES
    )
    mixing = np.eye(n_chans) + 0.5 * rng.random((n_chans, n_chans))
    noise = np.einsum("ij,njt->nit", mixing, noise)
    phase = rng.uniform(0, 2 * np.pi, (n, 1, 1))
    source = np.sin(2 * np.pi * frequency * np.arange(N_TIMES) / SFREQ + phase)
    weak = strength * noise.std() * np.asarray(pattern)[:, None] * source
    return (noise + weak) * 10, source[:, 0]


def likeness(one, other):
    """Mean absolute correlation over windows."""
    return np.mean([abs(np.corrcoef(a, b)[0, 1]) for a, b in zip(one, other, strict=True)])


@pytest.mark.parametrize("masks", [flicker_masks(FREQS, [13.0]), band_masks(FREQS, [(12, 14)])])
def test_the_first_component_is_the_oscillation(masks):
    x, source = recording(13, [0.3, -0.2, 0.25, 0.1], strength=1.0)
    found = components(x, np.zeros(len(x)), masks)
    assert found.shape == (len(x), N_COMPONENTS, N_TIMES)
    best = max(likeness(x[:, channel], source) for channel in range(4))
    assert likeness(found[:, 0], source) > 1.4 * best
    assert likeness(found[:, 0], source) > likeness(found[:, 1], source)


def test_a_session_is_treated_by_itself_and_at_its_own_power():
    a, _ = recording(13, [1, 0, 0, 0], seed=1)
    b, _ = recording(13, [0, 0, 1, 0], seed=2)
    group = np.repeat([0, 1], [len(a), len(b)])
    masks = band_masks(FREQS, BANDS)
    together = components(np.concatenate([a, 5 * b]), group, masks)
    alone = components(a, np.zeros(len(a)), masks)
    np.testing.assert_array_equal(together[group == 0], alone)
    for one, x in ((0, a), (1, 5 * b)):
        power = np.mean((x - x.mean(-1, keepdims=True)) ** 2)
        each = together[group == one].std((0, 2)) ** 2
        np.testing.assert_allclose(each, power, rtol=1e-3)


def test_mixing_the_channels_changes_nothing():
    x, _ = recording(13, [0.5, 0.2, -0.4, 0.1])
    mixing = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    masks = flicker_masks(FREQS, [13.0, 21.0])
    group = np.zeros(len(x))
    one, other = components(x, group, masks), components(mixing @ x, group, masks)
    assert likeness(one.reshape(-1, N_TIMES), other.reshape(-1, N_TIMES)) > 0.999


def test_hard_cases():
    x, _ = recording(13, [0.5, 0.2, -0.4])
    masks = band_masks(FREQS, BANDS)
    group = np.zeros(len(x))
    holes = x.copy()
    holes[3] = np.nan  # a window
    holes[:, 1] = np.nan  # a channel
    holes[5, 0, :20] = np.nan
    flat = x.copy()
    flat[:, 2] = flat[:, 0] + flat[:, 1]
    for case in (holes, flat):
        assert np.isfinite(components(case, group, masks)).all()
    nothing = components(np.full_like(x, np.nan), group, masks)
    assert np.isnan(nothing).all()
    alone = components(x[:, :1], group, masks)
    assert np.isfinite(alone[:, ::2]).all()
    assert np.isnan(alone[:, 1::2]).all()
    short = components(x[..., :40], group, band_masks(np.fft.rfftfreq(40, 1 / SFREQ), BANDS))
    assert np.isfinite(short).all()  # delta has no bin there


def test_the_sign_does_not_depend_on_the_machine():
    x, _ = recording(13, [0.5, 0.2, -0.4])
    masks = band_masks(FREQS, BANDS)
    one, other = components(x, np.zeros(len(x)), masks), components(-x, np.zeros(len(x)), masks)
    np.testing.assert_allclose(one, -other, atol=1e-3)


def test_a_channel_without_signal_is_as_if_it_were_not_there():
    x, _ = recording(13, [0.5, 0.2, -0.4, 0.1])
    group, masks = np.zeros(len(x)), band_masks(FREQS, BANDS)
    expected = components(x[:, [0, 1, 3]], group, masks)
    for nothing in (np.nan, 0.0, 7.0):
        x[:, 2] = nothing
        np.testing.assert_allclose(components(x, group, masks), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("flicker_hz", [None, [13.0, 21.0]])
def test_block_by_block_gives_the_components_of_all(flicker_hz):
    x, _ = recording(13, [0.5, 0.2, -0.4, 0.1])
    x[2, 1, 50:80] = np.nan
    masks = masks_of(N_TIMES, SFREQ, flicker_hz)
    sums = SpectralSums(masks)
    for block in (x[:1], x[1:7], x[7:]):
        sums.add(block)
    expected = components(x, np.zeros(len(x)), masks)
    np.testing.assert_allclose(mixed(sums.filters(), x), expected, rtol=1e-4, atol=1e-4)
    assert len(component_names(flicker_hz)) == expected.shape[1]


def test_components_are_named_in_their_order():
    names = component_names([13.0, 8.5])
    assert names == [f"{hz} Hz, component {i}" for hz in ("13", "8.5") for i in (1, 2)]
    assert component_names(None)[0] == "1-4 Hz, component 1"
    x, source = recording(21, [0.3, -0.2, 0.25, 0.1], strength=1.0)
    found = components(x, np.zeros(len(x)), masks_of(N_TIMES, SFREQ, [13.0, 21.0]))
    closest = np.argmax([likeness(found[:, i], source) for i in range(4)])
    assert component_names([13.0, 21.0])[closest] == "21 Hz, component 1"
