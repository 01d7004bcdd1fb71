import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from transformers.activations import ACT2FN

from eegfoundation.models.linear import Linear, activated, has_onednn, linear

needs_onednn = pytest.mark.skipif(
    not has_onednn(torch.float32), reason="this PyTorch has no oneDNN"
)


def calls_of_onednn(run):
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        run()
    return sum("mkldnn::_linear_pointwise" in event.key for event in seen.key_averages())


@given(
    n_rows=st.integers(1, 70),
    sizes=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    biased=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    seed=st.integers(0, 9),
)
def test_the_fast_way_equals_the_plain_one(n_rows, sizes, biased, dtype, seed):
    rng = torch.manual_seed(seed)
    x = torch.randn(3, n_rows, sizes[0], generator=rng).to(dtype)
    weight = torch.randn(sizes[1], sizes[0], generator=rng).to(dtype)
    bias = torch.randn(sizes[1], generator=rng).to(dtype) if biased else None
    expected = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
    with torch.inference_mode():
        found = linear(x, weight, bias)
    assert found.shape == expected.shape
    assert found.dtype == dtype
    tolerance = torch.finfo(dtype).eps * (sizes[0] + 8)
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)


def test_rows_that_do_not_lie_in_a_row():
    layer = Linear(16, 8)
    x = torch.randn(6, 5, 32)
    with torch.inference_mode():
        for view in (x[..., ::2], x.transpose(0, 1)[..., :16], x[:, 0, :16].mT.mT, x[:0, :, :16]):
            torch.testing.assert_close(layer(view), F.linear(view, layer.weight, layer.bias))


@needs_onednn
def test_what_goes_which_way():
    layer, x = Linear(16, 8), torch.randn(4, 16)
    with torch.no_grad():
        assert calls_of_onednn(lambda: layer(x))
        with torch.autocast("cpu", torch.bfloat16):
            assert not calls_of_onednn(lambda: layer(x))
        layer.double()
        assert not calls_of_onednn(lambda: layer(x.double()))
    layer.float()
    assert not calls_of_onednn(lambda: layer(x))  # a gradient may be asked for


@given(
    n_rows=st.integers(1, 70),
    sizes=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    seed=st.integers(0, 9),
)
def test_gelu_with_the_products_equals_gelu_after_them(n_rows, sizes, dtype, seed):
    torch.manual_seed(seed)
    layer, x = Linear(*sizes).to(dtype), 3 * torch.randn(3, n_rows, sizes[0]).to(dtype)
    linear = F.linear(x.double(), layer.weight.double(), layer.bias.double())
    with torch.inference_mode():
        found = activated(layer, ACT2FN["gelu"], x)
    assert found.dtype == dtype
    tolerance = torch.finfo(dtype).eps * (sizes[0] + 8)
    torch.testing.assert_close(found.double(), F.gelu(linear), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["gelu_new", "relu", "silu"])
def test_another_activation_comes_after(name):
    layer, x = Linear(16, 8), torch.randn(4, 16)
    with torch.no_grad():
        expected = ACT2FN[name](layer(x))
        assert torch.equal(activated(layer, ACT2FN[name], x), expected)


def test_a_layer_that_is_more_than_linear_keeps_its_forward():
    """As a low-rank addition does, or a hook that wants to see what the layer gives."""

    class More(Linear):
        def forward(self, x):
            return super().forward(x) + 1

    layer, x, gelu = More(16, 8), torch.randn(4, 16), ACT2FN["gelu"]
    with torch.no_grad():
        torch.testing.assert_close(activated(layer, gelu, x), gelu(layer(x)))
        seen, layer = [], Linear(16, 8)
        layer.register_forward_hook(lambda *given: seen.append(given[2]))
        found = activated(layer, gelu, x)
    torch.testing.assert_close(found, gelu(seen[0]))


def test_gradients_are_those_of_the_plain_layer():
    layer, x = Linear(16, 8), torch.randn(4, 16, requires_grad=True)
    layer(x).square().sum().backward()
    expected = torch.autograd.grad(F.linear(x, layer.weight, layer.bias).square().sum(), x)
    assert torch.equal(x.grad, expected[0])


def test_without_onednn(monkeypatch):
    monkeypatch.setattr("eegfoundation.models.linear.has_onednn", lambda dtype: False)
    layer, x = Linear(16, 8), torch.randn(4, 16)
    with torch.no_grad():
        assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))
