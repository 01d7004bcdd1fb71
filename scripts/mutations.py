"""Mutations of files: what hypothesis may draw, and pure functions that apply it to bytes.

Flipped bits rarely get behind the first check of a reader. So texts, JSON, the fields of an EDF
header and the headers of NumPy and safetensors files are also changed as what they are: one number,
one word or one value is replaced by a nasty one, and the rest stays well-formed. What lies in a zip
or gzip file is changed inside, with checksums that fit.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any, NamedTuple

from hypothesis import strategies as st

#: Values at which arithmetic, loops and reservations of memory go wrong.
INTEGERS = (0, 1, -1, 2, 3, 7, 127, 128, 255, 256, 1000, 32767, 32768, 65535, 65536, 10**6,
            2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1)  # fmt: skip
TEXTS = ("", "0", "-1", "1", "nan", "inf", "-inf", "1e308", "1e-320", "-0.0", "0.5", "7" * 30, " ",
         "99999999", "1_0", "0x10", "1,5", "null", "true", "[]", "{}", "é", "\x00", "\x1b[31m",
         "..", "../../x", "/", "/dev/zero", "%s%n{0}", '"', "'", "#", "*", "\r\n", "\u0663",
         "A" * 3000, "Cz", "!!python/none", "&a *a", "<b>")  # fmt: skip
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 0.5, 2**31, 2**63, 10**30, 1e308, 1e-320),
    *(float("nan"), float("inf"), -float("inf"), [], {}, [[]], [None], {"": 0}, [1] * 500),
    *TEXTS,
    "\ud800",
)
EDF_WIDTHS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)


class Edit(NamedTuple):
    """One change of a file."""

    kind: str
    where: int = 0
    """Position, or number of the word, value or member; counted round where there are fewer."""
    size: int = 0
    value: Any = None
    """What is written; of a change inside a container, the `Edit` of what is inside."""


def mutate(content: bytes, edits: list[Edit]) -> bytes:
    """Apply changes in turn; one that does not fit (any more) changes nothing."""
    for edit in edits:
        content = APPLY[edit.kind](content, edit)
    return content


# ---- bytes --------------------------------------------------------------------------------------


def _at(content: bytes, edit: Edit) -> int:
    return edit.where % max(1, len(content))


def _flip(content: bytes, edit: Edit) -> bytes:
    changed = bytearray(content)
    if changed:
        changed[_at(content, edit)] ^= 1 << edit.size % 8
    return bytes(changed)


def _over(content: bytes, edit: Edit, new: bytes) -> bytes:
    """Write over what is there; the length stays."""
    at = _at(content, edit)
    return (content[:at] + new + content[at + len(new) :])[: len(content)]


def _integer(content: bytes, edit: Edit) -> bytes:
    width, order = abs(edit.size), "little" if edit.size > 0 else "big"
    return _over(content, edit, (edit.value % 256**width).to_bytes(width, order))


def _insert(content: bytes, edit: Edit) -> bytes:
    return content[: _at(content, edit)] + edit.value + content[_at(content, edit) :]


def _delete(content: bytes, edit: Edit) -> bytes:
    return content[: _at(content, edit)] + content[_at(content, edit) + edit.size :]


def _repeat(content: bytes, edit: Edit) -> bytes:
    at = _at(content, edit)
    return content[: at + edit.size] + content[at:]


def _splice(content: bytes, edit: Edit) -> bytes:
    source = edit.value % max(1, len(content))
    return _over(content, edit, content[source : source + edit.size])


# ---- texts --------------------------------------------------------------------------------------


def _word(pattern: str) -> Callable[[bytes, Edit], bytes]:
    def apply(content: bytes, edit: Edit) -> bytes:
        text = content.decode("latin-1")  # every byte is a letter: what is no text survives
        found = list(re.finditer(pattern, text))
        if not found:
            return content
        start, stop = found[edit.where % len(found)].span()
        return text[:start].encode("latin-1") + _encoded(edit.value) + text[stop:].encode("latin-1")

    return apply


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _line(content: bytes, edit: Edit) -> bytes:
    """Take a line away, or put it elsewhere: in addition, or instead of another."""
    lines = content.splitlines(keepends=True)
    if not lines:
        return content
    at = edit.where % len(lines)
    line = lines[at]
    if edit.size == 0:
        del lines[at]
    elif edit.size == 1:
        lines.insert(edit.value % len(lines), line)
    else:
        lines[edit.value % len(lines)] = line
    return b"".join(lines)


def _edf_fields(content: bytes) -> list[tuple[int, int]]:
    """Offset and width of every field of an EDF or BDF header."""
    number = content[252:256].strip()
    n = int(number) if number.isdigit() and int(number) < 64 else 6
    widths = [8, 80, 80, 8, 8, 8, 44, 8, 8, 4, *(width for width in EDF_WIDTHS for _ in range(n))]
    return [(sum(widths[:i]), width) for i, width in enumerate(widths)]


def _edf_field(content: bytes, edit: Edit) -> bytes:
    fields = _edf_fields(content)
    offset, width = fields[edit.where % len(fields)]
    return _over(content, Edit("", offset), _encoded(edit.value)[:width].ljust(width))


# ---- JSON ---------------------------------------------------------------------------------------


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every value below the root, as what holds it and its key."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    for key in keys:
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from _places(tree[key])


def _json(content: bytes, edit: Edit) -> bytes:
    """Replace a value, take it away, or give it to another key; what comes out is JSON again."""
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        return content
    places = list(_places(tree)) if isinstance(tree, dict | list) else []
    if not places:
        return content
    holder, key = places[edit.where % len(places)]
    if edit.kind == "json value":
        holder[key] = edit.value
    elif edit.kind == "json remove":
        del holder[key]
    else:
        other, its_key = places[edit.size % len(places)]
        # as text and back: a value within itself would never end
        holder[key] = json.loads(json.dumps(other[its_key]))
    return json.dumps(tree, indent=1).encode()


# ---- containers ---------------------------------------------------------------------------------


def _zip(content: bytes, edit: Edit) -> bytes:
    changed = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w") as new:
            members = old.infolist()
            for i, member in enumerate(members):
                inside = old.read(member)
                if i == edit.where % len(members):
                    inside = mutate(inside, [edit.value])
                new.writestr(member, inside)
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, zlib.error, struct.error,
            NotImplementedError, EOFError, KeyError):  # fmt: skip  # damaged before
        return content
    return changed.getvalue()


def _gzip(content: bytes, edit: Edit) -> bytes:
    if not content:
        return content
    try:
        inside = gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return content
    return gzip.compress(mutate(inside, [edit.value]), mtime=0)


def _header(offset: int, code: str) -> Callable[[bytes, Edit], bytes]:
    """Change a header whose length stands before it, and the length with it."""

    def apply(content: bytes, edit: Edit) -> bytes:
        start = offset + struct.calcsize(code)
        if len(content) < start:
            return content
        (length,) = struct.unpack_from(code, content, offset)
        header = mutate(content[start : start + length], [edit.value])
        if len(header) >= 256 ** struct.calcsize(code):
            return content
        return (
            content[:offset] + struct.pack(code, len(header)) + header + content[start + length :]
        )

    return apply


APPLY: dict[str, Callable[[bytes, Edit], bytes]] = {
    "flip": _flip,
    "integer": _integer,
    "overwrite": lambda content, edit: _over(content, edit, edit.value),
    "insert": _insert,
    "delete": _delete,
    "repeat": _repeat,
    "splice": _splice,
    "truncate": lambda content, edit: content[: _at(content, edit)],
    "number": _word(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?"),
    "word": _word(r"[^\s,;:=\[\]{}()]+"),
    "line": _line,
    "edf field": _edf_field,
    "json value": _json,
    "json remove": _json,
    "json copy": _json,
    "in zip": _zip,
    "in gzip": _gzip,
    "npy header": _header(8, "<H"),
    "safetensors header": _header(0, "<Q"),
}


# ---- what may be drawn --------------------------------------------------------------------------


def _edits(kinds: tuple[str, ...], *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Edit]:
    return st.tuples(st.sampled_from(kinds), *parts).map(lambda drawn: Edit(*drawn))


def _bytes_edits(n_bytes: int) -> st.SearchStrategy[Edit]:
    """Of anything; half of them in the first kilobyte, where headers are."""
    last = max(0, n_bytes - 1)
    where = st.one_of(st.integers(0, min(1000, last)), st.integers(0, last))
    size = st.integers(1, 600)
    new = st.one_of(st.binary(min_size=1, max_size=40), st.sampled_from(TEXTS).map(_encoded))
    return st.one_of(
        _edits(("flip",), where, st.integers(0, 7)),
        _edits(("integer",), where, st.sampled_from((1, 2, 4, 8, -2, -4, -8)),
                  st.sampled_from(INTEGERS)),
        _edits(("insert", "overwrite"), where, st.just(0), new),
        _edits(("delete", "repeat"), where, size),
        _edits(("splice",), where, size, where),
        _edits(("truncate",), where),
    )  # fmt: skip


def _text_edits() -> st.SearchStrategy[Edit]:
    which = st.integers(0, 200)
    texts = st.one_of(st.sampled_from(TEXTS), st.sampled_from(INTEGERS).map(str))
    return st.one_of(
        _edits(("number", "word"), which, st.just(0), texts),
        _edits(("line",), which, st.integers(0, 2), which),
    )


def _json_edits() -> st.SearchStrategy[Edit]:
    which = st.integers(0, 100)
    return st.one_of(
        _edits(("json value",), which, st.just(0), st.sampled_from(VALUES)),
        _edits(("json remove", "json copy"), which, which),
    )


def edits_of(name: str, content: bytes) -> st.SearchStrategy[list[Edit]]:
    """One to four changes of a file, as fits its ending."""

    def inside(kind: str, edits: st.SearchStrategy[Edit], n: int = 0) -> st.SearchStrategy[Edit]:
        return _edits((kind,), st.integers(0, n), st.just(0), edits)

    npy = inside("npy header", _text_edits())
    match PurePath(name).suffix:
        case ".json":
            fitting = [_json_edits(), _json_edits(), _text_edits()]
        case ".edf" | ".bdf":
            texts = st.sampled_from(TEXTS)
            fields = len(_edf_fields(content)) - 1
            fitting = [
                _edits(("edf field",), st.integers(0, last), st.just(0), texts)
                for last in (9, fields)
            ]
        case ".npy":
            fitting = [npy]
        case ".npz" | ".pth":
            some = st.one_of(npy, _bytes_edits(2000), _text_edits())
            fitting = [inside("in zip", some, 20)]
        case ".safetensors":
            fitting = [inside("safetensors header", st.one_of(_json_edits(), _text_edits()))]
        case ".gz":
            fitting = [inside("in gzip", _bytes_edits(3 * len(content)))]
        case ".csv" | ".tsv" | ".yaml" | ".vhdr" | ".vmrk" | ".lay" | "":
            fitting = [_text_edits(), _text_edits()]
        case _:
            fitting = []
    # mapped, since the choices of a choice would weigh as much as what fits
    anything = _bytes_edits(len(content)).map(Edit._make)
    return st.lists(st.one_of(*fitting, anything), min_size=1, max_size=4)
