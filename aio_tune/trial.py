"""One trial: one configuration, trained on K folds, climbing the rungs.

The trial itself is a light coordinator that never imports TensorFlow. Its folds train in child actors, ``FoldWorker``,
placed within the trial's placement group: a worker lost to the kernel, to Ray's memory monitor or with its node costs
one rung of its folds, not the trial, and the workers stay for the next trial, which saves it the import of TensorFlow.

Everything a rung leaves is in the trial's folder before the rung is reported::

    trials/00007/params.json
    trials/00007/rung_1.json        the report, as it goes to the ledger
    trials/00007/fold_0/...         that fold's weights, optimizer, epoch and fitted preprocessing
    trials/00007/oof.npz            out-of-fold probabilities, after the last rung
"""

import json
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aio_tune.errors import TrialError

if TYPE_CHECKING:
    import ray

# How often a rung is begun again after a worker was lost, before the trial is given up.
TRIES = 3
# The file that a fold's checkpoint consists of, or that names its others; see aio_tune.training.fold.
CHECKPOINT = "state.json"


@dataclass(frozen=True)
class RungReport:
    """What one trial tells at one rung.

    Attributes:
        rung: from 0.
        folds: the folds in play.
        epoch: the epoch they were trained to.
        value: mean of the search's metric over these folds; None where it is undefined on one of them.
        seconds: training time since the rung before, summed over the folds.
        parameters: weights of one fold's network.
        fold_metrics: fold -> metric -> value, on that fold's validation rows.
        curves: fold -> curve -> one value per epoch, for the epochs after ``from_epoch``.
        from_epoch: epoch up to which the folds' curves were reported before (0 for a fold new at this rung).
        where: fold -> host and process that trained it.
    """

    rung: int
    folds: tuple[int, ...]
    epoch: int
    value: float | None
    seconds: float
    parameters: int
    fold_metrics: dict[str, dict[str, float]]
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    from_epoch: dict[str, int] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {**asdict(self), "folds": list(self.folds)}

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> "RungReport":
        return cls(**{**facts, "folds": tuple(facts["folds"])})


@dataclass(frozen=True)
class TrialContext:
    """What all trials of a search share; small, but for the references to what lies in Ray's object store.

    Attributes:
        expression: reference to float32 (n, genes), log2(TPM+1): one read-only copy per node.
        labels: int8 class indices, shape (n,).
        folds: K pairs (training rows, validation rows).
        classes: class names.
        metric: the number that is reported.
        rungs: pairs (folds, epoch).
        seed: of weights, dropout and the order of batches.
        deterministic: bit-identical results on the same machine, at the price of speed.
        trials_folder: where each trial keeps its folder.
        layouts_folder: cache of fitted layouts.
        folds_in_parallel: workers of one trial.
        cpus_per_fold: CPUs and TensorFlow threads of one worker.
        gpus_per_fold: share of a GPU of one worker; 0 hides the GPUs from it.
    """

    expression: "ray.ObjectRef[npt.NDArray[np.float32]]"
    labels: npt.NDArray[np.int8]
    folds: tuple[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], ...]
    classes: tuple[str, ...]
    metric: str
    rungs: tuple[tuple[int, int], ...]
    seed: int
    deterministic: bool
    trials_folder: Path
    layouts_folder: Path
    folds_in_parallel: int
    cpus_per_fold: int
    gpus_per_fold: float


class FoldWorker:
    """Trains folds, in a process of its own; the only process of a search that holds TensorFlow.

    Keeps the folds of the trial it works on, so that the next rung goes on where the last one ended; picks a fold up
    from its checkpoint when it does not have it.
    """

    def __init__(self, context: TrialContext) -> None:
        import ray

        from aio_tune.training import configure_backend

        configure_backend(context.cpus_per_fold, context.gpus_per_fold, context.deterministic)
        self._context = context
        self._expression: npt.NDArray[np.float32] = ray.get(context.expression)
        self._trial = -1
        self._trainers: dict[int, Any] = {}

    def train(self, trial: int, params: dict[str, Any], folds: Sequence[int], epoch: int) -> list[dict[str, Any]]:
        """Train ``folds`` of ``trial`` to ``epoch``; returns one dictionary of results per fold.

        Raises:
            TrialError: the network cannot be built, or the loss is not finite.
        """
        from aio_tune.training import train_lockstep

        if trial != self._trial:
            self._begin(trial)
        trainers = [self._trainer(params, fold) for fold in folds]
        reports = train_lockstep(trainers, epoch)
        for trainer, fold in zip(trainers, folds, strict=True):
            folder = fold_folder(self._context.trials_folder, trial, fold)
            trainer.save(folder)
            if epoch == self._context.rungs[-1][1]:
                trainer.export(folder)
        return [{**asdict(report), "where": _here()} for report in reports]

    def _begin(self, trial: int) -> None:
        from aio_tune.training import release

        self._trainers.clear()
        release()
        self._trial = trial

    def _trainer(self, params: dict[str, Any], fold: int) -> Any:
        from aio_tune.training import FoldSpec, FoldTrainer

        if fold not in self._trainers:
            context = self._context
            train, valid = context.folds[fold]
            # All folds of a trial are one program: building and tracing it once saves seconds per fold.
            other = next(iter(self._trainers.values()), None)
            trainer = FoldTrainer(
                params,
                self._expression,
                context.labels,
                FoldSpec(fold, train, valid),
                context.classes,
                seed=context.seed,
                layout_cache=context.layouts_folder,
                program=other.program if other else None,
            )
            folder = fold_folder(context.trials_folder, self._trial, fold)
            if (folder / CHECKPOINT).exists():
                trainer.restore(folder)
            self._trainers[fold] = trainer
        return self._trainers[fold]


