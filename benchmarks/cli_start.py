"""How long until something happens: `eegfoundation --help` and `import eegfoundation`.

    python benchmarks/cli_start.py [--repeats 15]

Medians of fresh processes, Python's own start included; `python -c pass` is timed between them and
printed as ``python_s``, the part that nothing here can change. The first round is not counted: it
compiles what has no byte code yet and fills the cache of the disk.

The last line is JSON: {"help_s": ..., "import_s": ..., "embed_help_s": ..., "python_s": ...}.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from measure import alternate, report, seconds

COMMANDS = {
    "help": ("-m", "eegfoundation.cli", "--help"),
    "embed_help": ("-m", "eegfoundation.cli", "embed", "--help"),
    "import": ("-c", "import eegfoundation"),
    "python": ("-c", "pass"),
}


def run(*arguments: str) -> None:
    """Start Python and wait for its end."""
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    runs = {name: lambda command=command: run(*command) for name, command in COMMANDS.items()}
    report(seconds(alternate(runs, args.repeats)))


if __name__ == "__main__":
    main()
