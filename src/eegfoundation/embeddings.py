"""Embeddings of one recording, in memory and as a file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.errors import ModelInputError, OutputError
from eegfoundation.outputs import NpzWriter, new_file, write_json

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(kw_only=True)
class Embeddings:
    """Embeddings of one recording.

    Attributes
    ----------
    values : ndarray, shape (n_rows, n_chans, D)
        Context vectors, or states (n_rows, n_chans, n_positions, D) if time-resolved. NaN for a
        channel without any usable sample in that window.
    times : ndarray, shape (n_rows,)
        Window centres in seconds from the first sample.
    quality : ndarray, shape (n_rows, n_chans)
        Share of usable samples, 0 to 1. Bad channels have 0.
    ch_names : list of str
    history : dict
        What was done to the recording, and by which encoder.
    """

    values: np.ndarray
    times: np.ndarray
    quality: np.ndarray
    ch_names: list[str]
    history: dict[str, Any]

    def pooled(self) -> np.ndarray:
        """Average over good channels.

        Returns
        -------
        pooled : ndarray, shape (n_rows, D) or (n_rows, n_positions, D)
            Channels with quality 0 are left out; NaN for a row without any good channel.
        """
        good = (self.quality > 0).reshape(*self.quality.shape, *[1] * (self.values.ndim - 2))
        total = np.where(good, self.values, 0).sum(axis=1)
        n_good = good.sum(axis=1)
        return np.where(n_good > 0, total / np.maximum(n_good, 1), np.nan).astype(np.float32)

    def to_dataframe(self) -> pd.DataFrame:
        """One line per window and channel: time, channel, quality, then the vector.

        Raises
        ------
        ModelInputError
            If the embeddings are time-resolved.
        """
        import pandas as pd

        if self.values.ndim != 3:
            raise ModelInputError(
                "Time-resolved embeddings have four axes and make no table; use .values."
            )
        n_rows, n_chans, size = self.values.shape
        index = pd.DataFrame(
            {
                "row": np.repeat(np.arange(n_rows), n_chans),
                "time": np.repeat(self.times, n_chans),
                "channel": np.tile(self.ch_names, n_rows),
                "quality": self.quality.ravel(),
            }
        )
        columns = [f"e{i:03d}" for i in range(size)]
        vectors = pd.DataFrame(self.values.reshape(-1, size), columns=columns)
        return pd.concat([index, vectors], axis=1)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Save as ``.npz``, with its history as ``.preprocessing.json`` beside it.

        Parameters
        ----------
        path : str | Path
        overwrite : bool
            Replace existing files.

        Raises
        ------
        OutputError
            If a file exists already or cannot be written.
        """
        shape = self.values.shape
        parts = iter([(self.values, self.times, self.quality)])
        write_embeddings(path, shape, parts, self.ch_names, self.history, overwrite)

    @classmethod
    def load(cls, path: str | Path) -> Embeddings:
        """Read what `save` or ``eegfoundation embed`` wrote.

        Raises
        ------
        OutputError
            If there is no such file, or it is something else, or damaged.
        """
        path = Path(path)
        try:
            # Opened here: of a damaged file, NumPy leaves the closing to chance.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                found = cls(
                    values=np.asarray(file["values"]),  # bytes, of a damaged member
                    times=np.asarray(file["times"]),
                    quality=np.asarray(file["quality"]),
                    ch_names=file["ch_names"].tolist(),
                    history=json.loads(str(file["history"])),
                )
        except FileNotFoundError:
            raise OutputError(f"{path} does not exist; check the path.") from None
        except Exception as error:  # a damaged zip fails with anything from KeyError to zlib.error
            raise OutputError(
                f"{path} cannot be read as embeddings; expected a whole .npz of eegfoundation "
                "embed, or of Embeddings.save."
            ) from error
        shape = found.times.size, len(found.ch_names)
        if not found.values.shape[:2] == found.quality.shape == shape:
            raise OutputError(f"{path} holds embeddings whose shapes disagree; it is damaged.")
        return found


def write_embeddings(
    path: str | Path,
    shape: tuple[int, ...],
    parts: Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]],
    ch_names: list[str],
    history: dict[str, Any],
    overwrite: bool,
) -> None:
    """Stream embeddings to ``.npz``; their history beside them appears first."""
    path = Path(path)
    times: list[np.ndarray] = []
    quality: list[np.ndarray] = []

    def values() -> Iterator[np.ndarray]:
        for block, block_times, block_quality in parts:
            times.append(block_times)
            quality.append(block_quality)
            yield block

    with new_file(path, overwrite=overwrite) as unfinished:
        with NpzWriter(unfinished) as npz:
            npz.add_rows("values", shape, np.float32, values())
            npz.add("times", np.concatenate(times))
            npz.add("quality", np.concatenate(quality))
            npz.add("ch_names", np.array(ch_names))
            npz.add("history", json.dumps(history))
        write_json(path.with_suffix(".preprocessing.json"), history, overwrite=True)
