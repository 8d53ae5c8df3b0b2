"""Folds trained as one program beside the same folds alone: ``KERAS_BACKEND=jax python -m tests.stacking OUT``.

A process of its own, since Keras has one backend per process. Writes what it saw as JSON to ``OUT/seen.json``, and the
models of one case as ``OUT/fold_K/model.keras`` with their probabilities in ``OUT/probabilities.npz``.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aio_tune.training import FoldSpec, FoldTrainer, Program, input_shape, lockstep, train_lockstep
from tests.models.small import CLASSES, GENES, TINY, samples

X, Y = samples()
ROWS = np.arange(len(Y))
GRADE = np.where(ROWS % 4 == 0, -1, ROWS % 3).astype(np.int8)
SEED = 3
# Every layer and every choice of the training, each beside what it is compared with.
CASES: dict[str, dict[str, Any]] = {
    "two branches": {},
    "convolutions": {"branches": "conv", "depth": 2, "filters": 3},
    "embedding": {"branches": "embedding"},
    "batch normalisation": {"batch_norm": True},
    "no batch normalisation": {"batch_norm": False},
    "dropout": {"dropout": 0.3, "input_dropout": 0.3},
    "penalties": {"conv_l1": 1e-3, "conv_l2": 1e-2, "embedding_l1": 1e-3, "fc_l2": 1e-2},
    "ordinal head": {"head": "ordinal"},
    "one dimension": {"layout": "1d"},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1},
    "rmsprop": {"optimizer": "rmsprop", "momentum": 0.5},
    "sgd": {"optimizer": "sgd"},
    "weights and smooth labels": {"class_weight": "balanced", "label_smoothing": 0.1},
    "auxiliary task": {"auxiliary_weight": 0.5},
}


def folds(k: int = 4) -> list[FoldSpec]:
    """Of patients with two samples each."""
    return [FoldSpec(f, np.flatnonzero(ROWS // 2 % k != f), np.flatnonzero(ROWS // 2 % k == f)) for f in range(k)]


def trainers(params: dict[str, Any], specs: Sequence[FoldSpec]) -> list[FoldTrainer]:
    whole = {**TINY, **params}
    auxiliary = [(GRADE, 3)] if "auxiliary_weight" in params else []
    program = Program(whole, input_shape(whole, GENES), len(CLASSES), [n for _, n in auxiliary])
    return [FoldTrainer(whole, X, Y, spec, CLASSES, seed=SEED, program=program, auxiliary=auxiliary) for spec in specs]


def difference(alone: Sequence[FoldTrainer], together: Sequence[FoldTrainer]) -> float:
    """The largest one between any two numbers of the folds' states: weights, averages, random states, slots."""
    pairs = (
        (a, b) for one, other in zip(alone, together, strict=True) for a, b in zip(one.state, other.state, strict=True)
    )
    return max(float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0)) for a, b in pairs)


def compare(params: dict[str, Any]) -> dict[str, float]:
    """After one step (a batch of all rows), and after three epochs of batches."""
    step = {**params, "batch_size": 64}
    seen = {}
    for name, chosen, epochs in (("step", step, 1), ("epochs", params, 3)):
        specs = folds()
        alone, together = trainers(chosen, specs), trainers(chosen, specs)
        before = difference(alone, together)
        first = [one.train_to(epochs) for one in alone]
        second = train_lockstep(together, epochs)
        seen[name] = difference(alone, together)
        moved = difference(alone, trainers(chosen, specs))
        assert before == 0 and moved > 1e-3, "both begin alike, and learn"
        seen[f"{name} probabilities"] = max(
            float(np.abs(a.probabilities - b.probabilities).max()) for a, b in zip(first, second, strict=True)
        )
        seen[f"{name} losses"] = max(
            float(np.abs(np.subtract(a.curves["train_loss"], b.curves["train_loss"])).max())
            for a, b in zip(first, second, strict=True)
        )
    return seen


def uneven() -> dict[str, Any]:
    """Folds of other sizes: those whose batches are alike are trained together, the others alone."""
    specs = [*folds(), FoldSpec(4, ROWS[:20], ROWS[20:]), FoldSpec(5, ROWS[2:], ROWS[:2])]
    together, alone = trainers({}, specs), trainers({}, specs)
    groups: list[list[int]] = []
    stacked = lockstep.train_stacked

    def noted(group: Sequence[FoldTrainer], epoch: int) -> Any:
        groups.append([one.spec.fold for one in group])
        return stacked(group, epoch)

    lockstep.train_stacked = noted
    try:
        reports = train_lockstep(together, 2)
    finally:
        lockstep.train_stacked = stacked
    for one in alone:
        one.train_to(2)
    return {"order": [report.fold for report in reports], "groups": groups, "apart": difference(alone, together)}


def in_rungs(folder: Path) -> dict[str, Any]:
    """One epoch, a checkpoint, and on to three by other trainers; pictures that are too many to be kept."""
    specs = folds()
    straight, begun, again = (trainers({"batch_norm": True}, specs) for _ in range(3))
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
    return {"apart": difference(straight, again), "epochs": [report.epoch for report in reports]}


def diverges() -> str:
    """A loss that is not finite, in one fold of four."""
    specs = folds()
    broken = trainers({"learning_rate": 1.0, "optimizer": "sgd"}, specs)
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
    (folder / "seen.json").write_text(
        json.dumps({"cases": seen, "uneven": uneven(), "rungs": in_rungs(folder), "diverges": diverges()})
    )


if __name__ == "__main__":
    main()
