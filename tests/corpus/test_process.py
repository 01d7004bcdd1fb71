import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from noise import SFREQ, noise

from eegfoundation.corpus.layouts import find_recordings
from eegfoundation.corpus.process import (
    Outcome,
    Task,
    process_recording,
    read_outcome,
    shard_path,
)
from eegfoundation.corpus.settings import CorpusSettings
from eegfoundation.corpus.shards import dequantise
from eegfoundation.errors import OutputError
from eegfoundation.montage import CHANNELS_10_20
from eegfoundation.preprocessing import preprocess
from eegfoundation.recording import read_recording

SHORT = {"min_duration": 40.0, "skip_start": 10.0, "skip_end": 5.0, "segment": 6.0, "window": 2.0}


def run(path: Path, out: Path, layout: str = "folder", **choices: object) -> Outcome:
    settings = CorpusSettings.for_layout(layout, **choices)
    return process_recording(Task(find_recordings([path], layout)[0], out, settings))


def records_of(outcome: Outcome, out: Path) -> np.ndarray:
    records: np.ndarray = np.load(out / outcome["shard"])
    return records


def test_shard_holds_the_preprocessed_signal(
    tmp_path: Path, write_edf: Callable[..., Path]
) -> None:
    path = write_edf(tmp_path / "study" / "s1" / "rest.edf", seconds=25)
    outcome = run(path, tmp_path / "out")
    records = records_of(outcome, tmp_path / "out")
    expected = preprocess(read_recording(path)).get_data()[:, :4000]
    assert (len(records), outcome["ch_names"]) == (6, ["Fp1", "C3", "O2"])
    for record, signal in zip(records, dequantise(records), strict=True):
        start = round(record["start"] * 200)
        there = expected[record["channel"], start : start + 2000]
        np.testing.assert_allclose(signal, there, atol=np.abs(there).max() / 60000)
    np.testing.assert_allclose(outcome["sd_uv"], expected.std(axis=1), rtol=1e-3)
    assert json.loads((tmp_path / "out" / outcome["shard"]).with_suffix(".json").read_text()) == (
        outcome
    )
    assert str(tmp_path) not in json.dumps(outcome)
    assert outcome["history"]["windows"]["n_done"] == 2


def test_subject_is_what_the_layout_or_the_file_or_the_folder_says(
    tmp_path: Path, write_edf: Callable[..., Path]
) -> None:
    by_folder = run(write_edf(tmp_path / "study" / "anna" / "a.edf"), tmp_path / "o")
    by_file = run(write_edf(tmp_path / "study" / "sub-07" / "a.edf"), tmp_path / "o")
    assert (by_folder["subject"], by_file["subject"]) == ("anna", "sub-07/07")


def test_cutting_and_segments(tmp_path: Path, write_edf: Callable[..., Path]) -> None:
    x = noise(3, 60)
    x[1, 30 * SFREQ : 30 * SFREQ + 25] += 400  # in the segment of 28 to 34 s
    path = write_edf(tmp_path / "d" / "a.edf", data=x)
    outcome = run(path, tmp_path / "o", **SHORT, segment_uv=150.0)
    records = records_of(outcome, tmp_path / "o")
    # 10 to 55 s are seven segments of three windows and a rest of 3 s
    starts = [s for s in np.arange(10.0, 52.0, 2.0) if not 28 <= s < 34]
    assert sorted(set(records["start"].tolist())) == starts
    assert np.bincount(records["channel"]).tolist() == [18, 18, 18]
    assert outcome["rejected"]["segments"] == 1
    assert outcome["rejected"]["of_segments"] == 7
    # samples, not segments: only the windows of that channel go
    by_sample = run(path, tmp_path / "o2", **SHORT, artefact_uv=150.0)
    counts = np.bincount(records_of(by_sample, tmp_path / "o2")["channel"])
    assert counts[0] == counts[2] == 21 > counts[1] >= 19
    # and with a lower bar, not even those, but with gaps
    tolerant = run(path, tmp_path / "o3", **SHORT, artefact_uv=150.0, min_quality=0.5)
    kept = records_of(tolerant, tmp_path / "o3")
    assert np.bincount(kept["channel"]).tolist() == [21, 21, 21]
    assert np.isnan(dequantise(kept)).any()


