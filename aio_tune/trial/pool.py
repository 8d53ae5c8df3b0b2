"""The workers of one trial slot."""

import os
import time
from collections.abc import Sequence
from typing import Any

from aio_tune.errors import AioTuneError, SearchError, TrialError
from aio_tune.trial.facts import Assignment, TrialContext
from aio_tune.trial.files import disk_is_full, full_disk
from aio_tune.trial.worker import FoldWorker

# How often a rung is begun when a worker is lost, before the trial is given up.
TRIES = 3
# Before the second try where memory was short, and twice that before the third, s: what others took may come back, and
# a new worker would only make it shorter.
PAUSE = 10


class WorkerPool:
    """The fold workers of one trial at a time: started when first needed, replaced when lost.

    Args:
        context: what the trials share.
        spares: workers that were started ahead on this machine, one for each fold in parallel, to begin with; if one
            of them is of no use, none is.
    """

    def __init__(self, context: TrialContext, spares: Sequence[Any] = ()) -> None:
        import ray

        self._context = context
        self._workers: list[Any] = list(spares) or [None] * context.folds_in_parallel
        try:
            ray.get([spare.take.remote(context, os.getpid()) for spare in spares])
        except ray.exceptions.RayError:
            self.close()

    def train(self, task: Assignment, folds: Sequence[int], epoch: int) -> list[dict[str, Any]]:
        """Train the folds to ``epoch``, fold k on worker k modulo the number of workers.

        Raises:
            TrialError: a fold cannot go on, or a worker was lost ``TRIES`` times running.
            SearchError: the disk is full or no worker can be started, which no other trial would survive either.
        """
        import ray

        for attempt in range(1, TRIES + 1):
            try:
                return self._train_once(task, folds, epoch)
            except ray.exceptions.RayTaskError as error:
                raise self._explain(error) from error
            except (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError) as error:
                self.close()
                if getattr(error, "actor_init_failed", False):
                    raise SearchError(
                        f"Expected a process that can train folds. Received: {gist(error)}",
                        "Mend the machine, or ask for other resources with --set, and go on with --resume.",
                    ) from error
                if attempt == TRIES:
                    raise TrialError(f"A fold's process was lost {TRIES} times running: {gist(error)}") from error
                if isinstance(error, ray.exceptions.OutOfMemoryError):
                    time.sleep(PAUSE * attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _explain(self, error: Any) -> AioTuneError:
        if isinstance(error.cause, TrialError):
            return error.cause
        folder = self._context.trials_folder
        if disk_is_full(folder, error.cause):
            # What the workers hold is ahead of what is on the disk.
            self.close()
            return full_disk(folder)
        return TrialError(f"Training failed: {gist(error)}")

    def _train_once(self, task: Assignment, folds: Sequence[int], epoch: int) -> list[dict[str, Any]]:
        import ray

        shares = [folds[i :: len(self._workers)] for i in range(len(self._workers))]
        calls = [self._worker(i).train.remote(task, list(share), epoch) for i, share in enumerate(shares) if share]
        try:
            results = [result for part in ray.get(calls) for result in part]
        except ray.exceptions.RayTaskError:
            self._end_busy(calls)
            raise
        return sorted(results, key=lambda result: result["fold"])

    def _end_busy(self, calls: Sequence[Any]) -> None:
        """One fold has failed: what still trains the others would go on to write where the trial is cleared away."""
        import ray

        done, _ = ray.wait(list(calls), num_returns=len(calls), timeout=0, fetch_local=False)
        for i, call in enumerate(calls):
            if call not in done:
                self._end(i)

    def replace_worn(self) -> None:
        """Between two trials: end the workers that have grown too much; new ones are started when needed."""
        import ray

        for i, worker in enumerate(self._workers):
            try:
                worn = worker is not None and ray.get(worker.worn.remote())
            except (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError):
                worn = True
            if worn:
                self._end(i)

    def _worker(self, index: int) -> Any:
        if self._workers[index] is None:
            import ray

            context = self._context
            # Ray's memory monitor ends the newest process first: a worker, since each of these is younger than its
            # coordinator, whose loss would cost more. With max_restarts workers would come before all others, but Ray
            # would not say any more why one was lost, and begin to start a second one where memory is short.
            actor = ray.remote(FoldWorker).options(num_cpus=context.cpus_per_fold, num_gpus=context.gpus_per_fold)
            self._workers[index] = actor.remote(
                context.cpus_per_fold, context.gpus_per_fold, context.deterministic, context
            )
        return self._workers[index]

    def close(self) -> None:
        """End the workers; the next ``train`` starts new ones."""
        for i in range(len(self._workers)):
            self._end(i)

    def _end(self, index: int) -> None:
        if self._workers[index] is not None:
            import ray

            ray.kill(self._workers[index])
            self._workers[index] = None


def gist(error: BaseException) -> str:
    """What went wrong, in one line, of an error whose text has many."""
    import ray

    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # A traceback ends with it. Ray's report of a shortage of memory begins with it and ends with advice.
    where = 0 if isinstance(error, ray.exceptions.OutOfMemoryError) else -1
    return lines[where] if lines else type(error).__name__
