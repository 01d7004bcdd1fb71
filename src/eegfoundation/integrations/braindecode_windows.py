"""Windows of braindecode, or of eegdash, as epochs that the estimators here take.

braindecode itself is not needed: its windows say all that is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation import montage
from eegfoundation.errors import ConfigError, ModelInputError
from eegfoundation.units import MICROVOLTS

if TYPE_CHECKING:
    import mne


def windows_to_epochs(windows: Any, units: str = "uV") -> mne.Epochs:
    """Windows of braindecode (or eegdash) as epochs, which our estimators take.

    Parameters
    ----------
    windows : braindecode.datasets.BaseConcatDataset
        As `create_windows_from_events` makes them, with one montage and length.
    units : {"V", "mV", "uV", "nV"}
        Of the windows. MNE's recordings are in volts; many pipelines make them microvolts.

    Returns
    -------
    epochs : mne.EpochsArray
        Its ``metadata`` has a line per window: ``target``, and whatever the data set tells of the
        recording, such as subject and session.

    Raises
    ------
    ModelInputError
        If these are no windows, or differ in channels, rate or length.

    Examples
    --------
    >>> from eegfoundation import EEGFoundationClassifier
    >>> epochs = windows_to_epochs(windows)  # doctest: +SKIP
    >>> classifier = EEGFoundationClassifier().fit(epochs, epochs.metadata["target"])
    ... # doctest: +SKIP
    """
    import mne

    if units not in MICROVOLTS:
        raise ConfigError(f"units={units!r}; choose one of V, mV, uV, nV.")
    parts = getattr(windows, "datasets", None)
    if not parts or not all(hasattr(part, "metadata") for part in parts):
        raise ModelInputError(
            f"{type(windows).__name__} holds no windows; make some first, with braindecode's "
            "create_windows_from_events or create_fixed_length_windows."
        )
    infos = [part.raw.info if hasattr(part, "raw") else part.windows.info for part in parts]
    info = infos[0].copy()
    for name, what in (("ch_names", "channels"), ("sfreq", "sampling rate")):
        if any(other[name] != info[name] for other in infos):
            raise ModelInputError(f"The recordings differ in {what}; make them alike first.")
    x = [np.asarray(windows[i][0], dtype=np.float64) for i in range(len(windows))]
    shapes = {one.shape for one in x}
    if len(shapes) != 1 or len(x[0]) != len(info["ch_names"]):
        raise ModelInputError(
            f"The windows have shapes {sorted(shapes)[:3]} for {len(info['ch_names'])} channels; "
            "pick channels before cutting windows, and give a window_size_samples."
        )
    epochs = mne.EpochsArray(
        np.stack(x) * (MICROVOLTS[units] * 1e-6),
        info,
        metadata=windows.get_metadata().reset_index(drop=True),
        verbose="error",
    )
    if set(epochs.get_channel_types()) == {"misc"}:  # what create_from_X_y makes of arrays
        kinds = {name: montage.channel_kind(name) for name in epochs.ch_names}
        epochs.set_channel_types(kinds, on_unit_change="ignore", verbose="error")
    return epochs
