from pathlib import Path, PurePosixPath

import pytest

from eegfoundation import readers
from eegfoundation.corpus.layouts import SUFFIXES, find_recordings, get_layout
from eegfoundation.errors import ConfigError, RecordingError


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def names(*sources: str | Path, layout: str = "folder") -> list[str]:
    return [recording.name for recording in find_recordings(sources, layout)]


def test_folder_takes_main_files_of_known_formats_only(tmp_path: Path) -> None:
    root = make(
        tmp_path / "study",
        "b/two.EDF", "a/one.vhdr", "a/one.eeg", "a/one.vmrk", "a/nihon.eeg", "a/three.set",
        "a/three.fdt", "notes.txt", ".hidden/x.edf", "a/._two.edf", "a/long_raw.fif",
        "a/long_raw-1.fif", "a/x_split-01_eeg.fif", "a/x_split-02_eeg.fif", "egi.mff/signal1.bin",
        "egi.mff/info.edf", "z.fif.gz",
    )  # fmt: skip
    assert names(root) == [
        "study/a/long_raw.fif",
        "study/a/nihon.eeg",
        "study/a/one.vhdr",
        "study/a/three.set",
        "study/a/x_split-01_eeg.fif",
        "study/b/two.EDF",
        "study/egi.mff",
        "study/z.fif.gz",
    ]


def test_every_format_that_is_read_is_found() -> None:
    known = {suffix for found in readers._FORMATS for suffix in found.suffixes}
    assert known <= set(SUFFIXES)


def test_names_do_not_depend_on_how_sources_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make(tmp_path / "study", "s1.edf", "s2.edf", "s10.edf")
    expected = ["study/s1.edf", "study/s10.edf", "study/s2.edf"]
    assert names(root) == expected
    assert names(root / "s2.edf", root / "s10.edf", root / "s1.edf") == expected
    assert names(root, root / "s1.edf") == expected  # given twice, there once
    monkeypatch.chdir(root)
    assert names(".") == expected
    assert names("s1*.edf") == expected[:2]
    make(tmp_path, "study/side.txt")
    for pattern in ("study/s[12]*", "stud[y]/*", "**/*.edf"):
        found = names(tmp_path / pattern)
        assert [PurePosixPath(name).parts[-2:] for name in found] == [
            ("study", name.split("/")[1]) for name in expected
        ]


def test_a_file_named_by_itself_is_taken_whatever_it_is(tmp_path: Path) -> None:
    assert names(make(tmp_path / "d", "notes.txt") / "notes.txt") == ["d/notes.txt"]


def test_same_names_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "a/data/s.edf", "b/data/s.edf")
    with pytest.raises(RecordingError, match=r"two recordings would be called data/s\.edf"):
        find_recordings([tmp_path / "a/data", tmp_path / "b/data"])
    assert names(tmp_path / "a", tmp_path / "b") == ["a/data/s.edf", "b/data/s.edf"]


def test_nothing_found_says_what_was_looked_for(tmp_path: Path) -> None:
    make(tmp_path, "notes.txt")
    with pytest.raises(RecordingError, match=r"layout 'bids' looks for sub-\*"):
        find_recordings([tmp_path], "bids")
    with pytest.raises(RecordingError, match="does not exist"):
        find_recordings([tmp_path / "nowhere"])


def test_bids(tmp_path: Path) -> None:
    root = make(
        tmp_path / "ds1",
        "sub-01/eeg/sub-01_task-rest_eeg.edf", "sub-01/eeg/sub-01_task-rest_events.tsv",
        "sub-02/ses-a/eeg/sub-02_ses-a_task-rest_eeg.vhdr",
        "sub-02/ses-a/eeg/sub-02_ses-a_task-rest_eeg.eeg",
        "sub-02/ses-a/ieeg/sub-02_ses-a_ieeg.edf", "stimuli/sound_eeg.edf",
        "derivatives/clean/sub-01/eeg/sub-01_task-rest_eeg.edf",
    )  # fmt: skip
    found = find_recordings([root], "bids")
    assert [(r.name, r.subject) for r in found] == [
        ("ds1/sub-01/eeg/sub-01_task-rest_eeg.edf", "ds1/01"),
        ("ds1/sub-02/ses-a/eeg/sub-02_ses-a_task-rest_eeg.vhdr", "ds1/02"),
    ]
    assert names(root / "sub-01", layout="bids") == ["sub-01/eeg/sub-01_task-rest_eeg.edf"]


def test_tueg_in_its_old_and_new_arrangement(tmp_path: Path) -> None:
    root = make(
        tmp_path / "tueg",
        "edf/000/aaaaaaaa/s001_2015/01_tcp_ar/aaaaaaaa_s001_t000.edf",
        "edf/000/aaaaaaaa/s001_2015/01_tcp_ar/aaaaaaaa_s001_t000.csv",
        "edf/000/aaaaaaab/s002_2010/04_tcp_le_a/aaaaaaab_s002_t001.edf",
        "edf/01_tcp_ar/002/00000254/s005_2010/00000254_s005_t000.edf",
        "edf/000/aaaaaaac/s001/03_tcp_ar_a/odd.edf",
        "docs/montage.edf",
    )  # fmt: skip
    assert [(r.name.rsplit("/", 1)[1], r.subject) for r in find_recordings([root], "tueg")] == [
        ("aaaaaaaa_s001_t000.edf", "tueg/aaaaaaaa"),
        ("odd.edf", "tueg/aaaaaaac"),
        ("00000254_s005_t000.edf", "tueg/00000254"),
    ]


def test_own_layout_and_unknown_ones() -> None:
    assert get_layout("own_layouts:FRAGILE").looks_for == "looks for .npy files"
    for name in ("brainy", "own_layouts:npy_named", "no_such_module:X", "own_layouts:NOTHING"):
        with pytest.raises(ConfigError, match="layout"):
            get_layout(name)
