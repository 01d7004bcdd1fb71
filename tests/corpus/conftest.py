"""Small recordings in files, and the bytes of a folder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from noise import SFREQ, noise


@pytest.fixture
def write_edf() -> Callable[..., Path]:
    def write(
        path: Path,
        seconds: float = 25,
        ch_names: tuple[str, ...] = ("Fp1", "C3", "O2"),
        seed: int = 0,
        data: np.ndarray | None = None,
    ) -> Path:
        edfio = pytest.importorskip("edfio")
        x = noise(len(ch_names), seconds, seed) if data is None else data
        signals = [
            edfio.EdfSignal(
                row, SFREQ, label=name, physical_dimension="uV", physical_range=(-800, 800)
            )
            for row, name in zip(x, ch_names, strict=True)
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        edfio.Edf(signals).write(path)
        return path

    return write


@pytest.fixture
def write_compact() -> Callable[..., Path]:
    def write(path: Path, seconds: float = 25, seed: int = 0, **content: object) -> Path:
        x = noise(2, seconds, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        values: dict[str, object] = {
            "x": np.rint(x / 0.05).astype(np.int16),
            "scale_uv": np.float32([0.05, 0.05]),
            "ch_names": np.array(["C3", "C4"]),
            "sfreq": float(SFREQ),
            "meta": '{"subject": "S1"}',
        }
        np.savez_compressed(path, **{**values, **content})  # type: ignore[arg-type]
        return path

    return write


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Every file of a folder, by name."""
    return lambda folder: {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }
