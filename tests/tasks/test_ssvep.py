import numpy as np
import pytest

from eegfoundation import Preprocessing
from eegfoundation.corpus.compact import read_compact
from eegfoundation.errors import TaskError
from eegfoundation.tasks import TASKS, load_trials
from eegfoundation.tasks.task import PARTS
from shared_data import shared_path

TASK = TASKS["ssvep"]


def test_eight_windows_per_class_and_session_without_the_excluded():
    trials = load_trials(TASK, shared_path("compact", "ssvep_exo"), Preprocessing(), progress=False)
    split = TASK.splits["split"]
    for part in PARTS:
        chosen = trials.select(np.isin(trials.subject, getattr(split, part)))
        assert chosen.counts() == split.counts[part]
    assert trials.x.shape == (864, 8, 600)
    assert len(set(trials.group("session"))) == 27


def test_power_peaks_at_the_frequency_that_the_class_is_named_after():
    trials = load_trials(
        TASK,
        shared_path("compact", "ssvep_exo"),
        Preprocessing(),
        subjects=["subject12"],
        progress=False,
    )
    x = trials.x - trials.x.mean(axis=-1, keepdims=True)
    power = (np.abs(np.fft.rfft(x * np.hanning(x.shape[-1]))) ** 2).mean(axis=1)
    hz = np.fft.rfftfreq(x.shape[-1], 1 / trials.sfreq)
    at = np.stack([power[:, np.abs(hz - f).argmin()] for f in TASK.flicker_hz[1:]], axis=1)
    mean = np.stack([np.log(at[trials.y == label]).mean(axis=0) for label in range(4)])
    assert (mean[1:] - mean[0]).argmax(axis=1).tolist() == [0, 1, 2]


def test_the_authors_files_give_the_same_windows(tmp_path):
    """A tree as in their repository, made from a compact file."""
    import mne

    name = "2012.07.06-19.02.16"
    path = shared_path("compact", "ssvep_exo", f"subject01_{name}.npz")
    recording = read_compact(path)
    with np.load(path) as file:
        onsets, codes = file["event_onset"], file["event_label"]
    folder = tmp_path / "subject01"
    folder.mkdir()
    info = mne.create_info(recording.ch_names, recording.sfreq, "eeg")
    raw = mne.io.RawArray(recording.get_data() * 1e-3, info, verbose="error")
    raw.save(folder / f"record-[{name}]_raw.fif", verbose="error")
    with pytest.raises(TaskError, match=r"-eve\.fif is missing"):
        load_trials(TASK, tmp_path, Preprocessing(), progress=False)
    events = np.stack([onsets, np.zeros_like(onsets), codes], axis=1)
    mne.write_events(folder / f"record-[{name}]-eve.fif", events)
    # another subject's session that lies in this folder of the repository
    stray = tmp_path / "subject07" / "record-[2012.07.11-15.33.08]_raw.fif"
    stray.parent.mkdir()
    stray.touch()

    found = load_trials(TASK, tmp_path, Preprocessing(), progress=False)
    compact = load_trials(
        TASK, path.parent, Preprocessing(), subjects=["subject01"], progress=False
    )
    compact = compact.select(compact.session == name)
    np.testing.assert_array_equal(found.y, compact.y)
    np.testing.assert_allclose(found.x, compact.x, atol=1e-3)
