"""Small trials whose classes differ by as much as a test wants."""

import numpy as np

from eegfoundation import Preprocessing
from eegfoundation.tasks import Trials


def make_trials(
    n_subjects=6,
    n_sessions=1,
    n_runs=1,
    per_class=4,
    n_classes=2,
    n_chans=3,
    n_times=100,
    effect=0.0,
    seed=0,
    preprocessing=None,
):
    """Noise; class k has a rhythm of 10 (k + 1) Hz of so many microvolts, people differ in gain."""
    rng = np.random.default_rng(seed)
    settings = preprocessing or Preprocessing()
    times = np.arange(n_times) / settings.sfreq
    x, y, owners = [], [], []
    for subject in range(n_subjects):
        gain = rng.uniform(0.5, 2)
        for session in range(n_sessions):
            for run in range(n_runs):
                for label in list(range(n_classes)) * per_class:
                    wave = np.sin(2 * np.pi * (10 * (label + 1) * times + rng.random()))
                    noise = rng.normal(0, 10, (n_chans, n_times))
                    x.append(gain * (noise + effect * wave))
                    y.append(label)
                    owners.append((f"P{subject}", str(session + 1), str(run + 1)))
    subject, session, run = (np.array(names, dtype=str) for names in zip(*owners, strict=True))
    return Trials(
        x=np.stack(x).astype(np.float32),
        y=np.array(y),
        subject=subject,
        session=session,
        run=run,
        classes=tuple("abcd"[:n_classes]),
        ch_names=("Fz", "Cz", "Pz", "Oz")[:n_chans],
        positions=np.full((n_chans, 3), np.nan),
        preprocessing=settings,
    )
