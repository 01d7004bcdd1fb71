"""Paths that users give: looked at before they are opened.

A pipe waits for ever to be read and /dev/zero never ends, so neither is opened; what cannot even be
looked at gets one sentence.
"""

from __future__ import annotations

import stat
from pathlib import Path

from eegfoundation.errors import EEGFoundationError


def check_path(path: Path, error: type[EEGFoundationError]) -> None:
    """Refuse what is neither a file nor a folder.

    Parameters
    ----------
    path : Path
    error : type of EEGFoundationError
        Raised if there is nothing there, it may not be looked at, or it is a pipe or a device.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        link = "is a link to nothing" if path.is_symlink() else "does not exist"
        raise error(f"{path} {link}: check the path.") from None
    except OSError as reason:  # no permission, a circle of links, a network drive that is gone
        raise error(f"{path} cannot be opened: {reason.strerror or reason}.") from reason
    except ValueError:  # a NUL character
        raise error(f"{str(path)!r} cannot be the path of a file.") from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise error(f"{path} is a pipe or a device: expected a file or a folder.")


def expanded(path: str | Path) -> Path:
    """A path whose "~" is a home folder; as in a shell, what is nobody's home is left as it is."""
    try:
        return Path(path).expanduser()
    except (RuntimeError, ValueError):  # nobody's, or no name at all
        return Path(path)


def printable_name(path: Path) -> str:
    """Name of a file, which on Linux may be any bytes, as a text that any file can hold."""
    return path.name.encode("utf-8", "backslashreplace").decode()
