"""What logging to MLflow adds to a search's wall time, and whether sixteen trials at once lose anything.

`python -m benchmarks.tracking`; some half an hour, two processors and 12 GB of memory. On a machine that others use
too, one search may take a fifth longer than the same one a minute later, so the two that are compared run at the same
time, each with all its processes on a processor of its own, and change places every round. Both are the same search
(same seed, random sampler, nothing pruned, so the same work); one has no MLflow, the other the default SQLite store or,
where PostgreSQL is installed, a server on it. Two that both have none are the control: what they differ by is noise.

Each is timed twice: from the first trial asked for to the last event of the ledger, plus what is waited for MLflow
after that; and from the process's start to its end, with all imports and the start of Ray. With one processor for
training and mirror alike, and the server of PostgreSQL on either, this is the worst case. The mirror's own processor
time is measured too: unlike the ratios it hardly varies.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from aio_tune.config import Home
from aio_tune.dataset import open_dataset
from aio_tune.ledger import read_events
from aio_tune.search.rows import training_rows
from aio_tune.search.run import run_search
from aio_tune.search_space import load_space
from aio_tune.tracking import Mirror, ensure_store, tracking_uri

GENES, SAMPLES, EXPERIMENT = 1024, 400, "aio-nhg"
AT_ONCE = 16


class Place(NamedTuple):
    """Address of a store, empty for none, and of the database behind it."""

    uri: str
    database: str


SPACE = """
task: nhg
trials: {trials}
rungs: {rungs}
sampler: random
pruner: none
resources: {{max_concurrent_trials: {at_once}}}
space:
  branches: embedding
  scaling: {{choice: [zscore, minmax, rank]}}
  dropout: {{float: [0.0, 0.5]}}
  learning_rate: {{float: [1e-4, 1e-2], log: true}}
"""


def search(space: Path, data: Path, home: Path, name: str, address: str, uri: str, processor: str) -> None:
    """One search, in this process; says its seconds, and how many of them were spent waiting for MLflow at its end."""
    if processor:
        os.sched_setaffinity(0, {int(processor)})  # what it starts inherits this
    spec, dataset = load_space(space), open_dataset(data)
    budget = spec.resources.memory_budget
    rows = training_rows(dataset, spec.task, spec.train_on, spec.folds, spec.seed, budget)
    ledger, waited, worked = Home(home).run(name).ledger, 0.0, 0.0
    ledger.parent.mkdir(parents=True, mode=0o700)
    if uri:
        ensure_store(uri, None, EXPERIMENT)
    with Mirror(ledger, uri, EXPERIMENT) if uri else contextlib.nullcontext() as mirror:
        run_search(spec, dataset, rows, Home(home), name, address=address)
        if mirror is not None:
            began = time.perf_counter()
            assert mirror.flush(600)
            waited = time.perf_counter() - began
            worked = mirror_seconds()
    events = read_events(ledger)[0]
    first = next(event["time"] for event in events if event["kind"] == "trial_asked")
    print(json.dumps({"seconds": events[-1]["time"] - first + waited, "waited": waited, "mirror_cpu": worked}))


def mirror_seconds() -> float:
    """Processor time that the mirror's thread of this process has taken."""
    thread = next(thread for thread in threading.enumerate() if thread.name == "mlflow-mirror")
    assert thread.ident is not None
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


def points(events: list[dict[str, Any]]) -> dict[int | None, int]:
    """Metric points that each run of a search must hold, by its ledger."""
    from aio_tune.tracking.runs import Progress, translate

    return {write.trial: len(write.points) for write in translate(events, Progress())}


def lost(place: Place, ledger: Path) -> dict[str, int]:
    """What a store holds of a search, beside what its ledger says it should."""
    from aio_tune.tracking.client import connect
    from tests.tracking.team_server import points_in

    client = connect(place.uri)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    notes = json.loads(ledger.with_name("tracking.json").read_text())
    expected = points(read_events(ledger)[0])
    ids = {None: notes["search_run"], **{int(trial): run for trial, run in notes["trial_runs"].items()}}
    counts = points_in(place.database)
    found = {trial: counts[run] for trial, run in ids.items()}
    name = ledger.parent.name
    runs = client.search_runs([experiment], f"tags.`aio.search` = '{name}'", max_results=1000)
    return {
        "points_expected": sum(expected.values()),
        "points_found": sum(found.values()),
        "runs_that_differ": sum(found.get(trial) != count for trial, count in expected.items()),
        "runs_doubled": len(runs) - len(expected),
    }


@contextlib.contextmanager
def stores(folder: Path) -> Iterator[dict[str, Place]]:
    """Name of a way to log -> its store."""
    from tests.tracking.team_server import missing, postgres, team_server

    sqlite = tracking_uri(Home(folder / "home"))
    found = {"control": Place("", ""), "sqlite": Place(sqlite, sqlite)}
    with contextlib.ExitStack() as stack:
        if reason := missing():
            print(f"without PostgreSQL: {reason}", file=sys.stderr)
        else:
            database = stack.enter_context(postgres(folder))
            server = stack.enter_context(team_server(folder, database))
            found["postgresql"] = Place(server, database)
        yield found


