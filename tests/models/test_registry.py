import json
import warnings
from pathlib import Path

import pytest
import torch
from model_helpers import distance, scramble, tiny_config, tokens

import eegfoundation
from eegfoundation.errors import CheckpointError, ConfigError, UntrainedWeightsWarning
from eegfoundation.models import (
    SIZES,
    EEGFoundationModel,
    fingerprint,
    load_encoder,
    random_encoder,
)
from eegfoundation.models.registry import shipped_path

WEIGHTS = Path(eegfoundation.__file__).parent / "weights" / "small"


@pytest.fixture
def trained(tmp_path):
    """Folder of a checkpoint that says that it is trained."""
    scramble(EEGFoundationModel(tiny_config(trained=True))).save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def small():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UntrainedWeightsWarning)
        return load_encoder("small")


def test_small_is_shipped_within_its_budget(small):
    assert small.num_parameters() <= 6e6
    assert sum(p.stat().st_size for p in WEIGHTS.iterdir()) <= 25e6
    positions_per_second = small.preprocessing.sfreq / small.config.tokens_per_position
    assert small.num_parameters() * positions_per_second <= 30e6
    assert small.embed_signal(torch.randn(1, 2, 400) * 20).shape == (1, 2, 512)
    assert not small.training
    assert small.dtype == torch.float32
    assert {p.name for p in WEIGHTS.iterdir()} == {
        *("config.json", "model.safetensors", "training_data.json", "run.json"),
        *("README.md", "curves.png", "SHA256SUMS"),  # the card
    }


def test_a_trained_checkpoint_loads_without_a_warning(trained):
    encoder = load_encoder(trained)  # warnings are errors here
    assert encoder.config.trained
    assert load_encoder(str(trained), device="cpu").device == torch.device("cpu")


def test_an_untrained_checkpoint_says_so_once(tmp_path):
    EEGFoundationModel(tiny_config()).save_pretrained(tmp_path)
    with pytest.warns(UntrainedWeightsWarning, match="UNTRAINED") as caught:
        load_encoder(tmp_path)
    assert len(caught) == 1
    assert caught[0].filename == __file__  # points at the caller's line
    assert eegfoundation.UntrainedWeightsWarning is UntrainedWeightsWarning


def test_checkpoints_in_bfloat16_are_computed_in_float32(tmp_path):
    EEGFoundationModel(tiny_config(trained=True)).bfloat16().save_pretrained(tmp_path)
    assert {p.dtype for p in load_encoder(tmp_path).parameters()} == {torch.float32}
    twin = load_encoder(tmp_path, weights="random")
    assert {p.dtype for p in twin.parameters()} == {torch.float32}


def test_the_random_twin_is_decided_by_its_seed(trained):
    ids = tokens(2, 100)
    twins = [load_encoder(trained, weights="random", seed=seed) for seed in (0, 0, 1)]
    a, b, c = (twin(ids).pooler_output for twin in twins)
    assert torch.equal(a, b)
    assert distance(a, c) > 0.01
    assert distance(a, load_encoder(trained)(ids).pooler_output) > 0.01


def test_the_random_twin_has_the_architecture_but_is_not_trained(trained):
    pretrained, twin = load_encoder(trained), load_encoder(trained, weights="random")
    differing = {
        key
        for key, value in pretrained.config.to_dict().items()
        if twin.config.to_dict().get(key) != value
    }
    assert "trained" in differing
    assert differing <= {"trained", "architectures", "dtype", "_name_or_path"}
    assert not twin.config.trained
    assert not twin.training


@pytest.mark.parametrize("name", ["small", "tiny"])
def test_named_twins_leave_the_callers_random_numbers_alone(name):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    twin = load_encoder(name, weights="random")
    assert torch.equal(torch.get_rng_state(), state)
    assert twin.config.hidden_size == SIZES[name]["hidden_size"]
    torch.manual_seed(99)  # nor does the twin depend on them
    again = load_encoder(name, weights="random")
    assert torch.equal(again.layers[0].fc1.weight, twin.layers[0].fc1.weight)


def test_small_differs_from_its_twin(small):
    twin = load_encoder("small", weights="random", seed=1)
    assert not torch.equal(twin.layers[0].fc1.weight, small.layers[0].fc1.weight)


def test_sizes_without_weights_say_so():
    for name in ("tiny", "base", "published"):
        with pytest.raises(CheckpointError, match=f"No weights are shipped for '{name}'"):
            load_encoder(name)


def test_an_unknown_kind_of_weights_is_refused():
    with pytest.raises(ConfigError, match=r"'pretrained', 'random'"):
        load_encoder("small", weights="none")


@pytest.mark.parametrize("weights", ["pretrained", "random"])
def test_what_is_no_checkpoint_is_one_sentence(tmp_path, weights):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    for path in (tmp_path, tmp_path / "missing", tmp_path / "broken"):
        with pytest.raises(CheckpointError, match=str(path)) as error:
            load_encoder(path, weights=weights)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("weights", ["pretrained", "random"])
def test_other_peoples_models_are_refused(tmp_path, weights):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ConfigError, match="'bert'"):
        load_encoder(tmp_path, weights=weights)


def test_a_fingerprint_survives_saving(trained):
    original = scramble(EEGFoundationModel(tiny_config(trained=True)))
    assert fingerprint(load_encoder(trained)) == fingerprint(original)
    assert len(fingerprint(original)) == 64
    original.save_pretrained(trained / "half", max_shard_size="100KB")  # in several files
    assert fingerprint(load_encoder(trained / "half")) == fingerprint(original)


@pytest.mark.parametrize(
    "changes",
    [
        {"tokenizer": {"scaling": "minmax"}},
        {"tokenizer": {"knee_uv": 6.0}},
        {"preprocessing": {"highpass": 1.0}},
        {"pooling": "mean"},
        {"num_attention_heads": 4},
        {"rope_theta": 500.0},
        {"hidden_act": "relu"},
        {"layer_norm_eps": 1e-3},
    ],
    ids=str,
)
def test_a_fingerprint_changes_with_what_decides_an_embedding(changes):
    assert fingerprint(random_encoder(tiny_config(**changes))) != fingerprint(
        random_encoder(tiny_config())
    )


def test_a_fingerprint_changes_with_every_weight():
    encoder = random_encoder(tiny_config())
    seen = {fingerprint(encoder)}
    for parameter in encoder.parameters():
        with torch.no_grad():
            parameter.view(-1)[-1] += 1e-3
        seen.add(fingerprint(encoder))
    assert len(seen) == 1 + len(list(encoder.parameters()))


def test_a_fingerprint_does_not_depend_on_training_matters():
    assert fingerprint(random_encoder(tiny_config(hidden_dropout_prob=0.5))) == fingerprint(
        random_encoder(tiny_config(trained=True, max_position_embeddings=7))
    )


def test_shipped_files_are_found_and_others_refused():
    assert shipped_path("configs/BCIC_IV_2a_config.json").is_file()
    with pytest.raises(CheckpointError, match="not part of this installation"):
        shipped_path("configs/nothing.json")
