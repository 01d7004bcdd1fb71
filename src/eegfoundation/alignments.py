"""What may be taken out of a recording, or put beside its channels: the names, and who needs what.

Models, tasks and commands speak of it; how it is done: `eegfoundation.evaluation.alignment`,
`eegfoundation.evaluation.components` and `eegfoundation.covariance`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eegfoundation.errors import ConfigError

#: What a classifier can be made with; covariance matrices alone can be aligned by "riemann" too.
ALIGNMENTS = ("none", "standardise", "euclidean", "euclidean+standardise", "components")
#: Hertz: delta, theta, lower and upper alpha, lower and upper beta, gamma.
BANDS = ((1, 4), (4, 8), (8, 10), (10, 13), (13, 20), (20, 30), (30, 45))
#: Hz: all that bands are compared with.
BROAD = (1.0, 45.0)
#: Per band or flicker.
N_COMPONENTS = 2


def whitens(alignment: str) -> bool:
    """Whether signals are whitened."""
    return "euclidean" in alignment or alignment == "components"


def standardises(alignment: str) -> bool:
    """Whether context vectors are standardised."""
    return "standardise" in alignment or alignment == "components"


def component_names(flicker_hz: Sequence[float] | None) -> list[str]:
    """Names of the components of a recording: of flickers if there are some, else of `BANDS`."""
    parts = (
        [f"{hz:g} Hz" for hz in flicker_hz]
        if flicker_hz
        else [f"{low}-{high} Hz" for low, high in BANDS]
    )
    return [f"{part}, component {i + 1}" for part in parts for i in range(N_COMPONENTS)]


def n_covariances(n_chans: int, flicker_hz: Sequence[float] | None) -> int:
    """Number of features of `eegfoundation.covariance`: correlations, or of matrices in bands."""
    return len(flicker_hz) if flicker_hz else len(BANDS) * n_chans * (n_chans + 1) // 2


def require_flickers(flicker_hz: Any, *, used: bool = True) -> None:
    """Raise `ConfigError` unless these are flickers (Hz) that something makes use of, or None."""
    if flicker_hz is None:
        return
    if not used:
        raise ConfigError(
            f"flicker_hz={flicker_hz!r} is for components and for covariance, found neither; leave "
            "it out, or choose alignment='components' or strategy='probe+covariance'."
        )
    numbers = isinstance(flicker_hz, list | tuple) and all(
        isinstance(hz, int | float) and not isinstance(hz, bool) and BROAD[0] <= hz <= BROAD[1]
        for hz in flicker_hz
    )
    if not numbers or not flicker_hz or len(set(flicker_hz)) < len(flicker_hz):
        raise ConfigError(
            f"flicker_hz={flicker_hz!r}; a list of different frequencies from {BROAD[0]:g} to "
            f"{BROAD[1]:g} Hz is needed."
        )
