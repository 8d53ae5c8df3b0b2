"""What a search costs beside its training: `python -m benchmarks.overhead DATASET [--space FILE] [--repetitions N]`.

On a real dataset (aio-tune prepare), with as many trials at one time as there are cores, each fold on one thread:

    start-up      from the command to the first fold's first epoch, over `import tensorflow` and `ray.init` in one
                  process, which nothing that trains on Ray can do without; in turns, in a new home folder, whose MLflow
                  store is made first, and in the same one again
    the search    16 trials: wall time from the first epoch to the last trial's end, over training time per core
    leaderboard   of 2,000 trials: the events of that search over and over, read by `aio-tune leaderboard`
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aio_tune.config import Home
from aio_tune.ledger import Ledger, read_events
from benchmarks.turns import REPETITIONS, ratios, spread, write

TRIALS = 16
MANY = 2000
PLAIN = (
    "import tensorflow, ray; ray.init(num_cpus=2, include_dashboard=False, logging_level='ERROR', log_to_driver=False)"
)
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "RAY_USAGE_STATS_ENABLED": "0"}


def run(*words: object) -> float:
    """Wall seconds of a command that must work."""
    began = time.perf_counter()
    subprocess.run(
        [str(word) for word in words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, **ENVIRONMENT},
    )  # fmt: skip
    return time.perf_counter() - began


def plain_start() -> float:
    """Seconds until one process has TensorFlow and a Ray of its own; not until it has taken them down again."""
    began = time.time()
    said = subprocess.run(
        [sys.executable, "-c", f"{PLAIN}; import time; print('AT', time.time())"],
        check=True, capture_output=True, text=True, env={**os.environ, **ENVIRONMENT},
    ).stdout  # fmt: skip
    return float(said.rsplit("AT", 1)[1]) - began


def search(arguments: argparse.Namespace, home: Path, name: str, trials: int, *more: str) -> tuple[float, list[Any]]:
    """Run a search; when it was begun, s since 1970, and its events."""
    began = time.time()
    run(
        sys.executable, "-m", "aio_tune.cli", "search", arguments.space, "--data", arguments.dataset, "--home", home,
        "--name", name, "--trials", trials, "--set", "layout_control=false", *more,
    )  # fmt: skip
    return began, read_events(Home(home).run(name).ledger)[0]


def first_training(events: Iterable[Mapping[str, Any]]) -> float:
    """When the first fold began to train, s since 1970: its report, less the seconds that it trained."""
    return min(event["time"] - event["seconds"] for event in events if event["kind"] == "rung_reported")


def shares(events: list[Any], places: int) -> dict[str, float]:
    """Of one search: wall seconds, and those that each place trained."""
    training = sum(event["seconds"] for event in events if event["kind"] == "rung_reported") / places
    ended = max(event["time"] for event in events if event["kind"] == "trial_ended")
    return {"wall": ended - first_training(events), "training": training}


def multiply(events: list[Any], home: Path, name: str) -> None:
    """A finished search of ``MANY`` trials: those of another one, again and again under new numbers."""
    middle = [event for event in events if "trial" in event and event["kind"] not in ("model_registered",)]
    trials = 1 + max(event["trial"] for event in middle)
    run_folder = Home(home).run(name)
    run_folder.path.mkdir(parents=True)
    with Ledger(run_folder.ledger) as ledger:
        for first in range(0, MANY, trials):
            if not first:
                ledger.append("search_started", **_facts(events[0]))
            for event in middle:
                if first + event["trial"] < MANY:
                    facts = {**_facts(event), "trial": first + event["trial"]}
                    facts |= {"same_as": first + event["same_as"]} if "same_as" in event else {}
                    ledger.append(event["kind"], **facts)
        ledger.append("search_ended", reason="all trials run", best_trial=0)


def _facts(event: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key not in ("kind", "time", "format")}


def main() -> None:
    """Print the three ratios; write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--space", type=Path, default=Path("search_spaces/ki67.yaml"))
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--searches", type=int, default=1, help="of 16 trials")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    facts: dict[str, Any] = {"cores": cores, "plain": [], "new home": [], "same home": [], "searches": []}
    with tempfile.TemporaryDirectory() as folder:
        plain_start()
        for i in range(arguments.repetitions):
            facts["plain"].append(plain_start())
            small = ("--set", "rungs=[[1, 1], [5, 2]]")
            for name in ("new home", "same home"):
                words = (arguments, Path(folder) / f"start{i}", name.replace(" ", "-"), 1, *small)
                began, events = search(*words)
                facts[name].append(first_training(events) - began)
        print(f"start-up: plain {spread(facts['plain'], 1)} s")
        for name in ("new home", "same home"):
            facts[f"ratio, {name}"] = ratios(facts[name], facts["plain"])
            print(f"  {name}: {spread(facts[name], 1)} s, ratio {spread(facts[f'ratio, {name}'])}", flush=True)
        for i in range(arguments.searches):
            home = Path(folder) / f"search{i}"
            _, events = search(arguments, home, "search", TRIALS, "--set", f"seed={i}")
            facts["searches"].append(shares(events, cores))
        over = [one["wall"] / one["training"] for one in facts["searches"]]
        print(f"search of {TRIALS} trials: wall / training per core {spread(over)}", flush=True)
        multiply(events, home, "many")
        command = (sys.executable, "-m", "aio_tune.cli", "leaderboard", "many", "--home", home)
        run(*command)
        facts["leaderboard"] = [run(*command) for _ in range(arguments.repetitions)]
        print(f"leaderboard of {MANY} trials: {spread(facts['leaderboard'])} s")
    write(__file__, json.loads(json.dumps(facts)))


if __name__ == "__main__":
    main()
