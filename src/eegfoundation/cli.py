"""The command line: one function per command, whose signature and docstring are its interface.

Values come from flags or from a YAML file (``--config``). Only light modules are imported before a
command runs, so that help appears at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, get_args, get_type_hints

from jsonargparse import ArgumentParser

from eegfoundation import __version__
from eegfoundation.conversion import convert_checkpoint
from eegfoundation.corpus.builder import build_corpus
from eegfoundation.demo import demo
from eegfoundation.embedding import embed_files
from eegfoundation.errors import ConfigError, EEGFoundationError, shortened
from eegfoundation.evaluation.run import evaluate
from eegfoundation.export.run import export_model
from eegfoundation.finetuning.run import finetune
from eegfoundation.info import info
from eegfoundation.outputs import disk_problem
from eegfoundation.paths import check_path
from eegfoundation.prediction import predict_files
from eegfoundation.pretraining.run import pretrain
from eegfoundation.report import report
from eegfoundation.streaming.run import stream
from eegfoundation.tokens import tokenize_files

COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": demo,
    "embed": embed_files,
    "predict": predict_files,
    "stream": stream,
    "tokenize": tokenize_files,
    "info": info,
    "build-corpus": build_corpus,
    "pretrain": pretrain,
    "finetune": finetune,
    "evaluate": evaluate,
    "convert": convert_checkpoint,
    "report": report,
    "export": export_model,
}

#: Arguments without a flag: how many values they take ("+": one or more), and their help.
POSITIONAL: dict[str, tuple[str | None, str]] = {
    "files": ("+", "recordings"),
    "sources": ("+", 'folders, files, or quoted patterns such as "data/S0[1-7]_*.edf"'),
    "file": (None, "a recording"),
    "checkpoint": (None, "name, folder or hub id of an encoder; folder or .pth of a classifier"),
    "source": (None, "folder of a RoFormer checkpoint, or the .pth of a classifier"),
    "target": (None, "a recording, the name or folder of an encoder, or a configuration (.json)"),
}


def build_parser(only: str | None = None) -> ArgumentParser:
    """Make the parser of `COMMANDS`; all of them take arguments, or `only` one.

    The arguments of a command take about 10 ms to make, and help of all would wait for every one.
    """
    parser = ArgumentParser(
        prog="eegfoundation",
        version=__version__,
        description="A foundation model for EEG. Not a medical device.",
        allow_abbrev=False,  # --wind must not silently mean --window
    )
    commands = parser.add_subcommands(dest="command", required=True)
    for name, function in COMMANDS.items():
        command = ArgumentParser(allow_abbrev=False)
        summary = (function.__doc__ or "").partition("\n")[0]
        command.description = summary
        commands.add_subcommand(name, command, help=summary)
        if only not in (None, name):
            continue
        command.add_argument("--config", action="config", help="YAML file with these settings")
        skip: set[str | int] = set()
        for argument in POSITIONAL.keys() & function.__annotations__.keys():
            nargs, text = POSITIONAL[argument]
            if signature(function).parameters[argument].default is None:
                nargs = "?"
            command.add_argument(argument, nargs=nargs, metavar=argument.upper(), help=text)
            skip = {argument}
        # As text, jsonargparse would resolve them by importing what stands under TYPE_CHECKING:
        # PyTorch and all, for a page of help.
        function.__annotations__ = get_type_hints(function)
        command.add_function_arguments(function, skip=skip)
    return parser


def main(args: list[str] | None = None) -> int:
    """Run a command; an error that the user can mend is one sentence and exit code 2."""
    args = sys.argv[1:] if args is None else args
    for output in (sys.stdout, sys.stderr):
        if hasattr(output, "reconfigure"):  # where letters are missing, a name must not end it all
            output.reconfigure(errors="backslashreplace")
    try:
        _check_settings(args)
        values = build_parser(args[0] if args else "").parse_args(args)
    except EEGFoundationError as error:
        return _fail(str(error))
    except (UnicodeDecodeError, RecursionError) as error:
        return _fail(f"the settings of --config cannot be read as YAML in UTF-8: {error}.")
    except OverflowError:  # hundreds of digits
        return _fail("one of the settings is a number of more than 1e308: give a smaller one.")
    except (AttributeError, LookupError, ValueError) as error:  # all that PyYAML makes of "!!int x"
        return _fail(f"one of the settings cannot be read as YAML: {error}.")
    settings = vars(values[values.command]).copy()
    settings.pop("config")
    if problem := _missing_value(COMMANDS[values.command], settings):
        return _fail(problem)
    if names := [name for name, value in settings.items() if "\0" in str(value)]:
        return _fail(f"{names[0]} holds a NUL character, which no name can have: remove it.")
    with warnings.catch_warnings():
        warnings.showwarning = _print_warning
        try:
            with _stoppable():
                COMMANDS[values.command](**settings)
        except EEGFoundationError as error:
            return _fail(str(error))
        except MemoryError:
            return _fail(
                "this did not fit into memory; close other programs, or give less at once."
            )
        except BrokenPipeError:  # of `| head`: nobody reads on
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # for Python's own last flush
            return 141
        except OSError as error:
            # Where it can be foreseen it has words of its own; disks fill up anywhere.
            what = f"{error.filename}: " if error.filename else ""
            return _fail(f"{what}{error.strerror or error}; check the disk and its permissions.")
        except Exception as error:
            if (sentence := disk_problem(error)) is None:
                raise
            return _fail(sentence)
        except KeyboardInterrupt:
            print("eegfoundation: interrupted; only finished results are kept.", file=sys.stderr)
            return 130
    return 0


def _check_settings(args: Sequence[str]) -> None:
    """Look at a settings file before it is parsed: a page of references may unfold to gigabytes."""
    import yaml

    for i, arg in enumerate(args):
        flag, _, value = arg.partition("=")
        path = Path(value or (args[i + 1] if i + 1 < len(args) else ""))
        if flag != "--config" or not os.path.exists(path):
            continue
        check_path(path, ConfigError)
        try:
            with path.open("rb") as file:
                events = yaml.parse(file, Loader=yaml.SafeLoader)
                has_reference = any(isinstance(event, yaml.AliasEvent) for event in events)
        except (OSError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"{path} cannot be read as YAML: {reason}.") from error
        if has_reference:
            raise ConfigError(f"{path} has references (*name); write the values themselves.")


def _missing_value(command: Callable[..., Any], settings: dict[str, Any]) -> str | None:
    """Say which setting was given without its value; the parser takes null for any of them."""
    for name, kind in get_type_hints(command).items():
        if settings.get(name, kind) is None and type(None) not in (kind, *get_args(kind)):
            return f"{name} has no value (null); give it one, or leave it out for its default."
    return None


def _fail(sentence: str) -> int:
    print(f"eegfoundation: {shortened(sentence)}", file=sys.stderr)
    return 2


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM (of `kill`, of a cluster) end a command as Ctrl-C does, leaving nothing half.

    Where Python swallows an interruption, as it does in the middle of tidying up, it comes again.
    """

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    def swallowed(unraisable: Any) -> None:
        if unraisable.exc_type is KeyboardInterrupt:
            threading.Timer(0.05, signal.raise_signal, (signal.SIGTERM,)).start()
        else:
            hook(unraisable)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, hook = signal.signal(signal.SIGTERM, stop), sys.unraisablehook
    sys.unraisablehook = swallowed
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, before)


def _print_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"eegfoundation: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
