import dataclasses
from pathlib import Path

import pytest
from tiny_tasks import SETTINGS, labelled, task_of

from eegfoundation.errors import TaskError
from eegfoundation.tasks import Split, load_trials
from eegfoundation.tasks.task import Span, labelled_recordings


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
