"""Memory and speed of a search of a dataset in memory, and of one four times its memory budget.

`python -m benchmarks.search_memory`; a dataset of noise, 16,384 genes x 16,384 profiles (1 GiB), made in a temporary
folder; some ten minutes and 6 GB of disk and memory. One trial of four folds, which train at the same time in four
processes on a Ray cluster of this machine, with the cheapest network there is (the embedding alone), which leaves the
least time to read and draw pictures in.

Memory is read from smaps_rollup of all processes of the search, twice a second: what a process has for itself (USS),
and the pages of Ray's object store (shared memory) once. What grows is told by the same search of a hundredth of the
patients. Files that the kernel keeps in its page cache are nobody's memory: it drops them when memory is asked for.
"""

import argparse
import contextlib
import json
import logging
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from aio_tune.cohorts import Assembly, Cohort, GeneTable, Unit
from aio_tune.dataset import AioDataset, StoredRows, write_dataset
from aio_tune.ledger import read_events
from aio_tune.tasks import TASKS

GENES, SAMPLES, FOLDS = 16_384, 16_384, 4
MIB = 2**20
ENGINE = Path(__file__).parents[1] / "tests" / "search" / "engine.py"
SPACE = """
task: ki67
train_on: [NOISE]
folds: {folds}
trials: 1
rungs: [[{folds}, 1]]
resources: {{folds_in_parallel: {folds}, memory_budget: {budget}}}
space: {{branches: embedding, layout: square, scaling: zscore, batch_size: 32}}
"""


def make_dataset(folder: Path, samples: int) -> AioDataset:
    """Noise, written as any cohort is; labels by turns."""
    random = np.random.default_rng(0)
    expression = random.standard_normal((samples, GENES), np.float32)
    np.abs(expression, out=expression)
    clinical = pd.DataFrame(index=pd.Index([f"S{i}" for i in range(samples)], dtype="str", name="sample_id"))
    clinical["patient_id"] = pd.Series(clinical.index, index=clinical.index, dtype="str")
    for task in TASKS.values():
        labels = [task.classes[i % 2] for i in range(samples)] if task.name == "ki67" else [None] * samples
        clinical[task.name] = pd.Series(labels, index=clinical.index, dtype="str")
    clinical["survival_days"] = clinical["survival_event"] = np.nan
    clinical["platform"] = pd.Series(["none"] * samples, index=clinical.index, dtype="str")
    genes = tuple(f"GENE{i}" for i in range(GENES))
    cohort = Cohort(
        name="NOISE", expression=expression, genes=genes, unit=Unit.LOG2_TPM_1, clinical=clinical, subjects=clinical,
        sources={}, notes=(),
    )  # fmt: skip
    table = GeneTable(genes, ("1",) * GENES, np.arange(GENES) * 1000, "none", "0" * 64)
    return write_dataset(Assembly([cohort], table, {}), folder)


def memory_of(process: psutil.Process) -> tuple[float, float]:
    """A process's own memory, and its share of shared memory, MiB."""
    own = shared = 0
    with Path(f"/proc/{process.pid}/smaps_rollup").open() as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name in ("Private_Clean", "Private_Dirty"):
                own += int(rest.split()[0])
            elif name == "Pss_Shmem":
                shared += int(rest.split()[0])
    return own / 1024, shared / 1024


class Watch(threading.Thread):
    """Looks at the driver and all fold workers until told to stop."""

    def __init__(self, driver: psutil.Process) -> None:
        super().__init__(daemon=True)
        self._driver = driver
        self._ended = threading.Event()
        self.workers: dict[int, float] = {}
        self.driver = self.driver_peak = self.together = self.store = 0.0

    def run(self) -> None:
        while not self._ended.wait(0.5):
            self._look()

    def _look(self) -> None:
        own: list[float] = []
        store = 0.0
        for process in psutil.Process().children(recursive=True):
            try:
                is_worker = "FoldWorker" in " ".join(process.cmdline())
                mine, shared = memory_of(process)
            except (OSError, psutil.Error):
                continue
            store += shared
            if is_worker:
                self.workers[process.pid] = max(self.workers.get(process.pid, 0.0), mine)
            elif process.pid == self._driver.pid:
                self.driver_peak, self.driver = max(self.driver_peak, mine), mine
            if is_worker or process.pid == self._driver.pid:
                own.append(mine)
        self.together, self.store = max(self.together, sum(own) + store), max(self.store, store)

    def stop(self) -> None:
        self._ended.set()
        self.join()


def search(address: str, dataset: AioDataset, home: Path, name: str, budget_gib: float) -> dict[str, Any]:
    """Run one; returns what it took."""
    space = home / f"{name}.yaml"
    space.write_text(SPACE.format(folds=FOLDS, budget=budget_gib))
    line = [sys.executable, str(ENGINE), str(space), str(dataset.path), str(home), name, address]
    with psutil.Popen(line) as driver:
        watch = Watch(driver)
        watch.start()
        code = driver.wait()
    watch.stop()
    if code:
        raise SystemExit(f"The search {name} ended with exit status {code}.")
    events, _ = read_events(home / "runs" / name / "ledger.jsonl")
    return {
        "worker_mib": statistics.median(watch.workers.values()),
        "workers": len(watch.workers),
        "driver_mib": watch.driver,
        "driver_peak_mib": watch.driver_peak,
        "store_mib": watch.store,
        "together_mib": watch.together,
        "seconds": sum(event["seconds"] for event in events if event["kind"] == "rung_reported"),
    }


