"""The process that trains folds; the only one of a search that holds TensorFlow."""

import contextlib
import gc
import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aio_tune.errors import TrialError
from aio_tune.trial.facts import Assignment, TrialContext
from aio_tune.trial.files import CHECKPOINT, fold_folder

_log = logging.getLogger(__name__)

# A worker is worn whose resident memory, but for what it keeps on purpose, has grown by this factor since it was warm:
# of every network that it has traced TensorFlow keeps 5 to 8 MiB and twice the weights for as long as it lives.
WORN = 1.15
# Trials that make a worker warm; until then it grows by what it loads, not by what it leaks.
WARM_UP = 5
# Between two looks for garbage, s: layers and their network refer to each other, so that an ended trial's can only be
# found by looking through everything, which takes 0.1 s, a twentieth of a short trial.
COLLECT_EVERY = 5.0


class FoldWorker:
    """Trains folds, in a process of its own; the only process of a search that holds TensorFlow.

    Keeps the folds of the trial it works on, so that the next rung goes on where the last one ended; picks a fold up
    from its checkpoint when it does not have it.

    Args:
        threads, gpu_share, deterministic: as of ``configure_backend``.
        context: what it trains for; None where it is started before that is known, and told by ``take``.
    """

    def __init__(
        self, threads: int, gpu_share: float, deterministic: bool, context: TrialContext | None = None
    ) -> None:
        from aio_tune.training import configure_backend

        if not gpu_share:
            # Asking Ray for no GPU no longer hides them.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        # What the libraries make lives as long as the process. To look through it for garbage takes a tenth of the
        # seconds that TensorFlow's import takes, and 0.3 s after every trial.
        gc.disable()
        configure_backend(threads, gpu_share, deterministic)
        gc.freeze()
        gc.enable()
        self._trial = -1
        self._trainers: dict[int, Any] = {}
        self._wear = _Wear()
        self._collected = time.monotonic()
        if context is not None:
            self._open(context)

    def take(self, context: TrialContext, coordinator: int) -> None:
        """Begin to work for a coordinator, given by its process id on this machine, and end when that ends.

        Ray ends an actor with whoever started it; this one was started by the driver.
        """
        self._open(context)
        threading.Thread(target=_end_with, args=(coordinator,), daemon=True).start()

    def _open(self, context: TrialContext) -> None:
        from aio_tune.training import Shelf

        self._context = context
        self._expression = context.expression.open()
        self._shelf = Shelf()

    def train(self, task: Assignment, folds: Sequence[int], epoch: int) -> list[dict[str, Any]]:
        """Train ``folds`` of a trial to ``epoch``; returns one dictionary of results per fold.

        Raises:
            TrialError: the network cannot be built, or the loss is not finite.
        """
        from aio_tune.training import train_lockstep

        if task.trial != self._trial:
            self._begin(task.trial)
        trainers = [self._trainer(task, fold) for fold in folds]
        reports = train_lockstep(trainers, epoch)
        for trainer, fold in zip(trainers, folds, strict=True):
            folder = fold_folder(self._context.trials_folder, task.trial, fold)
            trainer.save(folder)
            if epoch == self._context.rungs[-1][1]:
                trainer.export(folder)
        return [{**asdict(report), "where": _here()} for report in reports]

    def worn(self) -> bool:
        """Whether this process has grown so much that a new one should take the next trial."""
        return self._wear.worn

    def devices(self) -> str | None:
        """The GPUs that this process may see, as CUDA is told."""
        return os.environ.get("CUDA_VISIBLE_DEVICES")

    def _begin(self, trial: int) -> None:
        self._trainers.clear()
        if self._trial >= 0:
            if time.monotonic() > self._collected + COLLECT_EVERY or self._wear.is_worn(self._leaks()):
                gc.collect()
                self._collected = time.monotonic()
            self._wear.note(self._leaks())
        self._trial = trial

    def _leaks(self) -> int:
        """Resident memory, bytes, but for what is kept on purpose."""
        return _resident_bytes() - self._shelf.nbytes

    def _trainer(self, task: Assignment, fold: int) -> Any:
        from aio_tune.training import FoldSpec, FoldTrainer

        if fold not in self._trainers:
            context = self._context
            train, valid = context.splits[task.split][fold]
            # All folds of a trial are one program: building and tracing it once saves seconds per fold.
            other = next(iter(self._trainers.values()), None)
            trainer = FoldTrainer(
                task.params,
                self._expression,
                context.labels,
                FoldSpec(fold, train, valid),
                context.classes,
                seed=context.seed + task.split,
                layout_cache=context.layouts_folder,
                program=other.program if other else None,
                kinds=context.kinds,
                auxiliary=context.auxiliary,
                shelf=self._shelf,
            )
            folder = fold_folder(context.trials_folder, self._trial, fold)
            if (folder / CHECKPOINT).exists():
                _restore(trainer, folder)
            self._trainers[fold] = trainer
        return self._trainers[fold]


class _Wear:
    """How much a process has grown since it was warm."""

    def __init__(self) -> None:
        self._trials = 0
        self._warm = 0
        self.worn = False

    def note(self, resident: int) -> None:
        """Take the resident memory, bytes, after a trial."""
        self._trials += 1
        if self._trials <= WARM_UP:
            self._warm = max(self._warm, resident)
        self.worn = self.is_worn(resident)

    def is_worn(self, resident: int) -> bool:
        """Whether a process of that resident memory would be."""
        return self._trials >= WARM_UP and resident > WORN * self._warm


def _restore(trainer: Any, folder: Path) -> None:
    """Go on from a checkpoint; from the start, with the same outcome, if a crash of the machine damaged it."""
    try:
        trainer.restore(folder)
    except TrialError as error:
        _log.warning("Fold %s starts again: %s", trainer.spec.fold, error)


def _end_with(process: int) -> None:
    """Wait for the end of another process, then end this one."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(process).wait()
    os._exit(1)


def _resident_bytes() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def _here() -> str:
    return f"{os.uname().nodename}:{os.getpid()}"
