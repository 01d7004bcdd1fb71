"""Tasks of a few seconds of noise."""

from eegfoundation import Preprocessing, read_recording
from eegfoundation.tasks import Task
from eegfoundation.tasks.task import LabelledRecording, Span
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
