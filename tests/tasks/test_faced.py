"""FACED's pickles, shortened to one window per clip."""

import pickle

import numpy as np
import pytest

from eegfoundation import Preprocessing
from eegfoundation.errors import TaskError
from eegfoundation.tasks import TASKS, load_trials

TASK = TASKS["faced"]


def write(path, shape=(28, 32, 2500)):
    x = np.random.default_rng(0).normal(0, 20, shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(x))
    return x


def test_clips_and_their_emotions(tmp_path):
    x = write(tmp_path / "Processed_data" / "sub007.pkl")
    settings = Preprocessing(highpass=None, notch=None, reference="as recorded")
    trials = load_trials(TASK, tmp_path, settings, progress=False)
    assert trials.x.shape == (28, 32, 2000)
    assert trials.counts() == (3, 3, 3, 3, 4, 3, 3, 3, 3)
    assert [trials.classes[i] for i in trials.y[[0, 12, 15, 16, 27]]] == [
        *("anger", "neutral", "neutral", "amusement", "tenderness")
    ]
    assert set(trials.subject) == {"sub007"}
    assert trials.run.tolist() == [f"{clip:02d}" for clip in range(28)]
    assert (trials.ch_names[14], trials.ch_names[-1]) == ("T7", "O2")
    # microvolts, of which 75 of 125 Hz are left
    np.testing.assert_allclose(trials.x.std(axis=-1), x.std(axis=-1) * 0.6**0.5, rtol=0.2)


def test_counts_of_the_split():
    split = TASK.splits["split"]
    assert (split.train[-1], split.validation[0], split.test[-1]) == ("sub079", "sub080", "sub122")
    assert split.counts["test"] == (207, 207, 207, 207, 276, 207, 207, 207, 207)


def test_another_array_is_refused(tmp_path):
    write(tmp_path / "sub000.pkl", (28, 30, 2500))
    with pytest.raises(TaskError, match=r"shape \(28, 30, 2500\); expected the processed data"):
        load_trials(TASK, tmp_path, Preprocessing(), progress=False)
