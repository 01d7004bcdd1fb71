import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonargparse import ArgumentParser
from noise import noise

from eegfoundation.corpus.builder import build_corpus
from eegfoundation.corpus.process import shard_path
from eegfoundation.corpus.settings import CorpusSettings
from eegfoundation.errors import ConfigError, EEGFoundationError, OutputError, RecordingError

Contents = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def study(tmp_path: Path, write_edf: Callable[..., Path]) -> Path:
    folder = tmp_path / "study"
    for i in range(6):
        write_edf(folder / f"s{i // 2}" / f"run{i % 2}.edf", seconds=22 + 5 * i, seed=i)
    (folder / "s2" / "corrupt.edf").write_bytes(
        (folder / "s2" / "run0.edf").read_bytes()[:300] + b"\xff" * 300
    )
    (folder / "s2" / "empty.edf").touch()
    return folder


def build(study: Path, out: Path, **settings: Any) -> dict[str, Any] | None:
    return build_corpus([str(study)], str(out), **{"workers": 0, **settings})


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_corpus_index_and_failures(
    tmp_path: Path, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = build(study, tmp_path / "out")
    assert corpus == json.loads((tmp_path / "out" / "corpus.json").read_text())
    index = rows_of(tmp_path / "out" / "index.csv")
    assert [row["recording"] for row in index] == [
        f"study/s{i}/run{j}.edf" for i in range(3) for j in range(2)
    ]
    assert [row["subject"] for row in index] == [f"study/s{i}" for i in (0, 0, 1, 1, 2, 2)]
    assert [int(row["n_rows"]) for row in index] == [6, 6, 9, 9, 12, 12]
    assert index[0]["shard"] == str(shard_path("study/s0/run0.edf"))
    assert (index[0]["ch_names"], float(index[0]["sfreq"])) == ("Fp1;C3;O2", 200)
    failures = {row["recording"]: row["reason"] for row in rows_of(tmp_path / "out/failures.csv")}
    assert set(failures) == {"study/s2/corrupt.edf", "study/s2/empty.edf"}
    assert "empty (0 bytes)" in failures["study/s2/empty.edf"]
    assert (corpus["n_windows"], corpus["n_recordings"], corpus["n_failures"]) == (54, 6, 2)
    assert (corpus["n_subjects"], corpus["channel_hours"]) == (3, 0.15)
    said = capsys.readouterr()
    assert "6 recordings of 3 subjects, 54 channel windows" in said.out
    assert "2 of 8 recordings were left out" in said.err
    for text in (tmp_path / "out").rglob("*.[cj]s*"):
        assert str(tmp_path) not in text.read_text()


def test_number_of_workers_and_parts_do_not_show(
    tmp_path: Path, study: Path, contents: Contents, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = build(study, tmp_path / "whole")
    build(study, tmp_path / "two", workers=2)
    assert build(study, tmp_path / "parts", part="2/3") is None
    assert "recordings are left to other parts" in capsys.readouterr().out
    assert build(study, tmp_path / "parts", part="1/3") is None
    assert build(study, tmp_path / "parts", part="3/3") == whole
    expected = contents(tmp_path / "whole")
    assert contents(tmp_path / "two") == expected
    assert contents(tmp_path / "parts") == expected


def test_engines_do_not_show(tmp_path: Path, study: Path, contents: Contents) -> None:
    pytest.importorskip("ray", reason="Ray is absent: pip install 'eegfoundation[ray]'")
    build(study, tmp_path / "process")
    build(study, tmp_path / "ray", engine="ray", workers=2)
    assert contents(tmp_path / "ray") == contents(tmp_path / "process")


def test_restart_makes_only_what_is_missing_or_damaged(
    tmp_path: Path, study: Path, contents: Contents
) -> None:
    out = tmp_path / "out"
    build(study, out)
    expected = contents(out)
    kept, lost, damaged = (out / row["shard"] for row in rows_of(out / "index.csv")[:3])
    kept_time = kept.stat().st_mtime_ns
    lost.unlink()
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1000] + bytes(1000))  # the header is whole
    (out / "corpus.json").unlink()
    leftover = lost.with_name(f"{lost.name}.otherhost-1.unfinished")
    leftover.write_bytes(b"half")
    build(study, out)
    assert lost.exists()
    assert not leftover.exists()
    assert kept.stat().st_mtime_ns == kept_time
    assert contents(out) != expected  # only a checksum can tell
    build(study, out, verify=True)
    assert contents(out) == expected
    assert kept.stat().st_mtime_ns == kept_time


def test_recordings_may_be_added_and_mended(
    tmp_path: Path, study: Path, write_edf: Callable[..., Path], contents: Contents
) -> None:
    build(study, tmp_path / "out")
    write_edf(study / "s2" / "empty.edf", seed=9)
    write_edf(study / "s3" / "run0.edf", seed=10)
    corpus = build(study, tmp_path / "out")
    assert corpus is not None
    assert (corpus["n_recordings"], corpus["n_failures"]) == (8, 1)
    build(study, tmp_path / "fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_another_corpus_is_not_touched(tmp_path: Path, study: Path) -> None:
    out = tmp_path / "out"
    build(study, out)
    with pytest.raises(OutputError, match=r"made with highpass = 0.3 \(now 1.0\); window = 10"):
        build(study, out, highpass=1.0, window=5.0)
    with pytest.raises(OutputError, match="3 shards of recordings that are not among the sources"):
        build_corpus([str(study / "s*" / "run[0].edf")], str(out), workers=0)
    (tmp_path / "foreign" / "shards").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"no settings\.json"):
        build(study, tmp_path / "foreign")