def test_blocks_do_not_show(
    tmp_path: Path, write_edf: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_edf(tmp_path / "d" / "a.edf", seconds=60)
    whole = run(path, tmp_path / "o", **SHORT)
    monkeypatch.setattr("eegfoundation.corpus.process._BLOCK_SECONDS", 13.0)
    pieces = run(path, tmp_path / "o2", **SHORT)
    a, b = records_of(whole, tmp_path / "o"), records_of(pieces, tmp_path / "o2")
    np.testing.assert_array_equal(a[["start", "channel"]], b[["start", "channel"]])
    np.testing.assert_allclose(dequantise(a), dequantise(b), atol=0.01)


def test_tueg_recipe(tmp_path: Path, write_edf: Callable[..., Path]) -> None:
    old = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
    names = [f"EEG {old.get(name, name).upper()}-LE" for name in CHANNELS_10_20]
    folder = tmp_path / "tueg" / "000" / "aaaaaaaa" / "s001_2015" / "02_tcp_le"
    extra = ("EEG A1-LE", "EEG EKG-LE")
    path = write_edf(
        folder / "aaaaaaaa_s001_t000.edf", seconds=320, ch_names=(*extra, *reversed(names))
    )
    outcome = run(path, tmp_path / "o", "tueg")
    assert (outcome["subject"], outcome["ch_names"]) == ("02_tcp_le/aaaaaaaa", list(CHANNELS_10_20))
    # 200 s are left: six segments of 30 s, three windows each
    assert outcome["n_rows"] == 19 * 18 - 19 * 3 * outcome["rejected"]["segments"]
    assert outcome["history"]["preprocessing"]["notch"] == [60.0]
    short = write_edf(folder / "aaaaaaaa_s001_t001.edf", seconds=299, ch_names=tuple(names))
    assert run(short, tmp_path / "o", "tueg")["failure"].startswith("shorter than 300 s")
    few = write_edf(folder / "aaaaaaaa_s001_t002.edf", seconds=301, ch_names=tuple(names[1:]))
    assert "no channel 'Fp1'" in run(few, tmp_path / "o", "tueg")["failure"]


def test_failures_say_why_and_leave_no_shard(
    tmp_path: Path, write_edf: Callable[..., Path]
) -> None:
    out = tmp_path / "o"
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "empty.edf").touch()
    (tmp_path / "d" / "text.edf").write_text("not EDF")
    loud = write_edf(tmp_path / "d" / "loud.edf", data=noise(3, 25) * 8, seconds=25)
    flat = write_edf(tmp_path / "d" / "flat.edf", data=np.zeros((3, 25 * SFREQ)))
    reasons = {
        "empty": run(tmp_path / "d" / "empty.edf", out)["failure"],
        "text": run(tmp_path / "d" / "text.edf", out)["failure"],
        "short": run(write_edf(tmp_path / "d" / "short.edf", seconds=4), out)["failure"],
        "ecg": run(write_edf(tmp_path / "d" / "e.edf", ch_names=("ECG",)), out)["failure"],
        "loud": run(loud, out, segment_uv=20.0)["failure"],
        "flat": run(flat, out)["failure"],
    }
    expected = {
        "empty": "empty",
        "text": "does not begin as EDF",
        "short": "too short: 4.0 s",
        "ecg": "no EEG channel",
        "loud": "all 2 segments exceed 20 microvolts",
        "flat": "less than 100% usable samples",
    }
    for name, reason in reasons.items():
        assert expected[name] in reason
        assert str(tmp_path) not in reason
    assert list(out.rglob("*.npy")) == list(out.rglob("*.unfinished")) == []


