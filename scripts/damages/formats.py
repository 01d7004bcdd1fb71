"""Damaged recordings in formats that are neither EDF nor NumPy's."""

from __future__ import annotations

import functools
import gzip
import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import EITHER, REFUSAL, RESULT
from .files import (
    bdf,
    cut,
    eeglab,
    fif,
    flip,
    gdf,
    put,
    raw,
    vhdr,
)
from .recordings import N_SEEDS, damage

# ---- other formats ------------------------------------------------------------------------------

_WRITERS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "BDF": (".bdf", bdf),
    "FIF": ("_raw.fif", fif),
    "FIF, gzipped": ("_raw.fif.gz", fif),
    "EEGLAB": (".set", eeglab),
    "GDF": (".gdf", gdf),
    "BrainVision header": (".vhdr", vhdr),
}


def _each_format(name: str, change: Callable[[Path], Any], expect: str = EITHER) -> None:
    for kind, (suffix, write) in _WRITERS.items():

        def make(folder: Path, stem: str, suffix=suffix, write=write) -> Path:
            path = write(folder / f"{stem}{suffix}")
            change(path)
            return path

        damage.add(f"{kind}: {name}", make, expect)


_each_format("cut after 20 bytes", lambda p: cut(p, 20), REFUSAL)
_each_format("cut after 300 bytes", lambda p: cut(p, 300))
_each_format("cut in the middle", lambda p: cut(p, 0.5))
for _seed in range(N_SEEDS):
    _each_format(
        f"bits flipped at the beginning, {_seed}", lambda p, s=_seed: flip(p, 20, s, 8, 900)
    )
    _each_format(f"bits flipped anywhere, {_seed}", lambda p, s=_seed: flip(p, 60, s, 30))


def _brainvision(name: str, expect: str = REFUSAL, /, **replace: str) -> None:
    damage.add(
        f"BrainVision: {name}",
        lambda folder, stem: vhdr(folder / f"{stem}.vhdr", **replace),
        expect,
    )


_brainvision("0 channels", NumberOfChannels="0")
_brainvision("a billion channels", NumberOfChannels="1000000000")
_brainvision("-1 channels", NumberOfChannels="-1")
_brainvision("interval of 0", SamplingInterval="0")
_brainvision("interval of -1", SamplingInterval="-1")
_brainvision("interval is a word", SamplingInterval="often")
_brainvision("unknown sample format", BinaryFormat="INT_7")
_brainvision("data file is missing", DataFile="elsewhere.eeg")
_brainvision("data file is /dev/zero", DataFile="/dev/zero")
_brainvision("marker file is missing", EITHER, MarkerFile="elsewhere.vmrk")
_brainvision("marker file is the data", EITHER, MarkerFile="x.eeg")
_brainvision("unknown code page", EITHER, Codepage="klingon")


@damage("BrainVision: data cut", RESULT)
def _(folder: Path, stem: str) -> Path:
    path = vhdr(folder / f"{stem}.vhdr")
    cut(path.with_suffix(".eeg"), 0.5)
    return path


@damage("BrainVision: markers are garbage")
def _(folder: Path, stem: str) -> Path:
    path = vhdr(folder / f"{stem}.vhdr")
    path.with_suffix(".vmrk").write_bytes(os.urandom(999))
    return path


def _eeglab(name: str, expect: str = EITHER, /, **changes: Any) -> None:
    damage.add(
        f"EEGLAB: {name}",
        lambda folder, stem: eeglab(folder / f"{stem}.set", **changes),
        expect,
    )


_eeglab("no data", REFUSAL, data=None)
_eeglab("data file is missing", REFUSAL, data="elsewhere.fdt")
_eeglab("data file is /dev/zero", REFUSAL, data="/dev/zero")
_eeglab("rate of 0", REFUSAL, srate=0.0)
_eeglab("rate of nan", REFUSAL, srate=np.nan)
_eeglab("rate is a text", REFUSAL, srate="fast")
_eeglab("a billion channels", nbchan=1e9)
_eeglab("-1 channels", nbchan=-1.0)
_eeglab("fewer samples than it says", pnts=1e12)
_eeglab("no channel names", chanlocs=[])
_eeglab("fewer names than channels", nbchan=9.0)
_eeglab("trials is a text", trials="many")
_eeglab("data are texts", data="abc" * 99)


def _crash(folder: Path, stem: str, seed: int) -> Path:
    """Eight bits in the description of the structure, which SciPy's compiled reader trusts."""
    return flip(eeglab(folder / f"{stem}.set", compressed=False), 8, seed, 128, 1200)


