"""From tokens to positions: where a position looks, and what its filters tell at first."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import distance, scramble, tiny_config, tokens
from torch.nn import functional as F

from eegfoundation.models import SIZES, EEGFoundationConfig, EEGFoundationModel
from eegfoundation.models.embeddings import (
    TokenEmbeddings,
    _amplitude_readout,
    fourier_filters,
    ordinal_table,
)
from eegfoundation.tokenizer import N_BINS, PAD, AmplitudeTokenizer

SFREQ = 200


def fresh(scaling="asinh"):
    """Embeddings of an untrained `small`, and its tokenizer."""
    config = EEGFoundationConfig(**SIZES["small"], tokenizer={"scaling": scaling})
    encoder = EEGFoundationModel(config).eval().requires_grad_(False)
    return encoder.embeddings, encoder.tokenizer


# ---- where a position looks ---------------------------------------------------------------------


@st.composite
def layouts(draw):
    """Scrambled embeddings, tokens per position, tokens seen beyond its own, tokens of a window."""
    per_position, beyond = draw(st.integers(2, 6)), draw(st.integers(0, 8))
    config = tiny_config(
        hidden_size=8,
        embedding_size=3,
        tokens_per_position=per_position,
        tokens_seen=per_position + 2 * beyond,
        type_vocab_size=draw(st.integers(0, 1)),
    )
    embeddings = scramble(TokenEmbeddings(config), draw(st.integers(0, 99))).requires_grad_(False)
    return embeddings, per_position, beyond, draw(st.integers(1, 40))


@settings(max_examples=60, deadline=None)
@given(layout=layouts(), data=st.data())
def test_a_token_reaches_exactly_the_positions_that_see_it(layout, data):
    embeddings, per_position, beyond, n_times = layout
    ids, sample = tokens(1, n_times), data.draw(st.integers(0, n_times - 1))
    changed = ids.clone()
    changed[0, sample] = (ids[0, sample] + data.draw(st.integers(1, N_BINS - 1))) % N_BINS
    before, after = embeddings(ids), embeddings(changed)
    assert before.shape == (1, -(-n_times // per_position), 8)
    moved = (before != after).any(-1)[0].nonzero().flatten().tolist()
    own = [range(first, first + per_position) for first in range(0, n_times, per_position)]
    seen_by = [n for n, s in enumerate(own) if s.start - beyond <= sample < s.stop + beyond]
    assert moved == seen_by
    assert sample // per_position in moved


@settings(max_examples=60, deadline=None)
@given(layout=layouts(), seed=st.integers(0, 99))
def test_a_position_is_its_filters_and_their_energies(layout, seed):
    """The formula, position by position; beyond the window's edge there is padding, no signal."""
    embeddings, per_position, beyond, n_times = layout
    ids = tokens(2, n_times, seed=seed)
    found = embeddings(ids)
    for n in range(found.shape[1]):
        own = range(n * per_position, (n + 1) * per_position)
        seen = torch.stack(
            [
                ids[:, t] if 0 <= t < n_times else torch.full((2,), PAD)
                for t in range(own.start - beyond, own.stop + beyond)
            ],
            dim=1,
        )
        x = embeddings.word_embeddings(seen)
        if embeddings.token_type_embeddings is not None:
            x = x + embeddings.token_type_embeddings.weight[0]
        filters = embeddings.filters
        pairs = F.linear(embeddings.norm(x).flatten(1), filters.weight, filters.bias)
        real, imaginary = pairs[:, :4], pairs[:, 4:]
        energy = (real**2 + imaginary**2 + 1e-3).log()
        expected = embeddings.project(torch.cat([pairs, energy], dim=1))
        assert distance(found[:, n], expected) < 1e-4  # the logarithm magnifies rounding near 0


def test_one_token_per_position_has_no_filters():
    published = TokenEmbeddings(EEGFoundationConfig(hidden_size=24, num_attention_heads=2))
    assert (published.filters, published.project) == (None, None)
    narrow = TokenEmbeddings(
        EEGFoundationConfig(hidden_size=24, num_attention_heads=2, embedding_size=10)
    )
    assert narrow.filters is None
    assert narrow.project.weight.shape == (24, 10)


# ---- the table of amplitudes --------------------------------------------------------------------


@pytest.mark.parametrize("width", [16, 32])
def test_neighbouring_amplitudes_are_neighbours(width):
    table = ordinal_table(width)
    assert table.shape == (N_BINS, width)
    near = (table[1000:1200] - table[1001:1201]).norm(dim=1).mean()
    far = (table[1000:1200] - table[1300:1500]).norm(dim=1).mean()
    assert near < 0.2 * far
    assert table.square().mean().item() == pytest.approx(1, rel=0.05)


