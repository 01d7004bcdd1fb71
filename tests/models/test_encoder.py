import json
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import distance, normal, published_config, scramble, tiny_config, tokens
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from transformers import AutoModel

from eegfoundation.errors import CheckpointError, ConfigError, ModelInputError
from eegfoundation.models import (
    SIZES,
    EEGFoundationForMaskedLM,
    EEGFoundationModel,
)
from eegfoundation.models.embeddings import FilterBank, fourier_filters, ordinal_table
from eegfoundation.models.encoder import ResidualLinear
from eegfoundation.models.objective import EEGFoundationForPreTraining
from eegfoundation.tokenizer import N_BINS, UNK

ENCODERS = {
    name: scramble(EEGFoundationModel(config)).requires_grad_(False)
    for name, config in {"published": published_config(), "merged": tiny_config()}.items()
}


@pytest.fixture(params=ENCODERS)
def encoder(request):
    return ENCODERS[request.param]


@pytest.fixture
def merged():
    return ENCODERS["merged"]


@pytest.fixture
def saved(tmp_path):
    """Folder of a checkpoint."""
    scramble(EEGFoundationModel(tiny_config())).save_pretrained(tmp_path)
    return tmp_path


def n_positions(encoder, n_times):
    return -(-n_times // encoder.config.tokens_per_position)


# --- Shapes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_times", [1, 99, 100, 101, 333, 2000])
def test_shapes_for_any_length(encoder, n_times):
    out = encoder(tokens(3, n_times), output_hidden_states=True)
    states = (3, n_positions(encoder, n_times), encoder.config.hidden_size)
    assert out.last_hidden_state.shape == states
    assert out.pooler_output.shape == (3, encoder.config.context_size)
    assert len(out.hidden_states) == encoder.config.num_hidden_layers + 1
    assert all(h.shape == states for h in out.hidden_states)
    assert torch.equal(out.hidden_states[-1], out.last_hidden_state)
    assert encoder(tokens(3, n_times)).hidden_states is None


@pytest.mark.parametrize("n_times", [100, 2013, 12_000])
def test_half_a_second_to_a_minute_of_signal(merged, n_times):
    values = merged.embed_signal(normal(1, 2, n_times) * 20)
    assert values.shape == (1, 2, 128)
    assert values.isfinite().all()


def test_a_minute_at_one_token_per_position():
    config = published_config(hidden_size=16, num_hidden_layers=1)
    values = EEGFoundationModel(config).eval().embed_signal(normal(1, 1, 12_000) * 20)
    assert values.isfinite().all()


@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (2, 1, 3), (0, 3)])
def test_signals_of_any_number_of_axes(merged, lead):
    x = normal(*lead, 130)
    assert merged.embed_signal(x).shape == (*lead, 128)
    assert merged.embed_signal(x, time_resolved=True).shape == (*lead, 6, 64)


@pytest.mark.parametrize(
    "ids", [tokens(2, 3, 100), tokens(100), tokens(2, 0), normal(2, 100)], ids=str
)
def test_what_is_no_row_of_tokens_is_refused(merged, ids):
    with pytest.raises(ModelInputError, match=r"expected integer tokens \(B, T\).*embed_signal"):
        merged(ids)


def test_a_mask_of_another_shape_is_refused(merged):
    with pytest.raises(ModelInputError, match=r"attention_mask has shape \(2, 99\).*\(2, 100\)"):
        merged(tokens(2, 100), torch.ones(2, 99))


# --- What the outputs depend on -----------------------------------------------------------------


def test_a_token_reaches_the_positions_that_see_it_first_and_then_all(encoder):
    ids = tokens(1, 200)
    changed = ids.clone()
    changed[0, 130] = (ids[0, 130] + 500) % 2000
    before, after = (encoder(x, output_hidden_states=True).hidden_states for x in (ids, changed))
    moved = (before[0] != after[0]).any(-1)[0].nonzero().flatten().tolist()
    # a merged position sees its own 25 tokens and as many on both sides
    assert moved == ([4, 5, 6] if encoder.config.merges_tokens else [130])
    assert (before[1] != after[1]).any(-1).all()


def test_order_within_a_position_matters(merged):
    ids = tokens(1, 25)
    assert distance(merged(ids).pooler_output, merged(ids.flip(1)).pooler_output) > 0.01


