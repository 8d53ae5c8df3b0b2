"""Searches on clusters that nobody has: the real search code on simulated GPUs. `python -m benchmarks.whatif`; minutes.

Learning curves of real patients (benchmarks/curves.py), drawn again and again, through the real director on a simulated
clock (benchmarks/replay.py), on 1 to 256 places; a place is one GPU that trains one trial at a time. What an epoch
takes is what it took on a core over an assumed speed of the GPU (--speed); what comes before a trial's first epoch
(preprocessing, tracing) is on the host and is not faster. All other costs were measured on this machine by
`python -m benchmarks.whatif_costs`; for a network between the nodes a rate is assumed (--gigabits), and used in full.

    utilisation   seconds that places trained / (places x makespan)
    ideal         the same training dealt out evenly, with no costs at all
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aio_tune.search_space import default_rungs
from benchmarks.curves import Curves, load, tasks
from benchmarks.replay import Costs, Replay, replay
from benchmarks.turns import write

MEASURED = Path(__file__).parent / "whatif_costs.json"
PLACES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
# Searches of so many trials are simulated only on so many places: a minute each.
FEW_PLACES = (8, 64, 256)
MANY = 100_000
TRIALS = (200, 2_000, 10_000, MANY)
NODE = 8
# Seconds after which a further node joins.
JOIN = 10.0
GOOD = 0.8
# Of the recorded searches: patients with a label, and genes.
RECORDED = {"ki67": (151, 10_000), "nhg": (296, 10_000)}
PATIENTS, GENES = 500_000, 16_384
FLOAT = 4


@dataclass(frozen=True)
class Measured:
    """What benchmarks.whatif_costs found; seconds, bytes, bytes/s."""

    worker: float
    driver: float
    growth: float
    turn: float
    copy: float
    report_bytes: float
    epoch_bytes: float
    decisions: list[dict[str, float]]

    @classmethod
    def load(cls) -> "Measured":
        """From its file."""
        if not MEASURED.exists():
            raise SystemExit(f"Expected {MEASURED.name}. Received none: run python -m benchmarks.whatif_costs first.")
        facts = json.loads(MEASURED.read_text())
        crowds = facts["decisions"]
        sizes = [one["trials"] for one in crowds]
        growth = float(np.polyfit(sizes, [one["message"] for one in crowds], 1)[0])
        return cls(
            statistics.median(facts["worker"]), facts["driver"], growth, facts["turn"],
            max(facts["copy"]), facts["report_bytes"], facts["epoch_bytes"], crowds,
        )  # fmt: skip

    def costs(self, speed: float, matrix: float, rate: float) -> Costs:
        """Of a cluster that brings the matrix, bytes, to one node after the other, bytes/s."""
        return Costs(
            self.worker, max(0.0, self.turn - self.driver), self.driver, self.growth, speed, NODE, JOIN, matrix / rate
        )


def larger(curves: Curves, patients: int, genes: int) -> Curves:
    """The same curves of so many patients and genes: an epoch takes as much longer as there are numbers to read."""
    recorded = RECORDED[curves.task]
    factor = patients * genes / (recorded[0] * recorded[1])
    return replace(curves, epoch=curves.epoch * factor)


def order(curves: Curves, trials: int) -> list[int]:
    """Configurations drawn with replacement."""
    return np.random.default_rng(0).integers(0, len(curves.auc), trials).tolist()


def simulate(curves: Curves, trials: int, places: int, costs: Costs) -> Replay:
    """One search with the default rungs and pruner."""
    rungs = default_rungs(curves.auc.shape[1], curves.auc.shape[2])
    return replay(curves, order(curves, trials), rungs, "halving", places, costs)


def facts_of(run: Replay, places: int) -> dict[str, float]:
    """Makespan and utilisation of one simulated search."""
    return {
        "places": places, "makespan": run.seconds, "ideal": run.training / places,
        "utilisation": run.training / (places * run.seconds), "messages": run.messages, "fold_epochs": run.fold_epochs,
    }  # fmt: skip


def in_words(seconds: float) -> str:
    """Seconds as a person would say them."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def table(title: str, curves: Curves, trials: Sequence[int], costs: Costs, places: Sequence[int]) -> list[Any]:
    """Print and return one row for each size of search and cluster."""
    print(f"\n{title}\n   trials    GPUs       ideal    makespan  utilisation")
    rows = []
    for n in trials:
        few = FEW_PLACES if n >= MANY else places
        of_size = [facts_of(simulate(curves, n, count, costs), count) for count in few]
        for one in of_size:
            print(f"  {n:>7,} {one['places']:>7}  {in_words(one['ideal']):>10}  {in_words(one['makespan']):>10}  "
                  f"{one['utilisation']:>10.0%}", flush=True)  # fmt: skip
        good = [one["places"] for one in of_size if one["utilisation"] >= GOOD]
        print(f"           of these, at least {GOOD:.0%} busy up to {max(good, default=0)} GPUs")
        rows += [{"title": title, "trials": n, **one} for one in of_size]
    return rows


