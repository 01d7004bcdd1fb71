"""Writing results: whole or not at all, and never over another result unasked.

Everything is written under a temporary name beside its destination and renamed when it is on the
disk, so that neither a kill nor a power cut leaves a half file under a final name. Large arrays go
to disk row by row: the embedding of a 24 h recording never has to fit into memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
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
        with _only_writer(path, unfinished):
            if path.exists() and not overwrite:  # of a run that has just ended
                raise OutputError(f"{path} exists already; another run has just written it.")
            try:
                yield unfinished
                _reach_disk(unfinished)
                unfinished.replace(path)
            finally:
                with contextlib.suppress(OSError):
                    unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"Writing {path} failed: {error.strerror or error}.") from error


@contextlib.contextmanager
def _only_writer(path: Path, unfinished: Path) -> Iterator[None]:
    """Hold a lock on the temporary file, which the system gives back when a process dies.

    So what a killed run has left is taken over, and two runs never write into one file. Windows has
    no such lock; there a file that is open cannot be replaced.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    while True:
        descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputError(
                    f"{path} is being written by another run: wait for it, or choose another "
                    "folder."
                ) from None
            with contextlib.suppress(FileNotFoundError):
                # else its owner has finished in between, and it bears its final name
                if os.path.samestat(os.fstat(descriptor), unfinished.stat()):
                    yield
                    return
        finally:
            os.close(descriptor)


def disk_problem(error: Exception) -> str | None:
    """What libraries that write by themselves say when a disk is full; None: another error."""
    said = str(error)
    if not re.search(r"I/O error: .*os error \d|inline_container|PytorchStreamWriter", said):
        return None
    reason = re.search(r"I/O error: (.*?) \(os error", said)
    return f"writing failed: {reason[1] if reason else 'is the disk full?'}; look at the disk."


@contextlib.contextmanager
def new_folder(path: str | Path, *, last: str, replaced: Sequence[str] = ()) -> Iterator[Path]:
    """Give a temporary folder whose files become those of ``path`` if the block succeeds.

    Files of other names that lie in ``path`` stay. Where there was a result before, file after file
    takes its place: meanwhile the one without which a folder is nothing is absent.

    Parameters
    ----------
    path : str | Path
        Final folder.
    last : str
        Name of that file.
    replaced : sequence of str
        Patterns of files of an earlier result that must not stay beside the new ones.

    Yields
    ------
    unfinished : Path
        An empty folder: write here.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    path = Path(path)
    # beside it, as then a single rename does; a folder that is there may be a disk of its own
    inside = path.is_dir()
    unfinished = path / ".unfinished" if inside else path.with_name(path.name + ".unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
        unfinished.mkdir(parents=True)
        yield unfinished
        names = sorted(file.name for file in unfinished.iterdir())
        for name in names:
            _reach_disk(unfinished / name)
        if not inside:
            unfinished.replace(path)
            return
        (path / last).unlink(missing_ok=True)
        earlier = {file for pattern in replaced for file in path.glob(pattern)}
        for file in earlier - {path / name for name in names}:
            file.unlink()
        for name in sorted(names, key=last.__eq__):
            (unfinished / name).replace(path / name)
    except OSError as error:
        raise OutputError(f"Writing {path} failed: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _reach_disk(path: Path) -> None:
    """Else a power cut could leave the name of a file without its content."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_json(path: str | Path, content: dict[str, Any], *, overwrite: bool = False) -> None:
    """Write a JSON file a person can read."""
    with new_file(path, overwrite=overwrite) as unfinished:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        # of a name that is no UTF-8, what cannot be written becomes an escape of JSON's own
        unfinished.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


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
