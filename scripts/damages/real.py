"""Real recordings of every vendor, damaged at random: for formats that nobody here can write."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from . import EITHER, Damage, Damages
from .files import cut, flip

#: Only these read every format; the others do with what they give.
ELSEWHERE = ("finetune", "evaluate (CSV)", "evaluate (BIDS)", "report", "predict", "predict()",
             "EEGFoundationClassifier", "tokenize", "info", "embed()")  # fmt: skip


def _damage(path: Path, seed: int) -> None:
    """One of four kinds of damage, and how much of it, by the seed."""
    rng = np.random.default_rng(seed)
    size = path.stat().st_size
    match seed % 4:
        case 0:
            flip(path, int(rng.integers(1, 40)), seed, 0, 2000)
        case 1:
            flip(path, int(rng.integers(1, 400)), seed)
        case 2:
            cut(path, float(rng.uniform(0.001, 0.999)))
        case _:
            content = bytearray(path.read_bytes())
            start = int(rng.integers(0, size))
            stop = min(size, start + int(rng.integers(1, 600)))
            content[start:stop] = rng.bytes(stop - start) if seed % 8 < 4 else bytes(stop - start)
            path.write_bytes(bytes(content))


def copy_with_side_files(source: Path, place: Path) -> None:
    """Copy a recording and what lies beside it under the same name."""
    place.mkdir(parents=True, exist_ok=True)
    for one in source.parent.glob(f"{source.stem}.*"):
        shutil.copyfile(one, place / one.name)


def real_damages(folder: Path, n_seeds: int) -> list[Damage]:
    """Damages of every recording in a folder."""
    damages = Damages(group="recording")
    for source in sorted(folder.iterdir()):
        for seed in range(n_seeds):

            def make(place: Path, stem: str, source: Path = source, seed: int = seed) -> Path:
                copy_with_side_files(source, place)
                _damage(place / source.name, seed)
                return place / source.name

            damages.add(f"real: {source.name}, {seed}", make, EITHER, not_for=ELSEWHERE)
    return damages.all
