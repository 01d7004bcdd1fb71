"""Units of amplitudes: what one number of a source is in microvolts, and whether that can be."""

import math
from typing import TYPE_CHECKING

import numpy as np

from eegfoundation.errors import UnitsError

if TYPE_CHECKING:
    from eegfoundation.recording import Recording

MICROVOLTS = {"V": 1e6, "mV": 1e3, "uV": 1.0, "\u00b5V": 1.0, "\u03bcV": 1.0, "nV": 1e-3}
PLAUSIBLE_SD = (0.05, 5000.0)  # microvolts: median over channels of what scalp amplifiers deliver


def check_units(recording: "Recording") -> None:
    """Refuse amplitudes that no scalp EEG has, and say which unit would explain them."""
    sd = _typical_sd(recording)
    low, high = PLAUSIBLE_SD
    if sd is None or low <= sd <= high:
        return
    declared = recording.history["reading"]["units"]
    number = sd / MICROVOLTS[declared]
    # The unit that brings the SD nearest to 15 microvolts, if it makes it plausible at all.
    unit = min(("V", "mV", "uV", "nV"), key=lambda u: abs(math.log(number * MICROVOLTS[u] / 15)))
    if 0.5 <= number * MICROVOLTS[unit] <= 1000:
        counts = ", or scale them first if they are raw ADC counts" if number > 1000 else ""
        advice = f"the numbers look like {unit}: pass units={unit!r}{counts}."
    else:
        advice = (
            "are these raw ADC counts? scale them to microvolts, or pass units=... if it is right."
        )
    raise UnitsError(
        f"{recording.name} has a median channel SD of {sd:.3g} microvolts when read as {declared}, "
        f"expected {low:g} to {high:g}; {advice}"
    )


def _typical_sd(recording: "Recording", seconds: float = 60.0, n_spans: int = 6) -> float | None:
    """Median SD in microvolts over channels and short spans; None if everything is flat or NaN.

    Up to `seconds` are read, in spans spread over the recording; short spans keep slow drifts out.
    """
    if recording.n_epochs is None:
        length, budget = recording.n_times, int(seconds * recording.sfreq)
    else:
        length, budget = recording.n_epochs, int(seconds * recording.sfreq / recording.n_times) + 1
    if length <= budget:
        size, starts = length, [0]
    else:
        size = max(1, budget // n_spans)
        starts = np.linspace(0, length - size, n_spans).astype(int).tolist()
    found: list[np.ndarray] = []
    for start in starts:
        x = recording.get_data(start, start + size).astype(np.float64)
        x = x.reshape(-1, x.shape[-1])
        x[~np.isfinite(x)] = np.nan
        x = x[np.isfinite(x).sum(axis=1) > 1]
        if len(x):
            x = x[np.nanmax(x, axis=1) > np.nanmin(x, axis=1)]
            found.append(np.nanstd(x, axis=1))
    sd = np.concatenate(found) if found else np.empty(0)
    return float(np.median(sd)) if len(sd) else None
