"""Commands in processes of their own that are killed at some moment, with SIGKILL.

A fork server imports what they need once, so that a command begins at once and a random moment of
its life is a moment of its work. As most of that is computing, moments are also counted in what is
done to files: opened for writing, renamed, removed.
"""

import json
import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_IMPORTED = (
    *("torch", "pandas", "sklearn.linear_model", "matplotlib.figure", "transformers"),
    *("eegfoundation.cli", "eegfoundation.models", "eegfoundation.finetuning.fitting"),
    *("eegfoundation.pretraining.trainer", "eegfoundation.evaluation.rows"),
    *("eegfoundation.evaluation.compare", "eegfoundation.report.figures", "mne", "torch.export"),
)


@dataclass
class Ended:
    """How a command ended."""

    code: int | None
    """None: it was killed."""
    said: str
    seconds: float
    n_events: int
    """What it did to files; unknown (0) if it was killed."""


class Launcher:
    """Starts commands; all share a cache of context vectors in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(_IMPORTED))

    def __call__(self, argv, out, *, patch=None, after=None, at_event=None):
        """Run a command that writes to `out`; kill it after so many seconds, or at an event."""
        log, events = self._folder / "stderr", self._folder / "events"
        events.write_text("0")
        settings = {"cache": str(self._folder / "cache"), "patch": patch, "at_event": at_event}
        arguments = (list(map(str, argv)), str(out), log, events, settings)
        process = self._context.Process(target=_run, args=arguments)
        began = time.monotonic()
        process.start()
        process.join(after)
        if process.is_alive():
            process.kill()
        process.join()
        took = time.monotonic() - began
        code = None if process.exitcode == -signal.SIGKILL else process.exitcode
        return Ended(code, log.read_text(), took, int(events.read_text()))


def _run(argv, out, log, events, settings):
    """In the process itself."""
    import torch

    from eegfoundation.cli import main

    os.environ["EEGFOUNDATION_CACHE"] = settings["cache"]
    torch.set_num_threads(1)
    with open(log, "w") as file, open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(file.fileno(), 2)
        sys.stderr = file
        if settings["patch"] is not None:
            settings["patch"]()
        counted = _count_events(out, settings["at_event"])
        code = main(argv)
        file.flush()
        events.write_text(str(counted[0]))
        os._exit(code)  # not the exit handlers of the fork server


def _count_events(out, last):
    """Count what is done to files whose names begin with `out`; the `last` of it is never done."""
    counted = [0]

    def watch(event, args):
        if event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"):
            return
        if event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR):
            return
        if isinstance(args[0], int) or not os.fsdecode(args[0]).startswith(out):
            return
        counted[0] += 1
        if counted[0] == last:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    return counted


def contents(folder):
    """Every file below a folder, by its name there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def without_columns(*columns):
    """Take columns out of a CSV file (bytes to bytes)."""

    def strip(content):
        rows = [line.split(",") for line in content.decode().splitlines()]
        kept = [i for i, name in enumerate(rows[0]) if name not in columns]
        return "\n".join(",".join(row[i] for i in kept if i < len(row)) for row in rows).encode()

    return strip


def without_keys(*keys):
    """Take keys, at any depth, out of a JSON file (bytes to bytes)."""

    def cleaned(value):
        if isinstance(value, dict):
            return {name: cleaned(one) for name, one in value.items() if name not in keys}
        return [cleaned(one) for one in value] if isinstance(value, list) else value

    return lambda content: json.dumps(cleaned(json.loads(content))).encode()