class WorkerPool:
    """The fold workers of one trial at a time: started when first needed, replaced when lost."""

    def __init__(self, context: TrialContext) -> None:
        self._context = context
        self._workers: list[Any] = [None] * context.folds_in_parallel

    def train(self, trial: int, params: dict[str, Any], folds: Sequence[int], epoch: int) -> list[dict[str, Any]]:
        """Train the folds to ``epoch``, fold k on worker k modulo the number of workers.

        Raises:
            TrialError: a fold cannot go on, or a worker was lost ``TRIES`` times running.
        """
        import ray

        for attempt in range(1, TRIES + 1):
            try:
                return self._train_once(trial, params, folds, epoch)
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, TrialError):
                    raise error.cause from None
                raise TrialError(f"Training failed: {_last_line(error)}") from error
            except (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError) as error:
                self.close()
                if attempt == TRIES:
                    raise TrialError(f"A fold's process was lost {TRIES} times running: {_last_line(error)}") from error
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _train_once(self, trial: int, params: dict[str, Any], folds: Sequence[int], epoch: int) -> list[dict[str, Any]]:
        import ray

        shares = [folds[i :: len(self._workers)] for i in range(len(self._workers))]
        calls = [
            self._worker(i).train.remote(trial, params, list(share), epoch) for i, share in enumerate(shares) if share
        ]
        results = [result for part in ray.get(calls) for result in part]
        return sorted(results, key=lambda result: result["fold"])

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


class TrialRun:
    """One trial on its way up the rungs."""

    def __init__(self, context: TrialContext, pool: WorkerPool, number: int, params: dict[str, Any]) -> None:
        self._context = context
        self._pool = pool
        self._number = number
        self._params = params
        self._folder = trial_folder(context.trials_folder, number)
        self._folder.mkdir(parents=True, exist_ok=True)
        _write_json(self._folder / "params.json", params)
        self._rung = 0

    def next_rung(self) -> RungReport:
        """Train to the next rung and report it; a rung that was trained before is reported from its file.

        Raises:
            TrialError: the trial cannot go on.
        """
        rung = self._rung
        self._rung += 1
        path = self._folder / f"rung_{rung}.json"
        if path.exists():
            return RungReport.from_facts(json.loads(path.read_text()))
        n_folds, epoch = self._context.rungs[rung]
        results = self._pool.train(self._number, self._params, range(n_folds), epoch)
        report = self._report(rung, epoch, results)
        if rung == len(self._context.rungs) - 1:
            self._write_out_of_fold(results)
        _write_json(path, report.facts())
        return report

    def _report(self, rung: int, epoch: int, results: list[dict[str, Any]]) -> RungReport:
        before = self._context.rungs[rung - 1] if rung else (0, 0)
        from_epoch = {str(r["fold"]): before[1] if r["fold"] < before[0] else 0 for r in results}
        values = [float(r["metrics"][self._context.metric]) for r in results]
        mean = float(np.mean(values))
        return RungReport(
            rung=rung,
            folds=tuple(r["fold"] for r in results),
            epoch=epoch,
            value=None if math.isnan(mean) else mean,
            seconds=float(sum(r["seconds"] for r in results)),
            parameters=int(results[0]["parameters"]),
            fold_metrics={str(r["fold"]): dict(r["metrics"]) for r in results},
            curves={
                str(r["fold"]): {name: curve[from_epoch[str(r["fold"])] :] for name, curve in r["curves"].items()}
                for r in results
            },
            from_epoch=from_epoch,
            where={str(r["fold"]): r["where"] for r in results},
        )

    def _write_out_of_fold(self, results: list[dict[str, Any]]) -> None:
        labels = self._context.labels
        probabilities = np.full((len(labels), len(self._context.classes)), np.nan, dtype=np.float32)
        fold_of = np.full(len(labels), -1, dtype=np.int8)
        for result in results:
            valid = self._context.folds[result["fold"]][1]
            probabilities[valid] = result["probabilities"]
            fold_of[valid] = result["fold"]
        temporary = self._folder / "oof.tmp.npz"
        np.savez_compressed(temporary, probabilities=probabilities, labels=labels, fold=fold_of)
        temporary.replace(self._folder / "oof.npz")


def trial_folder(trials_folder: Path, number: int) -> Path:
    """Where trial ``number`` keeps what it leaves."""
    return trials_folder / f"{number:05d}"


def fold_folder(trials_folder: Path, number: int, fold: int) -> Path:
    """Where one fold of a trial keeps its checkpoint and, in the end, its model."""
    return trial_folder(trials_folder, number) / f"fold_{fold}"


def drop_checkpoints(trials_folder: Path, number: int, keep_models: bool) -> None:
    """Remove the fold checkpoints of a trial that ended; with the optimizer's slots they are thrice a network's size.

    Args:
        trials_folder: where all trials are.
        number: the trial's.
        keep_models: keep what the finished folds exported; else nothing of the folds stays.
    """
    for folder in trial_folder(trials_folder, number).glob("fold_*"):
        if not keep_models:
            shutil.rmtree(folder)
            continue
        # The arrays last: a checkpoint is what its first file says.
        for path in (folder / CHECKPOINT, *folder.glob("state_*.npz")):
            path.unlink(missing_ok=True)


def _last_line(error: BaseException) -> str:
    """What went wrong, of an error whose text is a traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _write_json(path: Path, content: Any) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, allow_nan=True))
    temporary.replace(path)


def _here() -> str:
    return f"{os.uname().nodename}:{os.getpid()}"
