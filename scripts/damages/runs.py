"""Damaged runs: make(folder, sound) -> the folder of one that was interrupted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import EITHER, REFUSAL, RESULT, Damages
from .files import cut, flip

pretraining = Damages(group="pretraining")
finetuning = Damages(group="finetuning")


def _run(damages: Damages, name: str, change: Callable[[Path], Any], expect: str = REFUSAL) -> None:
    def make(folder: Path, sound: Any) -> Path:
        place = folder / "run"
        shutil.copytree(getattr(sound, damages.group), place)
        change(place)
        return place

    damages.add(f"{damages.group}: {name}", make, expect)


def _account(name: str, change: Callable[[Path], Any], expect: str = REFUSAL) -> None:
    for damages in (pretraining, finetuning):
        _run(damages, f"run.json {name}", lambda place: change(place / "run.json"), expect)


def _values(name: str, expect: str = REFUSAL, /, **changes: Any) -> None:
    def change(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    _account(name, change, expect)


def _state(name: str, text: str) -> None:
    """Of a checkpoint: it is not used, and the run begins anew."""
    _run(
        pretraining,
        f"trainer_state.json {name}",
        lambda place: (place / "checkpoint-2" / "trainer_state.json").write_text(text),
        RESULT,
    )


_account("empty", lambda path: path.write_text(""))
_account("cut", lambda path: cut(path, 0.5))
_account("a list", lambda path: path.write_text("[1]"))
_account("a number", lambda path: path.write_text("3"))
_account("{}", lambda path: path.write_text("{}"))
_account("not UTF-8", lambda path: path.write_bytes(b"\xff\xfe{"))
_account("nested 100,000 deep", lambda path: path.write_text("[" * 100_000))
_account("a folder", lambda path: (path.unlink(), path.mkdir()))
_values("without settings", settings=None)
_values("with a list of settings", settings=[1])
_values("with other settings", settings={"seed": 7})
_values("of another command", EITHER, command="evaluate")
_values("without versions", EITHER, versions=None)
_values("with versions that are numbers", EITHER, versions={"numpy": 3})
_values("with settings of the corpus that are a text", EITHER, corpus_settings="none")
_values("with a NaN", note=float("nan"))
_values("with half a character", EITHER, note="\ud800")
_values("of a task whose name leads elsewhere", RESULT, task={"name": "../x\0"})
_run(pretraining, "run.json missing", lambda place: (place / "run.json").unlink())
_state("cut", '{"global_step": ')
_state("a list", "[]")
_state("at step inf", '{"global_step": Infinity}')
_state("at step 10**30", f'{{"global_step": {10**30}}}')
_state("nested 100,000 deep", "[" * 100_000)
_run(pretraining, "a bit of the weights flipped",
     lambda place: flip(place / "checkpoint-2" / "model.safetensors", 1, 0, 20_000),
     RESULT)  # fmt: skip
_run(pretraining, "a bit of the optimizer flipped",
     lambda place: flip(place / "checkpoint-2" / "optimizer.pt", 1, 0, 20_000), RESULT)  # fmt: skip
