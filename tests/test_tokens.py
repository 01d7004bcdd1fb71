"""The token files: what they hold decodes back to the windows within the stated bound."""

import json

import numpy as np
import pytest

from eegfoundation import AmplitudeTokenizer, preprocess, read_recording
from eegfoundation.errors import ConfigError, OutputError, RecordingError
from eegfoundation.tokenizer import PAD, UNK, TokenizerState
from eegfoundation.tokens import tokenize_files
from eegfoundation.windows import iter_windows
from samples import NAMES, files_in, waves, write_edf


@pytest.fixture
def edf(tmp_path):
    return write_edf(tmp_path / "night.edf", waves(100))


def load(path):
    """Everything in a token file, and its tokenizer."""
    with np.load(path, allow_pickle=False) as file:
        content = {name: file[name] for name in file.files}
    return content, AmplitudeTokenizer.from_dict(json.loads(str(content["tokenizer"])))


@pytest.mark.parametrize("scaling", ["asinh", "minmax"])
def test_decodes_within_the_bound(edf, tmp_path, scaling):
    tokenize_files([str(edf)], str(tmp_path / "out"), scaling, 4.0, 1.0)
    content, tokenizer = load(tmp_path / "out" / "night_tokens.npz")
    assert tokenizer.scaling == scaling
    assert content["ch_names"].tolist() == NAMES[:3]
    assert content["input_ids"].dtype == np.int16
    blocks = iter_windows(preprocess(read_recording(edf)), 4.0, 1.0)
    expected = np.concatenate([block.data for block in blocks])
    assert content["input_ids"].shape == expected.shape == (9, 3, 800)
    state = TokenizerState(content["scale"], content["offset"])
    found = tokenizer.decode(content["input_ids"], state)
    bound = tokenizer.error_bound(content["input_ids"], state)
    assert (np.abs(found - expected) <= bound).all()
    assert bound.max() < 1  # microvolts


def test_what_cannot_be_used_has_its_own_tokens(tmp_path):
    x = waves(200)
    x[0, 500:1000] = np.nan
    x[1] = 0
    np.save(tmp_path / "x.npy", x)
    tokenize_files([str(tmp_path / "x.npy")], str(tmp_path), sfreq=200, ch_names=NAMES[:3])
    ids = load(tmp_path / "x_tokens.npz")[0]["input_ids"]
    np.testing.assert_array_equal(ids[0, 0, 500:1000], UNK)
    assert ids[0, 0, :500].max() < 2000
    np.testing.assert_array_equal(ids[:, 1], PAD)


def test_a_recording_shorter_than_a_window(tmp_path):
    path = write_edf(tmp_path / "short.edf", waves(100, duration=3))
    tokenize_files([str(path)], str(tmp_path))
    assert load(tmp_path / "short_tokens.npz")[0]["input_ids"].shape == (1, 3, 600)
    np.save(tmp_path / "x.npy", waves(200, duration=0.4))
    with pytest.raises(RecordingError, match=r"at least 0\.5 s"):
        tokenize_files([str(tmp_path / "x.npy")], str(tmp_path), sfreq=200)


def test_epochs_of_a_file_are_rows(tmp_path):
    x = waves(200).reshape(3, 10, 600).swapaxes(0, 1)
    np.save(tmp_path / "x.npy", x)
    tokenize_files([str(tmp_path / "x.npy")], str(tmp_path), window=1.0, sfreq=200)
    assert load(tmp_path / "x_tokens.npz")[0]["input_ids"].shape == (10, 3, 600)


def test_what_was_done_lies_beside_it(edf, tmp_path, capsys):
    out = tmp_path / "out"
    tokenize_files([str(edf)], str(out))
    assert files_in(out) == ["night_tokens.npz", "night_tokens.preprocessing.json"]
    history = json.loads((out / "night_tokens.preprocessing.json").read_text())
    assert list(history) == ["reading", "preprocessing", "windows", "tokenizer"]
    assert history["windows"]["n_done"] == 3
    assert history["tokenizer"] == AmplitudeTokenizer().to_dict()
    said = f"{out / 'night_tokens.npz'}: 3 windows, 3 channels, 2000 tokens each\n"
    assert capsys.readouterr().out == said
    with pytest.raises(OutputError, match="exists already"):
        tokenize_files([str(edf)], str(out))
    tokenize_files([str(edf)], str(out), overwrite=True)


def test_mains_frequency(edf, tmp_path):
    tokenize_files([str(edf)], str(tmp_path), line_freq=25)
    history = json.loads((tmp_path / "night_tokens.preprocessing.json").read_text())
    assert history["preprocessing"]["line_freq"] == 25
    assert history["preprocessing"]["line_freq_source"] == "argument"


def test_an_unknown_scaling_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(ConfigError, match="scaling='log' is unknown"):
        tokenize_files(["absent.edf"], str(tmp_path), scaling="log")
