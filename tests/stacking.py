"""Folds trained as one program beside the same folds alone: ``KERAS_BACKEND=jax python -m tests.stacking OUT``.

A process of its own, since Keras has one backend per process. Writes what it saw as JSON to ``OUT/seen.json``, and the
models of one case as ``OUT/fold_K/model.keras`` with their probabilities in ``OUT/probabilities.npz``.

Nearly all of its time is compilation, so each case has one shape of batches: an epoch is one step on all rows. Epochs
of several steps are trained with one network, in the functions after ``compare``, which all use what was compiled once.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aio_tune.errors import TrialError
from aio_tune.training import FoldSpec, FoldTrainer, Program, Shelf, input_shape, lockstep, train_lockstep
from tests.models.small import CLASSES, GENES, TINY, samples

X, GROUPS = samples(48, n_classes=3)
Y = (GROUPS > 0).astype(np.int8)  # not balanced, so that class weights are not one
ROWS = np.arange(len(Y))
GRADE = np.where(ROWS % 4 == 0, -1, ROWS % 3).astype(np.int8)
SEED = 3
EPOCHS = 6
SHELF = Shelf()
# Adam and RMSprop divide a gradient by its own size plus epsilon, so that with Keras' epsilon of 1e-7 a gradient that
# is zero but for rounding, some 1e-8, moves a weight by a good part of a whole step. There are such ones: what is added
# to a channel that is active in all rows is subtracted again by the next batch normalisation. Here epsilon is above all
# rounding.
NETWORK: dict[str, Any] = {**TINY, "fc_widths": (5, 4), "epsilon": 1e-3}
ONE_STEP = {"batch_size": 64}  # an epoch is one step on all rows
SEVERAL_STEPS = {"batch_size": 9}  # an epoch is four steps
# Every layer and every choice of the training.
CASES: dict[str, dict[str, Any]] = {
    "two branches, batch normalisation, Adam": {},
    "no batch normalisation, dropout of units, auxiliary task": {
        "batch_norm": False, "dropout": 0.3, "input_dropout": 0.3, "auxiliary_weight": 0.5,
    },
    "convolutions alone": {"branches": "conv", "depth": 2},
    "convolutions alone, Keras' own epsilon": {"branches": "conv", "depth": 2, "epsilon": 1e-7},
    "embedding alone, SGD with Nesterov momentum": {"branches": "embedding", "optimizer": "sgd"},
    "one dimension, AdamW, class weights, smooth labels": {
        "layout": "1d", "optimizer": "adamw", "weight_decay": 0.1, "class_weight": "balanced", "label_smoothing": 0.1,
    },
    "penalties, ordinal head, RMSprop with momentum": {
        "conv_l1": 1e-3, "conv_l2": 1e-2, "embedding_l1": 1e-3, "fc_l2": 1e-2, "head": "ordinal",
        "optimizer": "rmsprop", "momentum": 0.5,
    },
}  # fmt: skip


def folds(k: int = 4) -> list[FoldSpec]:
    """Of patients with two samples each."""
    return [FoldSpec(f, np.flatnonzero(ROWS // 2 % k != f), np.flatnonzero(ROWS // 2 % k == f)) for f in range(k)]


def trainers(
    params: dict[str, Any], specs: Sequence[FoldSpec], like: Sequence[FoldTrainer] | None = None
) -> list[FoldTrainer]:
    """Of every fold, with a program of their own or that of others, which need not be built again then."""
    whole = {**NETWORK, **params}
    auxiliary = [(GRADE, 3)] if "auxiliary_weight" in params else []
    shape = input_shape(whole, GENES)
    program = like[0].program if like else Program(whole, shape, len(CLASSES), [3] * len(auxiliary), SHELF)
    return [FoldTrainer(whole, X, Y, spec, CLASSES, seed=SEED, program=program, auxiliary=auxiliary) for spec in specs]


def differences(alone: Sequence[FoldTrainer], together: Sequence[FoldTrainer]) -> dict[str, float]:
    """Of each variable by its path, weights, averages, random states and slots: the largest of any fold and number."""
    paths = [variable.path for variable in alone[0].program.traced.variables]
    pairs = [
        [np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0) for a, b in zip(one, other, strict=True)]
        for one, other in zip((t.state for t in alone), (t.state for t in together), strict=True)
    ]
    return {path: float(max(of_folds)) for path, *of_folds in zip(paths, *pairs, strict=True)}


def largest(alone: Sequence[FoldTrainer], together: Sequence[FoldTrainer]) -> float:
    """The largest difference between any two numbers of the folds' states."""
    return max(differences(alone, together).values())


