import numpy as np

from eegfoundation import Preprocessing
from eegfoundation.synthetic import BCIC_2A_CHANNELS
from eegfoundation.tasks import TASKS, load_trials
from eegfoundation.tasks.task import PARTS, labelled_recordings

TASK = TASKS["simulated-2a"]


def test_no_folder_is_needed_and_trials_are_as_in_2a():
    real = TASKS["bcic-iv-2a"]
    assert (TASK.classes, TASK.window, TASK.config) == (real.classes, real.window, real.config)
    trials = load_trials(
        TASK, None, Preprocessing(), subjects=["simulated-000", "simulated-031"], progress=False
    )
    assert trials.x.shape == (2 * 2 * 24, 22, 800)
    assert trials.ch_names == BCIC_2A_CHANNELS
    assert trials.counts() == (24, 24, 24, 24)
    assert len(set(trials.group("session"))) == 4
    assert np.isfinite(trials.x).all()


def test_counts_subjects_and_difficulties_of_each_part():
    found = labelled_recordings(TASK)
    split = TASK.splits["split"]
    for part in PARTS:
        subjects = getattr(split, part)
        sessions = [one for one in found if one.subject in subjects]
        assert split.counts[part] == (6 * len(sessions),) * 4
        numbers = {int(subject.rpartition("-")[2]) for subject in subjects}
        assert max(numbers) < 1000  # from there on they belong to demo_data
        assert {number % 4 for number in numbers} == {0, 1, 2, 3}
    assert len(found) == 2 * len({*split.train, *split.validation, *split.test})