def start(folder: Path, space: Path, name: str, address: str, uri: str, processor: str = "") -> "subprocess.Popen[str]":
    """A search in a process of its own."""
    arguments = [space, folder / "dataset", folder / "home", name, address, uri, processor]
    command = [sys.executable, "-m", "benchmarks.tracking", "--search", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]", began: float) -> dict[str, float]:
    """What a search says when it has ended, and how long its process took."""
    out, errors = process.communicate()
    if process.returncode != 0:
        raise SystemExit(errors[-3000:])
    return {**json.loads(out.splitlines()[-1]), "process": time.perf_counter() - began}


def together(
    folder: Path, space: Path, names: tuple[str, str], uris: tuple[str, str], turn: int
) -> list[dict[str, float]]:
    """Two searches at the same time, each on a processor of its own; ``turn`` says which has which."""
    processors = sorted(os.sched_getaffinity(0))[:2][:: -1 if turn % 2 else 1]
    began = time.perf_counter()
    started = [
        start(folder, space, name, "local", uri, str(processor))
        for name, uri, processor in zip(names, uris, processors, strict=True)
    ]
    with ThreadPoolExecutor(2) as waiting:  # at the same time: each one's end is its own
        return list(waiting.map(lambda process: finish(process, began), started))


def concurrent(folder: Path, place: Place, name: str) -> dict[str, Any]:
    """Sixteen trials at the same time, on a Ray that is told of sixteen CPUs."""
    from ray.cluster_utils import Cluster

    space = folder / "sixteen.yaml"
    space.write_text(SPACE.format(trials=AT_ONCE, rungs="[[2, 2], [5, 8]]", at_once=AT_ONCE))
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": AT_ONCE, "object_store_memory": 200 * 2**20})
    try:
        took = finish(start(folder, space, name, started.address, place.uri), time.perf_counter())
    finally:
        started.shutdown()
    ledger = Home(folder / "home").run(name).ledger
    return {**took, "most_at_once": most_at_once(read_events(ledger)[0]), **lost(place, ledger)}


def most_at_once(events: list[dict[str, Any]]) -> int:
    """The most trials that had been asked for and had not ended."""
    now = most = 0
    for event in events:
        now += (event["kind"] == "trial_asked") - (event["kind"] == "trial_ended")
        most = max(most, now)
    return most


def measure(folder: Path, rounds: int, trials: int, epochs: int, sixteen: bool) -> dict[str, Any]:
    """All searches, by turns."""
    aio_tune = [sys.executable, "-m", "aio_tune.cli"]
    simulate = [*aio_tune, "simulate", folder / "geo", "--samples", SAMPLES, "--genes", GENES, "--seed", 1]
    for command in (simulate, [*aio_tune, "prepare", folder / "geo", "--out", folder / "dataset"]):
        subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    space = folder / "space.yaml"
    space.write_text(SPACE.format(trials=trials, rungs=f"[[2, {epochs // 3}], [5, {epochs}]]", at_once=1))
    results: dict[str, Any] = {}
    with stores(folder) as places:
        took: dict[str, list[list[dict[str, float]]]] = {name: [] for name in places}
        for i in range(rounds):
            for name, place in places.items():
                pair = together(folder, space, (f"{name}-{i}-without", f"{name}-{i}"), ("", place.uri), i)
                took[name].append(pair)
                print(name, *(f"{one['seconds']:.1f} s" for one in pair), file=sys.stderr, flush=True)
        for name, place in places.items():
            results[name] = {
                "without": {key: [round(pair[0][key], 2) for pair in took[name]] for key in took[name][0][0]},
                "with": {key: [round(pair[1][key], 2) for pair in took[name]] for key in took[name][0][1]},
                **{f"{key}_ratio": ratio(took[name], key) for key in ("seconds", "process")},
            }
            if place.uri:
                results[name]["search"] = lost(place, Home(folder / "home").run(f"{name}-0").ledger)
            if place.uri and sixteen:
                results[name]["sixteen"] = concurrent(folder, place, f"sixteen-{name}")
    return results


def ratio(pairs: list[list[dict[str, float]]], key: str) -> dict[str, Any]:
    """Second of each pair to the first: each round's, and their geometric mean, in which places count the same."""
    ratios = [second[key] / first[key] for first, second in pairs]
    return {"mean": round(statistics.geometric_mean(ratios), 3), "rounds": [round(one, 3) for one in ratios]}


def main() -> None:
    """Measure and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--sixteen", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--out", type=Path, help="file for the results, beside printing them")
    parser.add_argument("--search", nargs=7, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.search:
        space, data, home, *rest = given.search
        search(Path(space), Path(data), Path(home), *rest)
        return
    with tempfile.TemporaryDirectory() as folder:
        results = json.dumps(measure(Path(folder), given.rounds, given.trials, given.epochs, given.sixteen), indent=1)
    print(results)
    if given.out:
        given.out.write_text(results + "\n")


if __name__ == "__main__":
    main()
