"""A formula of amplitudes as a table: the tokens of float32 samples by their bits.

NumPy and PyTorch compute `arcsinh` one sample at a time unless the processor has AVX-512, which
most laptops lack; a table lookup costs a tenth and the same on all of them. The leading bits of a
sample (sign, exponent, a few of the mantissa) name a cell of amplitudes, so narrow that it holds at
most one edge between two tokens; the trailing bits say on which side of the edge the sample lies.
The edges are found from the plain formula by bisection, so these are its tokens, bit for bit.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from eegfoundation.tokenizer import AmplitudeTokenizer

_TRAILING = range(16, 11, -1)
"""Bits behind a cell's, most first: tables of 0.25 to 4 MB, of which a signal uses a few pages.
With 12 a cell is at most 1/2048 of its amplitude wide; 2,000 bins are never as narrow, even if the
outermost lies at the knee."""


class AmplitudeTable:
    """Tokens of amplitudes up to a kilovolt.

    Parameters
    ----------
    entries : ndarray of int32
        One per cell. Its sum with the bits of a sample, modulo 2**32, has the token in front and,
        in the trailing bits, what is beyond the edge. Tokens of negative amplitudes fall with
        rising bits, so there it is their negative that rises.
    trailing : int
        Number of trailing bits.
    """

    def __init__(self, entries: np.ndarray, trailing: int) -> None:
        self._entries = entries
        self._trailing = trailing

    def look_up(self, x: np.ndarray, cells: np.ndarray, out: np.ndarray) -> None:
        """Write the tokens of float32 samples into ``out`` (int32); ``cells`` (intp) is spent.

        All three have the same shape. Samples must be finite, a kilovolt at most.
        """
        bits = x.view(np.uint32)
        np.right_shift(bits, self._trailing, out=cells, casting="unsafe")
        np.take(self._entries, cells, mode="clip", out=out)
        np.add(out, bits.view(np.int32), out=out)  # carries into the token beyond the edge
        np.right_shift(out, self._trailing, out=out)
        np.abs(out, out=out)


@functools.lru_cache(maxsize=8)
def amplitude_table(tokenizer: AmplitudeTokenizer) -> AmplitudeTable:
    """Table of the scaling ``asinh``."""
    sides = [(sign, _edges(tokenizer, sign)) for sign in (1, -1)]
    trailing = next(
        n for n in _TRAILING if all((np.diff(edges >> n) > 0).all() for _, edges in sides)
    )
    entries = [_entries(tokenizer, sign, edges, trailing) for sign, edges in sides]
    return AmplitudeTable(np.concatenate(entries), trailing)


def _edges(tokenizer: AmplitudeTokenizer, sign: int) -> np.ndarray:
    """Bits, less the sign, of the first samples of each token away from zero, ascending (int64)."""
    from eegfoundation.tokenizer import MAX_ABS_UV

    zero, last = (_tokens(tokenizer, sign, _bits(value))[0] for value in (0.0, MAX_ABS_UV))
    wanted = np.arange(zero + sign, last + sign, sign)
    below = np.full(len(wanted), _bits(0.0)[0])  # has not reached the token yet
    reached = np.full(len(wanted), _bits(MAX_ABS_UV)[0])
    while (reached - below > 1).any():
        middle = (below + reached) // 2
        is_there = sign * (_tokens(tokenizer, sign, middle) - wanted) >= 0
        reached = np.where(is_there, middle, reached)
        below = np.where(is_there, below, middle)
    return reached


def _entries(
    tokenizer: AmplitudeTokenizer, sign: int, edges: np.ndarray, trailing: int
) -> np.ndarray:
    """Half of a table, int32: that of the positive or the negative amplitudes."""
    cell = np.arange(1 << (31 - trailing))
    before = np.searchsorted(edges >> trailing, cell)  # edges in earlier cells
    token = sign * _tokens(tokenizer, sign, _bits(0.0))[0] + before  # rises
    entries = token << trailing
    entries[edges >> trailing] += (1 << trailing) - (edges & ((1 << trailing) - 1))
    leading = (cell << trailing) + (0 if sign > 0 else 1 << 31)
    return (entries - leading).astype(np.int32)  # modulo 2**32


def _bits(value: float) -> np.ndarray:
    return np.array([value], np.float32).view(np.int32).astype(np.int64)


def _tokens(tokenizer: AmplitudeTokenizer, sign: int, bits: np.ndarray) -> np.ndarray:
    """What the plain formula gives to samples of these bits and this sign (int64)."""
    x = bits.astype(np.int32).view(np.float32) * np.float32(sign)
    return tokenizer.bins(x).astype(np.int64)
