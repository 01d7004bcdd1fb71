import json
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import distance, downstream_config, normal, scramble, tiny_config

import eegfoundation
from eegfoundation.errors import (
    CheckpointError,
    ConfigError,
    SimulatedTrainingWarning,
    UntrainedWeightsWarning,
)
from eegfoundation.models import (
    EEGFoundationForClassification,
    EEGFoundationModel,
    fingerprint,
    load_downstream_model,
    save_downstream_model,
)


def classifier(**changes):
    return scramble(EEGFoundationForClassification(downstream_config(**changes)))


@torch.no_grad()
def logits(model, *args, **kwargs):
    return model(*args, **kwargs).logits


def write_published(model, folder):
    """Save as a .pth with the published JSON beside it."""
    save_downstream_model(model, folder / "model.pth", folder / "config.json")
    return folder / "model.pth", folder / "config.json"


@pytest.fixture
def published(tmp_path):
    return write_published(classifier(trained=True), tmp_path)


def test_saving_and_loading_gives_the_same_model(tmp_path):
    model = classifier(
        trained=True,
        trained_on="a test",
        class_names=["left", "right", "feet"],
        ch_names=["Fp1", "C3", "Cz", "C4", "O1"],
        encoder="somewhere/else",
        encoder_sha256="0" * 64,
        alignment="euclidean",
        preprocessing={"notch": 60.0},
    )
    loaded = load_downstream_model(*write_published(model, tmp_path))
    x, e = normal(2, 5, 200), normal(2, 16)
    assert torch.equal(logits(loaded, x, e), logits(model, x, e))
    assert not loaded.training
    ours, theirs = model.config.to_dict(), loaded.config.to_dict()
    assert {k for k in ours if ours[k] != theirs[k]} == set()
    assert loaded.preprocessing.notch == 60.0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.pth"]


def test_a_missing_folder_is_made(tmp_path):
    save_downstream_model(classifier(), tmp_path / "a" / "b" / "model.pth")
    assert (tmp_path / "a" / "b" / "model.pth").is_file()


def test_weights_in_bfloat16_load_as_float32(tmp_path):
    model = classifier(trained=True).bfloat16()
    loaded = load_downstream_model(*write_published(model, tmp_path))
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value.float()), key


def test_untrained_weights_say_so_once(tmp_path):
    paths = write_published(classifier(), tmp_path)
    with pytest.warns(UntrainedWeightsWarning, match=r"model\.pth has UNTRAINED") as caught:
        model = load_downstream_model(*paths)
    assert len(caught) == 1
    assert caught[0].filename == __file__  # points at the caller's line
    model(normal(2, 5, 200), normal(2, 16))  # says nothing more: warnings are errors here
    assert eegfoundation.UntrainedWeightsWarning is UntrainedWeightsWarning


def test_weights_that_saw_simulations_only_say_so_once(tmp_path):
    paths = write_published(classifier(trained=True, simulated=True), tmp_path)
    with pytest.warns(SimulatedTrainingWarning, match="SIMULATED recordings only") as caught:
        model = load_downstream_model(*paths)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    model(normal(2, 5, 200), normal(2, 16))
    assert eegfoundation.SimulatedTrainingWarning is SimulatedTrainingWarning


def test_the_published_file_has_the_published_keys(published):
    root = Path(__file__).resolve().parents[2]
    shipped = json.loads((root / "configs" / "Stress_config.json").read_text())
    assert list(json.loads(published[1].read_text())) == list(shipped)


def test_a_linear_readout_is_saved_like_any_other(tmp_path):
    model = classifier(trained=True, readout="linear", ch_names=["C3", "Cz", "C4", "O1", "O2"])
    loaded = load_downstream_model(*write_published(model, tmp_path))
    x, e = normal(2, 5, 200), normal(2, 5, 16)
    assert torch.equal(logits(loaded, x, e), logits(model, x, e))
    assert logits(model, x, e).std() > 0.1


@pytest.fixture
def tuned(tmp_path):
    """A classifier with an encoder of its own, and its two files."""
    encoder = scramble(EEGFoundationModel(tiny_config(trained=True)))
    sha256 = fingerprint(encoder)
    model = classifier(trained=True, embedding_dim=128, encoder_tuned=True, encoder_sha256=sha256)
    model.attach_encoder(encoder)
    return model, *write_published(model, tmp_path)


def test_a_tuned_encoder_travels_in_the_file(tuned):
    model, path, config = tuned
    loaded = load_downstream_model(path, config)
    assert fingerprint(loaded.encoder) == model.config.encoder_sha256
    x = normal(2, 5, 200) * 20
    assert distance(logits(loaded, x), logits(model, x)) < 1e-5


