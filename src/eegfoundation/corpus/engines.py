"""Who does the work: processes of this machine, or a Ray cluster.

Both run `process_recording` once per recording and yield outcomes as they come. Both survive a
worker that dies (a crash in a vendor's reader, an out-of-memory kill): the recording is tried
again, and given up with a reason if the worker dies again.

Why processes and no threads: readers and filters hold the interpreter's lock, and only a process
can crash alone. Why "spawn": it behaves the same on every platform.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from eegfoundation.corpus.process import Outcome, Task, process_recording, record_failure
from eegfoundation.errors import ConfigError, EEGFoundationError

CRASHED = "the reader crashed: the process died, by a fault in the reader or for lack of memory."
_CANNOT_START = (
    "worker processes cannot start: in a script of your own, call build_corpus below "
    "`if __name__ == '__main__':`, or pass workers=0."
)
_RAY_RETRIES = 2

Outcomes = Generator[Outcome, None, None]


def available_cpus() -> int:
    """CPUs that this process may use: fewer than the machine has, in a batch job."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def process_pool(tasks: Sequence[Task], workers: int | None) -> Outcomes:
    """Work in `workers` processes; 0 works in this one, without protection against crashes."""
    if workers == 0:
        yield from map(process_recording, tasks)
        return
    lost = yield from _work_off(tasks, workers or available_cpus())
    # Once more, one by one: with the memory that the others needed
    for task in (yield from _work_off(lost, 1)):
        yield record_failure(task, CRASHED)


def _work_off(tasks: Sequence[Task], workers: int) -> Generator[Outcome, None, list[Task]]:
    """Yield outcomes as they come; return the tasks whose process died.

    Each process has a pipe of its own and shares nothing with the others, no queue and no lock
    (unlike those of `concurrent.futures`): whenever one dies, it takes only its own task with it.
    """
    waiting, lost = deque(tasks), list[Task]()
    processes: dict[Connection, BaseProcess] = {}
    at_work: dict[Connection, Task] = {}
    try:
        while waiting or at_work:
            while len(processes) < min(workers, len(waiting) + len(at_work)):
                pipe, process = _start_process()
                processes[pipe] = process
            ready = connection.wait(list(processes))
            for pipe in [pipe for pipe in processes if pipe in ready]:
                outcome: Outcome | EEGFoundationError | None = None
                try:
                    outcome = pipe.recv()  # None from a process that has just started
                    at_work.pop(pipe, None)
                    if waiting:
                        at_work[pipe] = waiting.popleft()
                        pipe.send(at_work[pipe])
                except (EOFError, OSError):
                    _end(pipe, processes.pop(pipe))
                    if pipe not in at_work:
                        raise EEGFoundationError(_CANNOT_START) from None
                    lost.append(at_work.pop(pipe))
                if isinstance(outcome, EEGFoundationError):
                    raise outcome
                if outcome is not None:
                    yield outcome
                if pipe in processes and pipe not in at_work:
                    _end(pipe, processes.pop(pipe))
    finally:  # also if interrupted, or if the disk is full: nobody waits for the rest
        for pipe, process in processes.items():
            _end(pipe, process)
    return lost


def _start_process() -> tuple[Connection, BaseProcess]:
    spawn = multiprocessing.get_context("spawn")
    pipe, end = spawn.Pipe()
    process = spawn.Process(target=_work, args=(end,))
    process.start()
    end.close()
    return pipe, process


def _end(pipe: Connection, process: BaseProcess) -> None:
    """End a process that is idle, dead or no longer wanted: what it wrote is complete or absent."""
    pipe.close()
    process.kill()
    process.join()


def _work(pipe: Connection) -> None:
    """Life of a process: one thread, deaf to Ctrl-C (the builder ends it), and no orphan."""
    from threadpoolctl import threadpool_limits

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # for libraries that are not loaded yet
    threadpool_limits(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def die_with_parent() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=die_with_parent, daemon=True).start()
    outcome: Outcome | EEGFoundationError | None = None
    while True:
        pipe.send(outcome)
        outcome = _process_or_say_why_not(pipe.recv())


def ray_cluster(tasks: Sequence[Task], workers: int | None) -> Outcomes:
    """Work on the Ray cluster of RAY_ADDRESS, or on a local one of `workers` processes.

    Every node needs this package and sees sources and corpus under the same paths.

    Raises
    ------
    ConfigError
        If Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "engine 'ray' needs Ray, which is not installed: pip install 'eegfoundation[ray]'."
        ) from error
    own = not ray.is_initialized()
    if own:
        address = os.environ.get("RAY_ADDRESS")
        options: dict[str, Any] = {} if address else {"num_cpus": workers or available_cpus()}
        ray.init(address=address, include_dashboard=False, log_to_driver=False, **options)
    lost = (
        ray.exceptions.WorkerCrashedError,
        ray.exceptions.OutOfMemoryError,
        ray.exceptions.NodeDiedError,
    )
    work = ray.remote(num_cpus=1, max_retries=_RAY_RETRIES)(_process_or_say_why_not)
    waiting, running = deque(tasks), dict[Any, Task]()
    try:
        while waiting or running:
            # Twice as many as can run: no node waits for the builder, none is flooded.
            limit = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
            while waiting and len(running) < limit:
                reference = work.remote(waiting[0])
                running[reference] = waiting.popleft()
            for done in ray.wait(list(running))[0]:
                task = running.pop(done)
                try:
                    outcome = ray.get(done)
                except lost:
                    outcome = record_failure(task, CRASHED)
                if isinstance(outcome, EEGFoundationError):
                    raise outcome
                yield outcome
    finally:
        if own:
            ray.shutdown()


def _process_or_say_why_not(task: Task) -> Outcome | EEGFoundationError:
    """Return the error that ends a build: raised, Ray would make another one of it."""
    try:
        return process_recording(task)
    except EEGFoundationError as error:
        return error


ENGINES: dict[str, Callable[[Sequence[Task], int | None], Outcomes]] = {
    "process": process_pool,
    "ray": ray_cluster,
}
