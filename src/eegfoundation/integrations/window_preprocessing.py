"""What `eegfoundation.preprocess` does to epochs, as a layer: windows in, encoder's signal out.

Models of braindecode get windows as they are, at any rate, and are trained on any device; so the
filters, the change of rate and the reference belong into the forward pass. The kernels are those of
`eegfoundation.filtering` and the rules about unusable samples those of `eegfoundation.preprocess`:
a test holds the two against each other on recorded signals.

The trade-off: a window is all that is known here. Mains hum is not searched for (say `line_freq`),
and as for any short epoch, windows shorter than the high-pass (11 s at 0.3 Hz) have their mean
removed instead.

Shape legend: B batch, C channels, T samples of a window, N samples at the encoder's rate.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn
from torch.nn import functional as F

from eegfoundation.errors import ModelInputError
from eegfoundation.filtering import MARGIN, design_chain, fill_gaps, response
from eegfoundation.preprocessing import Preprocessing
from eegfoundation.quality import FLAT_SECONDS, FLAT_UV
from eegfoundation.recording import Recording
from eegfoundation.rereferencing import design_reference
from eegfoundation.windows import MIN_SECONDS

#: Of the rates' ratio: the transforms' lengths are multiples of it. 173.61 Hz is then off by less
#: than a part in a million.
_MAX_DENOMINATOR = 1000


class WindowPreprocessing(nn.Module):
    """Windows (B, C, T) in microvolts -> (B, C', N) as the encoder expects, NaN where unusable.

    Parameters
    ----------
    settings : Preprocessing
        Of the encoder.
    sfreq : float
        Of the windows, Hz.
    ch_names : sequence of str
        Normalised. Bipolar channels are told by their names; they take no part in averages.
    line_freq : float | None
        Mains frequency to take out, Hz. None: what the settings say, if that is a number.

    Raises
    ------
    PreprocessingError
        If the settings do not fit the channels.
    """

    def __init__(
        self,
        settings: Preprocessing,
        sfreq: float,
        ch_names: Sequence[str],
        line_freq: float | None = None,
    ) -> None:
        super().__init__()
        self.settings, self.sfreq = settings, float(sfreq)
        self.line_freq = line_freq
        if line_freq is None and isinstance(settings.notch, int | float):
            self.line_freq = float(settings.notch)
        windows = Recording(
            name="windows",
            ch_names=list(ch_names),
            sfreq=self.sfreq,
            n_times=0,
            positions=np.full((len(ch_names), 3), np.nan),
            reader=lambda start, stop: np.empty(0),
        )
        self.reference = design_reference(settings.reference, windows)

    @property
    def ch_names(self) -> list[str]:
        """Channels that come out: C' of them."""
        return self.reference.ch_names

    def n_out(self, n_times: int) -> int:
        """Samples N that T samples become."""
        return self._design(n_times).n_out

    def _design(self, n_times: int) -> _Filter:
        return _design(self.settings, self.sfreq, n_times, self.line_freq)

    def forward(self, x: Tensor) -> Tensor:
        """Preprocess a batch.

        Raises
        ------
        ModelInputError
            If the windows are shorter than half a second.
        """
        if x.shape[-1] < int(MIN_SECONDS * self.sfreq):
            raise ModelInputError(
                f"Windows of {x.shape[-1]} samples last {x.shape[-1] / self.sfreq:.3g} s at "
                f"{self.sfreq:g} Hz; at least {MIN_SECONDS:g} s are needed."
            )
        # the spectrum needs more digits than automatic mixed precision would give it
        with torch.autocast(x.device.type, enabled=False):
            return self._forward(x.float())

    def _forward(self, x: Tensor) -> Tensor:
        design = self._design(x.shape[-1])
        missing = ~x.isfinite()
        unusable = missing | _flat_stretches(x, self.sfreq)
        if design.removes_mean:
            total = torch.where(unusable, 0.0, x).sum(-1, keepdim=True)
            x = x - total / (~unusable).sum(-1, keepdim=True).clamp(min=1)
        if missing.any():
            x = _filled(x, missing, 2 * design.reach)
        if design.blind_to_offset:  # which would cost float32 the microvolts
            x = x - x[..., :1]
        y = design(x)
        lost = unusable[..., design.nearest.to(x.device)]
        if self.settings.artefact_uv is not None:
            lost = lost | (y.abs() > self.settings.artefact_uv)
        return self._rereference(torch.where(lost, torch.nan, y))

    def _rereference(self, y: Tensor) -> Tensor:
        """Subtract the reference; unusable samples take no part and stay unusable."""
        reference = self.reference
        if reference.pairs is not None:
            anode, cathode = reference.pairs.T.tolist()
            return y[:, anode] - y[:, cathode]
        if reference.averaged is None or reference.targets is None:
            return y
        averaged = y[:, reference.averaged.tolist()]
        count = (averaged.isfinite().sum(1, keepdim=True) + reference.n_zero).clamp(min=1)
        is_target = torch.zeros(y.shape[1], 1, device=y.device)
        is_target[reference.targets.tolist()] = 1.0
        return y - is_target * averaged.nan_to_num(0.0).sum(1, keepdim=True) / count


@dataclass(frozen=True, kw_only=True, eq=False)
class _Filter:
    """Filters and change of rate for windows of one length, by one pair of transforms."""

    response: Tensor  # (bins,) of the lower of the two Nyquist frequencies, real: no delay
    n_fft: int
    n_ifft: int
    before: int  # samples of the window's mirror image in front of it
    after: int
    skip: int  # target samples of the mirror image
    n_out: int
    nearest: Tensor  # (n_out,) source sample of each target sample
    reach: int  # source samples on each side that a target sample depends on
    removes_mean: bool
    blind_to_offset: bool

    def __call__(self, x: Tensor) -> Tensor:
        """Windows (..., T) -> (..., N)."""
        spectrum = torch.fft.rfft(_mirrored(x, self.before, self.after), self.n_fft)
        spectrum = spectrum[..., : len(self.response)] * self.response.to(x.device)
        return torch.fft.irfft(spectrum, self.n_ifft)[..., self.skip : self.skip + self.n_out]


@functools.lru_cache(maxsize=64)
def _design(
    settings: Preprocessing, sfreq: float, n_times: int, line_freq: float | None
) -> _Filter:
    """Filters for windows of `n_times` samples: as for any epoch of that length."""
    chain, _ = design_chain(settings, sfreq, n_times, line_freq)
    kernel = np.asarray(chain.kernel, dtype=np.float64)
    half = len(kernel) // 2
    ratio = Fraction(settings.sfreq / sfreq).limit_denominator(_MAX_DENOMINATOR)
    up, down = ratio.numerator, ratio.denominator
    reach = half + (MARGIN if up != down else 0)
    # both grids share every `down`-th source sample: the window begins on one
    shared = -(-reach // down)
    units = next_fast_len(shared + -(-(n_times + reach) // down), real=True)
    n_fft, n_ifft = units * down, units * up
    n_out = -(-n_times * up // down)
    nearest = (2 * np.arange(n_out) * down + up) // (2 * up)
    return _Filter(
        response=torch.from_numpy(response(kernel, n_fft, n_ifft).astype(np.float32)),
        n_fft=n_fft,
        n_ifft=n_ifft,
        before=shared * down,
        after=reach,
        skip=shared * up,
        n_out=n_out,
        nearest=torch.from_numpy(np.minimum(nearest, n_times - 1)),
        reach=reach,
        removes_mean=chain.removes_mean,
        blind_to_offset=bool(abs(kernel.sum()) < 1e-3),
    )


def _mirrored(x: Tensor, before: int, after: int) -> Tensor:
    """Odd reflection at both ends, as often as it takes."""
    while before or after:
        left, right = (min(n, x.shape[-1] - 1) for n in (before, after))
        before, after = before - left, after - right
        start = 2 * x[..., :1] - x[..., 1 : left + 1].flip(-1)
        end = 2 * x[..., -1:] - x[..., x.shape[-1] - 1 - right : -1].flip(-1)
        x = torch.cat([start, x, end], dim=-1)
    return x


def _flat_stretches(x: Tensor, sfreq: float) -> Tensor:
    """Samples (B, C, T) in stretches of a second, or in whole windows, that carry no EEG."""
    width = max(2, min(round(FLAT_SECONDS * sfreq), x.shape[-1]))
    # every such stretch covers a whole half-width piece: looking at those first is quick
    pieces = x[..., : x.shape[-1] // (width // 2) * (width // 2)].unflatten(-1, (-1, width // 2))
    suspects = (pieces.amax(-1) - pieces.amin(-1) < FLAT_UV).any(-1)
    flat = torch.zeros_like(x, dtype=torch.bool)
    if suspects.any():
        rows = x[suspects].unsqueeze(1).nan_to_num(1e9, 1e9, 1e9)
        low, high = (F.max_pool1d(sign * rows, width, stride=1) for sign in (-1, 1))
        still = (high + low < FLAT_UV).to(x.dtype)  # (rows, 1, T - width + 1)
        still = F.max_pool1d(F.pad(still, (width - 1, width - 1)), width, stride=1)
        flat[suspects] = still.squeeze(1) > 0
    return flat


def _filled(x: Tensor, missing: Tensor, longest: int) -> Tensor:
    """Holes bridged as `preprocess` bridges them; windows with holes are rare."""
    rows = missing.any(-1)
    filled = fill_gaps(x[rows].detach().cpu().numpy(), missing[rows].cpu().numpy(), longest)
    return x.masked_scatter(rows.unsqueeze(-1).expand_as(x), torch.from_numpy(filled).to(x))