def test_microvolts_can_be_read_from_the_embeddings():
    """Within 2.5 microvolts up to 20, within 7 (1.7 on average) up to 40.

    Sixteen sines over all bins, which reach to 10 millivolts, cannot follow a line more closely.
    """
    embeddings, tokenizer = fresh()
    microvolts = torch.linspace(-40, 40, 4001)
    x = embeddings.norm(embeddings.word_embeddings(tokenizer.encode(microvolts)[0]))
    error = 20 * (x @ _amplitude_readout(16, tokenizer)) - microvolts
    assert error.abs().max() < 7
    assert error[microvolts.abs() <= 20].abs().max() < 2.5
    assert error.square().mean().sqrt() < 1.7


# ---- filters ------------------------------------------------------------------------------------


def energies(embeddings, ids):
    """Energy of every filter with its slope divided out, at positions that see no edge (N, D/2)."""
    seen = []
    hook = embeddings.filters.register_forward_hook(lambda *args: seen.append(args[-1]))
    embeddings(ids)
    hook.remove()
    real, imaginary = seen[0][0, 2:-2].chunk(2, dim=-1)
    return (real.square() + imaginary.square()) / (frequencies() / (0.05 * SFREQ)).square()


def frequencies():
    """Of the 128 filters of `small`, Hz."""
    return torch.arange(1, 129) / 128 * 0.35 * SFREQ


@pytest.mark.parametrize("scaling", ["asinh", "minmax"])
@pytest.mark.parametrize("hz", [2, 6, 13, 25, 45, 65])
def test_a_rhythm_is_loudest_in_the_filter_at_its_frequency(scaling, hz):
    """Filters lie 0.55 Hz apart, and the window of one second tells 2 Hz apart.

    A filter is one of a windowed Fourier transform, made stronger in proportion to its frequency,
    because EEG falls so; without dividing that out, the next higher filter could be the louder one.
    A sine of amplitude A gives (A / 2 sum(w))^2 under the window w, of which sum(w^2) is 1, where A
    counts in units of 20 microvolts; its phase does not matter. The readout of amplitudes is wrong
    by a tenth at most. With "minmax" a sine fills all bins, which the readout follows only roughly:
    what is asked there is where the energy lies, and harmonics are allowed for.
    """
    embeddings, tokenizer = fresh(scaling)
    nearest = (frequencies() - hz).abs().argmin()
    window = torch.hann_window(202)[1:-1]
    for phase in (0.0, 1.0, 2.0):
        x = 10 * torch.sin(2 * torch.pi * hz * torch.arange(2000) / SFREQ + phase)
        energy = energies(embeddings, tokenizer.encode(x[None])[0])
        assert (energy.argmax(1) == nearest).all()
        elsewhere = energy[:, (frequencies() - hz).abs() > 4].amax(1)
        share = {"asinh": 0.01, "minmax": 0.5}[scaling]
        assert (elsewhere < share * energy[:, nearest]).all()
        if scaling == "asinh":
            expected = (10 / 20 / 2 * window.sum()) ** 2 / window.square().sum()
            assert ((energy[:, nearest] / expected - 1).abs() < 0.2).all()


def test_the_energy_of_a_rhythm_follows_its_amplitude():
    embeddings, tokenizer = fresh()
    t = torch.arange(2000) / SFREQ
    found = [
        energies(embeddings, tokenizer.encode(a * torch.sin(2 * torch.pi * 13 * t)[None])[0])[:, 23]
        for a in (5.0, 10.0, 20.0, 40.0)
    ]
    for quiet, loud in itertools.pairwise(found):
        # four times the energy, to within the readout's error
        assert 3 < (loud / quiet).min() <= (loud / quiet).max() < 5


@pytest.mark.parametrize("scaling", ["asinh", "minmax"])
@pytest.mark.parametrize(("n_filters", "size", "seen"), [(64, 16, 75), (256, 16, 200), (8, 5, 3)])
def test_filters_are_the_readout_times_a_windowed_sine(scaling, n_filters, size, seen):
    tokenizer = AmplitudeTokenizer(scaling=scaling)
    weight = fourier_filters(n_filters, size, seen, tokenizer)
    assert weight.shape == (n_filters, seen * size)
    readout = _amplitude_readout(size, tokenizer)
    filters = weight.unflatten(1, (seen, size)) @ readout / readout.square().sum()
    torch.testing.assert_close(weight, (filters.unsqueeze(2) * readout).flatten(1))
    cosines, sines = filters.chunk(2)
    slope = torch.arange(1, n_filters // 2 + 1).unsqueeze(1) / (n_filters // 2) * 0.35 / 0.05
    window = (cosines.square() + sines.square()).sqrt() / slope
    torch.testing.assert_close(window, window[:1].expand_as(window))  # the same for all
    torch.testing.assert_close(window.square().sum(1), torch.ones(n_filters // 2))
    # pairs are in quadrature: their angle goes on at the filter's frequency
    turn = torch.atan2(sines, cosines).diff(dim=1).remainder(2 * torch.pi)
    # (angles of up to 220 radians, in single precision, are known to 1.5e-5)
    assert distance(turn, (2 * torch.pi * 0.05 * slope).expand_as(turn)) < 1e-4