@given(
    n_times=st.integers(1, 130),
    n_padding=st.integers(0, 60),
    merge=st.booleans(),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_padding_after_the_signal_changes_nothing(n_times, n_padding, merge, seed):
    encoder = ENCODERS["merged" if merge else "published"]
    ids = tokens(2, n_times, seed=seed)
    # whatever lies under the padding: amplitudes, special tokens
    padding = torch.randint(0, 2006, (2, n_padding), generator=torch.Generator().manual_seed(seed))
    mask = torch.arange(n_times + n_padding) < n_times
    padded = encoder(torch.cat([ids, padding], dim=1), mask.expand(2, -1))
    alone = encoder(ids)
    assert distance(padded.pooler_output, alone.pooler_output) < 1e-5
    valid = padded.last_hidden_state[:, : n_positions(encoder, n_times)]
    assert distance(valid, alone.last_hidden_state) < 1e-5


def test_masked_samples_are_not_seen_wherever_they_lie(encoder):
    mask = torch.rand(2, 200, generator=torch.Generator().manual_seed(0)) > 0.5
    mask[:, 25:75] = False  # two whole positions
    ids, others = tokens(2, 200), tokens(2, 200, seed=1)
    a, b = encoder(ids, mask), encoder(torch.where(mask, ids, others), mask)
    assert distance(a.pooler_output, b.pooler_output) < 1e-5
    assert distance(a.pooler_output, encoder(ids).pooler_output) > 0.01


def test_a_mask_of_ones_is_no_mask(encoder):
    ids = tokens(2, 110)
    masked = encoder(ids, torch.ones_like(ids))
    assert distance(masked.last_hidden_state, encoder(ids).last_hidden_state) < 1e-5


def test_a_row_of_padding_only_is_finite_and_leaves_the_others_alone(encoder):
    ids = tokens(2, 100)
    out = encoder(ids, torch.tensor([[1], [0]]).expand(2, 100))
    assert out.pooler_output.isfinite().all()
    assert out.last_hidden_state.isfinite().all()
    assert distance(out.pooler_output[:1], encoder(ids[:1]).pooler_output) < 1e-5


def test_the_attention_mask_stays_finite_in_bfloat16(merged, monkeypatch):
    """Autocast rounds the mask: the lowest float32 would become -inf, and an empty row NaN."""
    seen = []

    def spy(*args, attn_mask, **kwargs):
        seen.append(attn_mask)
        return attention(*args, attn_mask=attn_mask, **kwargs)

    attention = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    merged(tokens(1, 100), torch.zeros(1, 100))
    assert len(seen) == 2
    assert all(mask.bfloat16().isfinite().all() for mask in seen)
    assert all((mask < -1e30).all() for mask in seen)


@pytest.mark.parametrize("n_times", [100, 140])
def test_a_row_alone_equals_the_row_in_a_batch(encoder, n_times):
    x = normal(4, 3, n_times) * torch.tensor([1.0, 20.0, 300.0])[:, None]
    together = encoder.embed_signal(x)
    for i in range(4):
        assert distance(encoder.embed_signal(x[i : i + 1]), together[i : i + 1]) < 1e-5
        for c in range(3):
            assert distance(encoder.embed_signal(x[i, c]), together[i, c]) < 1e-5


def test_channels_do_not_see_each_other(encoder):
    x = normal(1, 4, 120) * 20
    changed = x.clone()
    changed[0, 2] = 50 * normal(120, seed=5)
    before, after = encoder.embed_signal(x), encoder.embed_signal(changed)
    others = [0, 1, 3]
    assert distance(before[:, others], after[:, others]) < 1e-5
    assert distance(before[:, 2], after[:, 2]) > 0.01


# --- Bad samples --------------------------------------------------------------------------------


def test_unusable_samples_become_unk_and_outputs_stay_finite(encoder):
    x = normal(1, 3, 200) * 20
    x[0, 0, 40:80] = torch.nan
    x[0, 1, 7] = torch.inf
    ids, _ = encoder.tokenizer.encode(x)
    assert (ids == UNK).sum() == 41
    values = encoder.embed_signal(x)
    assert values.isfinite().all()
    assert distance(values, encoder(ids.flatten(0, 1)).pooler_output[None]) < 1e-5


@pytest.mark.parametrize("time_resolved", [False, True])
def test_flat_and_missing_channels_are_nan_and_only_those(encoder, time_resolved):
    x = normal(2, 4, 130) * 20
    x[0, 1] = 12.5
    x[1, 3] = torch.nan
    values = encoder.embed_signal(x, time_resolved=time_resolved).flatten(2)
    dead = torch.zeros(2, 4, dtype=torch.bool)
    dead[0, 1] = dead[1, 3] = True
    assert torch.equal(values.isnan().all(-1), dead)
    assert torch.equal(values.isnan().any(-1), dead)


# --- Pooling ------------------------------------------------------------------------------------


def pooled(merged, pooling):
    """The same weights with another context vector."""
    config = type(merged.config)(**{**merged.config.to_diff_dict(), "pooling": pooling})
    encoder = EEGFoundationModel(config).eval()
    encoder.load_state_dict(merged.state_dict())
    return encoder(tokens(2, 250), output_hidden_states=True)


def test_context_vector_is_the_mean_of_positions_after_the_first_and_the_last_layer(merged):
    out = merged(tokens(2, 250), output_hidden_states=True)
    _embedded, first, last = (states.mean(1) for states in out.hidden_states)
    assert distance(first, last) > 0.01
    assert distance(out.pooler_output, torch.cat([first, last], dim=-1)) < 1e-5


def test_context_vector_can_be_the_mean_and_standard_deviation_of_positions(merged):
    out = pooled(merged, "mean_std")
    mean = out.last_hidden_state.mean(1)
    std = out.last_hidden_state.std(1, correction=0)
    assert distance(out.pooler_output, torch.cat([mean, std], dim=-1)) < 1e-5


def test_context_vector_of_the_published_regime_is_the_mean():
    encoder = scramble(EEGFoundationModel(published_config()))
    out = encoder(tokens(2, 50))
    assert distance(out.pooler_output, out.last_hidden_state.mean(1)) < 1e-5


# --- Training and number formats ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
def test_dropout_acts_in_training_only(name):
    encoder = scramble(EEGFoundationModel(tiny_config(**{name: 0.1})))
    ids = tokens(2, 100)
    assert torch.equal(encoder(ids).pooler_output, encoder(ids).pooler_output)
    encoder.train()
    assert distance(encoder(ids).pooler_output, encoder(ids).pooler_output) > 1e-4


def test_gradients_reach_every_parameter(encoder):
    model = EEGFoundationModel(encoder.config)
    scramble(model)(tokens(2, 110)).last_hidden_state.square().sum().backward()
    assert [name for name, p in model.named_parameters() if not p.grad.abs().max() > 0] == []


@pytest.mark.parametrize("config", [published_config, tiny_config])
def test_gradient_checkpointing_gives_the_same_gradients(config):
    dropout = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}

    def gradients(checkpointing):
        model = scramble(EEGFoundationModel(config(**dropout))).train()
        if checkpointing:
            model.activation_checkpointing_enable()
        runs = []
        model.layers[0].fc1.register_forward_hook(lambda *_: runs.append(1))
        torch.manual_seed(1)  # the same dropout
        model(tokens(2, 110)).pooler_output.square().sum().backward()
        return [p.grad for p in model.parameters()], len(runs)

    plain, runs_once = gradients(False)
    checkpointed, runs_twice = gradients(True)
    assert (runs_once, runs_twice) == (1, 2)
    for a, b in zip(plain, checkpointed, strict=True):
        torch.testing.assert_close(a, b)


