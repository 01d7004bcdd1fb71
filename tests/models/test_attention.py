"""Tiled attention equals PyTorch's, forwards and backwards, with and without dropout."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from eegfoundation.models import attention, encoder
from eegfoundation.models.attention import attention_by_heads, drop_, kept, tiled_attention
from eegfoundation.models.encoder import attend
from eegfoundation.models.linear import has_onednn


def some_sizes(test):
    """Run a test on windows of all kinds, in tiles of all sizes."""
    given_sizes = given(
        n_rows=st.integers(1, 3),
        n_heads=st.integers(1, 3),
        n_positions=st.integers(1, 30),
        size=st.integers(1, 9),
        tile=st.integers(1, 2000),
        seed=st.integers(0, 99),
    )
    return settings(deadline=None, max_examples=25)(given_sizes(test))


def rows(n_rows, n_heads, n_positions, size, dtype=torch.float64, seed=0):
    random = torch.Generator().manual_seed(seed)
    shape = (n_rows, n_heads, n_positions, size)
    return [torch.randn(shape, generator=random, dtype=dtype).requires_grad_() for _ in range(3)]


def with_gradients(run, q, k, v):
    out = run(q, k, v)
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return out, *torch.autograd.grad((out * weight).sum(), (q, k, v))


@some_sizes
def test_it_is_attention(n_rows, n_heads, n_positions, size, tile, seed):
    qkv = rows(n_rows, n_heads, n_positions, size, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "TILE", tile)
        ours = with_gradients(tiled_attention, *qkv)
    theirs = with_gradients(F.scaled_dot_product_attention, *qkv)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)  # theirs is not exact to the end


@some_sizes
def test_it_is_attention_by_heads(n_rows, n_heads, n_positions, size, tile, seed):
    qkv = rows(n_rows, n_heads, n_positions, size, torch.float32, seed)
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(attention, "TILE", tile)
        ours, theirs = attention_by_heads(*qkv), F.scaled_dot_product_attention(*qkv)
    torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=1e-5)


def test_the_gradient_is_right_under_dropout(monkeypatch):
    monkeypatch.setattr(attention, "TILE", 5 * 5 * 2)  # three tiles

    def run(q, k, v):
        torch.manual_seed(3)
        return tiled_attention(q, k, v, 0.3)

    assert torch.autograd.gradcheck(run, rows(1, 6, 5, 4))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("dropout", [0.1, 0.5])
def test_so_many_weights_are_dropped_and_the_rest_stays(dtype, dropout):
    weights = torch.rand(100, 1001, dtype=dtype) + 0.5
    keep = kept(weights, dropout, torch.Generator().manual_seed(0))
    dropped = drop_(weights.clone(), keep)
    assert float((dropped == 0).float().mean()) == pytest.approx(dropout, abs=0.005)
    assert torch.equal(dropped[dropped != 0], weights[dropped != 0])


def test_dropout_leaves_the_mean_as_it_is_and_follows_the_global_seed():
    q, k, _ = rows(1, 1, 50, 4, seed=1)
    v = torch.ones_like(q)
    torch.manual_seed(0)
    first, second = (tiled_attention(q, k, v, 0.2) for _ in range(2))
    assert not torch.equal(first, second)
    assert first.mean().item() == pytest.approx(1, abs=0.03)
    torch.manual_seed(0)
    assert torch.equal(tiled_attention(q, k, v, 0.2), first)


def test_bfloat16_is_as_close_to_the_truth_as_pytorchs_without_its_kernel():
    q, k, v = (x.detach() for x in rows(2, 4, 300, 64))
    truth = F.scaled_dot_product_attention(q, k, v)
    low = [x.bfloat16().requires_grad_() for x in (q, k, v)]
    eager = ((low[0] * 64**-0.5) @ low[1].mT).softmax(-1) @ low[2]
    error, of_eager = ((x.double() - truth).std() for x in (tiled_attention(*low), eager))
    assert error <= 1.05 * of_eager
    assert error < 0.01 * truth.std()


@pytest.fixture
def calls(monkeypatch):
    """Calls of `tiled_attention`."""
    found = []
    monkeypatch.setattr(
        encoder, "tiled_attention", lambda *a: found.append(1) or tiled_attention(*a)
    )
    return found


def test_low_precision_and_dropout_take_it_and_float32_does_not(calls):
    qkv = rows(1, 2, 6, 4, torch.float32)
    attend(*qkv)
    assert not calls
    with torch.autocast("cpu", torch.bfloat16):
        assert attend(*qkv).dtype == torch.bfloat16
        assert len(calls) == 1
    with torch.no_grad():
        attend(*(x.bfloat16() for x in qkv))
    assert len(calls) == 2
    attend(*qkv, None, 0.1)
    assert len(calls) == 3


@pytest.mark.parametrize("autocast", [False, True])
def test_matrix_units_take_many_positions_without_a_gradient(monkeypatch, calls, autocast):
    monkeypatch.setattr(encoder, "has_matrix_units", lambda: True)
    qkv = [x.float() for x in rows(1, 2, 200, 16)]
    truth = F.scaled_dot_product_attention(*qkv).detach()
    given = qkv if autocast else [x.bfloat16() for x in qkv]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        with torch.no_grad():
            fused = attend(*given)
            assert not calls
            attend(*(x[:, :, :100] for x in given))  # too few
            assert len(calls) == 1
        tiled = attend(*given)
    assert len(calls) == 2
    assert fused.dtype == tiled.dtype == torch.bfloat16
    of_fused, of_tiled = ((x.float() - truth).std() for x in (fused, tiled))
    assert of_fused <= of_tiled < 0.02 * truth.std()


def test_without_matrix_units_tiles_take_many_positions_too(monkeypatch, calls):
    monkeypatch.setattr(encoder, "has_matrix_units", lambda: False)
    with torch.no_grad():
        attend(*(x.bfloat16() for x in rows(1, 2, 200, 16)))
    assert len(calls) == 1


@pytest.mark.skipif(not has_onednn(torch.float32), reason="this PyTorch has no oneDNN")
def test_long_windows_are_attended_to_by_heads_where_mkl_is_slow(monkeypatch):
    calls = []
    monkeypatch.setattr(
        encoder, "attention_by_heads", lambda *a: calls.append(1) or attention_by_heads(*a)
    )
    monkeypatch.setattr(encoder, "slows_mkl", lambda: True)
    qkv = rows(1, 2, 1000, 16, torch.float32)
    theirs = F.scaled_dot_product_attention(*qkv)
    with torch.no_grad():
        attend(*(x[:, :, :999] for x in qkv))  # too few
        attend(*qkv, torch.zeros(1, 1, 1000, 1000))  # a mask
        with torch.autocast("cpu", torch.bfloat16):
            attend(*qkv)
        assert not calls
        ours = attend(*qkv)
    assert len(calls) == 1
    torch.testing.assert_close(ours, theirs.detach(), atol=2e-6, rtol=1e-5)
    attend(*qkv)  # wants a gradient
    monkeypatch.setattr(encoder, "slows_mkl", lambda: False)
    with torch.no_grad():
        attend(*qkv)
    assert len(calls) == 1
