"""Folds side by side, also of several configurations: as one program where the backend can, else one by one."""

import time
from collections.abc import Sequence

import numpy as np

from aio_tune.training.backend import can_stack
from aio_tune.training.fold import FoldReport, FoldTrainer
from aio_tune.training.stacked import StackedProgram

DEVICE_PICTURES = 2 * 2**30
"""Bytes of all folds' pictures, of the training or the validation rows, that are drawn at once and kept on the device
where folds are stacked; more are drawn batch by batch."""


def train_lockstep(trainers: Sequence[FoldTrainer], epoch: int) -> list[FoldReport]:
    """Train every fold to ``epoch``; reports in the same order.

    One after the other on this process's cores; with the JAX backend together, those that stand at the same epoch, have
    programs of one structure and batches alike: the same outcome within rounding, in one program whose steps fill a GPU
    better. They may be of several configurations.

    Raises:
        TrialError: the loss of a fold is not finite any more.
    """
    if not can_stack():
        return [trainer.train_to(epoch) for trainer in trainers]
    groups: dict[tuple[str | int, ...], list[FoldTrainer]] = {}
    for trainer in trainers:
        alike = (trainer.program.structure, trainer.epoch, *trainer.program.batches(len(trainer.spec.train)))
        groups.setdefault(alike, []).append(trainer)
    reports: dict[int, FoldReport] = {}
    for group in groups.values():
        together = len(group) > 1 and group[0].epoch < epoch
        done = train_stacked(group, epoch) if together else [trainer.train_to(epoch) for trainer in group]
        reports |= {id(trainer): report for trainer, report in zip(group, done, strict=True)}
    return [reports[id(trainer)] for trainer in trainers]


def train_stacked(trainers: Sequence[FoldTrainer], epoch: int) -> list[FoldReport]:
    """Train folds of one structure, at one epoch and with batches of one size as one; needs the JAX backend.

    Raises:
        TrialError: the loss of a fold is not finite any more; the folds are then of no further use.
    """
    began = time.perf_counter()
    kept = DEVICE_PICTURES // len(trainers)
    program = trainers[0].program
    stack = StackedProgram(program, [trainer.state for trainer in trainers])
    train = stack.pictures([trainer.training_pictures(kept) for trainer in trainers])
    valid = stack.pictures([trainer.validation_pictures(kept) for trainer in trainers])
    answers = stack.answers([trainer.answers() for trainer in trainers])
    batches, size = program.batches(len(trainers[0].spec.train))
    probabilities = []
    while trainers[0].epoch < epoch:
        orders = [trainer.next_order()[: batches * size].reshape(batches, size) for trainer in trainers]
        on_device = stack.train_epoch(train, answers, np.stack(orders))
        probabilities = stack.predict(valid)  # before the losses are read: the device need not wait
        losses = [float(loss) for loss in np.asarray(on_device)]
        for trainer, loss in zip(trainers, losses, strict=True):
            trainer.check(loss)
        for trainer, loss, mine in zip(trainers, losses, probabilities, strict=True):
            trainer.note_epoch(loss, mine)
    for trainer, state in zip(trainers, stack.states(), strict=True):
        trainer.state = state
    seconds = (time.perf_counter() - began) / len(trainers)
    return [trainer.report(mine, seconds) for trainer, mine in zip(trainers, probabilities, strict=True)]