def compare(params: dict[str, Any]) -> dict[str, Any]:
    """After the first step and after six epochs: differences by variable, of probabilities and of losses."""
    specs = folds()
    begun = trainers({**params, **ONE_STEP}, specs)
    alone, together = (trainers({**params, **ONE_STEP}, specs, like=begun) for _ in range(2))
    seen: dict[str, Any] = {}
    for name, epochs in (("step", 1), ("epochs", EPOCHS)):
        first = [one.train_to(epochs) for one in alone]
        second = train_lockstep(together, epochs)
        seen[name] = differences(alone, together)
        seen[f"{name} moved"] = differences(begun, together)
        seen[f"{name} probabilities"] = max(
            float(np.abs(a.probabilities - b.probabilities).max()) for a, b in zip(first, second, strict=True)
        )
        seen[f"{name} losses"] = max(
            float(np.abs(np.subtract(a.curves["train_loss"], b.curves["train_loss"])).max())
            for a, b in zip(first, second, strict=True)
        )
        if name == "step" and begun[0].program.settings.optimizer == "adam":
            seen["gradients"] = _gradients_apart(alone, together)
            seen["from own gradients"] = {
                side: _apart_from_adam(begun, these) for side, these in (("alone", alone), ("together", together))
            }
    return seen


def _slots(trainer: FoldTrainer) -> list[tuple[str, int, int]]:
    """Of each trained variable: its path, its place in the state, and that of Adam's mean of its gradients."""
    model = trainer.program.traced.model
    place = {variable.path: i for i, variable in enumerate(trainer.program.traced.variables)}
    slots = zip(model.trainable_variables, model.optimizer._momentums, strict=True)
    return [(variable.path, place[variable.path], place[mean.path]) for variable, mean in slots]


def _gradients_apart(alone: Sequence[FoldTrainer], together: Sequence[FoldTrainer]) -> dict[str, float]:
    """Differences between the first step's gradients, by variable: Adam's first mean is a tenth of them."""
    return {
        path: max(
            float(np.abs(a.state[mean] - b.state[mean]).max()) / 0.1 for a, b in zip(alone, together, strict=True)
        )
        for path, _, mean in _slots(alone[0])
    }


def _apart_from_adam(begun: Sequence[FoldTrainer], stepped: Sequence[FoldTrainer]) -> dict[str, float]:
    """By variable: how far the weights after one step are from what Adam makes of the gradients that were seen."""
    settings = begun[0].program.settings
    epsilon = settings.epsilon / np.sqrt(1e-3)  # relative to the gradient, at the first step
    apart = {}
    for path, place, mean in _slots(begun[0]):
        of_folds = []
        for before, after in zip(begun, stepped, strict=True):
            gradient = after.state[mean].astype(np.float64) / 0.1
            expected = before.state[place] - settings.learning_rate * gradient / (np.abs(gradient) + epsilon)
            of_folds.append(float(np.abs(after.state[place] - expected).max()))
        apart[path] = max(of_folds)
    return apart


def grouped(all_folds: Sequence[FoldTrainer]) -> list[list[int]]:
    """Which folds would be trained as one program; none is trained."""
    groups: list[list[int]] = []

    def noted(group: Sequence[FoldTrainer], _: int) -> list[Any]:
        groups.append([one.spec.fold for one in group])
        return [None] * len(group)

    stacked, lockstep.train_stacked = lockstep.train_stacked, noted
    try:
        train_lockstep(all_folds, 1)
    finally:
        lockstep.train_stacked = stacked
    return groups


