"""The workers of one trial slot."""

from collections.abc import Sequence
from typing import Any

from aio_tune.errors import AioTuneError, TrialError
from aio_tune.trial.facts import Assignment, TrialContext
from aio_tune.trial.files import disk_is_full, full_disk
from aio_tune.trial.worker import FoldWorker

# How often a rung is begun again after a worker was lost, before the trial is given up.
TRIES = 3


class WorkerPool:
    """The fold workers of one trial at a time: started when first needed, replaced when lost."""

    def __init__(self, context: TrialContext) -> None:
        self._context = context
        self._workers: list[Any] = [None] * context.folds_in_parallel

    def train(self, task: Assignment, folds: Sequence[int], epoch: int) -> list[dict[str, Any]]:
        """Train the folds to ``epoch``, fold k on worker k modulo the number of workers.

        Raises:
            TrialError: a fold cannot go on, or a worker was lost ``TRIES`` times running.
            SearchError: the disk is full, which no other trial would survive either.
        """
        import ray

        for attempt in range(1, TRIES + 1):
            try:
                return self._train_once(task, folds, epoch)
            except ray.exceptions.RayTaskError as error:
                raise self._explain(error) from error
            except (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError) as error:
                self.close()
                if attempt == TRIES:
                    raise TrialError(f"A fold's process was lost {TRIES} times running: {_last_line(error)}") from error
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _explain(self, error: Any) -> AioTuneError:
        if isinstance(error.cause, TrialError):
            return error.cause
        folder = self._context.trials_folder
        if disk_is_full(folder, error.cause):
            # What the workers hold is ahead of what is on the disk.
            self.close()
            return full_disk(folder)
        return TrialError(f"Training failed: {_last_line(error)}")

    def _train_once(self, task: Assignment, folds: Sequence[int], epoch: int) -> list[dict[str, Any]]:
        import ray

        shares = [folds[i :: len(self._workers)] for i in range(len(self._workers))]
        calls = [self._worker(i).train.remote(task, list(share), epoch) for i, share in enumerate(shares) if share]
        results = [result for part in ray.get(calls) for result in part]
        return sorted(results, key=lambda result: result["fold"])

    def replace_worn(self) -> None:
        """Between two trials: end the workers that have grown too much; new ones are started when needed."""
        import ray

        for i, worker in enumerate(self._workers):
            try:
                worn = worker is not None and ray.get(worker.worn.remote())
            except ray.exceptions.RayActorError:
                worn = True
            if worn:
                ray.kill(worker)
                self._workers[i] = None

    def _worker(self, index: int) -> Any:
        if self._workers[index] is None:
            import ray

            context = self._context
            actor = ray.remote(FoldWorker).options(num_cpus=context.cpus_per_fold, num_gpus=context.gpus_per_fold)
            self._workers[index] = actor.remote(context)
        return self._workers[index]

    def close(self) -> None:
        """End the workers; the next ``train`` starts new ones."""
        import ray

        for worker in self._workers:
            if worker is not None:
                ray.kill(worker)
        self._workers = [None] * len(self._workers)


def _last_line(error: BaseException) -> str:
    """What went wrong, of an error whose text is a traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