def test_double_precision_agrees(encoder):
    x = normal(1, 2, 150).double() * 20
    double = scramble(EEGFoundationModel(encoder.config)).double()
    values = double.embed_signal(x)
    assert values.dtype == torch.float64
    # the tokens of a float32 and a float64 signal may differ at a bin's edge: compare on one
    ids, _ = double.tokenizer.encode(x)
    rows = ids.flatten(0, 1)
    assert distance(double(rows).pooler_output.float(), encoder(rows).pooler_output) < 1e-5


def test_bfloat16_autocast_is_close(encoder):
    x = normal(1, 3, 150) * 20
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = encoder.embed_signal(x).float()
    exact = encoder.embed_signal(x)
    assert distance(rough, exact) > 0
    assert F.cosine_similarity(rough, exact, dim=-1).min() > 0.99


# --- Architecture -------------------------------------------------------------------------------


def test_projections_are_linear_layers_that_adapters_find(encoder):
    for layer in encoder.layers:
        children = dict(layer.attention.named_children())
        assert children.keys() == {"q_proj", "k_proj", "v_proj", "out_proj"}
        assert all(isinstance(child, nn.Linear) for child in children.values())
    for module in encoder.modules():
        if list(module.parameters(recurse=False)):
            # no nn.Linear: an adapter of its input would be as wide as a second of tokens
            assert isinstance(module, nn.Linear | nn.Embedding | nn.LayerNorm | FilterBank)


