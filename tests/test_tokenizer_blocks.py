"""Tokens made block by block are those of the plain formula, whatever the signal."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eegfoundation import tokenizer_blocks
from eegfoundation.tokenizer import VOCAB_SIZE, AmplitudeTokenizer, TokenizerState

SCALINGS = ["asinh", "minmax"]


@st.composite
def batches(draw):
    """Many rows and lengths, some of them beyond a block; clipped, bad and flat ones among them."""
    n_rows, n_times = draw(st.sampled_from([(1, 1), (40, 3), (7, 500), (3, 2100), (130, 64)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.standard_normal((n_rows, n_times)) * 10 ** draw(st.floats(-3, 5))
    x = x.astype(draw(st.sampled_from([np.float32, np.float64])))
    for bad in draw(st.lists(st.sampled_from([np.nan, np.inf, -np.inf, 2e9, 9e3, -2e4]))):
        x[draw(st.integers(0, n_rows - 1)), draw(st.integers(0, n_times - 1))] = bad
    row = draw(st.integers(0, n_rows - 1))
    fill = draw(st.sampled_from([None, 0.0, 7.0, np.nan, np.inf]))
    if fill is not None:
        x[row, draw(st.sampled_from([0, 8])) :] = fill
    return x


def same(found, expected):
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize(
    ("scaling", "by_table"), [("asinh", True), ("asinh", False), ("minmax", None)]
)
@given(x=batches(), n_threads=st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_blocks_equal_the_plain_formula(scaling, by_table, x, n_threads):
    tokenizer = AmplitudeTokenizer(scaling=scaling)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer_blocks, "_arcsinh_is_slow", lambda: by_table)
        patch.setattr(tokenizer_blocks, "_BLOCK", 4096)
        patch.setattr(tokenizer_blocks, "_WORTH_A_THREAD", 1)
        patch.setenv("OMP_NUM_THREADS", str(n_threads))
        ids, state = tokenizer.encode(x)
        decoded = tokenizer.decode(ids, state)
        in_torch, _ = tokenizer.encode(torch.from_numpy(x))
    plain_ids, plain_state = tokenizer.encode_plainly(x)
    same(ids, plain_ids)
    same(state.scale, plain_state.scale)
    same(state.offset, plain_state.offset)
    same(decoded, tokenizer.decode_plainly(plain_ids, plain_state))
    same(in_torch.numpy(), plain_ids)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_every_integer_decodes_as_plainly(scaling):
    """Specials and numbers outside the vocabulary are NaN, with any scale and offset."""
    tokenizer = AmplitudeTokenizer(scaling=scaling)
    ids = np.arange(-5, VOCAB_SIZE + 5, dtype=np.int32).reshape(2, -1)[:, ::-1]
    for scale, offset in ((1.0, 0.0), (0.3, -2.0)):
        state = TokenizerState(np.full((2, 1), scale), np.full((2, 1), offset, np.float64))
        same(tokenizer.decode(ids, state), tokenizer.decode_plainly(ids, state))


@pytest.mark.parametrize("scaling", SCALINGS)
def test_an_exported_graph_holds_the_plain_formula(scaling):
    class Encode(torch.nn.Module):
        def forward(self, x):
            tokenizer = AmplitudeTokenizer(scaling=scaling)
            ids, state = tokenizer.encode(x)
            return ids, tokenizer.decode(ids, state)

    x = torch.randn(3, 200) * 20
    time = torch.export.Dim("time", min=2, max=10_000)
    program = torch.export.export(Encode(), (x,), dynamic_shapes=({1: time},))
    other = torch.randn(3, 333) * 20
    other[1, 5] = torch.nan
    ids, decoded = program.module()(other)
    expected, state = AmplitudeTokenizer(scaling=scaling).encode_plainly(other)
    same(ids, expected)
    same(decoded, AmplitudeTokenizer(scaling=scaling).decode_plainly(expected, state))
    eager, _ = AmplitudeTokenizer(scaling=scaling).encode(other)
    assert (eager - ids).abs().max() <= 1  # asinh of two libraries, on the edge of a bin


def test_what_cannot_be_read_in_place_goes_the_plain_way():
    tokenizer = AmplitudeTokenizer(scaling="minmax")
    x = torch.randn(2, 50, requires_grad=True)
    ids, state = tokenizer.encode(x)
    tokenizer.decode(ids, state).sum().backward()
    assert x.grad is not None
    half = TokenizerState(state.scale.detach().bfloat16(), state.offset.detach().bfloat16())
    assert tokenizer.decode(ids, half).dtype == torch.bfloat16
