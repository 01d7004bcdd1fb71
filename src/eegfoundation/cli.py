"""The command line: one function per command, whose signature and docstring are its interface.

Values come from flags or from a YAML file (``--config``). Only light modules are imported before a
command runs, so that help appears at once.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any, get_type_hints

from jsonargparse import ArgumentParser

from eegfoundation import __version__
from eegfoundation.corpus.builder import build_corpus
from eegfoundation.demo import demo
from eegfoundation.embedding import embed_files
from eegfoundation.errors import EEGFoundationError
from eegfoundation.evaluation.run import evaluate
from eegfoundation.finetuning.run import finetune
from eegfoundation.info import info
from eegfoundation.prediction import predict_files
from eegfoundation.pretraining.run import pretrain
from eegfoundation.report import report
from eegfoundation.tokens import tokenize_files

COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": demo,
    "embed": embed_files,
    "predict": predict_files,
    "tokenize": tokenize_files,
    "info": info,
    "build-corpus": build_corpus,
    "pretrain": pretrain,
    "finetune": finetune,
    "evaluate": evaluate,
    "report": report,
}

#: Arguments without a flag: how many values they take ("+": one or more), and their help.
POSITIONAL: dict[str, tuple[str | None, str]] = {
    "files": ("+", "recordings"),
    "sources": ("+", 'folders, files, or quoted patterns such as "data/S0[1-7]_*.edf"'),
    "file": (None, "a recording"),
    "target": (None, "a recording, the name or folder of an encoder, or a configuration (.json)"),
}


def build_parser() -> ArgumentParser:
    """Make the parser of `COMMANDS`."""
    parser = ArgumentParser(
        prog="eegfoundation",
        version=__version__,
        description="A foundation model for EEG. Not a medical device.",
        allow_abbrev=False,  # --wind must not silently mean --window
    )
    commands = parser.add_subcommands(dest="command", required=True)
    for name, function in COMMANDS.items():
        command = ArgumentParser(allow_abbrev=False)
        command.add_argument("--config", action="config", help="YAML file with these settings")
        skip: set[str | int] = set()
        for argument in POSITIONAL.keys() & function.__annotations__.keys():
            nargs, text = POSITIONAL[argument]
            command.add_argument(argument, nargs=nargs, metavar=argument.upper(), help=text)
            skip = {argument}
        # As text, jsonargparse would resolve them by importing what stands under TYPE_CHECKING:
        # PyTorch and all, for a page of help.
        function.__annotations__ = get_type_hints(function)
        command.add_function_arguments(function, skip=skip)
        summary = (function.__doc__ or "").partition("\n")[0]
        command.description = summary
        commands.add_subcommand(name, command, help=summary)
    return parser


def main(args: list[str] | None = None) -> int:
    """Run a command; an error that the user can mend is one sentence and exit code 2."""
    values = build_parser().parse_args(args)
    settings = vars(values[values.command]).copy()
    settings.pop("config")
    with warnings.catch_warnings():
        warnings.showwarning = _print_warning
        try:
            COMMANDS[values.command](**settings)
        except EEGFoundationError as error:
            print(f"eegfoundation: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("eegfoundation: interrupted; only finished results are kept.", file=sys.stderr)
            return 130
    return 0


def _print_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"eegfoundation: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
