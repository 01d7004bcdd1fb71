"""What is no recording at all, and paths that lead nowhere or mislead."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from . import EITHER, REFUSAL, RESULT
from .files import (
    SFREQ,
    edf,
)
from .recordings import damage

# ---- what is no recording at all ----------------------------------------------------------------


def _content(name: str, suffix: str, content: bytes, expect: str = REFUSAL, **more: Any) -> None:
    def make(folder: Path, stem: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{stem}{suffix}"
        path.write_bytes(content)
        return path

    damage.add(name, make, expect, **more)


_content("a text named .edf", ".edf", b"subject 1, session 2\n" * 500, quick=True)
_content("a web page named .edf", ".edf", b"<!DOCTYPE html><html>404 not found</html>" * 30)
_content("a pointer of git-lfs", ".edf", b"version https://git-lfs.github.com/spec/v1\nsize 9\n")
_content("a PNG named .set", ".set", b"\x89PNG\r\n\x1a\n" + bytes(999))
_content("zeros named .fif", ".fif", bytes(9999))
_content("noise named .cnt", ".cnt", bytes(range(256)) * 40)
_content("noise named .gdf", ".gdf", b"GDF 2.20" + bytes(range(256)) * 40)
_content("noise named .bdf", ".bdf", b"\xffBIOSEMI" + bytes(range(256)) * 40)
_content("noise named .raw", ".raw", b"\0\0\0\x02" + bytes(range(256)) * 40)
_content("noise as Neuroscan", ".cnt", b"Version 3.0" + bytes(range(256)) * 40)
_content("noise as ANT", ".cnt", b"RIFF\xff\xff\0\0CNT " + bytes(range(256)) * 40)
_content("noise as ANT, 64 bit", ".cnt", b"RF64" + b"\xff" * 4 + b"CNT " + bytes(range(256)) * 40)
_content("noise as Nihon Kohden", ".eeg", b"EEG-1100A V01.00" + bytes(range(256)) * 40)
_content("noise as Persyst", ".lay", b"[FileInfo]\nFile=x.dat\n" + bytes(range(256)) * 4)
_content("noise named .cdt", ".cdt", bytes(range(256)) * 40)
_content("noise named .nedf", ".nedf", bytes(range(256)) * 40)
_content("noise named .dat", ".dat", bytes(range(256)) * 40)
_content("noise named .nxe", ".nxe", bytes(range(256)) * 40)
_content("noise named .ns3", ".ns3", b"NEURALCD" + bytes(range(256)) * 40)
_content("an unknown ending", ".xyz", b"0       " + bytes(9999))
_content("a table named .csv", ".csv", b"time,Fp1\n0,1\n")


@damage("EDF named .vhdr", REFUSAL)
def _(folder: Path, stem: str) -> Path:
    return edf(folder / f"{stem}.edf").rename(folder / f"{stem}.vhdr")


# ---- paths --------------------------------------------------------------------------------------


@damage("does not exist", REFUSAL, quick=True, not_for=("evaluate (BIDS)",))
def _(folder: Path, stem: str) -> Path:
    return folder / f"{stem}.edf"


@damage("a folder named .edf", REFUSAL)
def _(folder: Path, stem: str) -> Path:
    (folder / f"{stem}.edf").mkdir(parents=True)
    return folder / f"{stem}.edf"


@damage("a folder named .mff", REFUSAL)
def _(folder: Path, stem: str) -> Path:
    (folder / f"{stem}.mff").mkdir(parents=True)
    return folder / f"{stem}.mff"


@damage("a pipe named .edf", REFUSAL, quick=True)
def _(folder: Path, stem: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    os.mkfifo(folder / f"{stem}.edf")
    return folder / f"{stem}.edf"


def _link(name: str, target: str, suffix: str, expect: str) -> None:
    def make(folder: Path, stem: str) -> Any:
        folder.mkdir(parents=True, exist_ok=True)
        edf(folder.parent / "elsewhere" / "sound.edf")
        path = folder / f"{stem}{suffix}"
        path.symlink_to(target.format(stem=stem))
        return (path, {"sfreq": SFREQ}) if suffix == ".npy" else path

    damage.add(name, make, expect)


_link("link to a sound file", "../elsewhere/sound.edf", ".edf", RESULT)
_link("link to nothing", "../elsewhere/nothing.edf", ".edf", REFUSAL)
_link("link to itself", "{stem}.edf", ".edf", REFUSAL)
_link("link to /dev/zero, .edf", "/dev/zero", ".edf", REFUSAL)
_link("link to /dev/zero, .npy", "/dev/zero", ".npy", REFUSAL)
_link("link to /dev/zero, .set", "/dev/zero", ".set", REFUSAL)


@damage("unreadable file", REFUSAL, quick=True, not_for=("evaluate (BIDS)",))
def _(folder: Path, stem: str) -> Any:
    path = edf(folder / f"{stem}.edf")
    path.chmod(0)
    return path, {"as_nobody": True}


@damage("in an unreadable folder", REFUSAL, not_for=("evaluate (BIDS)",))
def _(folder: Path, stem: str) -> Any:
    path = edf(folder / "closed" / f"{stem}.edf")
    path.parent.chmod(0)
    return path, {"as_nobody": True}


@damage("name of 240 letters", EITHER, not_for=("evaluate (BIDS)",))
def _(folder: Path, stem: str) -> Path:
    return edf(folder / f"{'n' * 236}.edf")


@damage("name with line break, quotes and blanks", RESULT, not_for=("evaluate (BIDS)",))
def _(folder: Path, stem: str) -> Path:
    return edf(folder / "a\n\"b' c,;%s{}.edf")


@damage("name that is no UTF-8", EITHER, not_for=("evaluate (BIDS)",))
def _(folder: Path, stem: str) -> Path:
    path = edf(folder / f"{stem}.edf")
    return path.rename(Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.edf")))


@damage("ending in capitals", RESULT, not_for=("evaluate (BIDS)",))
def _(folder: Path, stem: str) -> Path:
    return edf(folder / f"{stem}.edf").rename(folder / f"{stem}.EDF")
