"""How a search bears many nodes: seconds until they are there and until the first fold reports, and the driver's load.

`python -m benchmarks.fleet [NODES...]`, default 2 8 24; some minutes. The nodes are real ones of Ray (a raylet and its
agents each) on this machine, each with one core as far as Ray knows and 1 GB of memory to plan with; a node takes about
0.15 GB. What they do not show: a network between them, and folds on all of them at once (two trials run at one time, as
TensorFlow takes 0.6 GB and a core for each).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from aio_tune.ledger import read_events
from tests.place import Place

MIB = 2**20
TRIALS = 8
ENGINE = Path(__file__).parents[1] / "tests" / "search" / "engine.py"
SPACE = f"""
task: nhg
folds: 2
trials: {TRIALS}
rungs: [[1, 4], [2, 20]]
sampler: random
pruner: none
resources: {{max_concurrent_trials: 2}}
space: {{branches: embedding, embedding_width: 4, fc_widths: [8, 4], learning_rate: {{float: [1e-4, 1e-2], log: true}}}}
"""


def measure(place: Place, nodes: int) -> dict[str, Any]:
    """One cluster of so many nodes, and a search on it."""
    from ray.cluster_utils import Cluster

    before = psutil.virtual_memory().available
    begun = time.monotonic()
    head = {"num_cpus": 0, "object_store_memory": 80 * MIB, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(nodes):
            cluster.add_node(wait=False, num_cpus=1, object_store_memory=80 * MIB, memory=1000 * MIB)
        cluster.wait_for_nodes(timeout=600)
        joined = time.monotonic() - begun
        memory = (before - psutil.virtual_memory().available) / nodes
        return {
            "nodes": nodes,
            "joined_s": joined,
            "mib_per_node": memory / MIB,
            **search(place, cluster.address, nodes),
        }
    finally:
        cluster.shutdown()


def search(place: Place, address: str, nodes: int) -> dict[str, Any]:
    """The driver from its start to its end."""
    name = f"fleet-{nodes}"
    ledger = place.home / "runs" / name / "ledger.jsonl"
    words = [sys.executable, ENGINE, place.space, place.dataset, place.home, name, address]
    begun = time.monotonic()
    driver = psutil.Popen([str(word) for word in words], stdout=subprocess.DEVNULL)
    first, peak, cpu = None, 0.0, 0.0
    while driver.poll() is None:
        try:
            times = driver.cpu_times()
            cpu, peak = times.user + times.system, max(peak, driver.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        if first is None and ledger.exists() and '"rung_reported"' in ledger.read_text():
            first = time.monotonic() - begun
        time.sleep(0.1)
    took = time.monotonic() - begun
    assert driver.wait() == 0
    events = read_events(ledger)[0]
    hosts = {where for event in events if event["kind"] == "rung_reported" for where in event["where"].values()}
    return {
        "first_fold_s": first,
        "search_s": took,
        "driver_cpu_share": cpu / took,
        "driver_rss_mib": peak / MIB,
        "fold_processes": len(hosts),
    }


def main() -> None:
    """Measure clusters of growing size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nodes", nargs="*", type=int, default=[2, 8, 24])
    asked = parser.parse_args().nodes
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as name:
        place = Place(Path(name), SPACE)
        place.run("simulate", place.geo, "--samples", 90, "--genes", 128, "--seed", 3)
        place.run("prepare", place.geo, "--out", place.dataset)
        rows = [measure(place, nodes) for nodes in asked]
    print(" nodes  joined s  MiB/node  1st fold s  search s  driver CPU  driver MiB")
    for row in rows:
        print(
            f"{row['nodes']:6d} {row['joined_s']:9.1f} {row['mib_per_node']:9.0f} {row['first_fold_s']:11.1f} "
            f"{row['search_s']:9.1f} {row['driver_cpu_share']:11.0%} {row['driver_rss_mib']:11.0f}"
        )
    Path("benchmarks/fleet.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
