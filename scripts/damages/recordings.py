"""Damaged recordings: each writes one into a folder and returns its path, perhaps with options."""

from __future__ import annotations

import functools
import gzip
import os
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import EITHER, REFUSAL, RESULT, Damages
from .files import (
    NAMES,
    SFREQ,
    bdf,
    compact,
    cut,
    edf,
    eeglab,
    fif,
    flip,
    gdf,
    npy,
    put,
    raw,
    signal,
    vhdr,
)

damage = Damages(group="recording")
#: These read without cutting windows: too short is none of their business.
WHOLE = ("read_recording", "info")
N_SEEDS = 3


def _edf(name: str, change: Callable[[Path], Any], expect: str = EITHER, **more: Any) -> None:
    def make(folder: Path, stem: str) -> Path:
        path = edf(folder / f"{stem}.edf")
        change(path)
        return path

    damage.add(f"EDF: {name}", make, expect, **more)


def _field(offset: int, width: int, text: str) -> Callable[[Path], Path]:
    return lambda path: put(path, offset, text.encode("latin-1").ljust(width)[:width])


def _signal_field(offset: int, width: int, text: str, which: int = 0) -> Callable[[Path], Path]:
    """A column of the table of six signals."""
    return _field(256 + 6 * offset + which * width, width, text)


# ---- EDF: bytes ---------------------------------------------------------------------------------

_edf("empty file", lambda path: path.write_bytes(b""), REFUSAL, quick=True)
_edf("one byte", lambda path: cut(path, 1), REFUSAL)
_edf("cut in the fixed header", lambda path: cut(path, 100), REFUSAL, quick=True)
_edf("cut in the table of signals", lambda path: cut(path, 700), REFUSAL)
_edf("header without data", lambda path: cut(path, 256 * 7), REFUSAL)
_edf("cut in the first record", lambda path: cut(path, 256 * 7 + 500), REFUSAL)
_edf("cut in the data", lambda path: cut(path, 0.6), RESULT, quick=True)
_edf("cut at an odd byte", lambda path: cut(path, 256 * 7 + 5 * 1200 + 601), RESULT)
_edf("bytes behind the end", lambda path: path.write_bytes(path.read_bytes() + b"xyz" * 99), RESULT)
_edf("second half is zero", lambda path: put(path, 256 * 7 + 7200, bytes(7200)), RESULT)
_edf("noise behind the first bytes", lambda path: put(path, 8, os.urandom(4000)), EITHER)
_edf("0 signals", _field(252, 4, "0"), REFUSAL)
_edf("-1 signals", _field(252, 4, "-1"), REFUSAL)
_edf("9999 signals", _field(252, 4, "9999"), REFUSAL)
_edf("number of signals is a word", _field(252, 4, "six"), REFUSAL)
_edf("0 records", _field(236, 8, "0"), EITHER)
_edf("-1 records, as while recording", _field(236, 8, "-1"), RESULT)
_edf("99999999 records", _field(236, 8, "99999999"), EITHER)
_edf("records of 0 s", _field(244, 8, "0"), EITHER)
_edf("records of -1 s", _field(244, 8, "-1"), EITHER)
_edf("records of nan s", _field(244, 8, "nan"), REFUSAL)
_edf("records of inf s", _field(244, 8, "inf"), REFUSAL)
_edf("records of 1e-9 s", _field(244, 8, "1e-9"), EITHER)
_edf("header length too small", _field(184, 8, "256"), EITHER)
_edf("header length too large", _field(184, 8, "99999999"), REFUSAL)
_edf("0 samples per record", _signal_field(216, 8, "0"), EITHER)
_edf("-5 samples per record", _signal_field(216, 8, "-5"), EITHER)
_edf("99999999 samples per record", _signal_field(216, 8, "99999999"), REFUSAL)
_edf("samples per record is a word", _signal_field(216, 8, "many"), REFUSAL)
_edf("physical minimum equals maximum", _signal_field(112, 8, "0", 1), EITHER)
_edf("physical range is nan", _signal_field(104, 8, "nan", 1), EITHER)
_edf("physical range is a word", _signal_field(104, 8, "low", 1), REFUSAL)
_edf("physical maximum 1e30", _signal_field(112, 8, "1e30", 1), EITHER)
_edf("digital minimum equals maximum", _signal_field(128, 8, "-32768", 1), EITHER)
_edf("impossible date", _field(168, 16, "99.99.9999.99.99"), EITHER)
_edf("date of NUL bytes", lambda path: put(path, 168, bytes(16)), EITHER)
_edf("header of NUL bytes", lambda path: put(path, 8, bytes(248)), REFUSAL)
_edf("EDF+ without annotations", _field(192, 44, "EDF+C"), EITHER)
_edf("EDF+ with gaps", _field(192, 44, "EDF+D"), EITHER)
for _seed in range(N_SEEDS):
    _edf(f"bits flipped in the fixed header, {_seed}", lambda p, s=_seed: flip(p, 12, s, 0, 256))
    _edf(f"bits flipped in the table, {_seed}", lambda p, s=_seed: flip(p, 30, s, 256, 1792))
    _edf(f"bits flipped in the data, {_seed}", lambda p, s=_seed: flip(p, 200, s, 1792))


