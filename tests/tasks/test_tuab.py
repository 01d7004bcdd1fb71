"""TUAB's folders, with short recordings of noise."""

import numpy as np
import pytest

from eegfoundation import Preprocessing
from eegfoundation.corpus.settings import CHANNELS_10_20
from eegfoundation.tasks import TASKS, load_trials
from eegfoundation.tasks.tuab import _part
from samples import noise, write_edf

TASK = TASKS["tuab"]
NAMES = [
    *("FP1", "FP2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "T3", "T4"),
    *("T5", "T6", "A1", "A2", "FZ", "CZ", "PZ"),
]


def add(root, part, state, name, seconds=12, folder="01_tcp_ar"):
    x = noise(len(NAMES) + 2, seconds * 100)
    names = [*(f"EEG {name}-REF" for name in NAMES), "PHOTIC-REF", "EEG EKG1-REF"]
    return write_edf(root / "edf" / part / state / folder / f"{name}.edf", x, names)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("tuab")
    subjects = [f"aaaaaaa{letter}" for letter in "abcdefghijkl"]
    for i, subject in enumerate(subjects):
        add(root, "train", ("normal", "abnormal")[i % 2], f"{subject}_s001_t000")
    add(root, "train", "abnormal", "aaaaaaaa_s002_t000")  # became ill
    add(root, "eval", "normal", "aaaaaazz_s004_t000", seconds=252)
    add(root, "eval", "abnormal", "aaaaaazy_s001_t001")
    add(root, "eval", "abnormal", "aaaaaazx_s001_t001", folder="02_tcp_le")
    return root


def test_official_split_with_a_fifth_of_train_to_validate(root):
    split = TASK.for_split("official", root).splits["official"]
    assert split.test == ("aaaaaazy", "aaaaaazz")
    assert len(split.train) + len(split.validation) == 12
    assert split.validation
    drawn = [_part(f"aaaa{i:04d}", "train") for i in range(2000)]
    assert 0.18 < drawn.count("validation") / len(drawn) < 0.22


def test_windows_of_common_electrodes_thinned_in_long_recordings(root):
    trials = load_trials(TASK, root, Preprocessing(), progress=False)
    assert sorted(trials.ch_names) == sorted(CHANNELS_10_20)
    assert trials.x.shape[1:] == (19, 2000)
    assert trials.counts() == (6 + 20, 7 + 1)  # 25 windows of 252 s become 20
    both = trials.select(trials.subject == "aaaaaaaa")
    assert (both.y.tolist(), both.session.tolist()) == ([1, 0], ["s002", "s001"])


def test_bipolar_channels_are_the_sixteen_of_publications_and_the_midline(root):
    trials = load_trials(
        TASK, root, Preprocessing(reference="bipolar"), subjects=["aaaaaaab"], progress=False
    )
    assert trials.x.shape[1] == 18
    assert trials.ch_names[0] == "Fp1-F7"
    assert np.isfinite(trials.x).all()
