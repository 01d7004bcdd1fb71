"""Amplitude tokenizer: microvolts in, integer tokens out, and back again with a known bound.

Every sample becomes one of 2,000 amplitude bins; the special tokens of the published vocabulary
follow (MASK 2001, PAD 2002, CLS 2003, SEP 2004, UNK 2005; 2000 stays reserved). Two scalings:

``"asinh"`` (default)
    Fixed-microvolt companding ``asinh(x / knee)``: linear below the knee, logarithmic above, so
    that microvolt fluctuations keep fine bins while a 300 uV blink still fits. A bin means the same
    voltage in every recording: a 2 uV and a 200 uV alpha burst are different sentences.
``"minmax"``
    The published scheme, ``round((x - min) / (max - min) * 1999)`` per channel and window. It
    spends every bin on every window, and forgets absolute amplitude.

One implementation serves NumPy and PyTorch: both libraries spell these functions alike, so the
tokens that a file on disk was given and the tokens inside a model's graph cannot drift apart.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args

import numpy as np

from eegfoundation.errors import ConfigError, ModelInputError
from eegfoundation.tokenizer_blocks import decode_blocks, encode_blocks

N_BINS = 2000
MASK, PAD, CLS, SEP, UNK = 2001, 2002, 2003, 2004, 2005
VOCAB_SIZE = 2006

Scaling = Literal["asinh", "minmax"]
Array = Any  # numpy.ndarray or torch.Tensor

#: A kilovolt is no biopotential: samples beyond this many microvolts count as bad, like NaN.
MAX_ABS_UV = 1e9
_MIN_KNEE_UV = 1e-6  # far below any amplifier's noise; a float32 in such units cannot overflow


@dataclasses.dataclass(frozen=True)
class TokenizerState:
    """What `AmplitudeTokenizer.decode` needs to go back to microvolts.

    Attributes
    ----------
    scale, offset : array, shape (..., 1)
        The companded signal is a function of ``(x - offset) / scale``. For ``"minmax"`` the scale
        is one bin's width and the offset the minimum, in microvolts; for ``"asinh"`` they are 1
        and 0 unless the caller chose others.
    """

    scale: Array
    offset: Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class AmplitudeTokenizer:
    """Turn sample amplitudes into tokens, and tokens into amplitudes.

    Parameters
    ----------
    scaling : {"asinh", "minmax"}
        See the module's text.
    knee_uv : float
        ``"asinh"`` only: amplitude in microvolts at which bins start to widen.
    max_uv : float
        ``"asinh"`` only: amplitudes beyond are clipped to the outermost bin.

    Raises
    ------
    ConfigError
        If a value is impossible.
    """

    scaling: Scaling = "asinh"
    knee_uv: float = 5.0
    max_uv: float = 10_000.0

    def __post_init__(self) -> None:
        if self.scaling not in get_args(Scaling):
            raise ConfigError(
                f"scaling={self.scaling!r} is unknown; choose one of {list(get_args(Scaling))}."
            )
        numbers = all(isinstance(value, int | float) for value in (self.knee_uv, self.max_uv))
        if not (numbers and _MIN_KNEE_UV <= self.knee_uv < self.max_uv <= MAX_ABS_UV):
            raise ConfigError(
                f"knee_uv={self.knee_uv!r} and max_uv={self.max_uv!r} do not fit: "
                f"{_MIN_KNEE_UV:g} <= knee_uv < max_uv <= {MAX_ABS_UV:g} microvolts is needed."
            )

    def encode(self, x: Array, state: TokenizerState | None = None) -> tuple[Array, TokenizerState]:
        """Turn microvolts into tokens.

        Parameters
        ----------
        x : ndarray or Tensor, shape (..., n_times)
            Microvolts, any real data type. The last axis is one channel's window.
        state : TokenizerState | None
            Scale and offset to use instead of the scaling's own (a person-level scale, say).

        Returns
        -------
        ids : ndarray or Tensor of int32, shape (..., n_times)
            0 to 1999 for amplitudes; UNK where a sample is not finite (or beyond a kilovolt); PAD
            throughout a channel that is flat or has no usable sample.
        state : TokenizerState
            Keep it to decode.
        """
        x = _as_float(x)
        if state is None and _in_memory(x):
            if isinstance(x, np.ndarray):
                return encode_blocks(self, x)
            ids, made = encode_blocks(self, x.numpy())
            return _tensor(ids), TokenizerState(_tensor(made.scale), _tensor(made.offset))
        return self.encode_plainly(x, state)

    def encode_plainly(
        self, x: Array, state: TokenizerState | None = None
    ) -> tuple[Array, TokenizerState]:
        """`encode` as one formula over the whole of a floating ``x``.

        It runs on every device and within exported graphs. `encode` gives the same tokens block by
        block where it can, several times faster.
        """
        xp = _library(x)
        usable = abs(x) <= MAX_ABS_UV  # False for NaN and infinities too
        low = xp.amin(xp.where(usable, x, np.inf), axis=-1, keepdims=True)
        high = xp.amax(xp.where(usable, x, -np.inf), axis=-1, keepdims=True)
        width = (high - low) / (N_BINS - 1)  # of a min-max bin; -inf where no sample is usable
        alive = width > 0
        if state is None:
            unit = xp.ones_like(low)
            if self.scaling == "minmax":
                state = TokenizerState(xp.where(alive, width, unit), xp.where(alive, low, 0.0))
            else:
                state = TokenizerState(unit, xp.zeros_like(low))
        ids = self.bins((xp.where(usable, x, 0.0) - state.offset) / state.scale)
        ids = xp.where(usable, ids, float(UNK))
        ids = xp.where(alive, ids, float(PAD))
        return (ids.astype(np.int32) if xp is np else ids.to(xp.int32)), state

    def decode(self, ids: Array, state: TokenizerState) -> Array:
        """Turn tokens back into microvolts (the centre of each bin).

        Parameters
        ----------
        ids : ndarray or Tensor of integers, shape (..., n_times)
        state : TokenizerState
            From `encode`.

        Returns
        -------
        x : ndarray or Tensor, shape (..., n_times)
            Microvolts in the data type of ``state``; NaN at special tokens. It differs from what
            was encoded by at most `error_bound`, where that was inside the clipping range.
        """
        if _in_memory(ids) and _fits(ids, state):
            if isinstance(ids, np.ndarray):
                return decode_blocks(self, ids, state)
            state = TokenizerState(state.scale.numpy(), state.offset.numpy())
            return _tensor(decode_blocks(self, ids.numpy(), state))
        return self.decode_plainly(ids, state)

    def decode_plainly(self, ids: Array, state: TokenizerState) -> Array:
        """`decode` as one formula, see `encode_plainly`."""
        bins, _ = _amplitude_bins(ids, state)
        return self.expand(bins) * state.scale + state.offset

    def error_bound(self, ids: Array, state: TokenizerState) -> Array:
        """Largest distance, in microvolts, between a sample and its decoded token.

        Half a bin plus floating-point rounding, for samples inside the clipping range
        (``"minmax"``: every sample; ``"asinh"``: ``abs(x - offset) <= max_uv * scale``).

        Parameters
        ----------
        ids : ndarray or Tensor of integers, shape (..., n_times)
        state : TokenizerState

        Returns
        -------
        bound : ndarray or Tensor, shape (..., n_times)
            NaN at special tokens.
        """
        bins, xp = _amplitude_bins(ids, state)
        eps = float(xp.finfo(state.scale.dtype).eps)
        half = 0.5 + 8 * eps * N_BINS  # the position of a sample among the bins is rounded too
        centre = self.expand(bins)
        reach = xp.maximum(self.expand(bins + half) - centre, centre - self.expand(bins - half))
        return reach * state.scale + 8 * eps * (abs(centre) * state.scale + abs(state.offset))

    def bins(self, u: Array) -> Array:
        """Scaled amplitude -> bin, a whole number of its data type."""
        xp = _library(u)
        if self.scaling == "minmax":
            return xp.clip(xp.round(u), 0, N_BINS - 1)
        bins = xp.floor(xp.asinh(u * (1 / self.knee_uv)) * (1 / self.bin_width) + N_BINS / 2)
        return xp.clip(bins, 0, N_BINS - 1)

    def expand(self, bins: Array) -> Array:
        """Position among the bins -> scaled amplitude."""
        if self.scaling == "minmax":
            return bins
        return _library(bins).sinh((bins - (N_BINS - 1) / 2) * self.bin_width) * self.knee_uv

    @property
    def bin_width(self) -> float:
        """Width of one bin on the asinh axis."""
        return 2 * float(np.arcsinh(self.max_uv / self.knee_uv)) / (N_BINS - 1)

    def to_dict(self) -> dict[str, Any]:
        """Values to store in a checkpoint's ``config.json``."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any] | None) -> AmplitudeTokenizer:
        """Rebuild from `to_dict` (None: the defaults); an unknown key is an error.

        Raises
        ------
        ConfigError
            If a key is unknown or a value impossible.
        """
        values = {} if values is None else values
        if not isinstance(values, dict):
            raise ConfigError(f"tokenizer is {values!r}; expected settings by their names.")
        unknown = set(values) - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise ConfigError(f"Unknown tokenizer settings {sorted(unknown)}; remove them.")
        return cls(**values)