@damage("EDF: garbage instead of annotations")
def _(folder: Path, stem: str) -> Path:
    import edfio

    annotations = [edfio.EdfAnnotation(i, 1, "event") for i in range(5)]
    path = edf(folder / f"{stem}.edf", annotations=annotations)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"+3\x151\x14event\x14", b"\xff\xfe+\x14\x15\x00\x14\x14"))
    return path


def _edf_of(name: str, x: np.ndarray, expect: str, names: list[str] | None = None, **more: Any):
    options = {key: more.pop(key) for key in ("sfreq", "dimension") if key in more}
    damage.add(
        name, lambda folder, stem: edf(folder / f"{stem}.edf", x, names, **options), expect, **more
    )


# ---- names --------------------------------------------------------------------------------------

_edf("names are not ASCII", lambda p: put(p, 256, "Fp1é".encode("latin-1").ljust(16)), RESULT)
_edf("names are UTF-8", lambda p: put(p, 256, "脑电".encode().ljust(16)), EITHER)
_edf("names are control characters", lambda p: put(p, 256, b"\x00\x01\n\r\x1b[31m\x7f".ljust(16)))
_edf("names are empty", lambda p: put(p, 256, b" " * 96), EITHER)
_edf("one name is empty", lambda p: put(p, 272, b" " * 16), EITHER)
_edf("all names alike", lambda p: put(p, 256, b"Cz".ljust(16) * 6), EITHER)
_edf("names that become alike", lambda p: put(p, 256, b"T3".ljust(16) + b"T7".ljust(16)), EITHER)
_edf_of("ECG and EOG only", signal(2), REFUSAL, ["ECG", "EOG left"], quick=True)
_edf_of("names without meaning", signal(2), RESULT, ["x1", "$%&"])


# ---- signals ------------------------------------------------------------------------------------


def _array(
    name: str, make: Callable[[], np.ndarray], expect: str, sfreq: float = SFREQ, **more: Any
) -> None:
    damage.add(
        name,
        lambda folder, stem: (npy(folder / f"{stem}.npy", make()), {"sfreq": sfreq}),
        expect,
        **more,
    )


def _with(value: float, *where: Any) -> np.ndarray:
    x = signal()
    x[where or ...] = value
    return x


