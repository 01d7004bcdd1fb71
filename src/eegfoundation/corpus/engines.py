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
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any

from eegfoundation.corpus.process import Outcome, Task, process_recording, record_failure
from eegfoundation.errors import ConfigError, EEGFoundationError

CRASHED = "the reader crashed: the process died, by a fault in the reader or for lack of memory."
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
    waiting, suspects = deque(tasks), deque[Task]()
    workers = workers or available_cpus()
    while waiting or suspects:
        if not suspects:
            # When a process dies, each recording at work may be the reason: try them one by one.
            suspects.extend((yield from _run_pool(waiting, min(workers, len(waiting)))))
        else:
            for culprit in (yield from _run_pool(suspects, 1)):
                yield record_failure(culprit, CRASHED)


def _run_pool(waiting: deque[Task], workers: int) -> Generator[Outcome, None, list[Task]]:
    """Take tasks until there are none or a process died; return those that were at work then."""
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
    )
    running: dict[Future[Outcome], Task] = {}
    try:
        _check_start(pool)
        while waiting or running:
            while waiting and len(running) < workers:
                future = pool.submit(process_recording, waiting[0])
                running[future] = waiting.popleft()
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                outcome = future.result()
                del running[future]
                yield outcome
    except BrokenProcessPool:
        return list(running.values())
    except BaseException:  # interrupted, or the disk is full: nobody waits for the rest
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return []


def _check_start(pool: ProcessPoolExecutor) -> None:
    try:
        pool.submit(os.getpid).result()
    except BrokenProcessPool as error:
        raise EEGFoundationError(
            "worker processes cannot start: in a script of your own, call build_corpus below "
            "`if __name__ == '__main__':`, or pass workers=0."
        ) from error


def _start_worker() -> None:
    """Prepare a process: one thread, deaf to Ctrl-C (the builder ends it), and no orphan."""
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
