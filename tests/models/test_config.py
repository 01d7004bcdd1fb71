import json

import pytest
from model_helpers import downstream_config, tiny_config
from transformers import AutoConfig

from eegfoundation.errors import ConfigError
from eegfoundation.models import SIZES, DownstreamConfig, EEGFoundationConfig
from eegfoundation.tokenizer import VOCAB_SIZE


def setting_at_fault(changes):
    """Name that the message must contain: of the first change, or of the setting inside it."""
    name, value = next(iter(changes.items()))
    return next(iter(value)) if isinstance(value, dict) else name


CLASSES = [EEGFoundationConfig, DownstreamConfig]


@pytest.mark.parametrize("cls", CLASSES)
def test_unknown_keys_are_refused_by_name(cls):
    with pytest.raises(ConfigError, match=r"\['colour', 'hiden_size'\]"):
        cls(hiden_size=3, colour="red")


@pytest.mark.parametrize("cls", CLASSES)
def test_another_model_type_is_refused(cls):
    with pytest.raises(ConfigError, match="'bert'"):
        cls(model_type="bert")


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 0},
        {"hidden_size": "64"},
        {"hidden_size": 64.0},
        {"hidden_size": 66, "num_attention_heads": 4},
        {"hidden_size": 6, "num_attention_heads": 2},  # a head of 3 has no pairs to rotate
        {"num_attention_heads": 0},
        {"num_hidden_layers": 0},
        {"intermediate_size": -1},
        {"embedding_size": -1},
        {"embedding_size": 0},
        {"tokens_per_position": 0},
        {"tokens_seen": 0},
        {"tokens_seen": "75"},
        {"tokens_seen": 75.0},
        {"tokens_seen": 23},  # fewer than its own 25
        {"tokens_seen": 26},  # not equally many on both sides
        {"tokens_seen": 3, "tokens_per_position": 1},  # without filters only its own is seen
        {"max_position_embeddings": 0},
        {"type_vocab_size": -1},
        {"hidden_dropout_prob": 1.5},
        {"attention_probs_dropout_prob": "0.1"},
        {"layer_norm_eps": -1e-5},
        {"initializer_range": None},
        {"rope_theta": float("nan")},
        {"hidden_act": "sine"},
        {"hidden_act": ["gelu"]},
        {"dtype": [[]]},
        {"dtype": 1e300},
        {"dtype": "nan"},
        {"id2label": {"a": []}},
        {"tokenizer": []},
        {"preprocessing": [[]]},
        {"pooling": "max"},
        {"vocab_size": 2000},
        {"mask_token_id": 0},
        {"pad_token_id": 0},
        {"cls_token_id": 0},
        {"sep_token_id": 0},
        {"unk_token_id": 0},
        {"tokenizer": {"scaling": "log"}},
        {"tokenizer": {"knee": 5}},
        {"tokenizer": {"knee_uv": "5"}},
        {"preprocessing": {"sfreq": -1}},
        {"preprocessing": {"low": 1}},
    ],
)
def test_impossible_encoder_settings_are_refused(changes):
    with pytest.raises(ConfigError, match=setting_at_fault(changes)):
        tiny_config(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        *({key: 0} for key in ("seq_len", "patch_size", "stride", "d_model", "num_classes")),
        *({key: 0} for key in ("num_channel", "embedding_dim", "projection_embedding_dim")),
        {"classification_hidden_dim": 0},
        {"patch_size": "100"},
        {"patch_size": 100.5},
        {"stride": True},
        {"classification_dropout": 1.0},
        {"learning_rate": -1e-4},
        {"weight_decay": "0.1"},
        {"class_names": ["one", "two"]},
        {"ch_names": ["C3", "C4"]},
        {"preprocessing": {"low": 1}},
    ],
)
def test_impossible_classifier_settings_are_refused(changes):
    with pytest.raises(ConfigError, match=setting_at_fault(changes)):
        downstream_config(**changes)


@pytest.mark.parametrize("value", [0, 1, 0.5])
def test_whole_numbers_serve_where_a_number_is_expected(value):
    assert downstream_config(weight_decay=value).weight_decay == value


@pytest.mark.parametrize("text", ["{", "[]", '"words"', "\x80"])
@pytest.mark.parametrize("cls", CLASSES)
def test_a_file_that_holds_no_settings_is_refused(tmp_path, cls, text):
    path = tmp_path / "config.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=r"config\.json"):
        cls.from_json_file(path)
    with pytest.raises(ConfigError, match="not found"):
        cls.from_json_file(tmp_path / "other.json")


@pytest.mark.parametrize(
    "config",
    [
        tiny_config(
            tokenizer={"scaling": "minmax"}, preprocessing={"highpass": None}, trained=True
        ),
        downstream_config(class_names=["a", "b", "c"], preprocessing={"notch": 60}),
    ],
)
def test_settings_survive_a_file(tmp_path, config):
    config.save_pretrained(tmp_path)
    again = type(config).from_pretrained(tmp_path)
    assert again.to_dict() == config.to_dict()
    assert type(config).from_json_file(tmp_path / "config.json").to_dict() == config.to_dict()


def test_a_saved_config_holds_every_tokenizer_and_preprocessing_setting(tmp_path):
    tiny_config().save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["tokenizer"] == {"scaling": "asinh", "knee_uv": 5.0, "max_uv": 10_000.0}
    assert saved["preprocessing"].keys() == {
        *("sfreq", "highpass", "lowpass", "notch", "reference", "artefact_uv")
    }


def test_auto_config_knows_the_encoder(tmp_path):
    tiny_config().save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), EEGFoundationConfig)


def test_named_sizes_are_the_published_ones():
    base, published = (EEGFoundationConfig(**SIZES[name]) for name in ("base", "published"))
    assert (base.num_hidden_layers, base.hidden_size) == (12, 768)
    assert (base.num_attention_heads, base.intermediate_size) == (12, 3072)
    assert (published.num_hidden_layers, published.hidden_size) == (12, 512)
    assert (published.num_attention_heads, published.intermediate_size) == (8, 2048)
    for config in (base, published):
        assert config.tokens_per_position == 1
        assert config.embedding_size == config.hidden_size
        assert config.vocab_size == VOCAB_SIZE


def test_a_position_sees_its_own_tokens_unless_told():
    for per_position in (1, 2, 25):
        config = tiny_config(tokens_per_position=per_position, tokens_seen=None)
        assert config.tokens_seen == per_position
        assert config.merges_tokens == (per_position > 1)
    assert tiny_config(tokens_seen=25).tokens_seen == 25
    assert EEGFoundationConfig().tokens_seen == 1


def test_sizes_of_our_own_see_beyond_their_tokens():
    tiny, small = (EEGFoundationConfig(**SIZES[name]) for name in ("tiny", "small"))
    assert (tiny.tokens_per_position, tiny.tokens_seen) == (25, 75)
    assert (small.tokens_per_position, small.tokens_seen) == (50, 200)
    for config in (tiny, small):
        # a pretraining window of ten seconds
        assert config.max_position_embeddings * config.tokens_per_position == 2000


def test_context_size_follows_pooling():
    assert tiny_config(pooling="mean").context_size == 64
    assert tiny_config(pooling="mean_std").context_size == 128
    assert tiny_config(pooling="mean_first_last").context_size == 128
