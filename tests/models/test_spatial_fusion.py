import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import distance, downstream_config, normal, scramble
from torch import nn
from torch.nn import functional as F

from eegfoundation.models.spatial_fusion import (
    SPACE_WAVELENGTHS,
    TIME_WAVELENGTHS,
    CoordinateEmbedding,
    FusionBlock,
    LocalPatches,
    SpatialFusion,
)

FUSION = scramble(SpatialFusion(downstream_config())).requires_grad_(False)


def inputs(n_chans, n_times, batch=2, seed=0):
    """Signal, context, positions on a head, and a mask with every channel in it."""
    positions = F.normalize(normal(batch, n_chans, 3, seed=seed + 1), dim=-1) * 0.09
    return {
        "x": normal(batch, n_chans, n_times, seed=seed) * 20,
        "context": normal(batch, n_chans, 16, seed=seed + 2),
        "positions": positions,
        "channel_mask": torch.ones(batch, n_chans, dtype=torch.bool),
    }


def pick(values, channels):
    return {name: value[:, channels] for name, value in values.items()}


def fuse(values, fusion=FUSION, sfreq=200.0):
    return fusion(**values, sfreq=sfreq)


@given(data=st.data(), n_chans=st.integers(1, 12), n_times=st.integers(3, 300))
@settings(max_examples=60, deadline=None)
def test_channels_are_a_set(data, n_chans, n_times):
    values = inputs(n_chans, n_times)
    masked = data.draw(st.lists(st.booleans(), min_size=n_chans, max_size=n_chans))
    unknown = data.draw(st.lists(st.booleans(), min_size=n_chans, max_size=n_chans))
    values["channel_mask"][0] = torch.tensor(masked)
    values["positions"][1, torch.tensor(unknown)] = torch.nan
    order = list(data.draw(st.permutations(range(n_chans))))
    pooled, attention = fuse(values)
    shuffled, shuffled_attention = fuse(pick(values, order))
    assert distance(shuffled, pooled) < 1e-5
    assert distance(shuffled_attention, attention[:, order]) < 1e-5


@pytest.mark.parametrize("name", ["x", "context", "positions"])
def test_what_belongs_to_a_channel_is_bound_to_it(name):
    """Shuffling only one of signal, context and positions is another recording."""
    values = inputs(6, 200)
    order = [3, 0, 4, 1, 5, 2]
    mixed = {**values, name: values[name][:, order]}
    assert distance(fuse(mixed)[0], fuse(values)[0]) > 1e-3


@given(data=st.data(), n_chans=st.integers(2, 12))
@settings(max_examples=40, deadline=None)
def test_a_masked_channel_is_a_removed_one(data, n_chans):
    values = inputs(n_chans, 200)
    keep = data.draw(st.sets(st.integers(0, n_chans - 1), min_size=1))
    values["channel_mask"] = torch.tensor([[c in keep for c in range(n_chans)]] * 2)
    pooled, attention = fuse(values)
    alone, alone_attention = fuse(pick(values, sorted(keep)))
    assert distance(pooled, alone) < 1e-5
    assert distance(attention[:, sorted(keep)], alone_attention) < 1e-5
    assert (attention[~values["channel_mask"]] == 0).all()


@pytest.mark.parametrize(
    ("n_chans", "n_times"), [(1, 100), (2, 49), (5, 1), (19, 12_000), (256, 400)]
)
def test_any_number_of_channels_and_samples(n_chans, n_times):
    pooled, attention = fuse(inputs(n_chans, n_times))
    assert pooled.shape == (2, 32)
    assert pooled.isfinite().all()
    assert attention.shape == (2, n_chans)
    assert (attention > 0).all()
    torch.testing.assert_close(attention.sum(1), torch.ones(2))


def test_attention_still_sums_to_one_with_channels_left_out():
    values = inputs(6, 200)
    values["channel_mask"][0, :4] = False
    torch.testing.assert_close(fuse(values)[1].sum(1), torch.ones(2))


def test_a_window_without_any_channel_is_finite_and_leaves_the_others_alone():
    values = inputs(4, 200)
    values["channel_mask"][0] = False
    values["x"][0] = torch.nan
    pooled, attention = fuse(values)
    assert pooled.isfinite().all()
    assert attention.isfinite().all()
    assert distance(pooled[1:], fuse({k: v[1:] for k, v in values.items()})[0]) < 1e-5


