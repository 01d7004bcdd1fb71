"""Damaged NumPy files: ``.npy``, and the compact ``.npz`` form."""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import EITHER, REFUSAL, Damages
from .files import (
    SFREQ,
    compact,
    cut,
    flip,
    npy,
    put,
)
from .recordings import damage

# ---- NumPy files --------------------------------------------------------------------------------


def _npy_file(name: str, change: Callable[[Path], Any], expect: str = REFUSAL, **more: Any) -> None:
    def make(folder: Path, stem: str) -> Any:
        path = npy(folder / f"{stem}.npy")
        change(path)
        return path, {"sfreq": SFREQ}

    damage.add(f"npy: {name}", make, expect, **more)


def _npy_header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text = text.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def _with_huge(x: np.ndarray) -> np.ndarray:
    """One sample at either end, and a stretch of a channel, of what no body gives."""
    x = x.astype(np.float32)
    x[0, 0], x[1, -1], x[2, 300:500] = 3e38, -3e38, 1e38
    return x


_npy_file("cut in its header", lambda p: cut(p, 40))
_npy_file("cut in the data", lambda p: cut(p, 0.5))
_npy_file("declares 10 TB", lambda p: p.write_bytes(_npy_header("(6, 10**9)") + bytes(999)))
_npy_file(
    "declares 5 TB", lambda p: p.write_bytes(_npy_header("(6, 99999999999)") + bytes(999)),
    quick=True,
)  # fmt: skip
_npy_file("negative shape", lambda p: p.write_bytes(_npy_header("(6, -100)") + bytes(999)))
_npy_file(
    "header that is a program",
    lambda p: p.write_bytes(_npy_header("__import__('os').mkdir('owned')") + bytes(99)),
)
_npy_file(
    "a number among the names of its header",
    lambda p: p.write_bytes(p.read_bytes().replace(b"'descr'", b"0x10   ", 1)),
)
_npy_file("header of megabytes", lambda p: p.write_bytes(_npy_header("(" * 90)))
_npy_file("a text", lambda p: p.write_text("1, 2, 3\n" * 99))
_npy_file("a byte too many", lambda p: put(p, 128, b"\0" + p.read_bytes()[128:]), EITHER)
_npy_file("samples of 1e38 microvolts", lambda p: np.save(p, _with_huge(np.load(p))), EITHER)
_npy_file("bits flipped in its header", lambda p: flip(p, 10, 0, 8, 128), EITHER)


class _Evil:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("owned",)


@damage("npy: a pickle that runs a command", REFUSAL, quick=True)
def _(folder: Path, stem: str) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{stem}.npy", np.array([_Evil()], dtype=object), allow_pickle=True)
    return folder / f"{stem}.npy", {"sfreq": SFREQ}


# ---- compact .npz -------------------------------------------------------------------------------

COMPACT = Damages(group="recording")


def _npz(name: str, make: Callable[[Path], Any], expect: str = REFUSAL, **more: Any) -> None:
    def write(folder: Path, stem: str) -> Path:
        path = folder / f"{stem}.npz"
        folder.mkdir(parents=True, exist_ok=True)
        make(path)
        return path

    COMPACT.add(f"npz: {name}", write, expect, **more)


def _bomb(path: Path, declared: str = "(6, 1000000000)") -> None:
    """Gigabytes of zeros that deflate to megabytes, beside sound members."""
    compact(path, x=None)
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file,
        file.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(_npy_header(declared, "'<i2'"))
        for _ in range(80):
            member.write(bytes(50_000_000))


def _headless(path: Path) -> None:
    """A first byte changed: NumPy then gives the member as the bytes that it is."""
    compact(path, x=None)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("x.npy", b"X" + _npy_header("(6, 1200)", "'<i2'")[1:] + bytes(14_400))


_npz("a bomb of 4 GB", _bomb)
_npz("a bomb that lies about its size", lambda p: _bomb(p, "(6, 1200)"), EITHER)
_npz("cut", lambda p: cut(compact(p), 0.5))
_npz("bits flipped", lambda p: flip(compact(p), 20, 0), EITHER)
_npz("no samples in it", lambda p: compact(p, x=None))
_npz("a member without its header", _headless)
_npz("empty zip", lambda p: zipfile.ZipFile(p, "w").close())
_npz("pickles in it", lambda p: compact(p, ch_names=np.array([_Evil()] * 6, dtype=object)))
_npz("rate of 0", lambda p: compact(p, sfreq=0.0))
_npz("rate is a text", lambda p: compact(p, sfreq="fast"))
_npz("rate is a list", lambda p: compact(p, sfreq=np.ones(3)))
_npz("names are numbers", lambda p: compact(p, ch_names=np.arange(6)), EITHER)
_npz("too few scales", lambda p: compact(p, scale_uv=np.ones(2)))
_npz("scale without axis", lambda p: compact(p, scale_uv=np.float32(0.05)))
_npz("scale of texts", lambda p: compact(p, scale_uv=np.array(["a"] * 6)))
_npz("x of texts", lambda p: compact(p, x=np.full((6, 1200), "a")))
_npz("meta is no JSON", lambda p: compact(p, meta="{subject"))
_npz("meta is a list", lambda p: compact(p, meta="[1]"))
_npz("onsets without descriptions", lambda p: compact(p, event_onset=np.arange(3)))
_npz("onsets are texts", lambda p: compact(p, event_onset=["a"], event_desc=["b"]))
