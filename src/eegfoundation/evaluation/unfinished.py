"""What an evaluation has fitted before it ends, so that after a kill the same command goes on.

One small file per fit lies in ``unfinished/`` beside the folds, and goes when the results are
written. It counts for the same evaluation only: the folder inside bears a digest of everything that
decides a prediction.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.evaluation.row import Row
from eegfoundation.features import read_kept
from eegfoundation.outputs import NpzWriter, new_file

if TYPE_CHECKING:
    from eegfoundation.evaluation.folds import Fold

#: Settings that decide where something lies, not what comes out.
_FREE_SETTINGS = {"out", "data", "overwrite"}


class Unfinished:
    """Predictions of an evaluation that has not ended.

    Parameters
    ----------
    folder : Path
        Of the evaluation.
    settings : dict
        Its arguments.
    known : dict
        What else decides predictions, as JSON: encoder, versions, folds with the digests of their
        windows.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], known: dict[str, Any]) -> None:
        decisive = {name: value for name, value in settings.items() if name not in _FREE_SETTINGS}
        self._all = folder / "unfinished"
        self._own = self._all / _digest(json.dumps([decisive, known], sort_keys=True))

    def remember(self, rows: Sequence[Row]) -> list[Row]:
        """Rows that fit what was not fitted before, and keep it."""
        return [
            dataclasses.replace(row, predict=functools.partial(self._predict, i, row))
            for i, row in enumerate(rows)
        ]

    def remove(self) -> None:
        """Forget all of it: the results are written."""
        shutil.rmtree(self._all, ignore_errors=True)

    def _predict(self, i: int, row: Row, fold: Fold, seed: int) -> tuple[np.ndarray, float]:
        path = self._own / f"{i}-{_digest(fold.name)}-{seed}.npz"
        if path.exists() and (known := read_kept(path)) is not None:
            return known["log_proba"], float(known["validation"])
        log_proba, validation = row.predict(fold, seed)
        with new_file(path, overwrite=True) as unfinished, NpzWriter(unfinished) as npz:
            npz.add("log_proba", log_proba)
            npz.add("validation", validation)
        return log_proba, validation


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
