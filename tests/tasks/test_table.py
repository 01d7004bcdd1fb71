import itertools
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eegfoundation import Preprocessing
from eegfoundation.errors import TaskError
from eegfoundation.evaluation.folds import make_folds
from eegfoundation.tasks import load_task, load_trials
from eegfoundation.tasks.task import PARTS, UNLABELLED, labelled_recordings
from samples import noise, write_edf
from shared_data import shared_path

SETTINGS = Preprocessing(notch=None)


@pytest.fixture
def folder(tmp_path):
    """Three recordings, of other channels and rates than anybody expects."""
    for name, sfreq in (("a", 160), ("b", 300), ("c", 100)):
        write_edf(tmp_path / "rec" / f"{name}.edf", noise(2, 30 * sfreq), ["Oz", "Fp2"], sfreq)
    return tmp_path


def table(folder, text, name="mine.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def load(path, data=None, **options):
    return load_trials(load_task(path, **options), data, SETTINGS, progress=False)


def test_spans_become_windows_in_the_order_of_the_table(folder):
    text = (
        "\ufeffpath, subject, label, session, start, stop, note\n"
        "rec/b.edf,P2,task,evening,,,whole\n\n"
        "rec/a.edf,P1,rest,,0,10.5,\n"
        "rec/a.edf,P1,task,,10.5,30,\n"
    )
    task = load_task(table(folder, text))
    assert (task.name, task.classes, task.window, dict(task.splits)) == (
        *("mine", ("rest", "task"), 5.0, {}),
    )
    trials = load_trials(task, None, SETTINGS, progress=False)
    assert trials.y.tolist() == [1] * 6 + [0] * 2 + [1] * 3
    assert trials.group("session").tolist() == ["P2/evening"] * 6 + ["P1/0"] * 5
    assert (trials.x.shape, trials.ch_names) == ((11, 2, 1000), ("Oz", "Fp2"))

    chosen = load(folder / "mine.csv", classes=["task", "rest"], window=10)
    assert (chosen.y.tolist(), chosen.x.shape[-1]) == ([0] * 3 + [1, 0], 2000)


def test_tabs_paths_below_the_data_folder_and_splits(folder):
    parts = zip("abc", ("train", "validation", "test"), strict=True)
    rows = [f"{name}.edf\tP{name}\t{label}\t{start}\t{start + 15}\t{part}"
            for name, part in parts for label, start in (("x", 0), ("y", 15))]  # fmt: skip
    text = "\n".join(["path\tsubject\tlabel\tstart\tstop\tsplit", *rows])
    path = table(folder, text, "mine.tsv")
    task = load_task(path).for_split()
    split = task.splits["split"]
    assert (split.train, split.validation, split.test) == (("Pa",), ("Pb",), ("Pc",))
    assert load(path, folder / "rec").counts() == (9, 9)
    with pytest.raises(TaskError, match=r"mine\.tsv, line 2: a\.edf does not exist"):
        load(path)


def test_compact_files_at_absolute_paths(tmp_path):
    rows = [
        f"{shared_path('compact', 'eegmat', f'Subject00_{state}.npz')},00,{state},20,40"
        for state in ("rest", "arith")
    ]
    path = table(tmp_path, "\n".join(["path,subject,label,start,stop", *rows]))
    trials = load(path)
    assert (trials.classes, trials.counts()) == (("arith", "rest"), (4, 4))
    assert trials.x.shape[1:] == (19, 1000)


GOOD = "path,subject,label,start,stop\nrec/a.edf,P1,x,0,10\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column path, subject, label"),
        ("path,label\na,b\n", "no column subject: expected path, subject, label and optionally"),
        ("path;subject;label\na;b;c\n", "found path;subject;label"),
        ('"' + GOOD * 9, r"no column path, .* found path,subject,label.{,40}\.\.\.\.$"),
        ("path,subject,label\n\n", "has a header only"),
        (GOOD + "rec/b.edf,P2,,0,10\n", "line 3: label is empty"),
        (GOOD + "rec/b.edf,,y,0,10\n", "line 3: subject is empty"),
        (GOOD + "rec/b.edf,P2\n", "line 3: label is empty"),
        (GOOD + "rec/b.edf,P2,y,0,10,,\n", "line 3: more fields than the header has"),
        (GOOD + "rec/b.edf,P2,y,10,10\n", "line 3: start 10 s is not before stop 10 s"),
        (GOOD + "rec/b.edf,P2,y,ten,\n", "line 3: start is 'ten'; expected seconds"),
        (GOOD + "rec/b.edf,P2,y,nan,\n", "line 3: start is 'nan'; expected seconds"),
        (GOOD + "rec/b.edf,P2,y,0,-3\n", "line 3: stop is '-3'; expected seconds"),
        (GOOD, "classes are x; expected two or more"),
        (GOOD + "rec/no.edf,P2,y,,\n", "line 3: rec/no.edf does not exist"),
        (GOOD + "rec/a.edf,P2,y,10,20\n", "line 3: .* is of subject P2, but of P1 on line 2"),
        (GOOD + "rec/../rec/a.edf,P2,y,10,20\n", "line 3: .* is of subject P2, but"),
        (GOOD + "rec/a.edf,P1,y,9,20\n", "line 3: its span of rec/a.edf overlaps with .* line 2"),
        (GOOD + "x" * 3000 + ",P2,y,,\n", r"line 3: x+\.\.\.x+ does not exist"),
        (GOOD + "~nobody/b.edf,P2,y,,\n", "line 3: ~nobody/b.edf does not exist"),
        (GOOD + 'rec/b.edf,P2,"y,0,10\nrec/b.edf,P2,y,10,20\n', "line 4: label is .* one line"),
        (GOOD + "rec/b.edf,P2,y,0,40\n", "b.edf lasts 30.00 s and has no span from 0.0 to 40.0"),
        (GOOD + "rec/b.edf,P2,y,0,4\n", "b.edf: the span .* is shorter than a window of 5 s"),
        (
            "path,subject,label,split\na,P1,x,train\nb,P1,y,test\n",
            "line 3: subject P1 is in test, but in train on line 2",
        ),
        ("path,subject,label,split\na,P1,x,train\nb,P2,y,\n", "line 3: split is ''; expected one"),
        ("path,subject,label,split\na,P1,x,train\nb,P2,y,validation\n", "no row whose split is t"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_line(folder, text, message):
    with pytest.raises(TaskError, match=message) as caught:
        load(table(folder, text))
    assert "\n" not in str(caught.value)


def test_an_empty_label_where_it_is_asked_for(folder):
    rows = ("rec/a.edf,P1,x,0,10", "rec/a.edf,P1,,10,20", "rec/b.edf,P2,y,,", "rec/c.edf,P3,,,")
    path = table(folder, "\n".join(["path,subject,label,start,stop", *rows]))
    trials = load(path, unlabelled=True)
    assert trials.classes == ("x", "y")
    assert trials.y.tolist() == [0] * 2 + [UNLABELLED] * 2 + [1] * 6 + [UNLABELLED] * 6
    assert trials.counts() == (2, 6)
    with pytest.raises(TaskError, match=r"line 3: label is empty; only .* --self_training true"):
        load(path)
    with pytest.raises(TaskError, match="8 windows have no label"):
        make_folds(trials, "loso")


def test_only_those_who_are_learnt_from_may_lack_labels(folder):
    rows = ["rec/a.edf,P1,x,train", "rec/b.edf,P2,y,test", "rec/c.edf,P3,,train"]
    text = "\n".join(["path,subject,label,split", *rows])
    task = load_task(table(folder, text), classes=["x", "y"], unlabelled=True)
    assert (task.splits["split"].train, task.splits["split"].test) == (("P1",), ("P2",))
    for part in ("test", "validation"):
        with pytest.raises(TaskError, match=f"line 4: split is {part} and label is empty"):
            load_task(table(folder, text.replace("P3,,train", f"P3,,{part}")), unlabelled=True)
    both = text.replace("rec/c.edf,P3", "rec/b.edf,P2")
    with pytest.raises(TaskError, match="line 4: subject P2 is in train, but in test on line 3"):
        load_task(table(folder, both), unlabelled=True)


def test_options_that_make_no_sense(folder):
    path = table(folder, GOOD + "rec/b.edf,P2,y,0,10\n")
    with pytest.raises(TaskError, match="line 3: label 'y' is not among x, z"):
        load_task(path, classes=["x", "z"])
    with pytest.raises(TaskError, match="a window of 1e-05 s holds no sample at 200 Hz"):
        load_trials(load_task(path, window=1e-5), None, Preprocessing())
    for classes in (["x", 3], [["x"], "y"]):
        with pytest.raises(TaskError, match="expected the labels as texts"):
            load_task(path, classes=classes)
    for window in (0, -1, np.nan, 1e308):
        with pytest.raises(TaskError, match="expected a positive number of seconds"):
            load_task(path, window=window)
    with pytest.raises(TaskError, match="its column start"):
        load_task(path, start=1.0)
    with pytest.raises(TaskError, match="does not exist"):
        load_task(folder / "absent.csv")
    path.write_bytes(b"path,subject,label\n\xff\xfe,1,2")
    with pytest.raises(TaskError, match="cannot be read as a table in UTF-8"):
        load_task(path)


def test_the_same_file_under_another_name_is_the_same_file(folder):
    os.symlink(folder / "rec" / "a.edf", folder / "other.edf")
    with pytest.raises(TaskError, match=r"line 3: other\.edf is of subject P2, but of P1"):
        load(table(folder, GOOD + "other.edf,P2,y,10,20\n"))


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["rec/a.edf", "rec/b.edf", "rec/../rec/c.edf"]),
        st.sampled_from(["P1", "P2", "P3"]),
        st.sampled_from(["x", "y"]),
        st.sampled_from(["", "0", "5", "20"]),
        st.sampled_from(["", "5", "20", "30"]),
        st.sampled_from(PARTS),
    ),
    min_size=3,
    max_size=7,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(rows=ROWS)
def test_whatever_is_accepted_cannot_leak(folder, rows):
    """Nobody in two parts, no file of two people, no sample in two windows."""
    lines = ["path,subject,label,start,stop,split", *(",".join(row) for row in rows)]
    path = table(folder, "\n".join(lines))
    try:
        task = load_task(path)
        found = labelled_recordings(task)
    except TaskError:
        return
    split = task.splits["split"]
    parts = [set(getattr(split, part)) for part in PARTS]
    assert sum(len(part) for part in parts) == len(set.union(*parts))
    assert {one.subject for one in found} == set.union(*parts)
    assert len({one.name for one in found}) == len(found)
    assert sum(len(one.spans) for one in found) == len(rows)
    for one in found:
        spans = sorted(one.spans, key=lambda span: span.start)
        assert all(a.stop <= b.start for a, b in itertools.pairwise(spans))