def test_faults_of_a_reader_are_failures_and_a_full_disk_is_not(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for name in ("raise", "disk", "memory"):
        np.save(tmp_path / "d" / f"{name}.npy", noise(2, 12))
    layout, out = "own_layouts:FRAGILE", tmp_path / "o"
    assert "unexpected ZeroDivisionError" in run(tmp_path / "d/raise.npy", out, layout)["failure"]
    assert "memory" in run(tmp_path / "d/memory.npy", out, layout)["failure"]
    assert "Input/output" in run(tmp_path / "d/disk.npy", out, layout)["failure"]
    out.joinpath("blocked").write_text("a file where the corpus should be")
    np.save(tmp_path / "d" / "good.npy", noise(2, 12))
    with pytest.raises(OutputError):
        run(tmp_path / "d/good.npy", out / "blocked", layout)


def test_epochs_have_to_be_as_long_as_the_windows(tmp_path: Path) -> None:
    import mne

    info = mne.create_info(["C3", "C4"], 200.0, "eeg")
    data = noise(2, 24).reshape(2, -1)[:, : 6 * 800].reshape(2, 6, 800).swapaxes(0, 1) * 1e-6
    (tmp_path / "d").mkdir()
    path = tmp_path / "d" / "x-epo.fif"
    mne.EpochsArray(data, info, verbose="error").save(path, verbose="error")
    assert "its epochs last 4 s" in run(path, tmp_path / "o")["failure"]
    outcome = run(path, tmp_path / "o2", window=4.0, skip_start=2.0)
    assert outcome["n_rows"] == 12
    assert set(records_of(outcome, tmp_path / "o2")["start"]) == {0.0, 4.0, 8.0, 12.0, 16.0, 20.0}


def test_outcome_counts_only_while_everything_fits(
    tmp_path: Path, write_edf: Callable[..., Path]
) -> None:
    path = write_edf(tmp_path / "d" / "a.edf", seconds=25)
    found = find_recordings([path])[0]
    assert read_outcome(tmp_path / "o", found) is None
    outcome = run(path, tmp_path / "o")
    assert read_outcome(tmp_path / "o", found, verify=True) == outcome
    shard = tmp_path / "o" / outcome["shard"]
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # as long, and different
    assert read_outcome(tmp_path / "o", found) is not None
    assert read_outcome(tmp_path / "o", found, verify=True) is None
    shard.write_bytes(content[:-1])
    assert read_outcome(tmp_path / "o", found) is None
    shard.write_bytes(content)
    write_edf(path, seconds=35)  # the recording has changed
    assert read_outcome(tmp_path / "o", found) is None


@pytest.mark.parametrize(
    "changes",
    [
        *({name: None} for name in ("recording", "subject", "shard", "sha256", "n_rows", "bytes")),
        *({"sfreq": "fast"}, {"ch_names": "Cz"}, {"ch_names": [3]}, {"shard": "../x.npy"}),
        *({"recording": "d/b.edf"}, {"failure": 3, "n_rows": None}),
        *({"n_rows": 0}, {"n_rows": 10**400}, {"sha256": "\ud800"}, {"sha256": ""}),
    ],
    ids=str,
)
def test_a_damaged_outcome_does_not_count(
    tmp_path: Path, write_edf: Callable[..., Path], changes: dict[str, Any]
) -> None:
    path = write_edf(tmp_path / "d" / "a.edf", seconds=25)
    found = find_recordings([path])[0]
    outcome = run(path, tmp_path / "o")
    account = (tmp_path / "o" / outcome["shard"]).with_suffix(".json")
    account.write_text(json.dumps({**outcome, **changes}))
    assert read_outcome(tmp_path / "o", found) is None
    for name in changes.keys() & outcome.keys():
        account.write_text(json.dumps({k: v for k, v in outcome.items() if k != name}))
        assert read_outcome(tmp_path / "o", found) is None


def test_a_rate_in_whole_numbers_is_a_rate(tmp_path: Path, write_edf: Callable[..., Path]) -> None:
    path = write_edf(tmp_path / "d" / "a.edf", seconds=25)
    outcome = run(path, tmp_path / "o")
    account = (tmp_path / "o" / outcome["shard"]).with_suffix(".json")
    account.write_text(json.dumps({**outcome, "sfreq": int(outcome["sfreq"])}))
    assert read_outcome(tmp_path / "o", find_recordings([path])[0]) is not None


def test_shard_names_are_legal_and_unique() -> None:
    odd = ["d/a b?.edf", "d/a_b_.edf", f"d/{'x' * 300}.edf", "d/Ä.edf", "d2/a b?.edf"]
    paths = [shard_path(name) for name in odd]
    assert len(set(paths)) == len(odd)
    assert all(path.name.isascii() and len(path.name) < 100 for path in paths)
    assert shard_path("d/rest.edf").name.startswith("rest-")
