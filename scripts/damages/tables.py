"""Damaged tables of labels, BIDS folders and files of settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import EITHER, REFUSAL, Damages

table = Damages(group="table")
bids = Damages(group="bids")
settings = Damages(group="settings")

HEADER = "path,subject,label,start,stop"


def _table(name: str, change: Callable[[list[str]], Any], expect: str = REFUSAL, **more: Any):
    """`change` gets the lines, the header first, and may return the bytes to write instead."""

    def make(folder: Path, sound: Any) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        lines = sound.table.read_text().splitlines()
        content = change(lines)
        if not isinstance(content, bytes):
            content = ("\n".join(lines) + "\n").encode()
        (folder / "table.csv").write_bytes(content)
        return folder / "table.csv"

    table.add(f"table: {name}", make, expect, **more)


def _cell(name: str, column: str, value: str, expect: str = REFUSAL, **more: Any) -> None:
    def change(lines: list[str]) -> None:
        cells = lines[1].split(",")
        cells[HEADER.split(",").index(column)] = value
        lines[1] = ",".join(cells)

    _table(f"{column} is {name}", change, expect, **more)


_table("empty", lambda lines: b"")
_table("header only", lambda lines: lines.__delitem__(slice(1, None)))
_table("no header", lambda lines: lines.pop(0))
_table("a quote in its header that nobody closes", lambda lines: ('"' + "\n".join(lines)).encode())
_table("cut", lambda lines: "\n".join(lines).encode()[:-30], EITHER)
_table("NUL bytes", lambda lines: "\n".join(lines).encode() + b"\n\0\0\0,\0,\0\n")
_table("UTF-16", lambda lines: "\n".join(lines).encode("utf-16"))
_table("not UTF-8", lambda lines: "\n".join(lines).replace("rest", "ré").encode("latin-1"))
_table("semicolons", lambda lines: "\n".join(lines).replace(",", ";").encode())
_table("too many fields", lambda lines: lines.append(lines[1] + ",9,9,9"))
_table("too few fields", lambda lines: lines.append("a"))
_table("a quote that is never closed", lambda lines: lines.insert(2, '"' + lines[1]))
_table("a field of 200 kB", lambda lines: lines.append("x" * 200_000 + ",a,b,,"))
_table("the same row twice", lambda lines: lines.append(lines[1]), quick=True)
_table(
    "one label only", lambda lines: b"\n".join(x.replace("task", "rest").encode() for x in lines)
)
_table("one person only", lambda lines: lines.__delitem__(slice(3, None)))
_table("a column twice", lambda lines: lines.__setitem__(0, HEADER.replace("label", "subject")))
_table("spreadsheet, not a table", lambda lines: b"PK\x03\x04" + os.urandom(500))
_cell("empty", "path", "")
_cell("1e308", "stop", "1e308")
_cell("nothing", "path", "nothing.edf", quick=True)
_cell("a folder", "path", "/")
_cell("/dev/zero", "path", "/dev/zero")
_cell("with a NUL character", "path", "a\0b.edf")
_cell("empty", "subject", "")
_cell("of another", "subject", "P1")
_cell("empty", "label", "")
_cell("of one row only", "label", "odd", EITHER)
_cell("a word", "start", "early")
_cell("nan", "start", "nan")
_cell("negative", "start", "-3")
_cell("1e300", "start", "1e300")
_cell("inf", "stop", "inf")
_cell("1e18", "stop", "1e18")
_cell("0", "stop", "0")
_cell("behind the end", "stop", "60")


# ---- BIDS: make(folder, sound) -> folder --------------------------------------------------------


def _bids(name: str, change: Callable[[Path], Any], expect: str = REFUSAL, **more: Any) -> None:
    def make(folder: Path, sound: Any) -> Path:
        from entry_points import bids_folder

        change(bids_folder(folder / "bids", sound))
        return folder / "bids"

    bids.add(f"BIDS: {name}", make, expect, **more)


def _events(name: str, text: str | bytes, expect: str = REFUSAL, **more: Any) -> None:
    content = text if isinstance(text, bytes) else text.encode()

    def change(place: Path) -> None:
        next(place.glob("*/eeg/*_events.tsv")).write_bytes(content)

    _bids(f"events {name}", change, expect, **more)


_bids("an empty folder", lambda p: [f.unlink() for f in p.rglob("*") if f.is_file()])
_bids("no events at all", lambda p: [f.unlink() for f in p.rglob("*.tsv")])
_bids("no recording", lambda p: [f.unlink() for f in p.rglob("*.edf")])
_bids("a recording is empty", lambda p: next(p.rglob("*.edf")).write_bytes(b""))
_events("empty", "", EITHER)
_events("without onset", "duration\ttrial_type\n1\trest\n")
_events("without trial_type", "onset\tduration\n1\t2\n")
_events("with onset a word", "onset\tduration\ttrial_type\nsoon\t1\trest\n", quick=True)
_events("with onset nan", "onset\tduration\ttrial_type\nnan\t1\trest\n")
_events("with onset inf", "onset\tduration\ttrial_type\ninf\t1\trest\n")
_events("with onset -5", "onset\tduration\ttrial_type\n-5\t1\trest\n", EITHER)
_events("behind the end", "onset\tduration\ttrial_type\n500\t1\trest\n", EITHER)
_events("at 1e300", "onset\tduration\ttrial_type\n1e300\t1\trest\n", EITHER)
_events("not UTF-8", b"onset\tduration\ttrial_type\n1\t1\tr\xe9st\n")
_events("with commas", "onset,duration,trial_type\n1,1,rest\n")
_events("of 300 trial types", "onset\tduration\ttrial_type\n" + "".join(
    f"{i / 100}\t1\tt{i}\n" for i in range(300)), EITHER)  # fmt: skip


# ---- settings: make(folder, sound) -> .yaml -----------------------------------------------------


def _settings(name: str, content: str | bytes, expect: str = REFUSAL, **more: Any) -> None:
    def make(folder: Path, sound: Any) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "settings.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    settings.add(f"settings: {name}", make, expect, **more)


_settings("unknown key", "colour: red\n", quick=True)
_settings("no YAML", "a: [1, 2\nb: }\n")
_settings("a list", "- 1\n- 2\n")
_settings("a text", "hello\n")
_settings("noise", bytes(range(256)))
_settings("not UTF-8", "out: é\n".encode("latin-1"))
_settings("code of Python", "out: !!python/object/apply:os.mkdir [owned]\n")
_BOMB = ["a: &a [x, x, x, x, x, x, x, x, x]"]
for _one, _next in zip("abcdefgh", "bcdefghi", strict=True):
    _BOMB.append(f"{_next}: &{_next} [{', '.join([f'*{_one}'] * 9)}]")
_settings("a bomb of references", "\n".join(_BOMB))
_settings("nested 10,000 deep", "[" * 10_000)
_settings("a number too many", "seed: [1, 2]\nwindow: long\nsteps: few\n")
_settings("a number left out", "size: tiny\nbatch_size:\n")
_settings("a batch beyond the corpus", "size: tiny\nsteps: 2\nbatch_size: 2147483648\n")
_settings("a text left out", "model:\n", EITHER)