def test_a_projection_wrapped_by_an_adapter_is_used(merged):
    """What PEFT does: replace a layer by one that adds to it."""

    class Wrapped(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(x) + 0.5 * x

    encoder = scramble(EEGFoundationModel(tiny_config()))
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        attention = encoder.layers[0].attention
        original = getattr(attention, name)
        setattr(attention, name, Wrapped(original))
        changed = encoder(tokens(1, 100)).pooler_output
        assert distance(changed, merged(tokens(1, 100)).pooler_output) > 1e-3, name
        setattr(attention, name, original)


def test_sizes_stay_within_their_budgets():
    def parameters(name):
        with torch.device("meta"):
            model = EEGFoundationForMaskedLM(tiny_config(**SIZES[name]))
        return model.num_parameters(), model.config

    assert parameters("tiny")[0] < 0.3e6
    small, config = parameters("small")
    assert small <= 6e6
    assert small * 200 / config.tokens_per_position <= 30e6  # positions per second and channel
    assert config.context_size == 512


def test_no_weight_depends_on_the_window_or_the_channels():
    shapes = [
        {k: v.shape for k, v in EEGFoundationModel(tiny_config(**c)).state_dict().items()}
        for c in ({}, {"max_position_embeddings": 9})
    ]
    assert shapes[0] == shapes[1]


# --- Fresh weights ------------------------------------------------------------------------------


HEADS = [EEGFoundationModel, EEGFoundationForMaskedLM, EEGFoundationForPreTraining]


def fresh(cls, config):
    """An untrained encoder, made by itself or together with heads."""
    model = cls(config)
    return model if cls is EEGFoundationModel else model.encoder


@pytest.mark.parametrize("cls", HEADS)
def test_a_fresh_small_starts_as_a_fourier_transform_that_passes(cls):
    encoder = fresh(cls, tiny_config(**SIZES["small"]))
    embeddings = encoder.embeddings
    # a head whose table is tied to this one leaves it as it is
    assert torch.equal(embeddings.word_embeddings.weight[:N_BINS], 0.05 * ordinal_table(16))
    assert torch.equal(embeddings.filters.weight, fourier_filters(256, 16, 200, encoder.tokenizer))
    assert not embeddings.filters.bias.any()
    # 65,536 draws or more: their deviation is known to 0.3 percent
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Linear) and module is not embeddings.filters:
            scale = 0.1 if isinstance(module, ResidualLinear) else 1.0
            assert module.weight.std().item() == pytest.approx(0.05 * scale, rel=0.02), name
            assert not module.bias.any()
    residual = {n for n, m in encoder.named_modules() if isinstance(m, ResidualLinear)}
    last = ("attention.out_proj", "fc2")
    assert residual == {f"layers.{i}.{name}" for i in range(4) for name in last}


@pytest.mark.parametrize("cls", HEADS)
def test_a_fresh_published_encoder_starts_as_bert(cls):
    encoder = fresh(cls, published_config(hidden_size=128, intermediate_size=256))
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Linear) or name.endswith("word_embeddings"):
            # 16,384 draws or more: their deviation is known to 0.6 percent
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.03), name
            assert module.weight.mean().item() == pytest.approx(0, abs=1e-3), name
    table = encoder.get_input_embeddings().weight
    near, far = ((table[:500] - table[n : n + 500]).norm(dim=1).mean() for n in (1, 1000))
    assert near.item() == pytest.approx(far.item(), rel=0.05)  # no order of amplitudes


# --- Checkpoints --------------------------------------------------------------------------------


@pytest.mark.parametrize("loader", [EEGFoundationModel, AutoModel])
def test_a_checkpoint_gives_the_same_outputs_bit_for_bit(saved, loader):
    loaded = loader.from_pretrained(saved)
    assert type(loaded) is EEGFoundationModel
    assert not loaded.training
    original, ids = scramble(EEGFoundationModel(tiny_config())), tokens(2, 130)
    assert torch.equal(loaded(ids).last_hidden_state, original(ids).last_hidden_state)
    assert torch.equal(loaded(ids).pooler_output, original(ids).pooler_output)


