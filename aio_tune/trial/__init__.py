"""One trial: one configuration, trained on K folds, climbing the rungs.

    facts    what a trial is asked (Assignment), shares with the others (TrialContext) and tells (RungReport)
    files    what a trial leaves in its folder
    worker   FoldWorker: trains folds, in a process of its own
    pool     WorkerPool: the workers of one trial slot, replaced when they are lost or worn
    climb    TrialRun: from rung to rung

The trial itself is a light coordinator that never imports TensorFlow. Its folds train in child actors, ``FoldWorker``,
placed within the trial's placement group: a worker lost to the kernel, to Ray's memory monitor or with its node costs
one rung of its folds, not the trial, and the workers stay for the next trial, which saves it the import of TensorFlow.
"""

from aio_tune.trial.climb import TrialRun
from aio_tune.trial.facts import Assignment, RungReport, SharedMatrix, Split, TrialContext
from aio_tune.trial.files import drop_checkpoints, fold_folder, trial_folder
from aio_tune.trial.pool import TRIES, WorkerPool, gist
from aio_tune.trial.worker import FoldWorker

__all__ = [
    "TRIES",
    "Assignment",
    "FoldWorker",
    "RungReport",
    "SharedMatrix",
    "Split",
    "TrialContext",
    "TrialRun",
    "WorkerPool",
    "drop_checkpoints",
    "fold_folder",
    "gist",
    "trial_folder",
]
