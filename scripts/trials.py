"""One trial: feed something to an entry point in a process of its own, and judge what came out.

The process is forked after everything is imported, so that thousands of trials take minutes. It has
a time limit, its address space is limited, its highest resident memory is measured, and where a
damage asks for it, it gives up its rights: permissions do not bind root.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

SECONDS = 60.0
PEAK_GB = 2.0
#: Address space beyond what the imports take: a last resort that keeps this machine alive.
ADDRESS_GB = 6.0
NOBODY = 65534
PRECIOUS = "an earlier result\n"


class Outcome(NamedTuple):
    """What a process left behind."""

    code: int
    """Exit code; negative: the signal that ended it."""
    stdout: str
    stderr: str
    seconds: float
    peak_gb: float
    timed_out: bool


def run_forked(work: Callable[[], int], folder: Path, *, as_nobody: bool = False) -> Outcome:
    """Run `work` in a fork; its result is the exit code, an exception what Python makes of it."""
    begin = time.monotonic()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _become(folder, as_nobody)
        code = 1
        try:
            code = work()
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code & 0xFF)
    timed_out = False
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            break
        if not timed_out and time.monotonic() - begin > SECONDS:
            timed_out = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        time.sleep(0.005)
    return Outcome(
        code=os.waitstatus_to_exitcode(status),
        stdout=(folder / "stdout").read_text("utf-8", "replace"),
        stderr=(folder / "stderr").read_text("utf-8", "replace"),
        seconds=time.monotonic() - begin,
        peak_gb=usage.ru_maxrss / 2**20,
        timed_out=timed_out,
    )


def _become(folder: Path, as_nobody: bool) -> None:
    """Own process group, output into files, limits, and no rights if asked."""
    os.setsid()
    os.chdir(folder)
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(file, number)
        os.close(file)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    status = Path("/proc/self/status").read_text()
    virtual = int(re.search(r"VmSize:\s+(\d+)", status)[1]) * 1024
    limit = virtual + int(ADDRESS_GB * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if as_nobody and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def digests(folder: Path) -> dict[str, str]:
    """Checksum of every file below a folder, links and pipes by name only."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            found[str(path)] = "no file"
        elif path.stat().st_size < 50_000_000:
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def judge(outcome: Outcome, out: Path, expect: str) -> str | None:
    """Say what is wrong with an outcome; None if nothing is."""
    said = outcome.stderr
    last = said.strip().splitlines()[-1] if said.strip() else ""
    if outcome.timed_out:
        return f"hung for {SECONDS:g} s"
    if outcome.code < 0:
        return f"the interpreter died of {signal.Signals(-outcome.code).name}"
    if "Traceback" in said:
        return f"traceback: {last[:300]}"
    if outcome.peak_gb > PEAK_GB:
        return f"took {outcome.peak_gb:.1f} GB"
    if re.search(r"MemoryError|into memory|Unable to allocate|can't allocate memory", said):
        return f"ran out of memory: {last[:300]}"
    if re.search(r"RuntimeWarning|encountered in|DeprecationWarning|Exception ignored", said):
        return f"noise of a library: {said.strip()[:300]}"
    if outcome.code not in (0, 2):
        return f"exit code {outcome.code}: {last[:300]}"
    if outcome.code == 2:
        # the parser of arguments says "error: ", and where in several lines
        from_parser = re.search(r"^error: ", said, re.MULTILINE)
        if not from_parser and not re.fullmatch(r"eegfoundation: .{15,900}[.?):]", last):
            return f"no clear sentence: {last[:300]!r}"
        if expect == "result":
            return f"refused what can be read: {last[:300]}"
    elif expect == "refusal":
        return f"accepted what has to be refused: {outcome.stdout.strip()[:200]}"
    return _judge_files(out)


def _judge_files(out: Path) -> str | None:
    if not out.exists():
        return None
    for path in sorted(out.rglob("*")):
        if re.search(r"\.(unfinished|tmp|partial)$", path.name):
            return f"left {path.name} behind"
        if path.is_symlink() or not path.is_file() or "checkpoint-" in path.parent.name:
            continue  # checkpoints of Trainer are not ours
        if path.name == "precious.txt":
            if path.read_text() != PRECIOUS:
                return "an earlier result is lost"
            continue
        try:
            problem = _CHECKS.get(path.suffix, _nothing)(path)
        except Exception as error:  # whatever a broken file makes of a reader
            problem = f"{type(error).__name__}: {error}"
        if problem:
            return f"{path.name} is no whole result: {problem}"
    if (out / "owned").exists() or (out.parent / "owned").exists():
        return "code from a file was run"
    return None


def _nothing(path: Path) -> None:
    return None


def _npz(path: Path) -> str | None:
    with np.load(path, allow_pickle=False) as file:
        content = {name: file[name] for name in file.files}
    if "values" in content:
        good = content["quality"] > 0
        if content["values"].shape[:2] != good.shape:
            return "shapes disagree"
        if not np.isfinite(content["values"][good]).all():
            return "not finite where quality is above 0"
    if "input_ids" in content:
        ids = content["input_ids"]
        if ids.size and not (ids.min() >= 0 and ids.max() < 2006):
            return "tokens outside the vocabulary"
    return None


def _csv(path: Path) -> str | None:
    import pandas as pd

    if path.name == "failures.csv":
        text = path.read_text("utf-8")
        unforeseen = re.search(r"unexpected \w+: ", text)  # the words of `process_recording`
        return f"unforeseen: {text.strip()[-300:]}" if unforeseen else None
    table = pd.read_csv(path)
    p = table.filter(regex="^p_").to_numpy(float)
    if p.size:
        known = ~np.isnan(p).any(1)
        if not np.allclose(p[known].sum(1), 1, atol=1e-3):
            return "probabilities do not sum to 1"
    return None


def _html(path: Path) -> str | None:
    return None if path.read_text("utf-8").rstrip().endswith("</html>") else "cut"


def _png(path: Path) -> str | None:
    return None if b"IEND" in path.read_bytes()[-12:] else "cut"


def _weights(path: Path) -> None:
    if path.suffix == ".pth":
        import torch

        torch.load(path, weights_only=True)
    else:
        from safetensors.numpy import load_file

        load_file(path)


def _json(path: Path) -> None:
    json.loads(path.read_text("utf-8"))


_CHECKS: dict[str, Callable[[Path], str | None]] = {
    ".npz": _npz,
    ".npy": lambda path: None if np.load(path, allow_pickle=False).ndim else "no array",
    ".csv": _csv,
    ".json": _json,
    ".html": _html,
    ".png": _png,
    ".pth": _weights,
    ".safetensors": _weights,
}