def reading(address: str, dataset: AioDataset, batch: int = 32, batches: int = 200) -> dict[str, float]:
    """Profiles per second of reading alone, in batches: from memory, from the row file, and by Ray Data's iterators.

    The first two in random order; Ray Data as the shards come.
    """
    import ray.data

    stored = StoredRows.of(dataset, np.arange(len(dataset.samples())))
    order = np.random.default_rng(0).permutation(stored.shape[0])[: batch * batches].reshape(-1, batch)
    rates = {}
    for name, matrix in (("memory", stored.read()), ("row file", stored.open())):
        began = time.perf_counter()
        for rows in order:
            matrix[rows]
        rates[name] = order.size / (time.perf_counter() - began)
    del matrix
    ray.init(address=address, logging_level="ERROR", log_to_driver=False)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    for name, split in (("Ray Data iter_batches", False), ("Ray Data streaming_split", True)):
        data = dataset.ray_dataset()
        source = data.streaming_split(1)[0] if split else data
        seen, began = 0, time.perf_counter()
        for part in source.iter_batches(batch_size=batch, batch_format="numpy"):
            if not seen:
                began = time.perf_counter()  # starting it is not counted
            seen += len(part["expression"])
        rates[name] = (seen - batch) / (time.perf_counter() - began)
    ray.shutdown()
    return rates


@contextlib.contextmanager
def cluster(dataset_mib: float) -> Iterator[str]:
    """A Ray cluster of one node; gives its address."""
    from ray.cluster_utils import Cluster

    store = int(1.25 * dataset_mib * MIB) + 200 * MIB
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": FOLDS, "object_store_memory": store})
    try:
        yield started.address
    finally:
        started.shutdown()


def measure(folder: Path, samples: int, rounds: int) -> dict[str, Any]:
    """All searches, on one cluster."""
    small, large = make_dataset(folder / "small", samples // 100), make_dataset(folder / "large", samples)
    dataset_mib = 4 * samples * GENES / MIB
    within, past = 2 * dataset_mib / 1024, dataset_mib / 4 / 1024
    runs: dict[str, list[dict[str, Any]]] = {"small": [], "in memory": [], "past the budget": []}
    for i in range(rounds):
        for name, dataset, budget in (
            ("small", small, within), ("in memory", large, within), ("past the budget", large, past),
        ):  # fmt: skip
            # A cluster each: what an object store once held stays resident.
            with cluster(dataset_mib) as address:
                runs[name].append(search(address, dataset, folder, f"{name}-{i}".replace(" ", "-"), budget))
            print(".", end="", file=sys.stderr, flush=True)
    with cluster(dataset_mib) as address:
        rates = reading(address, large)
    print(file=sys.stderr)
    return {"dataset_mib": dataset_mib, "budget_mib": past * 1024, "runs": runs, "rows_per_second": rates}


def main() -> None:
    """Print the table and the three figures, and write them beside this file."""
    parser = argparse.ArgumentParser(description="Memory and speed of a search in memory and past its budget.")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with tempfile.TemporaryDirectory(prefix="aio_tune_memory_") as name:
        results = measure(Path(name), given.samples, given.rounds)
    dataset, budget = results["dataset_mib"], results["budget_mib"]
    print(
        f"dataset {dataset:,.0f} MiB, budget {budget:,.0f} MiB, {FOLDS} folds at once; MiB, medians of {given.rounds}"
    )
    print(f"{'':<16} {'a worker':>9} {'driver':>7} {'(peak)':>7} {'store':>7} {'together':>9} {'s':>7}")
    keys = ("worker_mib", "driver_mib", "driver_peak_mib", "store_mib", "together_mib", "seconds")
    median = {
        name: {key: statistics.median(run[key] for run in runs) for key in keys}
        for name, runs in results["runs"].items()
    }
    for name, row in median.items():
        cells = [f"{row[key]:>{width},.0f}" for key, width in zip(keys, (9, 7, 7, 7, 9, 7), strict=True)]
        print(f"{name:<16} {' '.join(cells)}")
    small, inside, past = (median[name] for name in ("small", "in memory", "past the budget"))
    figures = {
        "copies_per_node": (inside["store_mib"] - small["store_mib"]) / dataset,
        "worker_growth": (inside["worker_mib"] - small["worker_mib"]) / dataset,
        "growth_past_budget": (past["together_mib"] - small["together_mib"]) / budget,
        # Within a round, so that whatever else the machine does meets both alike.
        "throughput": statistics.median(
            one["seconds"] / other["seconds"]
            for one, other in zip(results["runs"]["in memory"], results["runs"]["past the budget"], strict=True)
        ),
    }
    print(f"object store / dataset: {figures['copies_per_node']:.2f}")
    print(f"growth of a worker / dataset (at most 0.10): {figures['worker_growth']:.3f}")
    print(f"growth of everything past the budget / budget (at most 1.20): {figures['growth_past_budget']:.2f}")
    print(f"throughput past the budget / in memory (at least 0.80): {figures['throughput']:.2f}")
    rates = ", ".join(f"{name} {rate:,.0f}" for name, rate in results["rows_per_second"].items())
    print(f"profiles read per second in batches of 32: {rates}")
    content = {**results, "figures": figures}
    Path(__file__).with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
