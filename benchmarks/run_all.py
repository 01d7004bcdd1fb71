"""Run the benchmarks and write docs/benchmarks.md.

    python benchmarks/run_all.py                     # all of them; `make bench` does this
    python benchmarks/run_all.py --only cli_start    # these only; the others' rows stay
    python benchmarks/run_all.py --page              # the page again, from what was measured

Every script runs as a process of its own and prints its figures as JSON in its last line. They go
to ``benchmarks/results/<script>.json`` (with a GPU, ``<script>-gpu.json``) with the machine that
they were taken on, and from there to the page. A script that fails, or leaves out a figure that has
a target, is named at the end, the others are run all the same, and the exit status is 1. A target
that is missed is a result like another: the page says so, and the exit status does not change.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from measure import machine

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "benchmarks.md"


class Target(NamedTuple):
    """What a figure has to reach."""

    sense: str
    bound: float

    def met(self, value: float) -> bool:
        sense, bound = self
        return {
            ">=": value >= bound,
            ">": value > bound,
            "<=": value <= bound,
            "<": value < bound,
        }[sense]

    def __str__(self) -> str:
        return f"{self.sense} {self.bound:g}"


#: Script -> what it measures, in a line; and the figures that have a target.
BENCHMARKS: dict[str, tuple[str, dict[str, Target]]] = {
    "encoder_speed": (
        "published architecture and weights, against transformers' `RoFormerModel`",
        {
            "fp32_vs_roformer": Target(">=", 1.8),
            "max_abs_diff_fp32": Target("<=", 1e-5),
            "bf16_vs_roformer": Target(">=", 5),
            "gemm_fraction": Target(">=", 0.7),
            "peak_memory_ratio": Target("<=", 1 / 3),
        },
    ),
    "embed_speed": (
        "1 h of 19 channels embedded end to end, against the published architecture and "
        "braindecode's models",
        {
            "realtime_factor": Target(">=", 200),
            "vs_published_architecture": Target(">=", 500),
            "vs_labram": Target(">", 1),
            "vs_cbramod": Target(">", 1),
            "vs_biot": Target(">", 1),
            "vs_eegpt": Target(">", 1),
        },
    ),
    "preprocess_speed": (
        "1 h of 21 channels from EDF to windows, against MNE's default chain",
        {
            "vs_mne_default": Target(">=", 3),
            "memory_ratio": Target("<=", 0.5),
            "rms_difference": Target("<=", 0.01),
        },
    ),
    "tokenizer_speed": (
        "encode and decode, against one copy of the same bytes",
        {"fraction_of_copy": Target(">=", 0.3)},
    ),
    "pretrain_step": (
        "one training step, against transformers' `RoFormerForMaskedLM`",
        {"vs_roformer_step": Target(">=", 3), "mfu": Target(">=", 0.5)},
    ),
    "loader": (
        "windows per second from a corpus, against the training step that eats them",
        {"vs_step": Target(">=", 5), "rss_growth_mb": Target("<=", 10)},
    ),
    "stream_latency": (
        "19 channels at 250 Hz, a prediction every 100 ms, on one core",
        {"p95_ms": Target("<", 50), "cpu_share": Target("<", 0.4)},
    ),
    "cost_growth": (
        "time and memory of embedding, from 1 to 256 channels and from 1 s to 24 h",
        {
            "exponent_channels": Target("<=", 1.1),
            "exponent_length": Target("<=", 1.1),
            "peak_gb": Target("<", 2),
        },
    ),
    "cli_start": (
        "`eegfoundation --help` and `import eegfoundation`",
        {"help_s": Target("<", 0.5), "import_s": Target("<", 0.5)},
    ),
}

#: Figures that only a machine with a GPU gives.
GPU_ONLY = {"mfu"}
ON_GPU = "-gpu"  # results of one script on either kind of machine stand beside each other


# ---- running ------------------------------------------------------------------------------------


def run(script: str) -> str | None:
    """Run one benchmark and keep its figures; return what went wrong, None if nothing did."""
    path = HERE / f"{script}.py"
    if not path.exists():
        return "there is no such script"
    print(f"== {script}", flush=True)
    before = machine()  # its load is that of others
    began = time.perf_counter()
    lines = []
    command = [sys.executable, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode != 0:
        return f"exit status {process.returncode}"
    try:
        figures = json.loads(lines[-1])
    except (IndexError, json.JSONDecodeError):
        return "the last line is no JSON"
    absent = absent_figures(script, figures, before)
    if absent:
        return f"it printed no {', '.join(absent)}"
    took = round(time.perf_counter() - began)
    content = {"figures": figures, "machine": before, "took_s": took}
    RESULTS.mkdir(exist_ok=True)
    name = script + (ON_GPU if before["gpu"] else "")
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    return None


def absent_figures(script: str, figures: dict[str, Any], on: dict[str, Any]) -> list[str]:
    """Figures with a target that a script has not printed though the machine could give them."""
    needed = set(BENCHMARKS[script][1]) - (set() if on["gpu"] else GPU_ONLY)
    return sorted(needed - set(figures))


# ---- the page -----------------------------------------------------------------------------------

INTRODUCTION = """# Benchmarks

