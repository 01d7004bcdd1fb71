import shutil

import numpy as np
import pytest

from eegfoundation import Preprocessing
from eegfoundation.errors import TaskError
from eegfoundation.tasks import TASKS, load_trials
from eegfoundation.tasks.task import PARTS
from shared_data import shared_path


def check_counts(trials, split, parts=PARTS):
    for part in parts:
        chosen = np.isin(trials.subject, getattr(split, part))
        assert trials.select(chosen).counts() == split.counts[part]


def load(split, data, **options):
    task = TASKS["stress"].for_split(split, data)
    trials = load_trials(task, data, Preprocessing(), progress=False, **options)
    return trials, task.splits[split]


def test_ours_has_twelve_windows_per_class_and_subject():
    trials, split = load("ours", shared_path("compact", "eegmat"))
    check_counts(trials, split)
    assert trials.x.shape == (36 * 24, 19, 1000)
    assert len(set(trials.group("session"))) == 36  # rest and arithmetic are aligned together
    assert "T7" in trials.ch_names
    assert np.isnan(trials.x).mean() < 1e-4  # nothing of the silence at the files' ends
    assert not np.isnan(trials.positions).any()


def test_literature_has_all_windows():
    data = shared_path("compact", "eegmat")
    split = TASKS["stress"].splits["literature"]
    trials, _ = load("literature", data, subjects=split.validation + split.test)
    check_counts(trials, split, ("validation", "test"))


def test_physionet_files_give_the_same_windows(tmp_path):
    for number, state in ((1, "rest"), (2, "arithmetic")):
        path = shared_path("formats", f"eegmat_Subject30_{state}.edf")
        (tmp_path / "eeg").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "eeg" / f"Subject30_{number}.edf")
    original, _ = load("ours", tmp_path)
    compact, _ = load("ours", shared_path("compact", "eegmat"), subjects=["Subject30"])
    assert original.counts() == compact.counts() == (12, 12)
    assert original.ch_names == compact.ch_names
    # decimated from 500 to 250 Hz: filters start a little differently
    assert np.quantile(np.abs(original.x - compact.x), 0.98) < 0.2
    assert np.abs(original.x - compact.x)[:12].max() < 0.2

    shutil.copy(shared_path("compact", "eegmat", "Subject30_rest.npz"), tmp_path)
    with pytest.raises(TaskError, match="are both run 1 of session 0 of Subject30"):
        load("ours", tmp_path)