def test_loading_is_silent(saved, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EEGFoundationModel.from_pretrained(saved)
    assert capfd.readouterr() == ("", "")


def test_loading_information_is_given_on_request(saved):
    model, information = EEGFoundationModel.from_pretrained(saved, output_loading_info=True)
    assert isinstance(model, EEGFoundationModel)
    assert not information["missing_keys"]


def edit_weights(folder, edit):
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def remove(weights):
    del weights["layers.0.fc1.bias"], weights["layers.1.attention.q_proj.weight"]


def add(weights):
    weights["layers.7.fc1.bias"] = torch.zeros(3)


def reshape(weights):
    weights["embeddings.norm.weight"] = torch.ones(5)


@pytest.mark.parametrize("loader", [EEGFoundationModel, AutoModel])
@pytest.mark.parametrize(
    ("edit", "kind", "keys"),
    [
        (remove, "missing", ["layers.0.fc1.bias", "layers.1.attention.q_proj.weight"]),
        (add, "unexpected", ["layers.7.fc1.bias"]),
        (reshape, "mismatched", ["embeddings.norm.weight"]),
    ],
)
def test_weights_that_do_not_fit_exactly_are_listed(saved, loader, edit, kind, keys):
    edit_weights(saved, edit)
    with pytest.raises(CheckpointError, match=f"do not fit EEGFoundationModel: {kind}") as error:
        loader.from_pretrained(saved)
    assert all(key in str(error.value) for key in keys)


def test_all_misfits_are_listed_at_once(saved):
    for edit in (remove, add, reshape):
        edit_weights(saved, edit)
    with pytest.raises(CheckpointError, match=r"missing .*; unexpected .*; mismatched "):
        EEGFoundationModel.from_pretrained(saved)


def test_another_size_in_the_config_is_a_misfit_too(saved):
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(CheckpointError, match=r"missing \['layers\.2\.attention\.k_proj\.bias'"):
        EEGFoundationModel.from_pretrained(saved)


def test_pickled_weights_are_refused_unread(saved):
    (saved / "model.safetensors").unlink()
    torch.save(EEGFoundationModel(tiny_config()).state_dict(), saved / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"no file named model\.safetensors"):
        EEGFoundationModel.from_pretrained(saved)


@pytest.mark.parametrize("damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b"words", bytes])
def test_damaged_weights_are_one_sentence(saved, damage):
    path = saved / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()) if damage is not bytes else b"")
    with pytest.raises(CheckpointError, match="Cannot load") as error:
        EEGFoundationModel.from_pretrained(saved)
    assert "\n" not in str(error.value)


def test_a_folder_without_a_checkpoint_is_one_sentence(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(CheckpointError, match="Cannot load") as error:
            EEGFoundationModel.from_pretrained(path)
        assert "\n" not in str(error.value)


def test_an_unknown_key_in_a_saved_config_is_refused(saved):
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "flux": 1}))
    with pytest.raises(ConfigError, match="flux"):
        EEGFoundationModel.from_pretrained(saved)


def test_tokenizer_and_preprocessing_travel_in_the_checkpoint(tmp_path):
    config = tiny_config(tokenizer={"scaling": "minmax"}, preprocessing={"highpass": 1.0})
    original = scramble(EEGFoundationModel(config))
    original.save_pretrained(tmp_path)
    loaded = EEGFoundationModel.from_pretrained(tmp_path)
    assert loaded.tokenizer.scaling == "minmax"
    assert loaded.preprocessing.highpass == 1.0
    x = normal(1, 2, 100)
    assert torch.equal(loaded.embed_signal(x), original.embed_signal(x))
    # min-max forgets amplitude, the default does not: the setting is used, not just stored
    assert distance(loaded.embed_signal(x * 8), loaded.embed_signal(x)) < 1e-5
    default = scramble(EEGFoundationModel(tiny_config()))
    assert distance(default.embed_signal(x * 8), default.embed_signal(x)) > 0.01


def test_a_pretraining_checkpoint_loads_without_its_head(tmp_path):
    model = scramble(EEGFoundationForMaskedLM(tiny_config()))
    model.save_pretrained(tmp_path)
    encoder = EEGFoundationModel.from_pretrained(tmp_path)
    ids = tokens(2, 80)
    assert torch.equal(encoder(ids).pooler_output, model.encoder(ids).pooler_output)


def test_a_pretraining_checkpoint_without_a_layer_is_refused_all_the_same(tmp_path):
    EEGFoundationForMaskedLM(tiny_config()).save_pretrained(tmp_path)
    edit_weights(tmp_path, lambda weights: weights.pop("encoder.layers.0.fc1.bias"))
    with pytest.raises(CheckpointError, match=r"missing \['layers\.0\.fc1\.bias'\]"):
        EEGFoundationModel.from_pretrained(tmp_path)