Written by `make bench` (`benchmarks/run_all.py`); do not edit. Every figure is a ratio or a median
of alternating runs, taken in one run of the script that is named, whose docstring says what exactly
is compared. What the figures mean and where the time goes: [performance.md](performance.md).
"""


def page(results: dict[str, dict[str, Any]]) -> str:
    """Markdown of all results (by name, see `read_results`), by machine."""
    parts = [INTRODUCTION]
    machines: dict[str, list[str]] = {}
    for script, result in results.items():
        machines.setdefault(describe(result["machine"]), []).append(script)
    for description, scripts in machines.items():
        parts.append(description)
        parts.append(target_table({script: results[script] for script in scripts}))
    parts.append("## All figures\n")
    for name, result in results.items():
        script, where = name.removesuffix(ON_GPU), ", on a GPU" if name.endswith(ON_GPU) else ""
        parts.append(f"**`{script}.py`{where}**: {BENCHMARKS[script][0]}.\n")
        parts.append(figure_table(result["figures"]))
    missing = [script for script in BENCHMARKS if script not in results]
    if missing:
        parts.append(f"Not measured yet: {', '.join(f'`{script}.py`' for script in missing)}.\n")
    return "\n".join(parts)


def describe(on: dict[str, Any]) -> str:
    """Heading and one paragraph about a machine; the load is not part of it."""
    flags = f" ({', '.join(on['cpu_flags'])})" if on["cpu_flags"] else ""
    versions = ", ".join(f"{name} {version}" for name, version in on["versions"].items())
    return (
        f"## {on['gpu'] or on['cpu']}, {on['cores']} cores\n\n"
        f"{on['cpu']}{flags}, {on['cores']} cores, {on['threads']} threads, "
        f"{on['memory_gb']} GB of memory, {'GPU ' + on['gpu'] if on['gpu'] else 'no GPU'}; "
        f"{on['os']}; Python {on['python']}, {versions}.\n"
    )


def target_table(results: dict[str, dict[str, Any]]) -> str:
    """Figures that have a target."""
    rows = [
        "| script | key | target | measured | met | load before |",
        "|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        script = name.removesuffix(ON_GPU)
        for key, target in BENCHMARKS[script][1].items():
            value = result["figures"].get(key)
            if value is None:
                measured, met = "needs a GPU", "-"
            else:
                measured, met = f"{value:.4g}", "yes" if target.met(value) else "**no**"
            load = result["machine"]["load"]
            rows.append(f"| `{script}.py` | `{key}` | {target} | {measured} | {met} | {load} |")
    return "\n".join(rows) + "\n"


def figure_table(figures: dict[str, Any]) -> str:
    """Everything that a script printed."""
    rows = ["| key | value |", "|---|---|"]
    rows += [f"| `{key}` | {cell(value)} |" for key, value in figures.items()]
    return "\n".join(rows) + "\n"


def cell(value: Any) -> str:
    """Value as a cell of a table."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {cell(x)}" for key, x in value.items())
    if isinstance(value, list):
        return ", ".join(map(cell, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def read_results() -> dict[str, dict[str, Any]]:
    """What has been measured, in the order of `BENCHMARKS`: name of the file -> what it holds."""
    names = [script + where for script in BENCHMARKS for where in ("", ON_GPU)]
    paths = {name: RESULTS / f"{name}.json" for name in names}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="SCRIPT", default=[])
    parser.add_argument("--page", action="store_true", help="write the page, measure nothing")
    args = parser.parse_args(argv)
    scripts = [] if args.page else args.only or list(BENCHMARKS)
    failed = {script: problem for script in scripts if (problem := run(script))}
    PAGE.write_text(page(read_results()))
    print(f"wrote {PAGE}")
    for script, problem in failed.items():
        print(f"FAILED {script}: {problem}; its row is not from this run.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
