import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eegfoundation.errors import OutputError
from eegfoundation.outputs import NpzWriter, new_file, new_folder, write_json
from samples import files_in


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "a" / "b" / "x.txt"
    with new_file(str(path)) as unfinished:
        unfinished.write_text("content")
        assert unfinished.parent == path.parent  # a rename within a folder is atomic
        assert not path.exists()
    assert path.read_text() == "content"
    assert files_in(tmp_path) == ["a/b/x.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
def test_what_fails_leaves_nothing_and_keeps_the_old(tmp_path, error):
    path = tmp_path / "x.txt"

    def write_half():
        with new_file(path, overwrite=True) as unfinished:
            unfinished.write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert files_in(tmp_path) == []
    path.write_text("old")
    with pytest.raises(error):
        write_half()
    assert files_in(tmp_path) == ["x.txt"]
    assert path.read_text() == "old"


def test_an_existing_file_is_replaced_only_if_asked(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(OutputError, match=r"exists already.*--overwrite"), new_file(path):
        pytest.fail("nothing may be computed for a result that cannot be written")
    assert path.read_text() == "old"
    with new_file(path, overwrite=True) as unfinished:
        unfinished.write_text("new")
    assert path.read_text() == "new"


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file is a file; a folder is needed for x\.npz"):
        write_json(tmp_path / "file" / "x.npz", {})
    with pytest.raises(OutputError, match="Not a directory"):
        write_json(tmp_path / "file" / "deeper" / "x.npz", {})
    assert files_in(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_must_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        write_json(tmp_path / "x.json", {})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_sentence(tmp_path):
    (tmp_path / "x.npz.unfinished").symlink_to("/dev/full")
    with (
        pytest.raises(OutputError, match=r"Writing .*x\.npz failed: No space left on device\.$"),
        new_file(tmp_path / "x.npz") as unfinished,
        NpzWriter(unfinished) as npz,
    ):
        npz.add("a", np.zeros(100_000))
    assert files_in(tmp_path) == []


def test_json_is_for_people(tmp_path):
    write_json(tmp_path / "x.json", {"µV": [1, None, "Müller"]})
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert "µV" in text
    assert "Müller" in text
    assert text.count("\n") > 3
    assert json.loads(text) == {"µV": [1, None, "Müller"]}


def test_json_that_others_cannot_read_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert files_in(tmp_path) == []


DTYPES = ["float32", "float64", "int16", "int64", "bool", "<U5", ">f4"]


@given(st.data())
def test_rows_in_blocks_give_the_array(tmp_path_factory, data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
    dtype = data.draw(st.sampled_from(DTYPES))
    array = data.draw(hnp.arrays(dtype, shape))
    if data.draw(st.booleans()):
        array = np.asfortranarray(array)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(array)), max_size=4)))
    path = tmp_path_factory.mktemp("npz") / "x.npz"
    with NpzWriter(path) as npz:
        npz.add("whole", array)
        npz.add_rows("rows", array.shape, array.dtype, iter(np.split(array, cuts)))
    with np.load(path, allow_pickle=False) as file:
        assert sorted(file.files) == ["rows", "whole"]
        for name in file.files:
            assert file[name].dtype == array.dtype
            np.testing.assert_array_equal(file[name], array)


def test_a_text_is_an_array_too(tmp_path):
    with NpzWriter(tmp_path / "x.npz") as npz:
        npz.add("text", "µV")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as file:
        assert str(file["text"]) == "µV"


def test_same_content_same_bytes(tmp_path, monkeypatch):
    def written(name, seconds):
        monkeypatch.setattr("time.time", lambda: seconds)
        with NpzWriter(tmp_path / name) as npz:
            npz.add("a", np.arange(10.0))
        return (tmp_path / name).read_bytes()

    assert written("x.npz", 1e9) == written("y.npz", 1.5e9)


def test_rows_that_do_not_fill_the_shape_are_our_mistake(tmp_path):
    with pytest.raises(AssertionError, match="a: 6 values"), NpzWriter(tmp_path / "x.npz") as npz:
        npz.add_rows("a", (3, 3), float, [np.zeros((2, 3))])


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_is_complete_or_what_it_was(tmp_path, exists):
    path = tmp_path / "model"
    before = {}
    if exists:
        path.mkdir()
        before = {"config.json": "old", "part-2.bin": "old", "mine.txt": "mine"}
        for name, text in before.items():
            (path / name).write_text(text)

    def write(error=None):
        with new_folder(path, last="config.json", replaced=["part-*"]) as unfinished:
            for name in ("config.json", "part-1.bin"):
                (unfinished / name).write_text("new")
            if error:
                raise error

    def found():
        return {file.name: file.read_text() for file in path.glob("*")}

    with pytest.raises(KeyboardInterrupt):
        write(KeyboardInterrupt)
    assert found() == before
    (tmp_path / "model.unfinished").mkdir()  # of a run that was killed
    (tmp_path / "model.unfinished" / "half").write_text("")
    write()
    mine = {"mine.txt": "mine"} if exists else {}
    assert found() == {"config.json": "new", "part-1.bin": "new", **mine}
