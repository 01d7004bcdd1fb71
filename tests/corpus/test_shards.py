import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eegfoundation.corpus.shards import (
    UNUSABLE,
    corpus_hash,
    dequantise,
    quantise,
    record_dtype,
    replacing,
    write_shard,
)
from eegfoundation.errors import OutputError


@given(
    hnp.arrays(
        np.float32,
        (3, 20),
        elements=st.floats(-1e6, 1e6, width=32) | st.just(float("nan")),
    )
)
def test_error_is_half_a_count_and_gaps_stay(x: np.ndarray) -> None:
    records = np.zeros(3, record_dtype(20))
    records["signal"], records["scale"] = quantise(x)
    back = dequantise(records)
    np.testing.assert_array_equal(np.isnan(back), np.isnan(x))
    assert np.all((records["signal"] == UNUSABLE) == np.isnan(x))
    largest = np.nan_to_num(np.abs(x)).max(axis=1, keepdims=True)
    limit = largest * (0.5 / 32767 + 1e-6) + 1e-30
    assert np.all(np.nan_to_num(np.abs(back - x)) <= limit)


def records_of(n: int, seed: int = 0) -> np.ndarray:
    records = np.zeros(n, record_dtype(50))
    rng = np.random.default_rng(seed)
    records["signal"] = rng.integers(-100, 100, (n, 50))
    records["scale"], records["channel"] = 0.5, rng.integers(0, 4, n)
    return records


def test_shard_is_a_plain_npy_file_however_it_was_cut(tmp_path: Path) -> None:
    records = records_of(12345)
    cuts = ([records], [records[:1], records[1:7], records[7:7], records[7:]])
    written = [write_shard(tmp_path / f"{i}.npy", 50, cut) for i, cut in enumerate(cuts)]
    assert written[0] == written[1]
    there = np.load(tmp_path / "0.npy", mmap_mode="r")
    assert isinstance(there, np.memmap)
    np.testing.assert_array_equal(there, records)
    content = (tmp_path / "0.npy").read_bytes()
    assert written[0] == (12345, len(content), hashlib.sha256(content).hexdigest())
    assert there.dtype.itemsize % 8 == 4  # 16 bytes of head and 100 of signal: no hidden padding


def test_no_file_if_the_recording_breaks_on_the_way(tmp_path: Path) -> None:
    def blocks() -> Iterator[np.ndarray]:
        yield records_of(3)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_shard(tmp_path / "x.npy", 50, blocks())
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=r"Writing .* failed"):
        write_shard(tmp_path / "file" / "x.npy", 50, [records_of(1)])


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_hash_does_not_depend_on_the_order() -> None:
    assert corpus_hash(["a", "b"]) == corpus_hash(["b", "a"]) != corpus_hash(["a", "c"])