_array("NaN throughout", lambda: _with(np.nan), RESULT, quick=True)
_array("NaN in a channel", lambda: _with(np.nan, 2), RESULT)
_array("NaN in a span", lambda: _with(np.nan, slice(None), slice(300, 500)), RESULT)
_array("infinite samples", lambda: _with(np.inf, 0, slice(0, 50)), RESULT)
_array("zero throughout", lambda: _with(0.0), RESULT)
_array("constant", lambda: _with(7.5), RESULT)
_array("a constant channel", lambda: _with(1e4, 1), RESULT)
_array("clipped", lambda: np.clip(signal(), -5, 5), RESULT)
_array("offset of 300 mV", lambda: signal() + 3e5, RESULT)
_array("amplitudes of 1e30", lambda: signal() * 1e30, REFUSAL)
_array("amplitudes of 1e-30", lambda: signal() * 1e-30, REFUSAL)
_array("volts as microvolts", lambda: signal() * 1e-6, REFUSAL, quick=True)
_array("millivolts as microvolts", lambda: signal() * 1e-3, REFUSAL)
_array("nanovolts as microvolts", lambda: signal() * 1e3, REFUSAL)
_array("raw counts", lambda: np.rint(signal() * 1e4).astype(np.int32), REFUSAL)
_array("no sample", lambda: np.zeros((6, 0)), REFUSAL)
_array("one sample", lambda: np.ones((6, 1)), REFUSAL, not_for=WHOLE, quick=True)
_array("0.2 s", lambda: signal(seconds=0.2), REFUSAL, not_for=WHOLE)
_array("no channel", lambda: np.zeros((0, 1000)), REFUSAL)
_array("one channel", lambda: signal(1), RESULT)
_array("512 channels", lambda: np.random.default_rng(0).normal(0, 20, (512, 1200)), RESULT)
_array("transposed", lambda: signal().T, REFUSAL)
_array("1 Hz", lambda: signal(), REFUSAL, sfreq=1)
_array("0 Hz", lambda: signal(), REFUSAL, sfreq=0)
_array("negative rate", lambda: signal(), REFUSAL, sfreq=-200)
_array("rate of nan", lambda: signal(), REFUSAL, sfreq=np.nan)
_array("rate of 1e300 Hz", lambda: signal(), REFUSAL, sfreq=1e300)
_array("10 kHz", lambda: signal(2, 12, 10_000), RESULT, sfreq=10_000)
_array("odd rate, 173.61 Hz", lambda: signal(2, 12, 173.61), RESULT, sfreq=173.61)
_array("12.5 Hz", lambda: signal(2, 40, 12.5), EITHER, sfreq=12.5)
_array("complex numbers", lambda: signal().astype(complex), REFUSAL)
_array("texts", lambda: np.array([["a", "b"]]), REFUSAL)
_array("booleans", lambda: signal() > 0, REFUSAL)
_array("four axes", lambda: np.zeros((2, 2, 6, 300)), REFUSAL)
_array("no axis", lambda: np.array(3.0), REFUSAL)
_array("big-endian, Fortran order", lambda: np.asfortranarray(signal()).astype(">f8"), RESULT)
_array("half precision", lambda: signal().astype(np.float16), RESULT)
_array("epochs of 0.1 s", lambda: np.zeros((50, 6, 10)), REFUSAL, not_for=WHOLE)
_array("no epoch", lambda: np.zeros((0, 6, 200)), REFUSAL)


@damage("1 Hz in an EDF", REFUSAL)
def _(folder: Path, stem: str) -> Path:
    return edf(folder / f"{stem}.edf", signal(6, 60, 1), sfreq=1)


@damage("rates differ between EEG channels", RESULT)
def _(folder: Path, stem: str) -> Path:
    import edfio

    signals = [
        edfio.EdfSignal(waves[0], sfreq, label=name, physical_dimension="uV")
        for name, sfreq in zip(NAMES, (100, 200, 100, 250, 100, 100), strict=True)
        for waves in [signal(1, 12, sfreq)]
    ]
    folder.mkdir(parents=True, exist_ok=True)
    edfio.Edf(signals, data_record_duration=1).write(folder / f"{stem}.edf")
    return folder / f"{stem}.edf"


@damage("all channels marked as bad", RESULT)
def _(folder: Path, stem: str) -> Path:
    return fif(folder / f"{stem}_raw.fif", bads=NAMES)


@damage("annotated as bad throughout", RESULT)
def _(folder: Path, stem: str) -> Path:
    import mne

    recording = raw()
    recording.set_annotations(mne.Annotations(0, 12, "BAD_all"))
    folder.mkdir(parents=True, exist_ok=True)
    recording.save(folder / f"{stem}_raw.fif", verbose="error")
    return folder / f"{stem}_raw.fif"


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
_npy_file("header of megabytes", lambda p: p.write_bytes(_npy_header("(" * 90)))
_npy_file("a text", lambda p: p.write_text("1, 2, 3\n" * 99))
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


_npz("a bomb of 4 GB", _bomb)
_npz("a bomb that lies about its size", lambda p: _bomb(p, "(6, 1200)"), EITHER)
_npz("cut", lambda p: cut(compact(p), 0.5))
_npz("bits flipped", lambda p: flip(compact(p), 20, 0), EITHER)
_npz("no samples in it", lambda p: compact(p, x=None))
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
