import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eegfoundation.finetuning.data import TuningData, augmented
from eegfoundation.finetuning.settings import FinetuneSettings


def data(n, **settings):
    x = np.random.default_rng(0).normal(size=(n, 3, 50)).astype(np.float32)
    return TuningData(
        x=x,
        y=np.arange(n) % 2,
        context=np.arange(n)[:, None, None] * np.ones((n, 3, 4), np.float32),
        shuffled=FinetuneSettings(**settings) if settings else None,
    )


@given(n=st.integers(1, 30), batch_size=st.integers(1, 12), epochs=st.integers(1, 3))
def test_every_epoch_holds_every_window(n, batch_size, epochs):
    windows = data(n, batch_size=batch_size, epochs=epochs)
    per_epoch = windows.steps_per_epoch * windows.batch_size
    assert len(windows) == epochs * per_epoch
    seen = [int(windows[i]["embedding_data"][0, 0]) for i in range(len(windows))]
    for epoch in range(epochs):
        part = seen[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert set(part) == set(range(n))
        assert len(part) < n + batch_size
        assert len(set(part[:n])) == n


def test_order_and_augmentation_depend_on_seed_epoch_and_window_alone():
    a, b, c = (
        data(16, batch_size=4, augmentation=True, strategy="head", seed=s) for s in (0, 0, 1)
    )
    for i in (37, 5):
        for key, value in a[i].items():
            np.testing.assert_array_equal(value, b[i][key])
    orders = [[int(part[i]["embedding_data"][0, 0]) for i in range(16)] for part in (a, c)]
    assert orders[0] != orders[1]
    assert orders[0] != [int(a[i]["embedding_data"][0, 0]) for i in range(16, 32)]


def test_validation_windows_are_as_they_are():
    windows = data(5)
    assert len(windows) == 5
    for i in range(5):
        np.testing.assert_array_equal(windows[i]["input_ids"], windows.x[i])


@given(seed=st.integers(0, 1000), n_chans=st.integers(1, 20))
def test_augmentation_leaves_channels_out_scales_and_rotates(seed, n_chans):
    x = np.random.default_rng(1).normal(size=(n_chans, 100)).astype(np.float32)
    found = augmented(x, np.random.default_rng(seed))
    assert found.shape == x.shape
    assert found.dtype == np.float32
    left = np.isfinite(found).all(1)
    assert left.any()
    assert np.isnan(found[~left]).all()
    factor = found[left].std() / x[left].std()
    assert 0.5 < factor < 2
    fits = [
        np.allclose(np.roll(x, k, 1)[left] * factor, found[left], atol=1e-4) for k in range(-10, 11)
    ]
    assert any(fits)
