import shutil
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eegfoundation.batch import each_file, unique_stems
from eegfoundation.errors import EEGFoundationError, RecordingError
from samples import files_in

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


SETTINGS = {"overwrite": False, "window": 10.0}


def each(files, work, out, **settings):
    each_file(files, work, out=str(out), ending="_x.txt", settings={**SETTINGS, **settings})


def test_a_bad_file_does_not_stop_the_others(capsys, tmp_path):
    done = []

    def work(file, path, overwrite):
        if "bad" in file:
            raise RecordingError("bad.edf is empty." if file == "bad.edf" else "it has no signal.")
        done.append((file, path, overwrite))

    with pytest.raises(EEGFoundationError, match=r"^2 of 4 files failed, for the reasons above\.$"):
        each(["a.edf", "bad.edf", "bad.bdf", "b.edf"], work, tmp_path / "out")
    expected = [(f"{x}.edf", tmp_path / "out" / f"{x}_x.txt", False) for x in "ab"]
    assert done == expected
    # every sentence names its file, once
    assert capsys.readouterr().err.splitlines() == [
        "bad.edf is empty.",
        "bad.bdf: it has no signal.",
    ]
    assert list(tmp_path.iterdir()) == []  # nothing was made, nothing is left


def test_of_one_file_the_reason_itself_is_raised(capsys, tmp_path):
    def work(file, path, overwrite):
        raise RecordingError("a.edf is empty.")

    with pytest.raises(RecordingError, match=r"^a\.edf is empty\.$"):
        each(["a.edf"], work, tmp_path / "out")
    assert capsys.readouterr().err == ""
    assert list(tmp_path.iterdir()) == []


def test_our_own_mistakes_stop_everything(tmp_path):
    def work(file, path, overwrite):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        each(["a.edf", "b.edf"], work, tmp_path)


def test_the_same_call_goes_on_after_a_kill_and_another_does_not(tmp_path, capsys):
    class Killed(BaseException):
        pass

    files = [str(tmp_path / f"{name}.edf") for name in "abc"]
    for file in files:
        Path(file).write_text("signal")
    out = tmp_path / "out"
    asked = []

    def work(file, path, overwrite, killed=True):
        asked.append((path.name, overwrite))
        path.write_text("result")
        if killed and path.name == "b_x.txt":
            raise Killed

    def uninterrupted(*args):
        work(*args, killed=False)

    def kill():
        asked.clear()
        shutil.rmtree(out, ignore_errors=True)
        with pytest.raises(Killed):
            each(files, work, out)
        assert [name for name, _ in asked] == ["a_x.txt", "b_x.txt"]
        asked.clear()

    kill()
    each(files, uninterrupted, out)
    assert asked == [("b_x.txt", True), ("c_x.txt", False)]
    assert capsys.readouterr().out == f"{out / 'a_x.txt'}: finished before\n"
    assert files_in(out) == ["a_x.txt", "b_x.txt", "c_x.txt"]
    asked.clear()
    each(files, uninterrupted, out)  # through: what is there is not ours any more
    assert [overwrite for _, overwrite in asked] == [False] * 3

    kill()
    each(files, uninterrupted, out, window=5.0)
    assert [overwrite for _, overwrite in asked] == [False] * 3

    kill()
    Path(files[0]).write_text("another signal")
    each(files, uninterrupted, out)
    assert [overwrite for _, overwrite in asked] == [False] * 3

    kill()
    (out / "a_x.txt").write_text("of someone else")
    each(files, uninterrupted, out)  # not finished, and not to be replaced unasked
    assert asked == [("a_x.txt", False), ("b_x.txt", True), ("c_x.txt", False)]

    kill()
    journal = next(out.glob(".*"))
    journal.write_text(journal.read_text() + '\n5\n["begun", 3]\n{}\n["fini')  # damaged
    each(files, uninterrupted, out)
    assert asked == [("b_x.txt", True), ("c_x.txt", False)]
