"""What a search costs beside training, on this machine: `python -m benchmarks.whatif_costs` -> whatif_costs.json.

Some minutes; what benchmarks.whatif puts into its simulated clusters. Everything is the real code:

    worker      a fold's process, its import of TensorFlow and its first network, beyond what a later trial takes; CPU
                seconds
    driver      CPU time of the driver for each report and each new trial: 400 trials that train nothing (as in
                benchmarks.free_trials: ledger on disk, TPE, pruner, Ray Tune); and the wall time between two reports of
                one place, their lower quartile, since other processes that run meanwhile only add to it
    decisions   of director and pruner alone, by the end of a search of 1,000, 10,000 or 100,000 trials, and the memory
                of the search; trials are not drawn by a model there, which holds no more than the latest and the best
    ledger      bytes of the events of one real trial, for each report and for each fold's epoch in it
    copy        seconds for a matrix to come from one Ray node to another, both on this machine: no network between them
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from aio_tune.ledger import Ledger
from aio_tune.search.cluster import cluster
from aio_tune.search.director import Director
from aio_tune.search.feasibility import Feasibility
from aio_tune.search.study import OptunaStudy
from aio_tune.search.tuning import run_trials
from aio_tune.search_space import default_rungs, load_space
from aio_tune.trial import Assignment, TrialRun, WorkerPool
from benchmarks.curves import load
from benchmarks.free_trials import SPACE, FreeTrainable, free_context
from benchmarks.replay import replay
from benchmarks.turns import REPETITIONS, spread, write
from benchmarks.worker_memory import context_in, params_of

TRIALS = 400
COPIED = 128 * 2**20
# Messages whose mean is taken.
LAST = 500
CROWDS = (1_000, 10_000, 100_000)


def worker_and_ledger(repetitions: int) -> dict[str, Any]:
    """Start of a process that trains, and bytes of what a trial of two folds writes down."""
    import ray

    starts = []
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR", num_cpus=1,
             object_store_memory=80 * 2**20)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        context = context_in(Path(folder))
        for i in range(repetitions):
            pool = WorkerPool(context)
            took = []
            for trial in (2 * i, 2 * i + 1):
                report = TrialRun(context, pool, Assignment(trial, params_of(trial))).next_rung()
                used = psutil.Process(int(report.where["0"].rpartition(":")[2])).cpu_times()
                took.append(used.user + used.system)
            starts.append(2 * took[0] - took[1])
            pool.close()
    ray.shutdown()
    # Curves are all that grows with the epochs of a report.
    whole = len(json.dumps(report.facts()))
    curves = len(json.dumps(report.curves))
    return {"worker": starts, "report_bytes": whole - curves, "epoch_bytes": curves / len(report.folds)}


def driver(trials: int) -> dict[str, float]:
    """The driver's time for each message, a report or the asking for a new trial; of trials that train nothing."""
    import ray

    reported: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "space.yaml").write_text(SPACE.format(trials=trials, sampler="tpe"))
        spec = load_space(folder / "space.yaml")
        with Ledger(folder / "ledger.jsonl") as ledger, cluster("local"):
            context = free_context(spec, folder)

            def record(kind: str, **facts: Any) -> Mapping[str, Any]:
                if kind == "rung_reported":
                    reported.append(time.perf_counter())
                return ledger.append(kind, **facts)

            first = record("search_started", name="free", settings=spec.settings_facts())
            director = Director(spec, OptunaStudy(spec), Feasibility(spec, 1024, 2), record, [first])
            # What the first ones take is Ray's start.
            warm: list[tuple[float, int]] = []

            def room() -> int:
                if not warm and len(director.state.trials) >= trials // 4:
                    warm.append((time.process_time(), len(reported)))
                return places

            places = int(ray.cluster_resources()["CPU"])
            run_trials(director, context, room, folder / "ray", FreeTrainable)
            cpu = time.process_time() - warm[0][0]
    measured = trials - trials // 4
    messages = measured + len(reported) - warm[0][1]
    gaps = np.diff(reported[warm[0][1] :])
    return {
        "driver": cpu / messages, "driver_per_trial": cpu / measured, "messages_per_trial": messages / measured,
        "turn": float(np.percentile(gaps, 25)) * places, "turn_median": float(np.median(gaps)) * places,
    }  # fmt: skip


def decisions(trials: int) -> dict[str, float]:
    """CPU seconds of the last messages to the director in a search of so many trials, and the memory that it takes."""
    curves = load("ki67")
    rungs = default_rungs(curves.auc.shape[1], curves.auc.shape[2])
    process = psutil.Process()
    before = process.memory_info().rss
    run = replay(curves, np.random.default_rng(0).integers(0, len(curves.auc), trials).tolist(), rungs, "halving")
    memory = process.memory_info().rss - before
    return {"trials": trials, "message": statistics.fmean(run.deciding[-LAST:]), "bytes": memory}


def copy(repetitions: int) -> list[float]:
    """Seconds for ``COPIED`` bytes to come to another node's object store."""
    import ray
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 4 * COPIED, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args={**node, "num_cpus": 0})
    took = []
    try:
        nodes.add_node(num_cpus=1, object_store_memory=4 * COPIED)
        ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")

        @ray.remote(num_cpus=1)
        def fetch(references: list[Any]) -> float:
            began = time.perf_counter()
            ray.get(references[0])
            return time.perf_counter() - began

        for _ in range(repetitions + 1):
            matrix = ray.put(np.random.default_rng(0).random(COPIED // 8))
            took.append(ray.get(fetch.remote([matrix])))
            del matrix
    finally:
        ray.shutdown()
        nodes.shutdown()
    return took[1:]


def main() -> None:
    """Print the costs; write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--trials", type=int, default=TRIALS)
    arguments = parser.parse_args()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    decisions(1)  # what is imported for the first one is not the trials' memory
    crowds = [decisions(trials) for trials in CROWDS]
    for one in crowds:
        print(f"{one['trials']:>7,} trials: {one['message'] * 1000:.2f} ms a message, "
              f"{one['bytes'] / 2**20:.0f} MiB", flush=True)  # fmt: skip
    facts: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "decisions": crowds}
    facts |= worker_and_ledger(arguments.repetitions)
    print(f"worker: {spread(facts['worker'], 1)} s; ledger: {facts['report_bytes']} bytes a report and "
          f"{facts['epoch_bytes']:.0f} for each fold's epoch", flush=True)  # fmt: skip
    facts |= driver(arguments.trials)
    print(f"driver: {facts['driver'] * 1000:.1f} ms CPU a message, {facts['driver_per_trial'] * 1000:.1f} ms a trial; "
          f"a place waits {facts['turn'] * 1000:.1f} ms for its turn", flush=True)  # fmt: skip
    facts["copy"] = [COPIED / seconds for seconds in copy(arguments.repetitions)]
    print(f"copy: {spread([rate / 1e9 for rate in facts['copy']])} GB/s between two nodes of this machine")
    write(__file__, facts)


if __name__ == "__main__":
    main()