def test_the_mask_stays_finite_in_bfloat16(monkeypatch):
    """Autocast rounds the mask: the lowest float32 would become -inf, and an empty row NaN."""
    seen = []

    def spy(*args, attn_mask, **kwargs):
        seen.append(attn_mask)
        return attention(*args, attn_mask=attn_mask, **kwargs)

    attention = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    values = inputs(3, 100)
    values["channel_mask"][:] = False
    fuse(values)
    assert len(seen) == 1
    assert seen[0].bfloat16().isfinite().all()


def test_attention_is_each_electrodes_share_of_the_pooled_vector():
    values, states = inputs(4, 200), []
    handle = FUSION.norm.register_forward_hook(lambda *args: states.append(args[-1]))
    pooled, attention = fuse(values)
    handle.remove()
    h = states[0]  # (B, N, C, D)
    by_channel = FUSION.channel_score(h).softmax(2)
    moments = (by_channel * h).sum(2, keepdim=True)
    share = by_channel * FUSION.time_score(moments).softmax(1)  # (B, N, C, 1)
    assert share.std() > 0.01
    assert distance(pooled, (share * h).sum((1, 2))) < 1e-5
    assert distance(attention, share.sum((1, 3))) < 1e-5


# --- Across channels, not within ----------------------------------------------------------------


def test_a_channel_changes_what_another_contributes_at_the_same_moment_only():
    block = scramble(FusionBlock(downstream_config())).requires_grad_(False)
    h = normal(1, 4, 3, 32)  # 4 moments, 3 channels
    bias = torch.zeros(1, 4, 3)
    changed = h.clone()
    changed[0, 2, 0] = normal(32, seed=5)
    moved = (block(h, bias) - block(changed, bias)).abs().amax(-1)[0]  # (4, 3)
    assert (moved[2] > 1e-2).all()  # the channel itself, and both others
    assert moved[[0, 1, 3]].max() < 1e-5


def test_a_channels_signal_changes_the_fused_states_of_all_others():
    fused = []
    handle = FUSION.block.register_forward_hook(lambda *args: fused.append(args[-1]))
    values = inputs(4, 200)
    other = {**values, "x": values["x"].clone()}
    other["x"][:, 3] = normal(2, 200, seed=9) * 20
    fuse(values)
    fuse(other)
    handle.remove()
    before, after = fused  # (B, N, C, D)
    assert (before - after)[:, :, :3].abs().amax(dim=(0, 1, 3)).min() > 1e-2


def test_every_channels_position_matters():
    values = inputs(5, 200)
    for c in range(5):
        moved = {**values, "positions": values["positions"].clone()}
        moved["positions"][:, c] *= -1  # the other side of the head
        assert distance(fuse(moved)[0], fuse(values)[0]) > 1e-3


# --- Coordinates --------------------------------------------------------------------------------


def test_a_centimetre_is_told_apart():
    embed = scramble(CoordinateEmbedding(3, SPACE_WAVELENGTHS, 32)).requires_grad_(False)
    near = embed(torch.tensor([[0.0, 0.0, 0.0], [0.01, 0.0, 0.0], [0.0, 0.0, 0.01]]))
    assert torch.pdist(near).min() > 0.05


def test_an_unknown_position_is_one_learned_vector():
    nan, inf = float("nan"), float("inf")
    values = inputs(3, 200)
    values["positions"][:] = torch.tensor([[nan, nan, nan], [nan, 0.1, 0.2], [0.1, 0.2, inf]])
    pooled, _ = fuse(values)
    same = {**values, "positions": torch.full_like(values["positions"], nan)}
    assert torch.equal(fuse(same)[0], pooled)
    centre = {**values, "positions": torch.zeros_like(values["positions"])}
    assert distance(fuse(centre)[0], pooled) > 1e-3


def test_unknown_positions_do_not_spoil_gradients():
    fusion = scramble(SpatialFusion(downstream_config()))
    values = inputs(3, 200)
    values["positions"][:, 0] = torch.nan
    fusion(**values, sfreq=200.0)[0].square().sum().backward()
    assert all(p.grad.isfinite().all() for p in fusion.parameters())
    assert fusion.unknown_electrode.grad.abs().max() > 0


def test_moments_of_a_minute_are_told_apart():
    embed = scramble(CoordinateEmbedding(1, TIME_WAVELENGTHS, 32))
    moments = torch.arange(0.25, 60, 0.5).unsqueeze(1)
    assert torch.pdist(embed(moments)).min() > 0.1


