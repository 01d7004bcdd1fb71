"""MOABB runs our pipelines: on simulated recordings, within sessions and across subjects.

MOABB has an environment of its own: `make test-integrations`.
"""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from eegfoundation.errors import ConfigError
from eegfoundation.finetuning import fitting
from eegfoundation.integrations.moabb import benchmark, pipelines

NAMES = ["C3", "Cz", "C4", "Pz"]
ALIGNED = ["EEGFoundation", "EEGFoundation, standardise", "EEGFoundation, euclidean+standardise"]
TWINS = [name.replace("EEGFoundation", "random twin") for name in ALIGNED]

# of MOABB and what it imports
pytestmark = pytest.mark.filterwarnings("default")


def test_pipelines_for_epochs_and_for_arrays(encoder_folder):
    assert list(pipelines(encoder_folder)) == ALIGNED + TWINS
    (name, pipeline), *others = pipelines(
        encoder_folder, sfreq=128, ch_names=NAMES, twin=False, random_state=3
    ).items()
    assert (name, others) == ("EEGFoundation", [])
    parameters = pipeline.get_params()
    assert parameters["eegfoundationclassifier__sfreq"] == 128
    assert parameters["eegfoundationclassifier__ch_names"] == NAMES
    assert parameters["eegfoundationclassifier__random_state"] == 3


def test_needs_no_moabb():
    code = (
        "import sys, eegfoundation.integrations.moabb as ours; ours.pipelines; "
        "sys.exit('moabb' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.fixture(scope="module")
def hands():
    """MOABB's FakeDataset, in which the left hand silences C4 and the right hand C3."""
    pytest.importorskip("moabb", reason="MOABB is not installed: make test-integrations")
    from moabb.datasets.fake import FakeDataset

    class Hands(FakeDataset):
        def _generate_raw(self, n_events, duration):
            raw = super()._generate_raw(n_events, duration)
            wave = 3e-5 * np.sin(2 * np.pi * 11 * raw.times)
            for i in (0, 2):
                raw._data[i] += wave
            for sample, _, label in self._generate_events(n_events, duration):
                span = slice(sample, sample + 3 * self.sfreq)
                raw._data[2 if label == 1 else 0, span] -= wave[span]
            return raw

    return Hands(
        event_list=("left_hand", "right_hand"),
        n_sessions=2,
        n_runs=1,
        n_subjects=3,
        channels=NAMES,
        sfreq=128,
        duration=70,
        n_events=20,
        seed=0,
    )


@pytest.fixture(autouse=True)
def _folders(tmp_path, monkeypatch):
    monkeypatch.setenv("EEGFOUNDATION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MNE_DATA", str(tmp_path))


def test_absence_of_moabb_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "moabb", None)  # importing it fails
    with pytest.raises(ConfigError, match="MOABB is not installed; install it into"):
        benchmark()


def test_across_subjects_by_one_call(hands, encoder_folder, tmp_path, monkeypatch):
    """The command; penalties are chosen on other subjects, alignment is within a session."""
    seen = []
    real = fitting.fit

    def record(trials, *args, **kwargs):
        seen.append(trials)
        return real(trials, *args, **kwargs)

    monkeypatch.setattr(fitting, "fit", record)
    results = benchmark(hands, str(tmp_path), model=str(encoder_folder), fmax=45)
    assert set(results["pipeline"]) == set(ALIGNED + TWINS)
    assert set(results["subject"].astype(str)) == {"1", "2", "3"}
    assert len(results) == 6 * 3 * 2
    # anybody sees a rhythm that is there or not, random weights too
    assert results.groupby("pipeline")["score"].mean().min() > 0.9
    (table,) = tmp_path.glob("*_CrossSubjectEvaluation.csv")
    assert len(pd.read_csv(table)) == len(results)
    found = {tuple(sorted(set(trials.subject))) for trials in seen}
    assert found == {("1", "2"), ("1", "3"), ("2", "3")}
    assert all(len(set(trials.group("session"))) == 4 for trials in seen)
    assert all(trials.ch_names == tuple(NAMES) for trials in seen)


def test_within_sessions(hands, tmp_path):
    """Sixteen trials are few to learn from, so by a trained encoder."""
    results = benchmark(
        hands, str(tmp_path), "WithinSessionEvaluation", model="nano", fmax=45, twin=False
    )
    assert results.groupby("pipeline")["score"].mean().min() > 0.9


def test_across_subjects_on_arrays(hands, encoder_folder, tmp_path):
    """MOABB's default; the numbers are microvolts, else units would be refused."""
    from moabb.evaluations import CrossSubjectEvaluation
    from moabb.paradigms import LeftRightImagery

    evaluation = CrossSubjectEvaluation(
        paradigm=LeftRightImagery(fmin=0.5, fmax=45), datasets=[hands], hdf5_path=str(tmp_path)
    )
    rows = pipelines(encoder_folder, sfreq=128, ch_names=NAMES, twin=False)
    assert evaluation.process(rows)["score"].mean() > 0.9


def test_mistakes_are_one_sentence(hands, tmp_path):
    with pytest.raises(ConfigError, match="MOABB has no data set 'Nobody2099'"):
        benchmark("Nobody2099", str(tmp_path))
    with pytest.raises(ConfigError, match="evaluation='Best'; choose one of"):
        benchmark(hands, str(tmp_path), "Best")
