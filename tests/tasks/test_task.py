import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegfoundation import Preprocessing, read_recording
from eegfoundation.errors import TaskError
from eegfoundation.tasks import Split, Task, load_trials
from eegfoundation.tasks.task import LabelledRecording, Span, labelled_recordings
from samples import noise

SETTINGS = Preprocessing(notch=None)


def recording(sfreq=100.0, seconds=20, ch_names=("C3", "C4")):
    x = noise(len(ch_names), round(seconds * sfreq))
    return read_recording(x, sfreq=sfreq, ch_names=list(ch_names))


def task_of(*found, **options):
    values = {"name": "one", "title": "", "classes": ("a", "b"), "window": 4.0}
    return Task(**values, find=lambda folder: list(found), needs_data=False, **options)


def labelled(subject="P1", spans=None, opened=recording, **options):
    spans = [Span(start=0, stop=8, label=0)] if spans is None else spans
    return LabelledRecording(name="x.edf", open=opened, subject=subject, spans=spans, **options)


@given(
    k=st.integers(0, 15 * 250),
    sfreq=st.sampled_from([100, 125, 128, 160, 200, 250]),
)
def test_a_span_as_long_as_a_window_is_one_window(k, sfreq):
    """Wherever it begins: 0.0125 s is no whole number of samples at 200 Hz."""
    onset = k / 250
    opened = recording(sfreq)
    task = task_of(
        labelled(opened=lambda: opened, spans=[Span(start=onset, stop=onset + 4.0, label=1)])
    )
    assert load_trials(task, None, SETTINGS, progress=False).x.shape == (1, 2, 800)


def test_spans_from_the_end_and_of_what_an_opened_recording_says():
    def of_events(opened):
        return [Span(start=-8, stop=None, label=1)] if opened.ch_names == ["C3", "C4"] else []

    trials = load_trials(task_of(labelled(spans=of_events)), None, SETTINGS, progress=False)
    assert trials.counts() == (0, 2)
    whole = load_trials(
        task_of(labelled(spans=[Span(start=0, stop=None, label=0)])), None, SETTINGS, progress=False
    )
    np.testing.assert_allclose(trials.x, whole.x[-2:], atol=1e-4)
    inner = labelled(spans=[Span(start=-12, stop=-8, label=1), Span(start=8, stop=-8, label=1)])
    trials = load_trials(task_of(inner), None, SETTINGS, progress=False)
    np.testing.assert_allclose(trials.x, whole.x[[2, 2]], atol=1e-4)


def test_absent_channels_are_nan():
    other = labelled("P2", opened=lambda: recording(ch_names=("C4", "Oz")))
    trials = load_trials(task_of(labelled(), other), None, SETTINGS, progress=False)
    assert trials.ch_names == ("C3", "C4", "Oz")
    assert np.isnan(trials.x).all(axis=(0, 2)).tolist() == [False] * 3
    assert np.isnan(trials.x[:2, 2]).all()
    assert np.isnan(trials.x[2:, 0]).all()


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (task_of(), "holds no recording of one"),
        (task_of(labelled(), labelled()), "are both run 0 of session 0 of P1"),
        (task_of(labelled(spans=[])), "hold no labelled window"),
        (task_of(labelled(spans=[Span(start=0, stop=21, label=0)])), "lasts 20.00 s and has no"),
        (task_of(labelled(spans=[Span(start=0, stop=3, label=0)])), "shorter than a window of 4 s"),
    ],
)
def test_what_cannot_be_loaded_is_said(task, message):
    with pytest.raises(TaskError, match=message):
        load_trials(task, None, SETTINGS, progress=False)


def test_a_missing_folder_names_the_source(tmp_path: Path):
    task = dataclasses.replace(task_of(source="Ask X."), needs_data=True)
    for folder in (None, tmp_path / "absent"):
        with pytest.raises(TaskError, match=r"Ask X\."):
            labelled_recordings(task, folder)


def test_a_split_chooses_its_own_windows():
    task = task_of(
        labelled(),
        splits={
            "short": Split(train=("P1",)),
            "long": Split(
                train=("P1",), find=lambda f: [labelled(spans=[Span(start=0, stop=20, label=0)])]
            ),
        },
    )
    counts = [
        load_trials(task.for_split(name), None, SETTINGS, progress=False).counts()
        for name in (None, "short", "long")
    ]
    assert counts == [(2, 0), (2, 0), (5, 0)]
    assert list(task.for_split("long").splits) == ["long"]
    with pytest.raises(TaskError, match="no split 'x'; choose among short, long"):
        task.for_split("x")
    with pytest.raises(TaskError, match="no split 'x'; it has none"):
        task_of(labelled()).for_split("x")
    assert not task_of(labelled()).for_split().splits


def test_a_split_by_recording_names_its_subjects_and_never_one_twice():
    parts = {"P1": "train", "P2": "validation", "P3": "test"}
    found = [labelled(subject, part=part) for subject, part in parts.items()]
    official = {"official": Split(by_recording=True)}
    split = task_of(*found, splits=official).for_split("official").splits["official"]
    assert (split.train, split.validation, split.test) == (("P1",), ("P2",), ("P3",))
    assert not split.by_recording
    found.append(labelled("P1", session="2", part="test"))
    with pytest.raises(TaskError, match="P1 is in train and in test"):
        task_of(*found, splits=official).for_split("official")
