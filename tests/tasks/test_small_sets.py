"""The tasks on sets too small to decide anything: mi_openbci and one person of eegmmidb."""

import edfio
import numpy as np
import pytest

from eegfoundation import Preprocessing
from eegfoundation.corpus.compact import read_compact
from eegfoundation.tasks import TASKS, load_trials
from samples import write_edf
from shared_data import shared_path


@pytest.mark.parametrize(
    ("name", "folder", "shape", "counts", "runs"),
    [
        ("mi-openbci", "mi_openbci", (15, 800), (50, 50), {"0"}),
        ("fists", "eegmmidb", (64, 800), (23, 22), {"04", "08", "12"}),
        ("fists-feet", "eegmmidb", (64, 800), (21, 24), {"06", "10", "14"}),
        ("eyes", "eegmmidb", (64, 1000), (12, 12), {"01", "02"}),
    ],
)
def test_windows_of_the_real_sets(name, folder, shape, counts, runs):
    task, data = TASKS[name], shared_path("compact", folder)
    trials = load_trials(task, data, Preprocessing(), progress=False)
    assert trials.x.shape[1:] == shape
    assert trials.counts() == counts
    assert set(trials.run) == runs
    assert not task.splits


def test_closed_eyes_have_alpha():
    trials = load_trials(
        TASKS["eyes"], shared_path("compact", "eegmmidb"), Preprocessing(), progress=False
    )
    x = trials.x[:, [trials.ch_names.index(name) for name in ("O1", "Oz", "O2")]]
    power = np.abs(np.fft.rfft(x * np.hanning(x.shape[-1]))) ** 2
    hz = np.fft.rfftfreq(x.shape[-1], 1 / trials.sfreq)
    alpha = power[..., (hz >= 8) & (hz <= 13)].mean(axis=(1, 2))
    assert alpha[trials.y == 1].mean() > 10 * alpha[trials.y == 0].mean()


def test_physionet_files_give_the_same_windows(tmp_path):
    """A run as PhysioNet stores it: names with dots, events T0 to T2."""
    path = shared_path("compact", "eegmmidb", "S001_R04.npz")
    recording = read_compact(path)
    texts = {"rest": "T0", "imag left fist": "T1", "imag right fist": "T2"}
    write_edf(
        tmp_path / "S001" / "S001R04.edf",
        recording.get_data().astype(float),
        [f"{name}.." for name in recording.ch_names],
        int(recording.sfreq),
        annotations=[
            edfio.EdfAnnotation(onset, 4.1, texts[text]) for onset, _, text in recording.events
        ],
    )
    found = load_trials(TASKS["fists"], tmp_path, Preprocessing(), progress=False)
    compact = load_trials(TASKS["fists"], path.parent, Preprocessing(), progress=False)
    compact = compact.select(compact.run == "04")
    assert found.ch_names == compact.ch_names
    np.testing.assert_array_equal(found.y, compact.y)
    np.testing.assert_allclose(found.x, compact.x, atol=0.2)
