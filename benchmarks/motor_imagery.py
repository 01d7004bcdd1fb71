"""How good the quick start's classifier is at what it was trained on: simulated motor imagery.

    python benchmarks/motor_imagery.py [--subjects 10] [--trials 6]

Simulated people whom it never saw, at several clarities of their rhythms (snr) and with other
electrodes than the 22 that it learned from. Four classes, chance is 0.25. The last line printed is
JSON.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import balanced_accuracy_score
from tqdm.auto import tqdm

from eegfoundation import SimulatedTrainingWarning, preprocess, read_recording
from eegfoundation.finetuning.predicting import predict_trials
from eegfoundation.prediction import load_classifier
from eegfoundation.synthetic import BCIC_2A_CHANNELS, IMAGERY, simulate_motor_imagery
from eegfoundation.tasks import Trials
from eegfoundation.tasks.simulated import SIMULATED_2A

FIRST_SUBJECT = 500  # beyond those of the task, below those of demo_data
CLARITIES = (0.0, 0.5, 1.0, 1.5)
MONTAGES: dict[str, Sequence[str]] = {
    "22 of data set 2a": BCIC_2A_CHANNELS,
    "19 of the 10-20 system": (
        *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8"),
        *("P7", "P3", "Pz", "P4", "P8", "O1", "O2"),
    ),
    "9 over the motor strip": ("C5", "C3", "C1", "Cz", "C2", "C4", "C6", "CP3", "CP4"),
    "C3, Cz, C4": ("C3", "Cz", "C4"),
}


def trials_of(model: Any, subject: int, snr: float, ch_names: Sequence[str], n: int) -> Trials:
    """One session of one person, as the classifier gets it."""
    session = simulate_motor_imagery(
        ch_names, subject=subject, seed=1, snr=snr, n_trials_per_class=n
    )
    recording = preprocess(read_recording(session.to_raw()), model.preprocessing)
    data = recording.get_data()
    n_times = round(IMAGERY * recording.sfreq)
    starts = [round(onset * recording.sfreq) for onset, _, _ in session.events]
    names = np.full(len(starts), str(subject))
    return Trials(
        x=np.stack([data[:, start : start + n_times] for start in starts]),
        y=np.array([SIMULATED_2A.classes.index(name) for _, _, name in session.events]),
        subject=names,
        session=names,
        run=names,
        classes=SIMULATED_2A.classes,
        ch_names=tuple(recording.ch_names),
        positions=recording.positions,
        preprocessing=model.preprocessing,
    )


def accuracies(
    model: Any, snr: float, ch_names: Sequence[str], subjects: int, n: int
) -> list[float]:
    """Balanced accuracy of every person."""
    found = []
    for subject in range(FIRST_SUBJECT, FIRST_SUBJECT + subjects):
        trials = trials_of(model, subject, snr, ch_names, n)
        guess = predict_trials(model, trials).argmax(1)
        found.append(float(balanced_accuracy_score(trials.y, guess)))
    return found


def main(argv: list[str] | None = None) -> None:
    """Print a table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--subjects", type=int, default=10)
    parser.add_argument("--trials", type=int, default=6, help="per class and person")
    arguments = parser.parse_args(argv)
    warnings.simplefilter("ignore", SimulatedTrainingWarning)
    model = load_classifier()
    rows = []
    asked = [("22 of data set 2a", snr) for snr in CLARITIES]
    asked += [(name, 1.0) for name in MONTAGES if name != "22 of data set 2a"]
    print("| electrodes | snr | balanced accuracy | of the single people |\n|---|---|---|---|")
    for name, snr in tqdm(asked, disable=None):
        found = accuracies(model, snr, MONTAGES[name], arguments.subjects, arguments.trials)
        rows.append({"montage": name, "snr": snr, "balanced_accuracy": round(np.mean(found), 3)})
        print(f"| {name} | {snr:g} | {np.mean(found):.3f} | {min(found):.2f} to {max(found):.2f} |")
    print(json.dumps({"subjects": arguments.subjects, "rows": rows}))


if __name__ == "__main__":
    main()
