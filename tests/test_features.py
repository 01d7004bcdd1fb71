import dataclasses

import numpy as np
import pytest

from eegfoundation import features
from eegfoundation.errors import TaskError
from eegfoundation.features import cache_folder, context_vectors
from eegfoundation.models.registry import random_encoder


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EEGFOUNDATION_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(0, 20, (5, 3, 200)).astype(np.float32)


@pytest.fixture
def calls(monkeypatch, encoder):
    """How many windows the encoder was asked for."""
    asked = []
    original = encoder.embed_signal

    def counted(batch):
        asked.append(len(batch))
        return original(batch)

    monkeypatch.setattr(encoder, "embed_signal", counted)
    return asked


def test_vectors_are_those_of_the_encoder(x, encoder):
    import torch

    found = context_vectors(x, encoder.preprocessing, encoder)
    assert found.shape == (5, 3, encoder.config.context_size)
    assert found.dtype == np.float32
    with torch.inference_mode():
        expected = encoder.embed_signal(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_what_was_computed_is_read(x, encoder, calls, folder):
    first = context_vectors(x, encoder.preprocessing, encoder)
    assert sum(calls) == 5
    second = context_vectors(x.copy(), encoder.preprocessing, encoder)
    assert sum(calls) == 5
    np.testing.assert_array_equal(first, second)
    assert cache_folder() == folder
    assert len(list(folder.iterdir())) == 1  # and nothing unfinished


def test_other_windows_or_weights_have_another_name(x, encoder, calls, folder):
    settings = encoder.preprocessing
    context_vectors(x, settings, encoder)
    louder = x.copy()
    louder[2, 1, 7] += 1
    context_vectors(louder, settings, encoder)
    context_vectors(x[:, ::-1], settings, encoder)
    assert sum(calls) == 15
    others = [random_encoder(encoder.config, seed) for seed in (1, 2)]
    one, other = (context_vectors(x, settings, twin) for twin in others)
    assert not np.allclose(one, other)
    assert len(list(folder.iterdir())) == 5


def test_reshaped_windows_are_other_windows(x, encoder, folder):
    context_vectors(x, encoder.preprocessing, encoder)
    reshaped = x.reshape(5, 6, 100)
    assert context_vectors(reshaped, encoder.preprocessing, encoder).shape[:2] == (5, 6)
    assert len(list(folder.iterdir())) == 2


def test_without_the_cache_nothing_is_read_or_kept(x, encoder, calls, folder):
    for _ in range(2):
        context_vectors(x, encoder.preprocessing, encoder, cache=False)
    assert sum(calls) == 10
    assert not folder.exists()


def test_batches_do_not_matter(x, encoder, monkeypatch):
    whole = context_vectors(x, encoder.preprocessing, encoder, cache=False)
    monkeypatch.setattr(features, "rows_per_batch", lambda encoder, n_times: 1)
    single = context_vectors(x, encoder.preprocessing, encoder, cache=False)
    np.testing.assert_allclose(whole, single, rtol=1e-4, atol=1e-4)


def test_channels_without_signal_are_nan(x, encoder):
    x[1, 2] = np.nan
    x[3, 0, :50] = np.nan
    found = context_vectors(x, encoder.preprocessing, encoder)
    assert np.isnan(found[1, 2]).all()
    known = np.ones((5, 3), dtype=bool)
    known[1, 2] = False
    assert np.isfinite(found[known]).all()
    np.testing.assert_array_equal(found, context_vectors(x, encoder.preprocessing, encoder))


def test_windows_that_the_encoder_does_not_expect_are_refused(x, encoder):
    other = dataclasses.replace(encoder.preprocessing, reference="average", highpass=1.0)
    with pytest.raises(TaskError, match=r"highpass=1\.0, reference='average'.* expects"):
        context_vectors(x, other, encoder)
    mains = dataclasses.replace(encoder.preprocessing, notch=60.0)  # found anew in every file
    assert context_vectors(x, mains, encoder).shape[0] == 5


def test_an_encoder_in_training_goes_on_training(x, encoder):
    model = random_encoder(encoder.config).train()
    context_vectors(x, model.preprocessing, model)
    assert model.training


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_a_damaged_file_is_found_and_made_anew(x, encoder, calls, folder, damage):
    first = context_vectors(x, encoder.preprocessing, encoder)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    broken = bytearray(whole)
    broken[len(whole) // 2] ^= 1
    path.write_bytes({"flipped": broken, "cut": whole[: len(whole) // 2], "empty": b""}[damage])
    with pytest.warns(UserWarning, match="is damaged and is computed anew"):
        second = context_vectors(x, encoder.preprocessing, encoder)
    np.testing.assert_array_equal(first, second)
    assert path.read_bytes() == whole
