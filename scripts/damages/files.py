"""Sound recordings in several formats, as small as they can be, and ways to damage their bytes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests"))
sys.path.append(str(ROOT / "tests" / "tasks"))

from gdf_writer import write_gdf  # noqa: E402

from samples import waves, write_edf  # noqa: E402

NAMES = ["Fp1", "C3", "Cz", "C4", "O1", "O2"]
SFREQ = 100
SECONDS = 12


def signal(
    n_chans: int = 6, seconds: float = SECONDS, sfreq: float = SFREQ, seed: int = 0
) -> np.ndarray:
    """Microvolts, (n_chans, n_times)."""
    return waves(sfreq, n_chans=n_chans, duration=seconds, seed=seed)


def edf(path: Path, x: np.ndarray | None = None, names: list[str] | None = None, **options: Any):
    """EDF, six channels, 12 s at 100 Hz."""
    x = signal() if x is None else x
    return write_edf(path, x, names or NAMES[: len(x)], **{"sfreq": SFREQ, **options})


def bdf(path: Path) -> Path:
    """BDF."""
    import edfio

    signals = [
        edfio.BdfSignal(row, SFREQ, label=name, physical_dimension="uV")
        for row, name in zip(signal(), NAMES, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    edfio.Bdf(signals, data_record_duration=1).write(path)
    return path


def npy(path: Path, x: np.ndarray | None = None) -> Path:
    """NumPy array in microvolts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, signal() if x is None else x)
    return path


def raw(x: np.ndarray | None = None, sfreq: float = SFREQ, **options: Any) -> Any:
    """MNE object."""
    import mne

    x = signal() if x is None else x
    info = mne.create_info(options.get("names", NAMES[: len(x)]), sfreq, "eeg", verbose="error")
    info["bads"] = options.get("bads", [])
    return mne.io.RawArray(x * 1e-6, info, verbose="error")


def fif(path: Path, **options: Any) -> Path:
    """FIF, gzipped if the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw(**options).save(path, verbose="error", overwrite=True)
    return path


VHDR = """Brain Vision Data Exchange Header File Version 1.0
[Common Infos]
Codepage=UTF-8
DataFile={stem}.eeg
MarkerFile={stem}.vmrk
DataFormat=BINARY
DataOrientation=MULTIPLEXED
NumberOfChannels=6
SamplingInterval=10000
[Binary Infos]
BinaryFormat=IEEE_FLOAT_32
[Channel Infos]
{channels}
"""
VMRK = """Brain Vision Data Exchange Marker File, Version 1.0
[Common Infos]
Codepage=UTF-8
DataFile={stem}.eeg
[Marker Infos]
Mk1=New Segment,,1,1,0,20150101120000000000
Mk2=Stimulus,S  1,300,1,0
"""


def vhdr(path: Path, **replace: str) -> Path:
    """BrainVision: header, markers and data; `replace` changes lines of the header."""
    stem = path.stem
    channels = "\n".join(f"Ch{i + 1}={name},,1,µV" for i, name in enumerate(NAMES))
    text = VHDR.format(stem=stem, channels=channels)
    for key, value in replace.items():
        lines = [f"{key}={value}" if li.startswith(f"{key}=") else li for li in text.split("\n")]
        text = "\n".join(lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.with_suffix(".vmrk").write_text(VMRK.format(stem=stem), encoding="utf-8")
    path.with_suffix(".eeg").write_bytes(signal().T.astype("<f4").tobytes())
    return path


def eeglab(path: Path, *, compressed: bool = True, **changes: Any) -> Path:
    """EEGLAB: one .set with the data inside; `changes` replace fields."""
    from scipy.io import savemat

    labels = np.array([(name,) for name in NAMES], dtype=[("labels", object)])
    content: dict[str, Any] = {
        "setname": "x",
        "nbchan": 6.0,
        "pnts": float(SECONDS * SFREQ),
        "trials": 1.0,
        "srate": float(SFREQ),
        "xmin": 0.0,
        "xmax": SECONDS - 1 / SFREQ,
        "data": signal().astype(np.float32),
        "chanlocs": labels,
        "event": [],
        "epoch": [],
        "icawinv": [],
        "icaweights": [],
        "icasphere": [],
    }
    content.update(changes)
    content = {key: value for key, value in content.items() if value is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"EEG": content}, appendmat=False, do_compression=compressed)
    return path


def gdf(path: Path) -> Path:
    """GDF 1.25 with one event."""
    return write_gdf(path, signal(), NAMES, SFREQ, [(300, 769)])


def compact(path: Path, **changes: Any) -> Path:
    """The compact ``.npz`` form."""
    content: dict[str, Any] = {
        "x": np.rint(signal() / 0.05).astype(np.int16),
        "scale_uv": np.full(6, 0.05, np.float32),
        "ch_names": np.array(NAMES),
        "sfreq": float(SFREQ),
    }
    content.update(changes)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **{k: v for k, v in content.items() if v is not None})
    return path


def cut(path: Path, n_bytes: float) -> Path:
    """Keep so many bytes, or that share of them."""
    content = path.read_bytes()
    path.write_bytes(content[: int(n_bytes if n_bytes >= 1 else n_bytes * len(content))])
    return path


def put(path: Path, offset: int, new: bytes) -> Path:
    """Write bytes over others."""
    content = bytearray(path.read_bytes())
    content[offset : offset + len(new)] = new
    path.write_bytes(bytes(content))
    return path


def flip(path: Path, n_bits: int, seed: int, start: int = 0, stop: int | None = None) -> Path:
    """Flip random bits in a part of a file."""
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    stop = len(content) if stop is None else min(stop, len(content))
    rng = np.random.default_rng(seed)
    where = rng.integers(start, stop, n_bits)
    content[where] ^= (1 << rng.integers(0, 8, n_bits)).astype(np.uint8)
    path.write_bytes(content.tobytes())
    return path
