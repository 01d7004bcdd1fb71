"""Damaged surroundings: the input is sound, but the folder for the results is not.

Each gets the command (a callable that takes the output folder and gives the exit code) and the
folder of the trial; it prepares the surroundings within the trial's own process, where limits may
be set for good, and runs the command once or several times.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from . import EITHER, REFUSAL, RESULT, Damages

place = Damages(group="place")

Command = Callable[[Path], int]


def _limit_files(n_bytes: int) -> None:
    """No file may grow beyond this: writing fails as on a full disk, with another number."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


def _full_disk(folder: Path, size: str) -> bool:
    """Mount a small disk of its own over a folder; False where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    new_namespace, private, recursive = 0x00020000, 1 << 18, 1 << 14
    if libc.unshare(new_namespace) or libc.mount(None, b"/", None, private | recursive, None):
        return False
    return not libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, f"size={size}".encode())


@place("disk full from the beginning", REFUSAL, quick=True)
def _(command: Command, out: Path) -> int:
    if _full_disk(out, "16k"):
        with contextlib.suppress(OSError), (out / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1024))
    else:
        _limit_files(0)
    return command(out / "new")


@place("disk full after 24 kB", EITHER)
def _(command: Command, out: Path) -> int:
    if not _full_disk(out, "24k"):
        _limit_files(24 * 1024)
    return command(out / "new")


@place("disk full after 400 kB", EITHER)
def _(command: Command, out: Path) -> int:
    if not _full_disk(out, "400k"):
        _limit_files(400 * 1024)
    return command(out / "new")


@place("files may have 10 kB at most", EITHER)
def _(command: Command, out: Path) -> int:
    _limit_files(10 * 1024)
    return command(out / "new")


@place("read-only folder", REFUSAL, quick=True)
def _(command: Command, out: Path) -> int:
    out.chmod(0o555)
    _drop_rights()
    return command(out / "new")


@place("folder of another, existing", REFUSAL)
def _(command: Command, out: Path) -> int:
    (out / "new").mkdir(mode=0o555)
    _drop_rights()
    return command(out / "new")


def _drop_rights() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


@place("output folder is a file", REFUSAL)
def _(command: Command, out: Path) -> int:
    return command(out / "precious.txt")


@place("output folder below a file", REFUSAL)
def _(command: Command, out: Path) -> int:
    return command(out / "precious.txt" / "deeper")


@place("output folder is a link to nothing", EITHER)
def _(command: Command, out: Path) -> int:
    (out / "new").symlink_to("nowhere")
    return command(out / "new")


@place("output folder is /dev/null", REFUSAL)
def _(command: Command, out: Path) -> int:
    return command(Path("/dev/null"))


@place("output folder's name is too long", REFUSAL)
def _(command: Command, out: Path) -> int:
    return command(out / ("n" * 300))


@place("output folder's name is empty", EITHER)
def _(command: Command, out: Path) -> int:
    os.chdir(out)
    return command(Path(""))


@place("result is there already", EITHER, quick=True)
def _(command: Command, out: Path) -> int:
    first = command(out / "new")
    before = {path: path.read_bytes() for path in (out / "new").rglob("*") if path.is_file()}
    second = command(out / "new")
    after = {path: path.read_bytes() for path in (out / "new").rglob("*") if path.is_file()}
    lost = sorted(str(p.name) for p, content in before.items() if after.get(p) != content)
    assert not lost, f"an earlier result is lost: {lost}"
    assert first == 0
    return second


@place("killed before, left unfinished", RESULT, not_for=("pretrain", "finetune"))
def _(command: Command, out: Path) -> int:
    (out / "new").mkdir()
    for name in ("sub-01_embeddings.npz", "sub-01_predictions.csv", "sub-01_tokens.npz"):
        (out / "new" / f"{name}.unfinished").write_bytes(b"half")
    code = command(out / "new")
    for left in (out / "new").glob("*.unfinished"):
        if left.read_bytes() == b"half":
            left.unlink()  # of another process, perhaps at work
    return code


@place("stopped by SIGTERM", EITHER, quick=True)
def _(command: Command, out: Path) -> int:
    timer = threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    try:
        code = command(out / "new")
        timer.cancel()
    except KeyboardInterrupt:  # it came between the end of the command and ours
        return 0
    return 0 if code == 130 else code


@place("stopped by SIGINT", EITHER)
def _(command: Command, out: Path) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        code = command(out / "new")
        timer.cancel()
    except KeyboardInterrupt:
        return 0
    return 0 if code == 130 else code


@place("two runs at once", EITHER, quick=True)
def _(command: Command, out: Path) -> int:
    """One may be refused, but what is there in the end is whole."""
    other = os.fork()
    if other == 0:
        code = 1
        with contextlib.suppress(BaseException):
            code = command(out / "new")
        os._exit(code)
    code = command(out / "new")
    _, status = os.waitpid(other, 0)
    second = os.waitstatus_to_exitcode(status)
    assert {code, second} <= {0, 2}, f"exit codes {code} and {second}"
    assert 0 in (code, second), "both were refused"
    return 0


@place("output folder vanishes meanwhile", EITHER)
def _(command: Command, out: Path) -> int:
    def vanish() -> None:
        deadline = time.monotonic() + 20
        while not (out / "new").exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        shutil.rmtree(out / "new", ignore_errors=True)

    threading.Thread(target=vanish, daemon=True).start()
    return command(out / "new")


@place("standard output is closed", EITHER)
def _(command: Command, out: Path) -> int:
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing, 1)
    sys.stdout = os.fdopen(1, "w")
    code = command(out / "new")
    return 0 if code == 141 else code


@place("standard output is full", EITHER)
def _(command: Command, out: Path) -> int:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    sys.stdout = os.fdopen(1, "w")
    return command(out / "new")


@place("locale without UTF-8", EITHER)
def _(command: Command, out: Path) -> int:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="ascii", errors="strict")
    return command(out / "new-é")
