"""Folders that mne-bids wrote, as tasks, as a corpus, and through eegdash as windows.

Both have an environment of their own: `make test-integrations`.
"""

import numpy as np
import pytest
import torch
from simulated_people import NAMES, SFREQ, person

from eegfoundation import Preprocessing
from eegfoundation.corpus.builder import build_corpus
from eegfoundation.tasks import load_task, load_trials

# of mne-bids, eegdash and what they import
pytestmark = pytest.mark.filterwarnings("default")
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two people as mne-bids writes them: BrainVision files, events, electrodes, sidecars."""
    mne_bids = pytest.importorskip(
        "mne_bids", reason="mne-bids is not installed: make test-integrations"
    )
    root = tmp_path_factory.mktemp("bids") / "ds000000"
    for i in range(2):
        raw = person(i)
        raw.info["line_freq"] = 50
        path = mne_bids.BIDSPath(
            root=root, subject=f"P{i}", session="one", task="imagery", run="1", datatype="eeg"
        )
        mne_bids.write_raw_bids(
            raw, path, allow_preload=True, format="BrainVision", verbose="error"
        )
    return root


def test_as_a_task(study):
    task = load_task(study)
    assert (task.name, task.classes) == ("ds000000", ("left", "right"))
    trials = load_trials(task, study, Preprocessing(notch=None), progress=False)
    assert trials.counts() == (24, 24)
    assert set(trials.group("session")) == {"P0/one", "P1/one"}
    assert trials.ch_names == tuple(NAMES)
    assert np.isfinite(trials.positions).all()


def test_as_a_corpus(study, tmp_path):
    build_corpus([str(study)], str(tmp_path / "corpus"), layout="bids", workers=0)
    text = (tmp_path / "corpus" / "index.csv").read_text(encoding="utf-8")
    assert "sub-P0" in text
    assert "sub-P1" in text
    assert not (tmp_path / "corpus" / "failures.csv").read_text(encoding="utf-8").count("sub-")


def test_through_eegdash(study, model_class, encoder_folder):
    """Its data sets are braindecode's: windows of them go into the model and our estimators."""
    eegdash = pytest.importorskip(
        "eegdash", reason="eegdash is not installed: make test-integrations"
    )
    from braindecode import EEGClassifier
    from braindecode.preprocessing import create_windows_from_events

    from eegfoundation.integrations.braindecode_windows import windows_to_epochs

    found = eegdash.EEGDashDataset(cache_dir=study.parent, dataset=study.name, download=False)
    assert len(found.datasets) == 2
    windows = create_windows_from_events(
        found,
        trial_start_offset_samples=0,
        trial_stop_offset_samples=0,
        window_size_samples=1000,
        window_stride_samples=1000,
        drop_last_window=True,
        preload=True,
    )
    epochs = windows_to_epochs(windows, units="V")
    assert epochs.ch_names == NAMES
    assert 5 < 1e6 * epochs.get_data().std() < 100
    classifier = EEGClassifier(
        model_class,
        module__encoder=str(encoder_folder),
        module__sfreq=SFREQ,
        module__units="V",
        max_epochs=1,
        train_split=None,
        verbose=0,
    ).fit(windows, y=None)
    assert classifier.predict(windows).shape == (len(windows),)