def test_nothing_usable_is_an_error_that_says_why(tmp_path: Path, study: Path) -> None:
    with pytest.raises(EEGFoundationError, match=r"none of 8 .*failures\.csv, the first is"):
        build(study, tmp_path / "out", min_duration=1000.0)
    reasons = {row["reason"] for row in rows_of(tmp_path / "out" / "failures.csv")}
    assert any(reason.startswith("shorter than 1000 s") for reason in reasons)
    with pytest.raises(RecordingError, match="no recording in"):
        build(study, tmp_path / "out2", layout="bids")


@pytest.mark.parametrize("part", ["0/3", "4/3", "1", "a/b", "1/0"])
def test_wrong_parts_and_engines(tmp_path: Path, study: Path, part: str) -> None:
    with pytest.raises(ConfigError, match="part must look like"):
        build(study, tmp_path / "out", part=part)
    with pytest.raises(ConfigError, match="engine must be one of"):
        build(study, tmp_path / "out", engine="magic")
    with pytest.raises(ConfigError, match="workers"):
        build(study, tmp_path / "out", workers=-1)


def test_function_is_a_command(tmp_path: Path) -> None:
    parser = ArgumentParser()
    parser.add_function_arguments(build_corpus, skip={"sources"})
    values = parser.parse_args(["--out", "o", "--notch", "50", "--channels", '["C3", "C4"]'])
    assert (values.notch, values.channels, values.layout) == (50.0, ["C3", "C4"], "folder")
    # every setting can be chosen
    choosable = {*vars(values)} - {"out", "workers", "engine", "part", "verify"}
    fields = CorpusSettings().to_dict()
    assert choosable == {*fields, *fields["preprocessing"]} - {"preprocessing"}


def start_builder(study: Path, out: Path, workers: int) -> "subprocess.Popen[str]":
    code = (
        "import sys; from eegfoundation.corpus.builder import build_corpus; "
        f"build_corpus([sys.argv[1]], sys.argv[2], workers={workers})"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(study), str(out)],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_with_kills(study: Path, out: Path, n_kills: int, seed: int) -> None:
    """Build with SIGKILL to every process at `n_kills` random moments, then to the end."""
    rng = random.Random(seed)
    for i in range(n_kills):
        done = len(list(out.rglob("shards/*/*.json")))
        builder = start_builder(study, out, workers=rng.choice([1, 2, 3]))
        # Random moments, but beyond the start-up: when a further recording was finished.
        while builder.poll() is None and len(list(out.rglob("shards/*/*.json"))) <= done:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.15))
        if builder.poll() is None:
            os.killpg(builder.pid, signal.SIGKILL)
        builder.communicate()
        assert builder.returncode == -signal.SIGKILL, f"kill {i} of seed {seed} came too late"
    builder = start_builder(study, out, workers=2)
    assert builder.communicate()[1] is not None
    assert builder.returncode == 0


@pytest.mark.parametrize(
    ("n_kills", "n_recordings"), [(2, 24), pytest.param(20, 240, marks=pytest.mark.long)]
)
def test_killed_at_random_moments_it_ends_with_the_same_bytes(
    tmp_path: Path,
    write_edf: Callable[..., Path],
    contents: Contents,
    n_kills: int,
    n_recordings: int,
) -> None:
    for i in range(n_recordings):
        write_edf(
            tmp_path / "study" / f"s{i}.edf", data=noise(6, 120, seed=i), ch_names=tuple("abcdef")
        )
    (tmp_path / "study" / "empty.edf").touch()
    build(tmp_path / "study", tmp_path / "whole")
    seed = random.randrange(10**6)
    run_with_kills(tmp_path / "study", tmp_path / "killed", n_kills, seed)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole"), f"seed {seed}"


def test_workers_do_not_outlive_the_builder(tmp_path: Path, study: Path) -> None:
    psutil = pytest.importorskip("psutil")
    (tmp_path / "more").symlink_to(study)
    builder = start_builder(study, tmp_path / "out", workers=2)
    workers: list[Any] = []
    while builder.poll() is None and len(workers) < 3:  # two, and Python's resource tracker
        workers = psutil.Process(builder.pid).children(recursive=True)
        time.sleep(0.01)
    builder.kill()  # the builder alone, as a person would
    builder.communicate()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []


@pytest.mark.long
def test_a_day_of_64_channels_needs_less_than_a_gigabyte(
    tmp_path: Path, write_edf: Callable[..., Path]
) -> None:
    resource = pytest.importorskip("resource")
    names = tuple(f"EEG {i:03d}" for i in range(64))
    path = write_edf(tmp_path / "study" / "day.edf", data=noise(64, 60), ch_names=names)
    minute = path.read_bytes()
    n_header = 256 * 65
    assert minute[236:244] == b"60      "  # data records, of one second each
    with path.open("wb") as file:
        file.write(minute[:236] + f"{24 * 3600:<8d}".encode() + minute[244:n_header])
        for _ in range(24 * 60):
            file.write(minute[n_header:])
    builder = start_builder(tmp_path / "study", tmp_path / "out", workers=1)
    _, error = builder.communicate()
    assert builder.returncode == 0, error
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
    print(f"peak of the largest process: {peak:.0f} MB")
    assert peak < 1000
    (row,) = rows_of(tmp_path / "out" / "index.csv")
    assert int(row["n_rows"]) == 64 * 24 * 360
