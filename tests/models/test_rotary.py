import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eegfoundation.models.rotary import rotary_tables, rotate


def half_split(n_positions, x, theta=10000.0):
    return rotate(x, *rotary_tables(n_positions, x.shape[-1], theta, like=x))


def interleaved(x, theta=10000.0):
    """Definition: the pair (2i, 2i + 1) is a complex number, turned by position * theta^(-2i/d)."""
    n_positions, size = x.shape[-2:]
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
    frequency = torch.tensor([theta ** (-2 * i / size) for i in range(size // 2)], dtype=x.dtype)
    angle = torch.arange(n_positions, dtype=x.dtype)[:, None] * frequency
    turned = pairs * torch.polar(torch.ones_like(angle), angle)
    return torch.view_as_real(turned).flatten(-2)


@given(
    head_dim=st.sampled_from([2, 4, 6, 32]),
    theta=st.sampled_from([10.0, 500.0, 10000.0]),
    first=st.integers(0, 300),
    second=st.integers(0, 300),
    shift=st.integers(1, 300),
)
@settings(max_examples=60, deadline=None)
def test_only_the_distance_of_two_positions_matters(head_dim, theta, first, second, shift):
    q, k = torch.randn(2, head_dim, dtype=torch.float64).unsqueeze(1).expand(-1, 601, -1)
    q, k = half_split(601, q, theta), half_split(601, k, theta)
    torch.testing.assert_close(
        q[first] @ k[second], q[first + shift] @ k[second + shift], rtol=1e-9, atol=1e-9
    )


def test_the_distance_does_matter():
    q, k = torch.ones(2, 10, 8, dtype=torch.float64)
    scores = half_split(10, q) @ half_split(10, k).T
    assert scores[0].diff().abs().min() > 0.01


@given(head_dim=st.sampled_from([2, 4, 10, 64]), theta=st.sampled_from([100.0, 10000.0]))
@settings(max_examples=20, deadline=None)
def test_equals_the_interleaved_definition_after_reordering(head_dim, theta):
    x = torch.randn(3, 2, 50, head_dim, dtype=torch.float64)
    evens_then_odds = [*range(0, head_dim, 2), *range(1, head_dim, 2)]
    expected = interleaved(x, theta)[..., evens_then_odds]
    torch.testing.assert_close(half_split(50, x[..., evens_then_odds], theta), expected)


def test_first_position_stays_and_lengths_are_kept():
    x = torch.randn(1, 1, 2000, 16, dtype=torch.float64)
    rotated = half_split(2000, x)
    torch.testing.assert_close(rotated[..., 0, :], x[..., 0, :], rtol=0, atol=0)
    torch.testing.assert_close(rotated.norm(dim=-1), x.norm(dim=-1))


def test_tables_are_exact_far_from_the_start():
    last = 11_999
    cos, sin = rotary_tables(last + 1, 64, 10000.0, like=torch.zeros(1))
    for i in range(32):
        angle = last * 10000.0 ** (-2 * i / 64)
        for column in (i, i + 32):
            # half a unit in the last place of float32: the angle itself was never rounded to it
            assert abs(cos[last, column].item() - math.cos(angle)) < 6e-8
            assert abs(sin[last, column].item() - math.sin(angle)) < 6e-8


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_tables_follow_the_tensor(dtype):
    for table in rotary_tables(5, 4, 10000.0, like=torch.zeros(1, dtype=dtype)):
        assert table.dtype == dtype
        assert table.shape == (5, 4)


def test_tables_made_in_inference_mode_serve_training_too():
    x = torch.randn(123, 8, dtype=torch.float64, requires_grad=True)
    with torch.inference_mode():
        half_split(123, x)
    half_split(123, x).sum().backward()
    assert x.grad is not None


def test_low_precision_stays_what_it_is_and_is_rounded_once():
    x = torch.randn(1, 2, 50, 16)
    low = x.bfloat16()
    tables = rotary_tables(50, 16, 10000.0, like=x)
    rotated = rotate(low, *tables)
    assert rotated.dtype == torch.bfloat16
    torch.testing.assert_close(rotated, rotate(low.float(), *tables).bfloat16(), rtol=0, atol=0)