BROKEN_ENCODERS = {
    "lacks": (lambda saved: saved.pop("encoder"), "encoder_tuned=True and lacks an encoder"),
    "other": (
        lambda saved: saved["encoder"]["state_dict"]["layers.0.fc1.bias"].add_(1),
        "was made with encoder",
    ),
    "weight": (
        lambda saved: saved["encoder"]["state_dict"].pop("layers.0.fc1.bias"),
        r"encoder's weights .* missing \['layers.0.fc1.bias'\]",
    ),
    "config": (lambda saved: saved["encoder"].pop("config"), "holds no checkpoint"),
    "number": (lambda saved: saved.update(encoder=3), "holds no checkpoint"),
}


@pytest.mark.parametrize("kind", BROKEN_ENCODERS)
def test_a_broken_tuned_encoder_is_one_sentence(tuned, kind):
    _, path, config = tuned
    change, message = BROKEN_ENCODERS[kind]
    saved = torch.load(path, weights_only=True)
    change(saved)
    torch.save(saved, path)
    with pytest.raises(CheckpointError, match=message):
        load_downstream_model(path, config)


def edit(path, change):
    saved = torch.load(path, weights_only=True)
    change(saved["state_dict"])
    torch.save(saved, path)


def test_weights_that_do_not_fit_exactly_are_listed(published):
    path, config = published

    def change(weights):
        del weights["final_layer.bias"]
        weights["final_layer.scale"] = torch.ones(1)
        weights["head.0.weight"] = torch.ones(2, 2)

    edit(path, change)
    with pytest.raises(CheckpointError) as error:
        load_downstream_model(path, config)
    message = str(error.value)
    assert "missing ['final_layer.bias']" in message
    assert "unexpected ['final_layer.scale']" in message
    assert "of another shape ['head.0.weight']" in message
    assert "\n" not in message


@pytest.mark.parametrize("key", ["num_classes", "d_model", "patch_size", "embedding_dim"])
def test_another_config_than_that_of_the_weights_is_refused(published, key):
    path, config = published
    settings = json.loads(config.read_text())
    config.write_text(json.dumps({**settings, key: 8}))
    with pytest.raises(CheckpointError, match="of another shape"):
        load_downstream_model(path, config)


def test_unknown_settings_are_refused(published):
    path, config = published
    config.write_text(json.dumps({**json.loads(config.read_text()), "speed": 9}))
    with pytest.raises(ConfigError, match="speed"):
        load_downstream_model(path, config)


def test_missing_files_are_named(published, tmp_path):
    path, config = published
    with pytest.raises(CheckpointError, match=r"none\.pth not found"):
        load_downstream_model(tmp_path / "none.pth", config)
    with pytest.raises(ConfigError, match=r"none\.json not found"):
        load_downstream_model(path, tmp_path / "none.json")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_downstream_model(tmp_path, config)


def refuse(path, config, raw):
    path.write_bytes(raw)
    # some bytes are a valid pickle, of an empty list say
    message = r"model\.pth (cannot be loaded as weights|holds no checkpoint)"
    with pytest.raises(CheckpointError, match=message) as error:
        load_downstream_model(path, config)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    path, config = write_published(classifier(trained=True), folder)
    return path, config, path.read_bytes()


@given(share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=40, deadline=None)
def test_a_truncated_file_is_one_sentence(whole, share):
    path, config, raw = whole
    refuse(path, config, raw[: int(share * len(raw))])


@given(raw=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
@settings(max_examples=150, deadline=None)
def test_what_is_no_checkpoint_is_one_sentence(whole, raw):
    path, config, _ = whole
    refuse(path, config, raw)


@pytest.mark.parametrize(
    "text", ["hello world\n", "{}", "version https://git-lfs.github.com/spec/v1"]
)
def test_a_text_file_is_one_sentence(whole, text):
    refuse(*whole[:2], text.encode())


class Code:
    """Unpickling this would make a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        import os

        return os.mkdir, (self.path,)


@pytest.mark.parametrize("where", ["whole file", "extras", "weight", "plain pickle", "old format"])
def test_code_in_a_file_is_refused_and_not_run(published, tmp_path, where):
    path, config = published
    saved, code = torch.load(path, weights_only=True), Code(tmp_path / "executed")
    if where == "extras":
        saved["extras"] = code
    if where == "weight":
        saved["state_dict"]["final_layer.bias"] = code
    if where == "plain pickle":
        path.write_bytes(pickle.dumps(code))
    else:
        torch.save(
            code if where == "whole file" else {**saved, "more": code},
            path,
            _use_new_zipfile_serialization=where != "old format",
        )
    with pytest.raises(CheckpointError, match="cannot be loaded as weights"):
        load_downstream_model(path, config)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "content",
    [
        {"final_layer.bias": torch.zeros(3)},
        {"state_dict": {}, "extras": 3},
        {"state_dict": {}, "extras": "{"},
        {"state_dict": {}, "extras": "[]"},
        {"state_dict": [1], "extras": "{}"},
        {"state_dict": {"final_layer.bias": 1}, "extras": "{}"},
        [],
        torch.zeros(3),
        "words",
        None,
    ],
    ids=str,
)
def test_weights_of_other_code_are_one_sentence(published, content):
    path, config = published
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="holds no checkpoint of save_downstream_model"):
        load_downstream_model(path, config)
