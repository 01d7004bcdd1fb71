"""From a path to an MNE object, with the reader that the file's first bytes ask for.

What: `open_file` finds the main file (the header of BrainVision or Persyst when its data file was
given), recognises the format, opens it lazily and reports what was left out. `quietly` is the one
place where third-party readers run.

Why by header: endings lie. Neuroscan and ANT both write ".cnt", and the wrong reader does not fail
but crashes the interpreter; BrainVision and Nihon Kohden both write ".eeg"; a text file that is
named ".edf" deserves one clear sentence.

Trade-off: files are opened without loading them, so a day of EEG fits in memory; EDF files whose
EEG channels differ in sampling rate are the exception. Formats whose readers can crash the
interpreter are read by another process (`isolated`).
"""

import contextlib
import io
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from eegfoundation.edf import read_edf
from eegfoundation.egi import read_egi
from eegfoundation.errors import EEGFoundationError, RecordingError
from eegfoundation.fif import read_fif
from eegfoundation.gdf import read_gdf
from eegfoundation.isolated import read_isolated, refuse_bomb
from eegfoundation.paths import check_path

if TYPE_CHECKING:
    import mne

T = TypeVar("T")


@dataclass(kw_only=True)
class ReadingReport:
    """What is to be said about how a source was read."""

    format: str
    dropped: dict[str, str] = field(default_factory=dict)
    """Channels that were not even opened, with the reason."""
    contradictions: list[str] = field(default_factory=list)
    """Between names and positions, say."""
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What the reader warned about, without folders and personal data."""


class OpenedFile(NamedTuple):
    """A recording that is open but not loaded."""

    data: "mne.io.BaseRaw | mne.BaseEpochs"
    path: Path
    """The main file, where it is not the one that was asked for."""
    report: ReadingReport


# Gets the path, the channels that the user wants, and the report to write into.
_Reader = Callable[[Path, Sequence[str], ReadingReport], "mne.io.BaseRaw | mne.BaseEpochs"]


class _Format(NamedTuple):
    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    read: _Reader


def open_file(path: Path, wanted: Sequence[str] = ()) -> OpenedFile:
    """Open a recording with the reader that its header asks for; no signal is loaded.

    Parameters
    ----------
    path : Path
        A recording, or the data file beside its header.
    wanted : sequence of str
        Channels that the user asked for by name: opened whatever they seem to be.

    Returns
    -------
    OpenedFile

    Raises
    ------
    RecordingError
        If the file is missing, empty, damaged, of an unknown format, or not a recording.
    """
    check_path(path, RecordingError)
    path = _main_file(path)
    check_path(path, RecordingError)  # the header beside a data file may be anything, too
    if path.is_file() and path.stat().st_size == 0:
        raise RecordingError(f"{path.name} is empty (0 bytes): copy it again from its source.")
    chosen = _recognise(path)
    report = ReadingReport(format=chosen.name)
    data = quietly(lambda: chosen.read(path, wanted, report), path, report.warnings)
    return OpenedFile(data, path, report)


def quietly(read: Callable[[], T], path: Path, caught: list[str] | None = None) -> T:
    """Run a third-party reader: no output, its warnings collected, its errors in one sentence.

    Parameters
    ----------
    read : callable without arguments
        The work to do.
    path : Path
        What is read: its name goes into messages, its folder never does.
    caught : list of str, optional
        Receives the warnings, without folders and without those about personal data.

    Raises
    ------
    RecordingError
        If `read` raises anything but one of our own errors, MemoryError or KeyboardInterrupt.
    """
    with _silence() as messages:
        try:
            result, problem = read(), ""
        except (EEGFoundationError, MemoryError):
            raise
        except FileNotFoundError as error:
            problem = f"needs another file that is missing: {_one_line(str(error), path)}."
        except Exception as error:
            # Damaged files make vendor readers fail with anything from IndexError to struct.error.
            # Raised again below, where nothing holds on to the reader's open files any more.
            reason = f"{type(error).__name__}: {_one_line(str(error), path)}"
            problem = f"cannot be read, it seems damaged or incomplete ({reason})."
        if problem:
            raise RecordingError(f"{path.name} {problem}")
    if caught is not None:
        new = [_one_line(message, path) for message in messages]
        caught.extend(message for message in dict.fromkeys(new) if message not in caught)
    return result


@contextlib.contextmanager
def _silence() -> Iterator[list[str]]:
    """Keep prints, log lines and warnings of readers from the user; yield the warnings' texts."""
    import mne

    def drop(record: logging.LogRecord) -> bool:
        return False

    logger = logging.getLogger("mne")
    messages: list[str] = []
    logger.addFilter(drop)
    try:
        with (
            mne.use_log_level("WARNING"),  # above it, MNE does not issue warnings at all
            warnings.catch_warnings(record=True) as issued,
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("always")
            yield messages
        for warning in issued:
            text = str(warning.message)
            if issubclass(warning.category, RuntimeWarning | UserWarning) and not re.search(
                r"patient|subject|birth|naming conventions", text, re.IGNORECASE
            ):
                messages.append(text)
    finally:
        logger.removeFilter(drop)


def _one_line(text: str, path: Path) -> str:
    """Last meaningful line of a message (MNE's lazy imports add a traceback), without folders."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    text = lines[-1] if any(line.startswith("File ") for line in lines) else " ".join(lines)
    for folder in (path.absolute().parent, path.resolve().parent, path.parent):
        if folder.name:  # folders with blanks in their names; the rest are caught below
            text = text.replace(f"{folder}{os.sep}", "").replace(str(folder), "its folder")
    text = re.sub(r"(?:[A-Za-z]:)?[/\\](?:[^\s/\\'\",:]+[/\\])+", "", text)
    text = "".join(character for character in text if character.isprintable()).rstrip(". ")
    return text if len(text) <= 300 else text[:297] + "..."


def _main_file(path: Path) -> Path:
    """The file to open: for a data or marker file the header beside it."""
    suffix = path.suffix.lower()
    if path.is_dir():
        if suffix in _FOLDERS:
            return path
        raise RecordingError(f"{path.name} is a folder: give the path of one recording in it.")
    headers = {".vmrk": ".vhdr", ".eeg": ".vhdr", ".fdt": ".set", ".dat": ".lay"}
    if suffix in headers and not (suffix == ".eeg" and _is_nihon(_head(path))):
        header = _beside(path, headers[suffix])
        if suffix == ".dat":  # also an ending of BrainVision, and alone it may be Curry or BCI2000
            return header or _beside(path, ".vhdr") or path
        if header is None:
            raise RecordingError(
                f"{path.name} belongs to a {headers[suffix]} file that is not beside it: "
                "put both into one folder."
            )
        return header
    if suffix in (".21e", ".pnt", ".log", ".11d", ".cmt", ".cn2"):
        main = _beside(path, ".eeg")
        if main is not None or suffix != ".log":
            raise RecordingError(
                f"{path.name} is a side file of a Nihon Kohden recording: "
                f"give its main file {main.name if main else '(.EEG)'}."
            )
    return path


def _beside(path: Path, suffix: str) -> Path | None:
    """The file of the same stem with another ending, in either case."""
    found = (p for p in path.parent.iterdir() if p.stem == path.stem)
    return next((p for p in found if p.suffix.lower() == suffix), None)


def _head(path: Path) -> bytes:
    """The first bytes of a file, by which formats are told apart."""
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError as error:
        raise RecordingError(f"{path.name} cannot be opened: {error.strerror}.") from error


def _recognise(path: Path) -> _Format:
    suffix = ".fif.gz" if path.name.lower().endswith(".fif.gz") else path.suffix.lower()
    head = b"" if path.is_dir() else _head(path)
    for candidate in _FORMATS:
        if candidate.recognises(head) and suffix in candidate.suffixes:
            return candidate
    for candidate in _FORMATS:
        if candidate.recognises(head) and candidate.name in ("EDF", "BDF", "GDF"):
            raise RecordingError(
                f"{path.name} holds {candidate.name} data: "
                f"rename it to end in {candidate.suffixes[0]}."
            )
    for candidate in _FORMATS:
        if suffix in candidate.suffixes:
            raise RecordingError(
                f"{path.name} does not begin as {candidate.name} files do: "
                "it is something else with this ending, or damaged."
            )
    if suffix in _OTHER_SUFFIXES:
        return _Format(f"{suffix}, by MNE's own choice", (suffix,), bool, _by("read_raw"))
    known = ", ".join(dict.fromkeys(s for f in _FORMATS for s in f.suffixes))
    raise RecordingError(
        f"{path.name} is of an unknown type: expected one of {known}, "
        "or read it yourself and pass the array with its sfreq."
    )


def _read_cnt(path: Path, wanted: Sequence[str], report: ReadingReport) -> Any:
    import mne

    try:
        return mne.io.read_raw_cnt(path)
    except RuntimeError as error:
        if "data_format" not in str(error):
            raise
        # The header is at odds with the file's size (clipped files), so look at the samples.
        data_format = _cnt_data_format(path)
        report.notes.append(f"sample format taken from the samples: {data_format}")
        return mne.io.read_raw_cnt(path, data_format=data_format)


def _cnt_data_format(path: Path) -> str:
    """Neuroscan sample width: the one by which neighbouring samples are more alike."""
    with path.open("rb") as file:
        file.seek(370)
        n_chans = int.from_bytes(file.read(2), "little")
        file.seek(900 + 75 * n_chans)  # fixed header, then 75 bytes per channel
        data = file.read(2**18)

    def roughness(dtype: str) -> float:
        x = np.frombuffer(data[: len(data) // (4 * n_chans) * 4 * n_chans], dtype=dtype)
        x = x.reshape(-1, n_chans).astype(np.float64)
        spread = x.std(axis=0)
        return float(
            np.median(np.abs(np.diff(x, axis=0)).mean(axis=0)[spread > 0] / spread[spread > 0])
        )

    return "int32" if roughness("<i4") < roughness("<i2") else "int16"


def _read_brainvision(path: Path, wanted: Sequence[str], report: ReadingReport) -> Any:
    import mne

    text = path.read_text(encoding="latin-1")
    n_chans = re.search(r"^\s*NumberOfChannels\s*=\s*(\d+)", text, re.MULTILINE)
    if n_chans and int(n_chans[1]) > text.count("\n"):
        # MNE would make room for all of them before it looks for their names
        raise RecordingError(
            f"{path.name} announces {n_chans[1]} channels and does not describe as many: "
            "its header is damaged, copy it again."
        )
    return mne.io.read_raw_brainvision(path)


def _isolated(path: Path, wanted: Sequence[str], report: ReadingReport) -> Any:
    """Read by another process: see `isolated`."""
    return read_isolated(path, report)


def _read_ant(path: Path, report: ReadingReport) -> Any:
    import mne

    return mne.io.read_raw_ant(path)


def _read_eeglab(path: Path, report: ReadingReport) -> Any:
    import mne

    refuse_bomb(path)
    try:
        return mne.io.read_raw_eeglab(path)
    except TypeError as error:
        if "trials" not in str(error):
            raise
        return mne.read_epochs_eeglab(path)


#: What the other process runs, by the name of the format.
ISOLATED: dict[str, Callable[[Path, ReadingReport], Any]] = {
    "ANT": _read_ant,
    "EEGLAB": _read_eeglab,
}


def _by(reader: str) -> _Reader:
    """Read with `mne.io.<reader>`, which is looked up on use because MNE is slow to import."""

    def read(path: Path, wanted: Sequence[str], report: ReadingReport) -> Any:
        import mne

        return getattr(mne.io, reader)(path)

    return read


def _starts(*magic: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.removeprefix(b"\xef\xbb\xbf").startswith(magic)


_is_nihon = _starts(b"EEG-1100", b"EEG-1200", b"EEG-2100", b"QI-403A", b"DAE-2100")

_FORMATS = (
    _Format("EDF", (".edf",), _starts(b"0       "), read_edf),
    _Format("BDF", (".bdf",), _starts(b"\xffBIOSEMI"), read_edf),
    _Format("BrainVision", (".vhdr", ".ahdr"), _starts(b"Brain Vision", b"BrainVision"),
            _read_brainvision),
    _Format("EEGLAB", (".set",), _starts(b"MATLAB"), _isolated),
    _Format("FIF", (".fif", ".fif.gz"), _starts(b"\0\0\0\x64\0\0\0\x1f", b"\x1f\x8b"), read_fif),
    _Format("GDF", (".gdf",), _starts(b"GDF "), read_gdf),
    _Format("Neuroscan", (".cnt",), _starts(b"Version 3.0"), _read_cnt),
    _Format("ANT", (".cnt",), lambda h: _starts(b"RIFF", b"RF64")(h) and b"CNT" in h[:16],
            _isolated),
    _Format("EGI raw", (".raw",), lambda h: 2 <= int.from_bytes(h[:4], "big") <= 7,
            read_egi),
    _Format("EGI mff", (".mff",), lambda h: not h, _by("read_raw_egi")),
    _Format("Nihon Kohden", (".eeg",), _is_nihon, _by("read_raw_nihon")),
    _Format("Persyst", (".lay",), _starts(b"[FileInfo]"), _by("read_raw_persyst")),
)  # fmt: skip
_FOLDERS = (".mff", ".mefd", ".ds")
# Curry, BCI2000, NEDF, MEF3, Nicolet, Eximia: MNE's own dispatcher knows them, our tests do not.
_OTHER_SUFFIXES = (".cdt", ".dap", ".rs3", ".dat", ".nedf", ".mefd", ".ds", ".data", ".nxe", ".ns3")