def bottleneck(measured: Measured) -> list[dict[str, float]]:
    """GPUs that one driver can keep busy, by how long a GPU trains between two messages."""
    print("\nGPUs at which the driver has no second left, by the seconds a GPU trains between two messages, and trials "
          "that the search already has")  # fmt: skip
    print("  seconds  " + "".join(f"{n:>12,}" for n in (0, *TRIALS[1:])))
    rows = []
    for seconds in (1, 10, 60, 600, 3600):
        row = {n: seconds / (measured.driver + measured.growth * n) for n in (0, *TRIALS[1:])}
        rows.append({"seconds": seconds, **{str(n): value for n, value in row.items()}})
        print(f"  {seconds:>7}  " + "".join(f"{value:>12,.0f}" for value in row.values()))
    return rows


def stated(measured: Measured) -> None:
    """What was measured, beside the tables."""
    print(f"Measured here: a worker's start {measured.worker:.1f} s; the driver {measured.driver * 1000:.1f} ms for "
          f"each report and each new trial, and {measured.growth * 1e9:.1f} nanoseconds more for every trial before "
          f"it; a place waits {measured.turn * 1000:.0f} ms for its next rung or trial; {measured.copy / 1e9:.2f} GB/s "
          "from node to node of this machine.")  # fmt: skip
    for one in measured.decisions:
        print(f"  of that, decisions, in a search of {one['trials']:>7,.0f} trials: {one['message'] * 1000:.2f} ms; "
              f"the search takes {one['bytes'] / 2**20:.0f} MiB of memory")  # fmt: skip
    print(f"Assumed: nodes of {NODE} GPUs with one copy of the matrix, sent by the first node to one after the other; "
          f"a further node joins every {JOIN:.0f} s.")  # fmt: skip


def large_cohort(
    curves: Curves, measured: Measured, speed: float, gigabits: Sequence[float], trials: Sequence[int]
) -> list[Any]:
    """The same for ``PATIENTS`` and ``GENES``, by how fast the matrix comes to the nodes."""
    matrix, nodes = PATIENTS * GENES * FLOAT, PLACES[-1] // NODE
    print(f"\n{PATIENTS:,} patients x {GENES:,} genes: {matrix / 1e9:.1f} GB to every node once")
    rates = {"as measured on this machine": measured.copy, **{f"{one:g} Gbit/s": one * 1e9 / 8 for one in gigabits}}
    rows = []
    for name, rate in rates.items():
        costs = measured.costs(speed, matrix, rate)
        print(f"  {name}, {rate / 1e9:.2f} GB/s: {in_words(costs.copy)} a node, {in_words(costs.copy * (nodes - 1))} "
              f"until the last of {nodes} has it")  # fmt: skip
        title = f"{PATIENTS:,} patients, {name}, a GPU {speed:g} times the recorded core"
        few = [n for n in trials if n < MANY]
        rows += table(title, larger(curves, PATIENTS, GENES), few, costs, FEW_PLACES)
    return rows


def main() -> None:
    """Print the tables; write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=tasks(), default="ki67")
    parser.add_argument("--speed", type=float, nargs="*", default=[10.0, 100.0], help="of a GPU, in recorded cores")
    parser.add_argument("--gigabits", type=float, nargs="*", default=[10.0, 100.0], help="per second between nodes")
    parser.add_argument("--trials", type=int, nargs="*", default=TRIALS)
    arguments = parser.parse_args()
    measured, curves = Measured.load(), load(arguments.task)
    stated(measured)
    patients, genes = RECORDED[arguments.task]
    rows = []
    for speed in arguments.speed:
        costs = measured.costs(speed, patients * genes * FLOAT, measured.copy)
        title = f"{arguments.task}, {patients} patients, a GPU {speed:g} times as fast as the recorded core"
        rows += table(title, curves, arguments.trials, costs, PLACES)
    rows += large_cohort(curves, measured, arguments.speed[-1], arguments.gigabits, arguments.trials)
    saturation = bottleneck(measured)
    sizes = {row["trials"]: row["messages"] * measured.report_bytes
             + row["fold_epochs"] * measured.epoch_bytes for row in rows}  # fmt: skip
    for n, size in sizes.items():
        print(f"ledger of {n:,} trials: about {size / 1e6:,.0f} MB")
    write(__file__, {"measured": vars(measured), "rows": rows, "bottleneck": saturation, "ledger_bytes": sizes})


if __name__ == "__main__":
    main()
