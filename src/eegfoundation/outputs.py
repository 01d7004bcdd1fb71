"""Writing results: whole or not at all, and never over another result unasked.

Everything is written under a temporary name beside its destination and renamed when complete, so
that an interrupted run leaves no half file under a final name. Large arrays go to disk row by row:
the embedding of a 24 h recording never has to fit into memory.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eegfoundation.errors import OutputError


@contextlib.contextmanager
def new_file(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary path that becomes ``path`` if the block succeeds.

    Parameters
    ----------
    path : str | Path
        Final name; its folder is made if it does not exist.
    overwrite : bool
        Replace an existing file.

    Yields
    ------
    unfinished : Path
        Write here.

    Raises
    ------
    OutputError
        If the file exists and must not be replaced, or cannot be written.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise OutputError(
            f"{path} exists already; choose another folder, or overwrite it (--overwrite true)."
        )
    if path.parent.is_file():
        raise OutputError(f"{path.parent} is a file; a folder is needed for {path.name}.")
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        raise OutputError(f"Writing {path} failed: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def write_json(path: str | Path, content: dict[str, Any], *, overwrite: bool = False) -> None:
    """Write a JSON file a person can read."""
    with new_file(path, overwrite=overwrite) as unfinished:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        unfinished.write_text(text + "\n", encoding="utf-8")


class NpzWriter:
    """An ``.npz`` file that is filled array by array, and the large arrays row by row.

    `numpy.load` reads it like any other. Time stamps inside are fixed, so the same content gives
    the same bytes.

    Parameters
    ----------
    path : str | Path
    """

    def __init__(self, path: str | Path) -> None:
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)

    def __enter__(self) -> NpzWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def add(self, name: str, array: Any) -> None:
        """Add a whole array."""
        array = np.asarray(array)
        self.add_rows(name, array.shape, array.dtype, [array])

    def add_rows(
        self, name: str, shape: Sequence[int], dtype: Any, blocks: Iterable[np.ndarray]
    ) -> None:
        """Add an array of known shape whose rows arrive in blocks."""
        dtype = np.dtype(dtype)
        header = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": tuple(shape),
        }
        member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
        with self._zip.open(member, "w", force_zip64=True) as file:
            np.lib.format.write_array_header_2_0(file, header)
            n_values = 0
            for block in blocks:
                file.write(np.ascontiguousarray(block, dtype).tobytes())
                n_values += block.size
        assert n_values == int(np.prod(shape)), f"{name}: {n_values} values for shape {shape}"
