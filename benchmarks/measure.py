"""What all benchmarks measure with: alternating runs, peak memory, the machine, the last line.

A figure that we quote is a ratio taken in one run, because the machine may be shared and its clock
varies: the rivals run in turn, A B C, C B A, A B C, ..., so that what slows one round slows all of
it, and the medians over the rounds are compared.

    times = alternate({"ours": run_ours, "roformer": run_roformer}, repeats=5)
    report({"vs_roformer": ratio(times, "roformer", "ours"), **seconds(times)})

Memory is the peak of a process of its own (`in_child`): a peak cannot be reset, and the memory of
one rival would count for the next.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "mne", "numpy", "scipy", "braindecode", "onnxruntime")
CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")


# ---- time ---------------------------------------------------------------------------------------


def alternate(
    runs: Mapping[str, Callable[[], object]], repeats: int = 5, *, warm_up: int = 1
) -> dict[str, list[float]]:
    """Wall-clock seconds of every run, all of them in turn.

    Parameters
    ----------
    runs : mapping of callables without arguments
        What to time. A run on a GPU has to synchronise itself.
    repeats : int
        Rounds; every second one goes backwards.
    warm_up : int
        Rounds before that are not counted: caches, lazy imports, kernels chosen at the first call.

    Returns
    -------
    times : dict of lists of ``repeats`` seconds, in the order of ``runs``
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(-warm_up, repeats):
        for name in list(runs)[:: -1 if i % 2 else 1]:
            gc.collect()  # not in the middle of a rival's run
            began = time.perf_counter()
            result = runs[name]()
            took = time.perf_counter() - began
            del result
            if i >= 0:
                times[name].append(took)
    return times


def ratio(times: Mapping[str, Sequence[float]], slower: str, faster: str) -> float:
    """How many times faster ``faster`` is: median over median."""
    return statistics.median(times[slower]) / statistics.median(times[faster])


def seconds(times: Mapping[str, Sequence[float]], suffix: str = "_s") -> dict[str, float]:
    """Median of every run, under its name with ``suffix``."""
    return {name + suffix: statistics.median(values) for name, values in times.items()}


# ---- memory -------------------------------------------------------------------------------------


def rss_mb(pid: int | str = "self") -> float:
    """Resident memory of a process now, by default of this one, in MiB (Linux only)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_rss_mb() -> float:
    """Highest resident memory that this process has had, in MiB.

    On Linux not from `resource`: a new process inherits that of the one which started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def in_child(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, float]:
    """Call a function in a fresh process.

    Parameters
    ----------
    function : callable
        At the top level of a module (it is found again by name); likewise for what it takes and
        returns: it has to be picklable.

    Returns
    -------
    result : what the function returns
    peak_mb : float
        Peak memory of the process in MiB, imports and libraries included. Subtract the peak of a
        function that only imports to get the work's own.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(_call, function, args, kwargs).result()


def _call(function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, float]:
    return function(*args, **kwargs), peak_rss_mb()


# ---- machine and report -------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """What the figures depend on: processor, memory, system, versions, threads, present load."""
    import torch

    cpu, flags = _cpu()
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        cores = os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": cpu,
        "cpu_flags": flags,
        "cores": cores,
        "threads": torch.get_num_threads(),
        "memory_gb": round(memory, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
        "load": round(os.getloadavg()[0], 2),
    }


def _cpu() -> tuple[str, list[str]]:
    """Model of the processor, and those of its instruction sets that matter here."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine(), []
    lines = cpuinfo.read_text().splitlines()
    fields = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    known = fields.get("flags", "").split()
    return fields.get("model name", platform.machine()), [x for x in CPU_FLAGS if x in known]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def report(figures: Mapping[str, Any]) -> None:
    """Print the figures as JSON, the last line of every benchmark: four significant digits."""
    print(json.dumps({key: _rounded(value) for key, value in figures.items()}), flush=True)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {key: _rounded(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(x) for x in value]
    return value
