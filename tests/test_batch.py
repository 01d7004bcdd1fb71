from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eegfoundation.batch import each_file, unique_stems
from eegfoundation.errors import EEGFoundationError, RecordingError

# few names, so that they meet often; numbers and folders as the function itself would add them
folders = st.sampled_from(["", "a", "b", "c/a", "A"])
stems = st.sampled_from(["x", "X", "x-edf", "a_x-edf", "a_x-edf-2", "x-2", "sub-01_eeg"])
suffixes = st.sampled_from([".edf", ".EDF", ".bdf", ""])
paths = st.builds(
    lambda folder, stem, suffix: str(Path(folder, stem + suffix)), folders, stems, suffixes
)


@given(st.lists(paths, max_size=8))
@example(["b/a/x.edf", "c/a/x.edf", "a_x-edf-2.bdf"])  # the number met a real name
def test_no_output_overwrites_another(files):
    names = unique_stems(files)
    assert len(names) == len(files)
    assert len({name.casefold() for name in names}) == len(names)
    assert all(Path(file).stem in name for file, name in zip(files, names, strict=True))
    assert not any("/" in name for name in names)
    assert names == unique_stems(files)


@given(st.lists(paths, unique_by=lambda path: Path(path).stem.casefold()))
def test_a_name_that_nobody_shares_stays_as_it_is(files):
    assert unique_stems(files) == [Path(file).stem for file in files]


def test_names_grow_only_as_far_as_needed():
    assert unique_stems(["a/rest.edf", "a/rest.bdf", "a/task.edf"]) == [
        *("rest-edf", "rest-bdf", "task"),
    ]
    assert unique_stems(["a/rest.edf", "b/rest.edf"]) == ["a_rest-edf", "b_rest-edf"]
    assert unique_stems(["1/a/rest.edf", "2/a/rest.edf"]) == ["a_rest-edf", "a_rest-edf-2"]


def test_a_bad_file_does_not_stop_the_others(capsys):
    done = []

    def work(file, stem):
        if "bad" in file:
            raise RecordingError("bad.edf is empty." if file == "bad.edf" else "it has no signal.")
        done.append((file, stem))

    with pytest.raises(EEGFoundationError, match=r"^2 of 4 files failed, for the reasons above\.$"):
        each_file(["a.edf", "bad.edf", "bad.bdf", "b.edf"], work)
    assert done == [("a.edf", "a"), ("b.edf", "b")]
    # every sentence names its file, once
    assert capsys.readouterr().err.splitlines() == [
        "bad.edf is empty.",
        "bad.bdf: it has no signal.",
    ]


def test_of_one_file_the_reason_itself_is_raised(capsys):
    def work(file, stem):
        raise RecordingError("a.edf is empty.")

    with pytest.raises(RecordingError, match=r"^a\.edf is empty\.$"):
        each_file(["a.edf"], work)
    assert capsys.readouterr().err == ""


def test_our_own_mistakes_stop_everything():
    def work(file, stem):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        each_file(["a.edf", "b.edf"], work)
