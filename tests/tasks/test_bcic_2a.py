"""The two layouts in which data set 2a is found, as small trees of simulated trials."""

import numpy as np
import pytest
from gdf_writer import write_gdf
from scipy.io import savemat

from eegfoundation import Preprocessing
from eegfoundation.errors import TaskError
from eegfoundation.synthetic import BCIC_2A_CHANNELS, simulate_motor_imagery
from eegfoundation.tasks import TASKS, load_trials
from eegfoundation.tasks.task import PARTS

TASK = TASKS["bcic-iv-2a"]
GDF_NAMES = [
    *("EEG-Fz", "EEG", "EEG", "EEG", "EEG", "EEG", "EEG", "EEG-C3", "EEG", "EEG-Cz", "EEG"),
    *("EEG-C4", "EEG", "EEG", "EEG", "EEG", "EEG", "EEG", "EEG", "EEG-Pz", "EEG", "EEG"),
    *("EOG-left", "EOG-central", "EOG-right"),
]


@pytest.fixture(scope="module")
def session():
    """Microvolts (25, n_times) at 250 Hz, cues in samples, labels 0 to 3."""
    simulated = simulate_motor_imagery(n_trials_per_class=2, subject=1)
    x = np.concatenate(
        [
            simulated.data,
            100
            * np.random.default_rng(0).normal(size=(3, 1))
            * np.ones((3, simulated.data.shape[1])),
        ]
    )
    x = x[:, : x.shape[1] // 250 * 250]
    cues = [round(onset * 250) for onset, _, _ in simulated.events]
    return x, np.array(cues), simulated.trials()[1]


def write_competition(folder, session, subject="A01", kind="T"):
    x, cues, y = session
    codes = 769 + y if kind == "T" else np.full(len(y), 783)
    events = [(0, 32766), *((cue - 500, 768) for cue in cues), *zip(cues, codes, strict=True)]
    events = sorted((int(sample), int(code)) for sample, code in events)
    return write_gdf(folder / f"{subject}{kind}.gdf", x, GDF_NAMES, 250, events)


def write_bnci(path, session):
    x, cues, y = session
    runs = np.empty((1, 2), dtype=object)
    names = np.array(["left hand", "right hand", "feet", "tongue"], dtype=object)
    for run, (trial, labels) in enumerate(([[], []], [cues - 500 + 1, y + 1])):
        runs[0, run] = {
            "X": x.T, "trial": np.array(trial, float)[:, None], "y": np.array(labels)[:, None],
            "fs": 250.0, "classes": names, "artifacts": np.zeros((len(labels), 1)),
            "gender": "male", "age": 22.0,
        }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"data": runs})


def load(folder):
    return load_trials(TASK, folder, Preprocessing(), progress=False)


def test_both_layouts_hold_the_same_trials(tmp_path, session):
    write_competition(tmp_path / "gdf", session)
    write_competition(tmp_path / "gdf", session, kind="E")
    labels = tmp_path / "gdf" / "true_labels" / "A01E.mat"
    labels.parent.mkdir()
    savemat(labels, {"classlabel": session[2][:, None] + 1})
    for kind in "TE":
        write_bnci(tmp_path / "mat" / "database" / f"A01{kind}.mat", session)
    gdf, mat = load(tmp_path / "gdf"), load(tmp_path / "mat")
    for trials in (gdf, mat):
        assert trials.x.shape == (16, 22, 800)
        assert trials.ch_names == BCIC_2A_CHANNELS
        assert not np.isnan(trials.positions).any()
        assert trials.session.tolist() == ["E"] * 8 + ["T"] * 8
        np.testing.assert_array_equal(trials.y, np.tile(session[2], 2))
    np.testing.assert_allclose(gdf.x, mat.x, atol=0.1)


def test_the_window_is_four_seconds_from_the_cue(tmp_path, session):
    """A 10 Hz wave that lasts from 2 to 6 s of the trial fills the window, in microvolts."""
    x, cues, y = session
    marked = np.random.default_rng(0).normal(0, 0.1, x.shape)
    for cue in cues:
        marked[:, cue : cue + 1000] += 50 * np.sin(2 * np.pi * 10 * np.arange(1000) / 250)
    write_bnci(tmp_path / "A01T.mat", (marked, cues, y))
    trials = load_trials(TASK, tmp_path, Preprocessing(highpass=None, notch=None), progress=False)
    amplitude = 2 / 800 * np.abs(np.fft.rfft(trials.x))
    np.testing.assert_allclose(amplitude[..., 40], 50, rtol=0.01)


def test_splits_count_72_trials_per_class_and_session():
    split = TASK.splits["split"]
    for part in PARTS:
        assert split.counts[part] == (144 * len(getattr(split, part)),) * 4
    assert split.train == ("A01", "A02", "A03", "A04", "A05")
    assert split.test == ("A08", "A09")


def test_what_is_missing_is_said(tmp_path, session):
    write_competition(tmp_path / "a", session, kind="E")
    with pytest.raises(TaskError, match=r"A01E\.gdf comes without its labels"):
        load(tmp_path / "a")
    savemat(tmp_path / "a" / "A01E.mat", {"classlabel": np.ones((5, 1))})
    with pytest.raises(TaskError, match=r"8 trials but A01E\.mat 5 labels"):
        load(tmp_path / "a")
    savemat(tmp_path / "a" / "A01E.mat", {"other": np.ones(3)})
    with pytest.raises(TaskError, match=r"A01E\.mat holds other; expected 'data'"):
        load(tmp_path / "a")
    x = session[0]
    few = [*GDF_NAMES[:7], *GDF_NAMES[22:]]
    write_gdf(tmp_path / "b" / "A02T.gdf", x[: len(few)], few, 250, [(500, 769)])
    with pytest.raises(TaskError, match=r"A02T\.gdf has 7 EEG channels"):
        load(tmp_path / "b")


def test_both_layouts_at_once_are_refused(tmp_path, session):
    write_competition(tmp_path, session)
    write_bnci(tmp_path / "A01T.mat", session)
    with pytest.raises(TaskError, match="are both run 0 of session T of A01"):
        load(tmp_path)