def _library(x: Array) -> Any:
    """Return the library that ``x`` belongs to (torch is never imported for NumPy arrays)."""
    if isinstance(x, np.ndarray):
        return np
    import torch

    return torch


def _in_memory(x: Array) -> bool:
    """Whether NumPy may read ``x`` now: not on a GPU, not in a graph that is being traced."""
    if isinstance(x, np.ndarray):
        return True
    import torch

    if type(x) is not torch.Tensor or x.device.type != "cpu" or x.requires_grad:
        return False
    return not (torch.compiler.is_compiling() or torch.jit.is_tracing())  # type: ignore[attr-defined]


def _fits(ids: Array, state: TokenizerState) -> bool:
    """Whether ``ids`` (int32) and ``state`` are as `encode` gave them."""
    shape = (*ids.shape[:-1], 1)
    return str(ids.dtype).endswith("int32") and all(
        type(part) is type(ids)
        and _in_memory(part)
        and part.shape == shape
        and str(part.dtype).endswith(("float32", "float64"))
        for part in (state.scale, state.offset)
    )


def _tensor(x: np.ndarray) -> Array:
    """``x`` as a tensor in the same memory."""
    import torch

    return torch.from_numpy(x)


def _as_float(x: Array) -> Array:
    """Check the input and give it a floating type of at least 32 bits."""
    if not hasattr(x, "dtype"):
        x = np.asarray(x)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ModelInputError(
            f"Found an array of shape {tuple(x.shape)}; expected (..., n_times) with samples in it."
        )
    if isinstance(x, np.ndarray):
        if x.dtype.kind not in "fiu":
            raise ModelInputError(f"Found data of type {x.dtype}; expected real numbers.")
        if x.dtype in (np.float32, np.float64):
            return x
        return x.astype(np.float32 if x.dtype == np.float16 else np.float64)
    if x.dtype.is_complex or str(x.dtype) == "torch.bool":
        raise ModelInputError(f"Found data of type {x.dtype}; expected real numbers.")
    if not x.dtype.is_floating_point:
        return x.double()
    return x.float() if x.dtype.itemsize < 4 else x


def _amplitude_bins(ids: Array, state: TokenizerState) -> tuple[Array, Any]:
    """Tokens as floating bins of the state's type, NaN at special tokens; and their library."""
    xp = _library(ids)
    bins = ids.astype(state.scale.dtype) if xp is np else ids.to(state.scale.dtype)
    return xp.where((ids >= 0) & (ids < N_BINS), bins, float("nan")), xp
