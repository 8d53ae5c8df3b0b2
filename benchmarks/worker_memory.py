"""What 100 trials leave in the memory of the process that trains them: `python -m benchmarks.worker_memory`.

One trial slot, as in a search: a worker is replaced between trials once it has grown too much. TensorFlow keeps some
memory of every network for good, so without that the figure would rise from trial to trial.
"""

import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import ray

from aio_tune.trial import Assignment, SharedMatrix, TrialContext, TrialRun, WorkerPool

TRIALS = 100
EVERY = 10
MIB = 2**20


def context_in(folder: Path) -> TrialContext:
    """Of trials that take a second: 64 rows of noise of 64 genes, two folds, one epoch."""
    rows = np.arange(64)
    return TrialContext(
        expression=SharedMatrix(ray.put(np.random.default_rng(0).random((64, 64), dtype=np.float32))),
        labels=(rows // 2 % 2).astype(np.int8),
        splits=(tuple((rows[rows % 2 != fold], rows[rows % 2 == fold]) for fold in (0, 1)),),
        classes=("negative", "positive"),
        metric="auc",
        rungs=((2, 1),),
        seed=0,
        deterministic=False,
        trials_folder=folder / "trials",
        layouts_folder=folder / "layouts",
        folds_in_parallel=1,
        cpus_per_fold=1,
        gpus_per_fold=0.0,
    )


def params_of(trial: int) -> dict[str, object]:
    """Every trial another network; with convolutions each takes thrice as long and leaves 8 MiB behind, not 3."""
    return {"branches": "embedding", "embedding_width": 4 + trial % 8, "fc_widths": [8, 4 + trial % 5]}


def main() -> None:
    """Print resident memory after every tenth trial, and write it beside this file."""
    ray.init(
        address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        num_cpus=1, object_store_memory=80 * MIB,
    )  # fmt: skip
    began = time.perf_counter()
    resident: list[float] = []
    workers: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        context = context_in(Path(folder))
        pool = WorkerPool(context)
        for trial in range(TRIALS):
            pool.replace_worn()
            where = TrialRun(context, pool, Assignment(trial, params_of(trial))).next_rung().where["0"]
            resident.append(psutil.Process(int(where.rpartition(":")[2])).memory_info().rss / MIB)
            workers.append(where)
            if (trial + 1) % EVERY == 0:
                print(f"after {trial + 1:>3} trials  {resident[-1]:>4.0f} MiB  worker {len(set(workers))}", flush=True)
        pool.close()
    ray.shutdown()
    results = {
        "resident_mib": {trial: round(resident[trial - 1]) for trial in range(EVERY, TRIALS + 1, EVERY)},
        "highest_mib": round(max(resident)),
        "replaced": len(set(workers)) - 1,
        "ratio": resident[TRIALS - 1] / resident[EVERY - 1],
        "highest_ratio": max(resident[EVERY:]) / resident[EVERY - 1],
        "seconds": time.perf_counter() - began,
    }
    print(f"highest {results['highest_mib']} MiB, replaced {results['replaced']} times in {results['seconds']:.0f} s")
    print(f"after {TRIALS} trials / after {EVERY}: {results['ratio']:.2f}, at most {results['highest_ratio']:.2f}")
    Path(__file__).with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    main()
