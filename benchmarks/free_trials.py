"""What the engine itself costs: 2,000 trials of a trainable that costs nothing, on a real Ray.

Everything is real but the training: the ledger on disk, Optuna's TPE, the pruner, Ray Tune with actors that are kept.
Prints the driver's CPU time per trial and its resident memory, and the two ratios that must not grow: the last 200
trials' cost over the first 200's, and memory gained after the first 200. Run it alone: python -m benchmarks.free_trials
"""

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import ray
from ray import tune

from aio_tune.ledger import Ledger
from aio_tune.search.cluster import cluster
from aio_tune.search.director import Director
from aio_tune.search.feasibility import Feasibility
from aio_tune.search.study import OptunaStudy
from aio_tune.search.tuning import run_trials
from aio_tune.search_space import SearchSpec, load_space
from aio_tune.trial import RungReport, SharedMatrix, TrialContext

SPACE = """
task: ki67
trials: {trials}
rungs: [[1, 1], [2, 3], [5, 9]]
sampler: {sampler}
space:
  optimizer: {{choice: [adam, sgd]}}
  momentum: {{float: [0.5, 0.99], when: {{optimizer: sgd}}}}
  learning_rate: {{float: [1e-5, 1e-2], log: true}}
  depth: {{int: [1, 3]}}
  filters: {{int: [4, 32]}}
  dropout: {{float: [0, 0.6]}}
  embedding_l2: {{float: [1e-3, 1e-1], log: true}}
"""
EVERY = 200


class FreeTrainable(tune.Trainable):
    """Reports what a trial reports, with curves and all, and trains nothing."""

    def setup(self, config: dict[str, Any], context: TrialContext | None = None) -> None:
        assert context is not None
        self._context = context
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._params, self._rung = new_config["params"], 0
        return True

    def step(self) -> dict[str, Any]:
        rung = self._rung
        self._rung += 1
        folds, epoch = self._context.rungs[rung]
        value = 0.9 - 0.1 * abs(np.log10(self._params["learning_rate"]) + 3) - 0.01 * self._params["depth"] + rung / 50
        names = [str(fold) for fold in range(folds)]
        report = RungReport(
            rung=rung,
            folds=tuple(range(folds)),
            epoch=epoch,
            value=float(value),
            seconds=0.0,
            parameters=1,
            fold_metrics={name: dict.fromkeys(("auc", "accuracy", "f1"), float(value)) for name in names},
            curves={name: {"train_loss": [0.5] * epoch, "valid_auc": [0.5] * epoch} for name in names},
            from_epoch=dict.fromkeys(names, 0),
            where=dict.fromkeys(names, "here:1"),
        )
        return {"report": json.dumps(report.facts())}


def free_context(spec: SearchSpec, folder: Path) -> TrialContext:
    """What trials that train nothing share; needs a Ray."""
    return TrialContext(
        expression=SharedMatrix(ray.put(np.zeros((1, 1), np.float32))), labels=np.zeros(1, np.int8), splits=(),
        classes=("negative", "positive"), metric="auc", rungs=spec.rungs, seed=0, deterministic=False,
        trials_folder=folder / "trials", layouts_folder=folder / "layouts", folds_in_parallel=1,
        cpus_per_fold=1, gpus_per_fold=0,
    )  # fmt: skip


def measure(spec: SearchSpec, folder: Path) -> list[tuple[int, float, float, float]]:
    """Rows of (trials ended, CPU s so far, wall s so far, resident MiB), one every ``EVERY`` trials."""
    rows: list[tuple[int, float, float, float]] = []
    process, began = psutil.Process().pid, time.perf_counter()
    ended = 0
    with Ledger(folder / "ledger.jsonl") as ledger:

        def record(kind: str, **facts: Any) -> Mapping[str, Any]:
            nonlocal ended
            event = ledger.append(kind, **facts)
            ended += kind == "trial_ended"
            if kind == "trial_ended" and ended % EVERY == 0:
                memory = psutil.Process(process).memory_info().rss / 2**20
                rows.append((ended, time.process_time(), time.perf_counter() - began, memory))
            return event

        first = record("search_started", name="free", settings=spec.settings_facts())
        director = Director(spec, OptunaStudy(spec), Feasibility(spec, 1024, 2), record, [first])
        with cluster("local"):
            context = free_context(spec, folder)
            rows.append((0, time.process_time(), time.perf_counter() - began, 0.0))
            run_trials(director, context, lambda: 2, folder / "ray", FreeTrainable)
    return rows


def main() -> None:
    """Print one row per ``EVERY`` trials, and the two figures that must not grow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--sampler", default="tpe")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "space.yaml").write_text(SPACE.format(trials=arguments.trials, sampler=arguments.sampler))
        rows = measure(load_space(folder / "space.yaml"), folder)
    print(f"{arguments.trials} free trials, {arguments.sampler}")
    print("trials   driver ms per trial   wall ms per trial   driver MiB")
    costs = []
    for before, row in itertools.pairwise(rows):
        costs.append((row[1] - before[1]) / EVERY * 1000)
        print(f"{row[0]:6} {costs[-1]:21.1f} {(row[2] - before[2]) / EVERY * 1000:19.1f} {row[3]:12.0f}")
    print(f"cost of the last {EVERY} over the first {EVERY}: {costs[-1] / costs[0]:.2f}")
    print(f"memory gained after the first {EVERY}: {rows[-1][3] - rows[1][3]:.0f} MiB")


if __name__ == "__main__":
    main()
