import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eegfoundation.corpus.builder import build_corpus
from eegfoundation.corpus.reader import Corpus
from eegfoundation.corpus.shards import dequantise
from eegfoundation.errors import ConfigError, RecordingError


@pytest.fixture
def folder(tmp_path: Path, write_compact: Callable[..., Path]) -> Path:
    for i in range(5):
        write_compact(
            tmp_path / "set" / f"r{i}.npz",
            seconds=11 + 10 * i,
            seed=i,
            meta=f'{{"subject": "S{i % 3}"}}',
        )
    build_corpus([str(tmp_path / "set")], str(tmp_path / "out"), layout="compact", workers=0)
    return tmp_path / "out"


def test_windows_are_numbered_through_all_shards(folder: Path) -> None:
    corpus = Corpus(folder)
    shards = [np.load(folder / row) for row in corpus._shards]
    expected = np.concatenate([dequantise(shard) for shard in shards])
    assert (len(corpus), corpus.n_times, corpus.sfreq) == (30, 2000, 200)
    np.testing.assert_array_equal([corpus.signal(i) for i in range(30)], expected)
    assert [corpus.window(i) for i in range(30)] == list(range(30))
    assert corpus.describe(29) == {
        "recording": "set/r4.npz",
        "subject": "set/S1",
        "channel": "C4",
        "start": 40.0,
    }
    for outside in (-1, 30):
        with pytest.raises(IndexError):
            corpus.signal(outside)


def test_subjects_split_a_corpus(folder: Path) -> None:
    whole, parts = (
        Corpus(folder),
        [Corpus(folder, ["set/S0", "set/S2"]), Corpus(folder, ["set/S1"])],
    )
    seen = [part.window(i) for part in parts for i in range(len(part))]
    assert sorted(seen) == list(range(30))
    for part in parts:
        for i in range(len(part)):
            np.testing.assert_array_equal(part.signal(i), whole.signal(part.window(i)))
    assert {parts[1].describe(i)["subject"] for i in range(len(parts[1]))} == {"set/S1"}
    with pytest.raises(ConfigError, match="no subject set/S9"):
        Corpus(folder, ["set/S9"])


def test_records_of_a_shard_and_single_ones_are_the_same(folder: Path) -> None:
    corpus = pickle.loads(pickle.dumps(Corpus(folder)))
    records = corpus.records(4)
    assert isinstance(records, np.memmap)
    np.testing.assert_array_equal([corpus.record(i) for i in range(20, 30)], records)


def test_damage_is_noticed(folder: Path) -> None:
    corpus = Corpus(folder)
    corpus.verify()
    shard = folder / corpus._shards[0]
    content = shard.read_bytes()
    shard.write_bytes(content[:-2] + b"\1\2")
    with pytest.raises(RecordingError, match="missing or damaged"):
        corpus.verify()
    shard.write_bytes(content[: len(content) // 2])
    for read, number in ((corpus.signal, 1), (corpus.records, 0)):
        with pytest.raises(RecordingError, match="missing or damaged"):
            read(number)
    index = (folder / "index.csv").read_text().splitlines()
    (folder / "index.csv").write_text("\n".join([*index[:-1], index[-1].rpartition(",")[0]]))
    with pytest.raises(RecordingError, match=r"index\.csv is missing or damaged"):
        Corpus(folder)
    (folder / "index.csv").write_text("\n".join(index[:-1]))
    with pytest.raises(RecordingError, match=r"index\.csv does not belong"):
        Corpus(folder)
    (folder / "corpus.json").unlink()
    with pytest.raises(RecordingError, match="no finished corpus"):
        Corpus(folder)
