"""Damaged recordings: each writes one into a folder and returns its path, perhaps with options."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import EITHER, REFUSAL, RESULT, Damages
from .files import (
    NAMES,
    SFREQ,
    cut,
    edf,
    fif,
    flip,
    npy,
    put,
    raw,
    signal,
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
