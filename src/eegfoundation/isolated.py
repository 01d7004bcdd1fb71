"""Readers that can crash the interpreter, in a process of their own.

What: the library for ANT's ``.cnt`` and SciPy's for ``.set`` are compiled code that trusts what it
reads; single flipped bits make them end the whole interpreter (found by `scripts/robustness.py`).
Here such a file is read by another process, which writes what it understood as FIF; this process
opens that, and never runs the other code.

Trade-off: a second or two for the other process, and a copy of the recording in the temporary
folder for as long as it is in use. Other formats are read by Python and NumPy, which raise instead.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import weakref
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eegfoundation.errors import EEGFoundationError, RecordingError

if TYPE_CHECKING:
    from eegfoundation.readers import ReadingReport

_SECONDS = 30  # and one more for every megabyte: damaged files can make a reader go in circles
_RATIO = 50  # EEG does not shrink to a tenth, constants shrink to a thousandth
_SMALL = 200_000_000  # bytes that anything may unpack to


def read_isolated(path: Path, report: ReadingReport) -> Any:
    """Read a recording in another process.

    Parameters
    ----------
    path : Path
    report : ReadingReport
        Its format says which reader; notes are added.

    Returns
    -------
    raw or epochs : mne.io.BaseRaw | mne.BaseEpochs
        Not loaded; what it is read from is removed with it.

    Raises
    ------
    RecordingError
        If it cannot be read, or makes its reader crash.
    """
    import mne

    folder = tempfile.mkdtemp(prefix="eegfoundation-")
    try:
        seconds = _SECONDS + path.stat().st_size // 1_000_000
        command = [sys.executable, "-m", __name__, report.format, str(path.absolute()), folder]
        try:
            done = subprocess.run(command, capture_output=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise RecordingError(
                f"{path.name} keeps its reader busy for more than {seconds} s: it seems damaged."
            ) from None
        answer = Path(folder, "answer.json")
        if done.returncode != 0 or not answer.exists():
            raise RecordingError(
                f"{path.name} makes the reader of {report.format} files crash: it is damaged, copy "
                "it again from its source."
            )
        said = json.loads(answer.read_text(encoding="utf-8"))
        if "problem" in said:
            raise RecordingError(said["problem"])
        report.notes.extend(said["notes"])
        report.warnings.extend(said["warnings"])
        copy = Path(folder, said["file"])
        if said["epochs"]:
            data: Any = mne.read_epochs(copy, proj=False, preload=True)  # else its file stays open
        else:
            data = mne.io.read_raw_fif(copy)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(data, shutil.rmtree, folder, ignore_errors=True)
    return data


def refuse_bomb(path: Path) -> None:
    """Refuse a MATLAB file that unpacks to gigabytes of next to nothing.

    Raises
    ------
    RecordingError
        If it unpacks to more than 50 times its size.
    """
    size = path.stat().st_size
    limit = max(_SMALL, _RATIO * size)
    with path.open("rb") as file:
        is_hdf5 = file.read(512).startswith(b"MATLAB 7.3")
        unpacked = _unpacked_hdf5(path) if is_hdf5 else _unpacked_mat5(path, limit)
    if unpacked > limit:
        raise RecordingError(
            f"{path.name} has {size / 1e6:.3g} MB and unpacks to more than {limit / 1e6:.3g} MB: "
            "that is no EEG."
        )


def _unpacked_hdf5(path: Path) -> int:
    import h5py

    sizes: list[int] = []

    def add(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            sizes.append(item.nbytes)

    with h5py.File(path, "r") as file:
        file.visititems(add)
    return sum(sizes)


def _unpacked_mat5(path: Path, limit: int) -> int:
    """Bytes in all compressed elements, counted up to the limit."""
    total = 0
    with path.open("rb") as file:
        order = "big" if file.read(128)[126:128] == b"MI" else "little"
        while len(tag := file.read(8)) == 8 and total <= limit:
            kind, length = (int.from_bytes(tag[i : i + 4], order) for i in (0, 4))  # type: ignore[arg-type]
            if kind != 15:
                file.seek(length, 1)
                continue
            unpacker, rest = zlib.decompressobj(), length
            while rest > 0 and (packed := file.read(min(rest, 2**16))) and total <= limit:
                rest -= len(packed)
                try:
                    while packed and total <= limit:
                        total += len(unpacker.decompress(packed, 2**20))
                        packed = unpacker.unconsumed_tail
                except zlib.error:  # for the reader to complain about
                    return total
    return total


def _answer(name: str, path: Path, folder: Path) -> dict[str, Any]:
    """Work of the other process."""
    import mne

    from eegfoundation.readers import ISOLATED, ReadingReport, quietly

    report = ReadingReport(format=name)

    def work() -> tuple[str, bool]:
        data = ISOLATED[name](path, report)
        is_epochs = isinstance(data, mne.BaseEpochs)
        copy = folder / ("copy-epo.fif" if is_epochs else "copy_raw.fif")
        data.save(copy, fmt="single", overwrite=True)
        return copy.name, is_epochs

    try:
        file, is_epochs = quietly(work, path, report.warnings)
    except EEGFoundationError as error:
        return {"problem": str(error)}
    except MemoryError:
        return {"problem": f"{path.name} did not fit into memory."}
    return {
        "file": file,
        "epochs": is_epochs,
        "notes": report.notes,
        "warnings": report.warnings,
    }


def main(name: str, path: str, folder: str) -> None:
    """Read, and leave an answer."""
    found = _answer(name, Path(path), Path(folder))
    text = json.dumps(found)
    Path(folder, "answer.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
