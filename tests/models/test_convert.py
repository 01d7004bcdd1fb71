"""Our encoder with one token per position is RoFormer: same weights, same outputs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import distance, published_config, scramble, tiny_config, tokens
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    RoFormerConfig,
    RoFormerForMaskedLM,
    RoFormerForSequenceClassification,
    RoFormerModel,
)

from eegfoundation.errors import CheckpointError, ConfigError
from eegfoundation.models import (
    EEGFoundationForMaskedLM,
    EEGFoundationModel,
    from_roformer,
    load_roformer,
    to_roformer,
)
from eegfoundation.tokenizer import PAD, VOCAB_SIZE

TABLE = 64  # positions that RoFormer's table of sines holds in these tests

ARCHITECTURES = {
    "plain": {},
    "narrow embeddings": {"embedding_size": 20},
    "three heads": {"hidden_size": 48, "num_attention_heads": 3, "embedding_size": 48},
    "one deep head": {"num_attention_heads": 1, "num_hidden_layers": 4},
    "another activation": {"hidden_act": "relu", "type_vocab_size": 1, "layer_norm_eps": 1e-3},
    "untied": {"tie_word_embeddings": False},
}

MASKS = {
    "none": None,
    "nothing padded": torch.ones(3, 40, dtype=torch.long),
    "right": torch.arange(40) < torch.tensor([[40], [25], [1]]),
    "left": torch.arange(40) >= torch.tensor([[0], [15], [39]]),
    "scattered": torch.rand(3, 40, generator=torch.Generator().manual_seed(1)) > 0.4,
    "a row of padding only": torch.tensor([[True], [False], [True]]).expand(3, 40),
}


def roformer(cls, **changes):
    """A RoFormer with a configuration of its own (transformers writes into it; never share one)."""
    small = {
        "vocab_size": VOCAB_SIZE,
        "pad_token_id": PAD,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": TABLE,
    }
    return scramble(cls(RoFormerConfig(**{**small, **changes})))


@torch.no_grad()
def output(model, ids, mask=None):
    """Logits, or hidden states of a model without a head."""
    out = model(ids, attention_mask=mask)
    return out.logits if "logits" in out else out.last_hidden_state


@pytest.mark.parametrize("changes", ARCHITECTURES.values(), ids=ARCHITECTURES.keys())
@pytest.mark.parametrize("cls", [RoFormerModel, RoFormerForMaskedLM])
def test_roformer_in_gives_the_same_output(cls, changes):
    theirs = roformer(cls, **changes)
    ours, _ = from_roformer(theirs)
    ids = tokens(3, 40)
    for name, mask in MASKS.items():
        expected = output(theirs, ids, mask)
        assert expected.std() > 0.3  # otherwise being within 1e-5 would say little
        assert distance(output(ours, ids, mask), expected) <= 1e-5, name


@pytest.mark.parametrize("changes", ARCHITECTURES.values(), ids=ARCHITECTURES.keys())
@pytest.mark.parametrize("cls", [EEGFoundationModel, EEGFoundationForMaskedLM])
def test_roformer_out_gives_the_same_output(cls, changes):
    ours = scramble(cls(published_config(**changes)))
    theirs, _ = to_roformer(ours)
    ids = tokens(3, 40)
    for name, mask in MASKS.items():
        assert distance(output(theirs, ids, mask), output(ours, ids, mask)) <= 1e-5, name


@pytest.fixture(scope="module")
def pair():
    theirs = roformer(RoFormerForMaskedLM)
    return theirs, from_roformer(theirs)[0]


@given(data=st.data(), n_tokens=st.integers(1, TABLE))
@settings(max_examples=40, deadline=None)
def test_any_length_and_any_mask_give_the_same_output(pair, data, n_tokens):
    row = st.lists(st.booleans(), min_size=n_tokens, max_size=n_tokens)
    mask = torch.tensor(data.draw(st.lists(row, min_size=2, max_size=2)))
    ids = tokens(2, n_tokens, seed=n_tokens)
    theirs, ours = pair
    assert distance(output(ours, ids, mask), output(theirs, ids, mask)) <= 1e-5


def test_padding_masks_matter_in_this_comparison(pair):
    """Guard: with a shared configuration RoFormer can lose its mask, and so would the proof."""
    ids, mask = tokens(3, 40), MASKS["right"]
    changed = torch.where(mask, ids, tokens(3, 40, seed=9))
    for model in pair:
        same, different = output(model, ids, mask), output(model, changed, mask)
        assert distance(same[mask], different[mask]) < 1e-5
        assert distance(same[~mask], different[~mask]) > 0.1
        assert distance(output(model, ids)[mask], same[mask]) > 0.01


@pytest.mark.parametrize("n_tokens", [TABLE + 1, 500, 2000])
def test_beyond_its_table_roformer_rebuilt_with_a_larger_one_agrees(n_tokens):
    theirs = roformer(RoFormerModel)
    ours, _ = from_roformer(theirs)
    ids = tokens(1, n_tokens)
    with pytest.raises(IndexError):
        output(theirs, ids)
    larger = roformer(RoFormerModel, max_position_embeddings=n_tokens)
    weights = theirs.state_dict()
    del weights["encoder.embed_positions.weight"]
    larger.load_state_dict(weights, strict=False)
    assert distance(output(ours, ids), output(larger, ids)) <= 1e-5


@pytest.mark.parametrize("changes", ARCHITECTURES.values(), ids=ARCHITECTURES.keys())
@pytest.mark.parametrize("cls", [EEGFoundationModel, EEGFoundationForMaskedLM])
def test_out_and_in_again_is_bit_exact(cls, changes):
    ours = scramble(cls(published_config(**changes)))
    again, _ = from_roformer(to_roformer(ours)[0])
    assert type(again) is cls
    assert again.state_dict().keys() == ours.state_dict().keys()
    for key, value in ours.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key


@pytest.mark.parametrize("changes", ARCHITECTURES.values(), ids=ARCHITECTURES.keys())
@pytest.mark.parametrize("cls", [RoFormerModel, RoFormerForMaskedLM])
def test_in_and_out_again_is_bit_exact(cls, changes):
    theirs = roformer(cls, **changes)
    again, _ = to_roformer(from_roformer(theirs)[0])
    assert type(again) is cls
    assert again.state_dict().keys() == theirs.state_dict().keys()
    # "bias" repeats the decoder's; transformers reads whichever its version ties
    for key in theirs.state_dict().keys() - {"cls.predictions.bias"}:
        assert torch.equal(again.state_dict()[key], theirs.state_dict()[key]), key


def test_a_converted_model_survives_roformers_own_saving(tmp_path):
    ours = scramble(EEGFoundationForMaskedLM(published_config()))
    to_roformer(ours)[0].save_pretrained(tmp_path)
    theirs = RoFormerForMaskedLM.from_pretrained(tmp_path).eval()
    ids = tokens(2, 30)
    assert distance(output(theirs, ids), output(ours, ids)) <= 1e-5


def test_converted_heads_stay_tied():
    theirs, _ = to_roformer(EEGFoundationForMaskedLM(published_config()))
    ours, _ = from_roformer(theirs)
    assert ours.head.decoder.weight is ours.encoder.embeddings.word_embeddings.weight
    decoder, table = theirs.get_output_embeddings(), theirs.get_input_embeddings()
    assert decoder.weight is table.weight


def test_the_report_lists_every_weight():
    ours, report = from_roformer(roformer(RoFormerModel, embedding_size=20))
    assert report.matched == sorted(ours.state_dict())
    assert "layers.1.attention.q_proj.weight" in report.matched
    assert report.missing == report.unexpected == []
    theirs, report = to_roformer(ours)
    assert set(report.matched) == set(theirs.state_dict()) - {"encoder.embed_positions.weight"}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"rotary_value": True}, "rotary_value"),
        ({"is_decoder": True}, "is_decoder"),
        ({"pad_token_id": 0}, "pad_token_id=0"),
        ({"vocab_size": 2100}, "vocab_size=2100"),
    ],
)
def test_roformers_that_are_no_counterpart_are_refused(changes, found):
    with pytest.raises(ConfigError, match=found) as error:
        from_roformer(roformer(RoFormerModel, **changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "config",
    [tiny_config(), published_config(type_vocab_size=0), published_config(rope_theta=500.0)],
    ids=["merged tokens", "no token types", "another base"],
)
def test_ours_that_roformer_cannot_express_are_refused(config):
    with pytest.raises(ConfigError, match="exist in RoFormer") as error:
        to_roformer(EEGFoundationModel(config))
    assert "\n" not in str(error.value)


def test_another_head_is_refused():
    with pytest.raises(CheckpointError, match=r"unexpected \['classifier\.dense\.bias'"):
        from_roformer(roformer(RoFormerForSequenceClassification))


def test_a_missing_or_misshapen_or_extra_weight_is_refused_by_name():
    source = roformer(RoFormerModel)
    source.encoder.layer = source.encoder.layer[:1]
    with pytest.raises(CheckpointError, match=r"missing \['layers\.1\.attention\.k_proj\.bias'"):
        from_roformer(source)

    source = roformer(RoFormerModel)
    source.encoder.layer[0].intermediate.dense = nn.Linear(32, 7)
    with pytest.raises(CheckpointError, match=r"layers\.0\.fc1\.weight \(7, 32\) for \(48, 32\)"):
        from_roformer(source)

    source = EEGFoundationModel(published_config())
    source.adapter = nn.Linear(2, 2)
    with pytest.raises(CheckpointError, match=r"unexpected \['adapter\.bias', 'adapter\.weight'\]"):
        to_roformer(source)


# --- Checkpoints on disk ------------------------------------------------------------------------


@pytest.mark.parametrize("changes", ARCHITECTURES.values(), ids=ARCHITECTURES.keys())
@pytest.mark.parametrize("cls", [RoFormerModel, RoFormerForMaskedLM])
def test_a_checkpoint_of_roformer_is_read_whole(tmp_path, cls, changes):
    theirs = roformer(cls, **changes)
    theirs.save_pretrained(tmp_path)
    read = load_roformer(tmp_path)
    assert type(read) is cls
    ours, report = from_roformer(read, trained=True)
    assert ours.config.trained
    ids = tokens(2, 30)
    assert distance(output(ours, ids), output(theirs, ids)) <= 1e-5
    expected = {key for key in ours.state_dict() if not key.startswith("head.decoder.weight")}
    prefixed = {key.removeprefix("encoder.").removeprefix("head.") for key in expected}
    assert prefixed <= set(report.matched)
    assert str(report).splitlines()[1:] == ["missing: none", "unexpected: none"]
    assert str(report).startswith(f"matched: {len(report.matched)} weights")


def test_a_checkpoint_of_before_safetensors_is_read(tmp_path):
    theirs = roformer(RoFormerForMaskedLM)
    theirs.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    ids = tokens(2, 30)
    assert distance(output(load_roformer(tmp_path), ids), output(theirs, ids)) == 0


def remove(weights):
    del weights["encoder.layer.1.output.dense.bias"]


def add(weights):
    weights["encoder.layer.1.adapter.weight"] = torch.zeros(2, 2)


def reshape(weights):
    weights["encoder.layer.0.output.dense.bias"] = torch.zeros(7)


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (remove, r"missing \['encoder\.layer\.1\.output\.dense\.bias'\]"),
        (add, r"unexpected \['encoder\.layer\.1\.adapter\.weight'\]"),
        (reshape, r"another shape \[.*encoder\.layer\.0\.output\.dense\.bias"),
    ],
)
def test_a_checkpoint_with_a_surprise_is_refused_by_name(tmp_path, capfd, edit, found):
    """transformers itself would go on with random numbers in the gap."""
    roformer(RoFormerModel).save_pretrained(tmp_path)
    capfd.readouterr()
    weights = load_file(tmp_path / "model.safetensors")
    edit(weights)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=found) as error:
        load_roformer(tmp_path)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_checkpoints_of_other_models_are_refused(tmp_path):
    roformer(RoFormerForSequenceClassification).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"unexpected \['classifier\.dense\.bias'"):
        load_roformer(tmp_path)
    EEGFoundationModel(tiny_config()).save_pretrained(tmp_path / "ours")
    with pytest.raises(CheckpointError, match="type 'eegfoundation'; expected 'roformer'"):
        load_roformer(tmp_path / "ours")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"no readable config\.json"):
        load_roformer(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "roformer"}')
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="Cannot load"):
        load_roformer(tmp_path)
