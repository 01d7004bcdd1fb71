import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_tasks import SETTINGS, labelled, recording, task_of

from eegfoundation.errors import TaskError
from eegfoundation.tasks import load_trials
from eegfoundation.tasks.task import Span


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