for _seed, _what in {2461: "crashes", 2475: "crashes", 33: "crashes", 2749: "hangs"}.items():
    damage.add(
        f"EEGLAB: bits at which SciPy {_what}, {_seed}",
        lambda folder, stem, seed=_seed: _crash(folder, stem, seed),
        REFUSAL,
        quick=_seed == 2461,
    )


@damage("EEGLAB: a bomb of 4 GB", REFUSAL)
def _(folder: Path, stem: str) -> Path:
    """A compressed variable of zeros: 4 MB on the disk."""
    path = folder / f"{stem}.set"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_matlab_bomb())
    return path


@functools.cache
def _matlab_bomb() -> bytes:
    import zlib

    n_times = 80_000_000
    n_bytes = 6 * n_times * 8
    flags = struct.pack("<IIII", 6, 8, 6, 0)  # miUINT32, 8 bytes: mxDOUBLE
    shape = struct.pack("<IIii", 5, 8, 6, n_times)
    name = struct.pack("<HH4s", 1, 4, b"data")
    head = flags + shape + name + struct.pack("<II", 9, n_bytes)
    packer = zlib.compressobj(9)
    parts = [packer.compress(struct.pack("<II", 14, len(head) + n_bytes) + head)]
    parts += [packer.compress(bytes(n_bytes // 96)) for _ in range(96)]
    body = b"".join([*parts, packer.flush()])
    title = b"MATLAB 5.0 MAT-file, by nobody".ljust(124) + struct.pack("<H2s", 0x0100, b"IM")
    return title + struct.pack("<II", 15, len(body)) + body


@damage("EEGLAB: a bomb within the structure", REFUSAL)
def _(folder: Path, stem: str) -> Path:
    """600 MB of zeros, which MNE makes 5 GB of; 600 kB on the disk."""
    path = folder / f"{stem}.set"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_structure_bomb())
    return path


@functools.cache
def _structure_bomb() -> bytes:
    n_times = 100_000_000
    with tempfile.TemporaryDirectory() as folder:
        data = np.zeros((6, n_times), np.int8)
        return eeglab(Path(folder) / "x.set", data=data, pnts=float(n_times)).read_bytes()


@damage("EEGLAB: HDF5 of something else", REFUSAL)
def _(folder: Path, stem: str) -> Path:
    import h5py

    path = folder / f"{stem}.set"
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        file["EEG"] = np.zeros(3)
    return put(path, 0, b"MATLAB 7.3 MAT-file")


@damage("FIF, gzipped: a bomb", REFUSAL)
def _(folder: Path, stem: str) -> Path:
    path = folder / f"{stem}_raw.fif.gz"
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(b"\0\0\0\x64\0\0\0\x1f\0\0\0\x14\0\0\0\0")
        for _ in range(60):
            file.write(bytes(50_000_000))
    return path


@damage("FIF: a tag that leads back to the first", REFUSAL)
def _(folder: Path, stem: str) -> Path:
    path = fif(folder / f"{stem}_raw.fif")
    put(path, 52, struct.pack(">i", -1))  # no directory: it is read from tag to tag
    second = 36 + 16 + 4
    return put(path, second + 12, struct.pack(">i", 36))


@damage("FIF, gzipped: a bomb behind a sound beginning", REFUSAL)
def _(folder: Path, stem: str) -> Path:
    path = folder / f"{stem}_raw.fif.gz"
    content = bytearray(fif(folder / f"{stem}_raw.fif").read_bytes()[:56])
    content[52:56] = struct.pack(">i", -1)
    (folder / f"{stem}_raw.fif").unlink()
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(content)
        for _ in range(60):
            file.write(bytes(50_000_000))
    return path


@damage("FIF: a tag of 2 GB", REFUSAL)
def _(folder: Path, stem: str) -> Path:
    path = fif(folder / f"{stem}_raw.fif")
    return put(path, 44, b"\x7f\xff\xff\xff")


@damage("FIF: covariance, no recording", REFUSAL)
def _(folder: Path, stem: str) -> Path:
    import mne

    path = folder / f"{stem}-cov.fif"
    folder.mkdir(parents=True, exist_ok=True)
    mne.make_ad_hoc_cov(raw().info, verbose="error").save(path, verbose="error")
    return path


def _gdf(name: str, offset: int, new: bytes) -> None:
    """Found by `scripts/fuzz.py`: room is made for what is announced."""
    damage.add(
        f"GDF: {name}",
        lambda folder, stem: put(gdf(folder / f"{stem}.gdf"), offset, new),
        REFUSAL,
    )


_gdf("538976288 channels", 252, b"    ")
_gdf("4 billion events", -10, b"\xff\xff\xff\xff")
_gdf("10**18 records", 236, struct.pack("<q", 10**18))
_gdf("-1 records", 236, struct.pack("<q", -1))
