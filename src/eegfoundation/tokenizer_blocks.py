"""The tokenizer's formulas on a processor: block by block, so that every step stays in the cache.

Written plainly (`AmplitudeTokenizer.encode`), each step of the formula is a pass over main memory,
a dozen of them. Here a block of samples that fits into the processor's cache goes through all
steps in place, and steps are left out where a block shows that they change nothing: no NaN, nothing
flat, nothing to clip. Decoding to fixed microvolts looks the 2,006 tokens up in a table; encoding
looks the samples up where NumPy has no vector code for `arcsinh` (`tokenizer_table`).

Tokens and microvolts are bit for bit those of the plain formula in NumPy; a test compares them.
Blocks with anything unusual are given to the plain formula.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.tokenizer_table import AmplitudeTable, amplitude_table

if TYPE_CHECKING:
    from eegfoundation.tokenizer import AmplitudeTokenizer, TokenizerState

_BLOCK = 2**21
"""Bytes that samples take while they go through all steps at once: a last-level cache holds so many
for each of several threads. A second-level cache would hold a quarter of them, but with steps so
short the threads spend their time waking each other."""
_WORTH_A_THREAD = 1_000_000  # samples: 2 ms of work, against 0.1 ms to start a thread
_MAX_THREADS = 8  # more only wait for each other's memory
_TINY = 1e-30  # microvolts: a range above it stays one when it is divided by the bins


def encode_blocks(
    tokenizer: AmplitudeTokenizer, x: np.ndarray
) -> tuple[np.ndarray, TokenizerState]:
    """`AmplitudeTokenizer.encode` of float32 or float64 (..., T), with the scaling's own state."""
    from eegfoundation.tokenizer import TokenizerState

    rows = x.reshape(-1, x.shape[-1])
    ids = np.empty(rows.shape, np.int32)
    scale, offset = (np.empty((len(rows), 1), x.dtype) for _ in range(2))
    encode_block, room_of = _encoding(tokenizer, x.dtype)
    n_samples = _BLOCK // np.dtype(room_of).itemsize
    height = max(1, min(n_samples // rows.shape[1], len(rows)))

    def work(first: int, last: int) -> None:
        room = np.empty((height, min(n_samples, rows.shape[1])), room_of)
        for i in range(first, last, height):
            block = slice(i, min(i + height, last))
            found = encode_block(tokenizer, rows[block], room, ids[block])
            if found is None:  # something unusual: bad samples, flat channels, clipping
                ids[block], state = tokenizer.encode_plainly(rows[block])
                found = state.scale, state.offset
            scale[block], offset[block] = found

    _in_threads(work, *rows.shape)
    shape = (*x.shape[:-1], 1)
    return ids.reshape(x.shape), TokenizerState(scale.reshape(shape), offset.reshape(shape))


def _encoding(tokenizer: AmplitudeTokenizer, dtype: np.dtype) -> tuple[Callable[..., Any], Any]:
    """Function that encodes a block, and the data type of the room it works in."""
    if tokenizer.scaling == "minmax":
        return _encode_minmax, dtype
    if dtype == np.float32 and _arcsinh_is_slow():
        return functools.partial(_encode_by_table, amplitude_table(tokenizer)), np.intp
    return _encode_asinh, dtype


@functools.cache
def _arcsinh_is_slow() -> bool:
    """Whether NumPy computes it sample by sample; it has vector code for AVX-512 only."""
    known = np.lib.introspect.opt_func_info(func_name="^arcsinh$", signature="^float32$")
    return all(one["current"].startswith("baseline") for one in known.get("arcsinh", {}).values())


def _encode_asinh(
    tokenizer: AmplitudeTokenizer, x: np.ndarray, room: np.ndarray, ids: np.ndarray
) -> tuple[float, float] | None:
    """Write the tokens of `x` (R, T) into `ids`; return scale and offset, or None if undone."""
    from eegfoundation.tokenizer import N_BINS

    if not _is_usual(x, tokenizer.max_uv):  # else nothing is clipped
        return None
    for piece, part, out in _pieces(x, room, ids):
        np.multiply(piece, 1 / tokenizer.knee_uv, out=part)
        np.arcsinh(part, out=part)
        np.multiply(part, 1 / tokenizer.bin_width, out=part)
        np.add(part, N_BINS / 2, out=part)
        out[...] = part  # drops what is behind the point, which is floor: nothing is negative
    return 1.0, 0.0


def _encode_by_table(
    table: AmplitudeTable, _: AmplitudeTokenizer, x: np.ndarray, room: np.ndarray, ids: np.ndarray
) -> tuple[float, float] | None:
    """As `_encode_asinh`."""
    from eegfoundation.tokenizer import MAX_ABS_UV

    if not _is_usual(x, MAX_ABS_UV):
        return None
    for piece, part, out in _pieces(x, room, ids):
        table.look_up(piece, part, out)
    return 1.0, 0.0


def _is_usual(x: np.ndarray, limit: float) -> bool:
    """Whether all rows (R, T) certainly have an amplitude, and no sample that is NaN or beyond."""
    begin = x[:, :8]  # most channels show by their first samples that they are not flat
    with np.errstate(over="ignore", invalid="ignore"):  # then the comparisons are false
        usual = np.vecdot(x, x) < 0.9 * limit**2  # if the sum of squares is, each of them is
        usual &= np.ptp(begin, axis=-1) > _TINY
    return bool(usual.all())


def _encode_minmax(
    _: AmplitudeTokenizer, x: np.ndarray, room: np.ndarray, ids: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """As `_encode_asinh`; scale and offset have shape (R, 1)."""
    from eegfoundation.tokenizer import MAX_ABS_UV, N_BINS

    low, high = x.min(axis=-1, keepdims=True), x.max(axis=-1, keepdims=True)
    # Comparisons with NaN are false, and the range of NaN is NaN.
    if not ((low >= -MAX_ABS_UV) & (high <= MAX_ABS_UV) & (low < high)).all():
        return None
    width = (high - low) / (N_BINS - 1)
    if not (width > 0).all():  # so narrow that it rounds to nothing
        return None
    for piece, part, out in _pieces(x, room, ids):
        np.subtract(piece, low, out=part)
        np.divide(part, width, out=part)
        np.rint(part, out=part)
        out[...] = part
    return width, low


def _pieces(
    x: np.ndarray, room: np.ndarray, ids: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Columns of `x` and `ids` that fit into `room`, and that much of it."""
    for first in range(0, x.shape[1], room.shape[1]):
        piece = x[:, first : first + room.shape[1]]
        here = slice(first, first + piece.shape[1])
        yield piece, room[: len(piece), : piece.shape[1]], ids[:, here]


def decode_blocks(
    tokenizer: AmplitudeTokenizer, ids: np.ndarray, state: TokenizerState
) -> np.ndarray:
    """`AmplitudeTokenizer.decode` of int32 (..., T), with a state of shape (..., 1)."""
    from eegfoundation.tokenizer import N_BINS, VOCAB_SIZE

    dtype = state.scale.dtype
    # Negative numbers are no tokens: without a sign they lie behind the vocabulary, like others.
    rows = ids.reshape(-1, ids.shape[-1]).view(np.uint32)
    scale, offset = state.scale.reshape(-1, 1), state.offset.reshape(-1, 1)
    by_window = tokenizer.scaling == "minmax"
    unscaled = not by_window and bool((scale == 1).all() and (offset == 0).all())
    table = tokenizer.expand(np.arange(VOCAB_SIZE, dtype=dtype))
    table[N_BINS:] = np.nan
    x = np.empty(rows.shape, dtype)
    n_times = rows.shape[1]
    width = _BLOCK // dtype.itemsize
    height = max(1, width // n_times)

    def work(first: int, last: int) -> None:
        for i, j in itertools.product(range(first, last, height), range(0, n_times, width)):
            block = np.s_[i : min(i + height, last), j : j + width]
            if by_window and rows[block].max() < N_BINS:
                x[block] = rows[block]
            else:
                np.take(table, rows[block], mode="clip", out=x[block])
            if not unscaled:
                x[block] *= scale[block[0]]
                x[block] += offset[block[0]]

    _in_threads(work, *rows.shape)
    return x.reshape(ids.shape)


def _in_threads(work: Callable[[int, int], None], n_rows: int, n_times: int) -> None:
    """Run `work(first, last)` over all rows, shared among threads where that pays.

    NumPy's loops hold no lock, so Python's threads do; a worker process that was told to compute on
    one core (OMP_NUM_THREADS) does.
    """
    said = os.environ.get("OMP_NUM_THREADS", "")
    has_affinity = hasattr(os, "sched_getaffinity")  # not on macOS and Windows
    n_cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    n_threads = min(int(said) if said.isdecimal() else n_cores, n_rows, _MAX_THREADS)
    n_threads = max(1, min(n_threads, n_rows * n_times // _WORTH_A_THREAD))
    edges = np.linspace(0, n_rows, n_threads + 1).astype(int).tolist()
    if n_threads == 1:
        work(0, n_rows)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(work, edges[:-1], edges[1:]))  # a list, so that errors are raised
