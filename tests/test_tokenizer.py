import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eegfoundation.errors import ConfigError, ModelInputError
from eegfoundation.tokenizer import (
    N_BINS,
    PAD,
    UNK,
    VOCAB_SIZE,
    AmplitudeTokenizer,
    TokenizerState,
)

SCALINGS = ["asinh", "minmax"]
DTYPES = [np.float16, np.float32, np.float64, np.int16, np.int32]


@st.composite
def signals(draw):
    """Windows of many lengths, types and scales (1e-3 to 1e5 uV), with offsets and bad samples."""
    n_times = draw(st.integers(1, 400))
    scale = 10 ** draw(st.floats(-3, 5))
    offset = draw(st.sampled_from([0.0, 0.0, 1.0, -3.0])) * scale
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.standard_normal((2, n_times)) * scale + offset
    dtype = draw(st.sampled_from(DTYPES))
    if np.issubdtype(dtype, np.integer):
        x = np.clip(x, np.iinfo(dtype).min, np.iinfo(dtype).max)
    with np.errstate(over="ignore"):
        x = x.astype(dtype)  # float16 overflows to inf beyond 65504: bad samples, as they should be
    if np.issubdtype(dtype, np.floating):
        for bad in draw(st.lists(st.sampled_from([np.nan, np.inf, -np.inf]), max_size=3)):
            x[:, draw(st.integers(0, n_times - 1))] = bad
    return x


@pytest.mark.parametrize("scaling", SCALINGS)
@given(x=signals())
@settings(max_examples=200, deadline=None)
def test_decoding_stays_within_the_documented_bound(scaling, x):
    tokenizer = AmplitudeTokenizer(scaling=scaling)
    ids, state = tokenizer.encode(x)
    assert ids.shape == x.shape
    assert ids.dtype == np.int32
    assert ids.min() >= 0
    assert ids.max() < VOCAB_SIZE

    decoded = tokenizer.decode(ids, state)
    bound = tokenizer.error_bound(ids, state)
    amplitude = ids < N_BINS
    np.testing.assert_array_equal(np.isnan(decoded), ~amplitude)
    np.testing.assert_array_equal(np.isnan(bound), ~amplitude)
    inside = amplitude
    if scaling == "asinh":
        inside = amplitude & (np.abs(x.astype(np.float64)) <= tokenizer.max_uv)
    error = np.abs(decoded.astype(np.float64) - x)
    assert (error[inside] <= bound[inside]).all()
    # beyond the clipping range the outermost bin says "at least so much"
    assert (np.sign(decoded[amplitude & ~inside]) == np.sign(x[amplitude & ~inside])).all()


@pytest.mark.parametrize("scaling", SCALINGS)
@given(x=signals())
@settings(max_examples=50, deadline=None)
def test_torch_and_numpy_give_the_same_tokens(scaling, x):
    tokenizer = AmplitudeTokenizer(scaling=scaling)
    ids, state = tokenizer.encode(x)
    torch_ids, torch_state = tokenizer.encode(torch.from_numpy(x))
    assert torch_ids.dtype == torch.int32
    # asinh differs in the last bit between the libraries: a sample on a bin's very edge may move
    assert (np.abs(ids - torch_ids.numpy()) <= 1).all()
    assert (ids != torch_ids.numpy()).mean() < 0.02
    np.testing.assert_allclose(
        tokenizer.decode(torch_ids, torch_state).numpy(),
        tokenizer.decode(torch_ids.numpy(), state),
        rtol=1e-5,
        atol=1e-12,
    )


@pytest.mark.parametrize("scaling", SCALINGS)
def test_bad_samples_are_unknown_and_flat_channels_padding(scaling):
    x = np.tile(np.linspace(-50, 50, 100, dtype=np.float32), (5, 1))
    x[0, [3, 4, 5]] = [np.nan, np.inf, -np.inf]
    x[1, 7] = 1e12  # more than a kilovolt
    x[2] = 12.5
    x[3] = np.nan
    ids, state = AmplitudeTokenizer(scaling=scaling).encode(x)
    assert (ids[0, [3, 4, 5]] == UNK).all()
    assert ids[1, 7] == UNK
    assert (ids[2] == PAD).all()
    assert (ids[3] == PAD).all()
    assert (ids[4] < N_BINS).all()
    assert np.isfinite(state.scale).all()
    assert np.isfinite(state.offset).all()


def test_minmax_is_the_published_formula():
    x = np.random.default_rng(0).standard_normal((3, 2000)) * 20
    low, high = x.min(-1, keepdims=True), x.max(-1, keepdims=True)
    ids, _ = AmplitudeTokenizer(scaling="minmax").encode(x)
    np.testing.assert_array_equal(ids, np.round((x - low) / (high - low) * 1999))


def test_default_keeps_absolute_amplitude_and_minmax_does_not():
    alpha = np.sin(np.arange(400) * 2 * np.pi * 10 / 200)
    weak, strong = 2 * alpha, 200 * alpha
    default, published = AmplitudeTokenizer(), AmplitudeTokenizer(scaling="minmax")
    assert np.ptp(default.encode(strong)[0]) > 3 * np.ptp(default.encode(weak)[0])
    np.testing.assert_array_equal(published.encode(strong)[0], published.encode(weak)[0])


def test_default_resolves_microvolts_beside_a_blink():
    blink = np.zeros(400)
    blink[:50] = 300.0
    blink[50:] = 2 * np.sin(np.arange(350) * 2 * np.pi * 9.7 / 200)
    ids, state = AmplitudeTokenizer().encode(blink)
    assert AmplitudeTokenizer().error_bound(ids, state)[50:].max() < 0.05
    assert len(np.unique(ids[50:])) > 20


@given(st.floats(0.1, 10), st.floats(-100, 100))
@settings(deadline=None)
def test_a_given_state_is_used(scale, offset):
    tokenizer = AmplitudeTokenizer()
    x = np.random.default_rng(0).standard_normal((2, 300)) * 30
    plain, _ = tokenizer.encode(x)
    state = TokenizerState(np.full((2, 1), scale), np.full((2, 1), offset))
    ids, returned = tokenizer.encode(x * scale + offset, state)
    assert returned is state
    assert (np.abs(ids - plain) <= 1).all()
    error = np.abs(tokenizer.decode(ids, state) - (x * scale + offset))
    assert (error <= tokenizer.error_bound(ids, state)).all()


@pytest.mark.parametrize(
    "x", [np.zeros(()), np.zeros((3, 0)), np.zeros(3, complex), torch.zeros(3, dtype=torch.bool)]
)
def test_unusable_arrays_are_refused_in_one_sentence(x):
    with pytest.raises(ModelInputError, match="expected"):
        AmplitudeTokenizer().encode(x)


def test_settings_travel_and_are_checked():
    tokenizer = AmplitudeTokenizer(scaling="minmax", knee_uv=3.0)
    assert AmplitudeTokenizer.from_dict(tokenizer.to_dict()) == tokenizer
    with pytest.raises(ConfigError, match="n_bins"):
        AmplitudeTokenizer.from_dict({"n_bins": 512})
    with pytest.raises(ConfigError, match="choose one of"):
        AmplitudeTokenizer(scaling="zscore")
    for knee_uv in (-1, 1e-7, 2e4):
        with pytest.raises(ConfigError, match="knee_uv"):
            AmplitudeTokenizer(knee_uv=knee_uv)
