"""What takes long to start, started while other things are made ready: a Ray, and fold workers with TensorFlow.

A search that begins needs three things that take seconds each and not one another: MLflow with its store, Ray, and a
process that has imported TensorFlow. One after the other they take twice as long as together.
"""

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from aio_tune.search.cluster import cluster, concurrency, ended_as_by_ctrl_c, node_resources
from aio_tune.search_space import SearchSpec
from aio_tune.trial import FoldWorker


class Ahead:
    """A cluster that is being connected to, for as many runs as come; the first of them has the workers.

    Args:
        starting: gives the fold workers as soon as Ray is there.
    """

    def __init__(self, starting: "Future[tuple[Any, ...]]") -> None:
        self._starting = starting
        self._taken = False

    def take(self) -> tuple[Any, ...]:
        """Wait for Ray; the workers the first time, none after that.

        Raises:
            SearchError: as ``cluster``.
        """
        spares = self._starting.result()
        first, self._taken = not self._taken, True
        return spares if first else ()


@contextlib.contextmanager
def started_ahead(address: str, spec: SearchSpec) -> Iterator[Ahead]:
    """Connect to a cluster in another thread, and leave it at the end.

    On a Ray of this machine alone, and without GPUs, fold workers are started as soon as it is there, as many as will
    train at one time. Elsewhere a trial's placement decides where its workers run and which GPU they see. These hold no
    CPU, since the trial that takes them over has reserved it. Where memory is short Ray's monitor ends the newest
    process first, which beside one of these is its trial's coordinator: the trial is then begun again with workers of
    its own.

    Args:
        address: as of ``cluster``.
        spec: of the first search that is to run there.
    """
    # The thread outlives the connection: the kernel kills Ray's processes as soon as the thread that started them ends
    # (PR_SET_PDEATHSIG), and ray.shutdown would wait for them in vain.
    with ended_as_by_ctrl_c(), ThreadPoolExecutor(1) as thread, contextlib.ExitStack() as connected:

        def start() -> tuple[Any, ...]:
            connected.enter_context(cluster(address))
            return _start_workers(spec) if address == "local" and not spec.resources.gpus_per_fold else ()

        starting = thread.submit(start)
        try:
            yield Ahead(starting)
        finally:
            # What is interrupted while Ray starts leaves it only when it is there.
            wait([starting])


@contextlib.contextmanager
def joined(address: str | Ahead) -> Iterator[tuple[Any, ...]]:
    """A cluster for the length of a run, and the workers that were started there ahead.

    One that was started ahead is left as it is, but for its workers that nobody took over.
    """
    if isinstance(address, str):
        with cluster(address), ended_as_by_ctrl_c():
            yield ()
        return
    spares = address.take()
    with ended_as_by_ctrl_c():
        yield spares
    _end(spares)


def _start_workers(spec: SearchSpec) -> tuple[Any, ...]:
    import ray

    resources = spec.resources
    trials = min(spec.trials, concurrency(spec, node_resources()))
    actor = ray.remote(FoldWorker).options(num_cpus=0)
    return tuple(
        actor.remote(resources.cpus_per_fold, 0.0, spec.deterministic)
        for _ in range(trials * resources.folds_in_parallel)
    )


def _end(workers: tuple[Any, ...]) -> None:
    import ray

    for worker in workers:
        ray.kill(worker)