def uneven() -> dict[str, Any]:
    """Folds of other sizes: those whose batches are alike are trained together, the others alone."""
    specs = [*folds(), FoldSpec(4, ROWS[:20], ROWS[20:]), FoldSpec(5, ROWS[4:], ROWS[:4])]
    together = trainers(SEVERAL_STEPS, specs)
    alone = trainers(SEVERAL_STEPS, specs, like=together)
    groups = grouped(trainers(SEVERAL_STEPS, specs, like=together))
    reports = train_lockstep(together, 2)
    for one in alone:
        one.train_to(2)
    return {"order": [report.fold for report in reports], "groups": groups, "apart": largest(alone, together)}


def in_rungs(folder: Path) -> dict[str, Any]:
    """One epoch, a checkpoint, and on to three by other trainers; pictures that are too many to be kept."""
    specs = folds()
    straight = trainers(SEVERAL_STEPS, specs)
    begun, again = (trainers(SEVERAL_STEPS, specs, like=straight) for _ in range(2))
    train_lockstep(straight, 3)
    train_lockstep(begun, 1)
    for one, other in zip(begun, again, strict=True):
        one.save(folder / f"checkpoint_{one.spec.fold}")
        other.restore(folder / f"checkpoint_{one.spec.fold}")
    kept, lockstep.DEVICE_PICTURES = lockstep.DEVICE_PICTURES, 0
    try:
        reports = train_lockstep(again, 3)
    finally:
        lockstep.DEVICE_PICTURES = kept
    for one in again:
        one.export(folder / f"fold_{one.spec.fold}")
    np.savez(folder / "probabilities.npz", *[report.probabilities for report in reports])
    return {"apart": largest(straight, again), "epochs": [report.epoch for report in reports]}


def several_configurations(folder: Path) -> dict[str, Any]:
    """Folds of two configurations whose programs are of one shape, as one program; of a third shape, not with them."""
    specs = folds()
    faster = {**SEVERAL_STEPS, "learning_rate": 3e-2}
    slower = {
        "learning_rate": 1e-3, "batch_size": 10, "scaling": "minmax", "layout": "shuffled", "class_weight": "balanced",
    }  # fmt: skip
    together = [*trainers(faster, specs[:2]), *trainers(slower, specs[2:])]
    alone = [*trainers(faster, specs[:2], like=together), *trainers(slower, specs[2:], like=together[2:])]
    others = trainers({**SEVERAL_STEPS, "epsilon": 1e-2}, specs[:2])
    groups = grouped([*alone, *others])
    train_lockstep(together, 3)
    for one in alone:
        one.train_to(3)
    rate = next(
        i for i, variable in enumerate(together[0].program.traced.variables) if "learning_rate" in variable.path
    )
    for one in together:
        one.save(folder / f"of_its_own_{one.spec.fold}")
    stored = [json.loads((folder / f"of_its_own_{fold}" / "state.json").read_text()) for fold in range(4)]
    try:
        trainers(faster, specs[2:3], like=together)[0].restore(folder / "of_its_own_2")
        refused = ""
    except TrialError as error:
        refused = str(error)
    return {
        "groups": groups,
        "apart": differences(alone, together),
        "rates": [float(one.state[rate]) for one in together],
        "stored rates": [facts["configuration"]["learning_rate"] for facts in stored],
        "refused": refused,
    }


def diverges() -> str:
    """A loss that is not finite, in one fold of four."""
    broken = trainers(SEVERAL_STEPS, folds())
    state = broken[2].state
    broken[2].state = [np.full_like(part, np.nan) if part.dtype == np.float32 else part for part in state]
    try:
        train_lockstep(broken, 2)
    except Exception as error:  # noqa: BLE001  (what it is, is what is asked)
        return f"{type(error).__name__}: {error}"
    return "nothing"


def main() -> None:
    """All of it."""
    folder = Path(sys.argv[1])
    seen: dict[str, Any] = {name: compare(params) for name, params in CASES.items()}
    others = {
        "uneven": uneven(),
        "rungs": in_rungs(folder),
        "diverges": diverges(),
        "configurations": several_configurations(folder),
    }
    (folder / "seen.json").write_text(json.dumps({"cases": seen, **others}))


if __name__ == "__main__":
    main()
