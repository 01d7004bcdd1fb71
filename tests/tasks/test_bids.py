import pytest

from eegfoundation import Preprocessing
from eegfoundation.errors import RecordingError, TaskError
from eegfoundation.tasks import load_task, load_trials
from samples import noise, write_edf

SETTINGS = Preprocessing(notch=None)
EVENTS = [(1, "left"), (4, "right"), (7, "n/a"), (9, "BAD_move"), (12, "left"), (19.5, "right")]


def add(folder, stem, events=EVENTS):
    write_edf(folder / f"{stem}_eeg.edf", noise(2, 20 * 100), ["C3", "C4"], 100)
    if events is not None:
        lines = ["onset\tduration\ttrial_type", *(f"{onset}\t0\t{kind}" for onset, kind in events)]
        (folder / f"{stem}_events.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def study(tmp_path):
    root = tmp_path / "study"
    add(root / "sub-01" / "ses-a" / "eeg", "sub-01_ses-a_task-move_run-1")
    add(root / "sub-01" / "ses-a" / "eeg", "sub-01_ses-a_task-move_run-2")
    add(root / "sub-02" / "eeg", "sub-02_task-move", [(2, "right"), (5, "feet")])
    add(root / "sub-02" / "eeg", "sub-02_task-rest", None)
    add(root / "derivatives" / "sub-02" / "eeg", "sub-02_task-move")
    return root


def test_trial_types_are_classes(study):
    task = load_task(study)
    assert (task.name, task.classes, task.window) == ("study", ("feet", "left", "right"), 2.0)
    trials = load_trials(task, None, SETTINGS, progress=False)
    assert trials.counts() == (1, 4, 3)  # the event at 19.5 s has no whole window
    assert set(trials.group("session")) == {"01/a", "02/0"}
    assert len(set(trials.group("run"))) == 3


def test_chosen_classes_window_and_its_start(study):
    task = load_task(str(study), classes=["right", "left"], window=1.0, start=-1.0)
    trials = load_trials(task, study, SETTINGS, progress=False)
    assert trials.counts() == (5, 4)
    assert trials.x.shape[1:] == (2, 200)


def test_mistakes_are_told(study, tmp_path):
    with pytest.raises(TaskError, match="no event of trial_type up; choose among feet"):
        load_task(study, classes=["left", "up"])
    events = study / "sub-02" / "eeg" / "sub-02_task-move_events.tsv"
    events.write_text("onset\tduration\ttrial_type\n1\t0\tleft\nsoon\t0\tleft\n")
    with pytest.raises(TaskError, match=r"events\.tsv, line 3: onset is 'soon'"):
        load_task(study)
    events.write_text("onset\tduration\n1\t0\n")
    with pytest.raises(TaskError, match=r"sub-02_task-move_events\.tsv has no column trial_type"):
        load_task(study)
    add(tmp_path / "rest" / "sub-1" / "eeg", "sub-1_task-rest", [])
    with pytest.raises(TaskError, match="rest has no event with a trial_type"):
        load_task(tmp_path / "rest")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordingError, match="layout 'bids' looks for"):
        load_task(tmp_path / "empty")