def test_moments_are_seconds():
    """Twice the rate, patches twice as long: the same moments."""
    fine = scramble(SpatialFusion(downstream_config(patch_size=100, stride=50)))
    coarse = FUSION
    seen = []
    for fusion in (fine, coarse):
        handle = fusion.moment.register_forward_hook(lambda m, args, out: seen.append(args[0]))
        fusion(**inputs(2, 400 if fusion is fine else 200), sfreq=400.0 if fusion is fine else 200)
        handle.remove()
    torch.testing.assert_close(*seen)
    assert seen[0][0].item() == pytest.approx(0.125)  # centre of the first 50 samples at 200 Hz


# --- Local patterns -----------------------------------------------------------------------------


def linear(patches, x):
    """The projection of standardised samples."""
    return F.linear(x, patches.project.weight, patches.project.bias)


def test_patches_are_linear_in_the_standardised_signal():
    patches = scramble(LocalPatches(downstream_config())).requires_grad_(False)
    x = normal(2, 3, 130) * 20 + 5
    z = (x - x.mean(-1, keepdim=True)) / x.std(-1, correction=0, keepdim=True)
    out, usable = patches(x)
    assert usable.all()
    assert out.shape == (2, 3, 5, 32)  # starts 0, 25, 50, 75, 100
    z = F.pad(z, (0, 20))  # the last patch is filled up: no sample is left out
    for n in range(5):
        assert distance(out[:, :, n], linear(patches, z[..., 25 * n : 25 * n + 50])) < 1e-4


@given(scale=st.floats(1e-6, 1e6), offset=st.floats(-100, 100))
@settings(max_examples=30, deadline=None)
def test_units_and_offsets_do_not_matter(scale, offset):
    x = normal(1, 3, 200)
    scaled, _ = FUSION.local_patterns(x * scale + offset * scale)
    assert distance(scaled, FUSION.local_patterns(x)[0]) < 1e-3


def test_a_window_shorter_than_a_patch_is_padded_with_the_mean():
    patches = scramble(LocalPatches(downstream_config())).requires_grad_(False)
    x = normal(1, 2, 30) * 20 + 100
    z = (x - x.mean(-1, keepdim=True)) / x.std(-1, correction=0, keepdim=True)
    out, _ = patches(x)
    assert out.shape == (1, 2, 1, 32)
    assert distance(out[:, :, 0], linear(patches, F.pad(z, (0, 20)))) < 1e-4


def test_unusable_samples_count_as_the_mean_of_the_usable_ones():
    patches = scramble(LocalPatches(downstream_config())).requires_grad_(False)
    x = normal(1, 1, 50) * 20 + 100
    x[..., 20:30] = torch.nan
    usable = x[x.isfinite()]
    z = ((x - usable.mean()) / usable.std(correction=0)).nan_to_num(0)
    out, usable = patches(x)
    assert distance(out[:, :, 0], linear(patches, z)) < 1e-4
    assert usable.all()


def test_a_patch_without_usable_samples_is_not_attended():
    values = inputs(3, 200)
    values["x"][:, 0, 50:150] = torch.nan  # patches of 50: those from 50 to 100 hold nothing
    _, usable = FUSION.local_patterns(values["x"])
    assert usable[0, 0].tolist() == [True, True, False, False, False, True, True]
    before, _ = fuse(values)
    # what such a patch would say must not matter
    handle = FUSION.local_patterns.register_forward_hook(
        lambda module, args, out: (out[0].masked_fill(~out[1].unsqueeze(-1), 9.0), out[1])
    )
    after, attention = fuse(values)
    handle.remove()
    assert distance(after, before) < 1e-5
    torch.testing.assert_close(attention.sum(1), torch.ones(2))


# --- Settings -----------------------------------------------------------------------------------


def test_rms_norm_is_honoured_everywhere():
    kinds = {
        rms: {type(m) for m in SpatialFusion(downstream_config(rms_norm=rms)).modules()}
        for rms in (False, True)
    }
    assert nn.LayerNorm in kinds[False]
    assert nn.RMSNorm not in kinds[False]
    assert nn.RMSNorm in kinds[True]
    assert nn.LayerNorm not in kinds[True]
    pooled, _ = fuse(inputs(3, 200), scramble(SpatialFusion(downstream_config(rms_norm=True))))
    assert pooled.isfinite().all()


@pytest.mark.parametrize("d_model", [32, 30, 7])
def test_any_width_finds_a_number_of_heads(d_model):
    pooled, _ = fuse(inputs(3, 200), SpatialFusion(downstream_config(d_model=d_model)))
    assert pooled.shape == (2, d_model)
