"""Damaged corpora: make(folder, sound) -> the corpus."""

from __future__ import annotations

import csv
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import EITHER, REFUSAL, Damages
from .files import cut, flip, put

corpus = Damages(group="corpus")


def _corpus(name: str, change: Callable[[Path], Any], expect: str = REFUSAL, **more: Any) -> None:
    def make(folder: Path, sound: Any) -> Path:
        place = folder / "corpus"
        shutil.copytree(sound.corpus, place)
        change(place)
        return place

    corpus.add(f"corpus: {name}", make, expect, **more)


def shards(place: Path) -> list[Path]:
    """Shards of a corpus."""
    return sorted(place.glob("shards/*/*.npy"))


def _shard(name: str, change: Callable[[Path], Any], expect: str = REFUSAL, **more: Any) -> None:
    _corpus(f"shard {name}", lambda p: change(shards(p)[0]), expect, **more)


def _meta(name: str, /, **changes: Any) -> None:
    def change(place: Path) -> None:
        path = place / "corpus.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    _corpus(f"corpus.json, {name}", change)


def _index(name: str, column: str, value: str) -> None:
    def change(place: Path) -> None:
        path = place / "index.csv"
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        rows[0][column] = value
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    _corpus(f"index, {name}", change)


def _account(name: str, key: str, *value: Any) -> None:
    """Of a shard: a key that is missing, or has another value."""

    def change(place: Path) -> None:
        path = shards(place)[0].with_suffix(".json")
        content = json.loads(path.read_text())
        del content[key]
        path.write_text(json.dumps({**content, **({key: value[0]} if value else {})}))

    _corpus(f"account of a shard {name}", change, EITHER)


_corpus("missing", shutil.rmtree)
_corpus("an empty folder", lambda p: [shutil.rmtree(p), p.mkdir()])
_corpus("a file", lambda p: [shutil.rmtree(p), p.write_text("corpus")])
_corpus("corpus.json missing", lambda p: (p / "corpus.json").unlink())
_corpus("corpus.json empty", lambda p: (p / "corpus.json").write_text(""))
_corpus("corpus.json cut", lambda p: cut(p / "corpus.json", 0.5), quick=True)
_corpus("corpus.json a list", lambda p: (p / "corpus.json").write_text("[]"))
_corpus("corpus.json no UTF-8", lambda p: (p / "corpus.json").write_bytes(b"\xff\xfe{"))
_corpus("corpus.json a pipe",
        lambda p: ((p / "corpus.json").unlink(), os.mkfifo(p / "corpus.json")))  # fmt: skip
_corpus("corpus.json {}", lambda p: (p / "corpus.json").write_text("{}"))
_meta("hash of another", hash="0" * 64)
_meta("0 samples", n_times=0)
_meta("-400 samples", n_times=-400)
_meta("10**12 samples", n_times=10**12)
_meta("samples are a word", n_times="many")
_meta("samples are infinite", n_times=float("inf"))
_meta("rate 0", sfreq=0)
_meta("settings missing", settings=None)
_meta("preprocessing missing", settings={})
_meta("preprocessing without a filter", settings={"preprocessing": {"sfreq": 200.0}})
_corpus("index missing", lambda p: (p / "index.csv").unlink())
_corpus("index empty", lambda p: (p / "index.csv").write_text(""))
_corpus("index cut", lambda p: cut(p / "index.csv", 0.6))
_corpus("index is noise", lambda p: (p / "index.csv").write_bytes(os.urandom(999)))
_index("rows are a word", "n_rows", "many")
_index("-3 rows", "n_rows", "-3")
_index("10**30 rows", "n_rows", str(10**30))
_index("bytes are a word", "bytes", "few")
_index("0 bytes", "bytes", "0")
_index("shard elsewhere", "shard", "../../../../../etc/passwd")
_index("checksum of another", "sha256", "0" * 64)
_shard("missing", lambda p: p.unlink(), quick=True)
_shard("empty", lambda p: p.write_bytes(b""))
_shard("cut", lambda p: cut(p, 0.5))
_shard("with one bit flipped", lambda p: flip(p, 1, 0, 200), quick=True)
_shard("with bits flipped in the header", lambda p: flip(p, 10, 0, 8, 100))
_shard("longer", lambda p: p.write_bytes(p.read_bytes() + bytes(999)))
_shard("with zeros at the end", lambda p: put(p, p.stat().st_size - 500, bytes(500)))
_shard("a pickle", lambda p: p.write_bytes(pickle.dumps([1])))
_shard("a folder", lambda p: (p.unlink(), p.mkdir()))
_shard("a pipe", lambda p: (p.unlink(), os.mkfifo(p)))
_shard("of another type", lambda p: np.save(p, np.zeros((3, 3))))
_shard("link to /dev/zero", lambda p: (p.unlink(), p.symlink_to("/dev/zero")))
_corpus("account of a shard missing", lambda p: shards(p)[0].with_suffix(".json").unlink(), EITHER)
_corpus("account of a shard cut", lambda p: cut(shards(p)[0].with_suffix(".json"), 0.5), EITHER)
_corpus("account of a shard a list",
        lambda p: shards(p)[0].with_suffix(".json").write_text("[]"), EITHER)  # fmt: skip
_corpus("account of a shard {}",
        lambda p: shards(p)[0].with_suffix(".json").write_text("{}"), EITHER)  # fmt: skip
for _key in ("recording", "subject", "shard", "n_rows", "sfreq", "ch_names", "bytes", "sha256"):
    _account(f"without {_key}", _key)
    _account(f"with {_key} null", _key, None)
_corpus("settings.json missing", lambda p: (p / "settings.json").unlink(), EITHER)
_corpus("settings.json cut", lambda p: cut(p / "settings.json", 0.5), EITHER)
_corpus("settings.json a list", lambda p: (p / "settings.json").write_text("[]"), EITHER)


def _folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


_corpus("failures.csv is a folder", lambda p: _folder_instead(p / "failures.csv"), EITHER)
_corpus("left by a killed builder", lambda p: (p / "index.csv.host-1.unfinished").write_text(""),
        EITHER)  # fmt: skip
