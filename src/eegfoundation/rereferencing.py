"""Reference of the voltages: as recorded, the average, a softer average, or bipolar neighbours.

The soft average counts two electrodes more than there are, at zero potential: the ears or mastoids
that the recording was referenced to. What all channels share is weakened by it, not removed, which
served frozen features better than either extreme (docs/experiments.md), and it does no harm where
electrodes are few. With one zero electrode it would be EEGLAB's full-rank average reference.
"""

from dataclasses import dataclass, replace

import numpy as np

from eegfoundation.errors import PreprocessingError
from eegfoundation.montage import bipolar_pairs
from eegfoundation.quality import NON_FINITE
from eegfoundation.recording import Recording

REFERENCES = ("as recorded", "average", "soft average", "bipolar")
N_ZERO_ELECTRODES = 2  # of the soft average


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What is subtracted from what, and the channels that result."""

    ch_names: list[str]
    positions: np.ndarray
    bads: list[str]
    notes: list[str]
    averaged: np.ndarray | None = None  # channels whose mean is subtracted
    targets: np.ndarray | None = None  # channels that it is subtracted from
    n_zero: int = 0  # electrodes at zero potential that the mean counts too
    pairs: np.ndarray | None = None  # (n_pairs, 2): anode, cathode

    def __call__(
        self, y: np.ndarray, causes: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Re-reference `y` (E, C, T); unusable samples take no part and stay unusable."""
        if self.pairs is not None:
            anode, cathode = self.pairs.T
            y = y[:, anode] - y[:, cathode]
            return y, None if causes is None else np.maximum(causes[:, anode], causes[:, cathode])
        if self.averaged is None:
            return y, causes
        if causes is None:
            total = y[:, self.averaged].sum(axis=1, keepdims=True)
            y[:, self.targets] -= total / (len(self.averaged) + self.n_zero)
            return y, None
        usable = causes[:, self.averaged] == 0
        count = usable.sum(axis=1, keepdims=True)
        total = np.sum(y[:, self.averaged], axis=1, keepdims=True, where=usable)
        y[:, self.targets] -= total / np.maximum(count + self.n_zero, 1)
        # Where no good channel is usable, the bad ones have no reference either.
        return y, np.where((count == 0) & (causes == 0), np.uint8(NON_FINITE), causes)


def design_reference(name: str, recording: Recording) -> Reference:
    """Look up which channels the reference `name` is made of in this recording."""
    ch_names, bads, positions = recording.ch_names, recording.bads, recording.positions
    derived = [n for n in ch_names if n.count("-") == 1 and all(n.split("-"))]
    same = Reference(ch_names=list(ch_names), positions=positions, bads=list(bads), notes=[])
    if name == "as recorded":
        return same
    if name in ("average", "soft average"):
        targets = [i for i, n in enumerate(ch_names) if n not in derived]
        averaged = [i for i in targets if ch_names[i] not in bads]
        if len(averaged) < 2 and name == "soft average":
            return replace(same, notes=["fewer than 2 channels to average: left as recorded"])
        if len(averaged) < 2:
            raise PreprocessingError(
                f"{recording.name}: an average reference needs at least 2 good channels that are "
                f"not bipolar, found {len(averaged)} of {_some(ch_names)}: use 'as recorded'."
            )
        notes = [f"bipolar channels left as recorded: {derived}"] if derived else []
        return replace(
            same,
            targets=np.array(targets),
            averaged=np.array(averaged),
            n_zero=N_ZERO_ELECTRODES if name == "soft average" else 0,
            notes=notes,
        )

    if len(derived) == len(ch_names):
        return replace(same, notes=["channels are bipolar already: left as recorded"])
    found = bipolar_pairs(ch_names)
    if not found:
        raise PreprocessingError(
            f"{recording.name}: a bipolar reference needs neighbours of the 10-20 system such as "
            f"Fp1 and F7, found {_some(ch_names)}: use 'as recorded' or 'average'."
        )
    pairs = np.array([[ch_names.index(n) for n in pair] for pair in found])
    unused = [n for i, n in enumerate(ch_names) if i not in pairs]
    return Reference(
        ch_names=[f"{anode}-{cathode}" for anode, cathode in found],
        positions=positions[pairs].mean(axis=1),
        bads=[f"{a}-{c}" for a, c in found if a in bads or c in bads],
        notes=[f"channels in no bipolar pair: {unused}"] if unused else [],
        pairs=pairs,
    )


def _some(ch_names: list[str]) -> str:
    return ", ".join(ch_names[:8]) + (f" and {len(ch_names) - 8} more" if ch_names[8:] else "")
