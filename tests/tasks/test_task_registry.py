import pytest

from eegfoundation.errors import ConfigError, TaskError
from eegfoundation.models.registry import shipped_path
from eegfoundation.tasks import TASKS, load_task
from eegfoundation.tasks.task import PARTS


@pytest.mark.parametrize("name", TASKS)
def test_a_task_says_what_it_is_and_where_it_comes_from(name):
    task = load_task(name)
    assert task is TASKS[name]
    for text in (task.title, task.citation, task.licence, task.source):
        assert text
    assert len(set(task.classes)) == len(task.classes) >= 2
    assert len(task.flicker_hz) in (0, len(task.classes))
    assert shipped_path(task.config).exists()
    for split in task.splits.values():
        assert set(split.counts) in (set(), set(PARTS))
        assert split.by_recording or all(getattr(split, part) for part in PARTS)


def test_the_tasks_of_the_publication_and_of_the_visible_sets_are_there():
    assert {"bcic-iv-2a", "tuab", "faced", "stress", "ssvep", "mi-openbci"} <= set(TASKS)
    assert list(TASKS["stress"].splits) == ["ours", "literature"]


@pytest.mark.parametrize("name", [name for name in TASKS if TASKS[name].needs_data])
def test_an_empty_folder_names_the_source(name, tmp_path):
    from eegfoundation.tasks.task import labelled_recordings

    with pytest.raises(TaskError, match="holds no recording of") as caught:
        labelled_recordings(TASKS[name], tmp_path)
    assert TASKS[name].source in str(caught.value)


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(TaskError, match="no task 'strss'; choose among stress, ssvep, bcic-iv-2a"):
        load_task("strss")
    with pytest.raises(TaskError, match="stress has its own window and start"):
        load_task("stress", window=2, start=0)


def test_classes_of_a_table_can_be_flickers(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("path,subject,label\na.edf,1,rest\nb.edf,1,13 Hz\n")
    task = load_task(path, classes=["rest", "13 Hz"], flicker_hz=[0, 13])
    assert task.flicker_hz == (0.0, 13.0)
    assert load_task(path).flicker_hz == ()
    with pytest.raises(TaskError, match="classes 13 Hz, rest; flicker_hz has 3 entries: give one"):
        load_task(path, flicker_hz=[0, 13, 17])
    for impossible in ([0, 0], [0, 300], [-1, 13]):
        with pytest.raises(ConfigError, match="a list of different frequencies"):
            load_task(path, flicker_hz=impossible)
    with pytest.raises(TaskError, match="ssvep has its own flicker_hz"):
        load_task("ssvep", flicker_hz=[0, 13, 21, 17])
