"""The search beside what people would use instead: `python -m benchmarks.peers DATASET --task ki67 [--repetitions N]`.

On a real dataset (aio-tune prepare): the seconds from a side's command, start-up included, to its first network that is
as good as what plain Optuna finds. Needs keras-tuner beside the project's own packages. Sides, each in a process of its
own, with all cores:

    ours          `aio-tune search` as it is
    plain         Optuna's TPE and Keras, every trial a full cross-validation
    ray_tune      Ray Tune with OptunaSearch, and ASHA over epochs
    keras_tuner   KerasTuner's Hyperband

All have the same network, optimizer, preprocessing, folds, space, starting points and number of epochs, and the same
measure: the mean AUC over all folds at the last epoch. A trial that was stopped before, or did not train all folds,
does not count. In each repetition plain runs its trials to the end; the target is its best value, less 0.005, and its
own time is read from its series. Then the others run, in an order that rotates, until a complete trial reaches the
target or the cap is over, by default the time that plain took for all its trials. A repetition's seed is that of the
folds and of every side.

A side that did not reach the target took longer than the cap, so its ratio is a bound; so is a median of bounds, on the
same side. After each repetition all is written as JSON; with --more a later call adds repetitions to it.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from aio_tune.dataset import open_dataset
from aio_tune.search_space import load_space
from benchmarks.peers import ours
from benchmarks.peers.watching import reached, watch
from benchmarks.peers.work import noted
from benchmarks.turns import REPETITIONS, spread, write

MARGIN = 0.005
PEERS = {"plain": "plain", "ray_tune": "with_ray_tune", "keras_tuner": "with_keras_tuner"}
OTHERS = ("ours", "ray_tune", "keras_tuner")
SIDES = ("ours", *PEERS)


def main() -> None:
    """Run the repetitions, and print the table after each."""
    arguments = _arguments()
    # So that a side is stopped too when this process is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    script = Path(__file__).parent.with_name(f"peers_{arguments.task}.py")
    facts = {**_facts(arguments), "repetitions": []}
    if arguments.more:
        before = json.loads(script.with_suffix(".json").read_text())
        changed = [key for key in facts if key != "repetitions" and facts[key] != before[key]]
        if changed:
            raise SystemExit(f"Expected to go on with the same comparison. Received another {', '.join(changed)}.")
        facts = before
    for _ in range(arguments.repetitions):
        known = facts["repetitions"]
        known.append(_repetition(arguments, known[-1]["seed"] + 1 if known else arguments.first_seed or 0))
        write(str(script), facts)
        _show(facts)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--task", required=True)
    parser.add_argument("--space", type=Path, help="default: search_spaces/TASK.yaml")
    parser.add_argument(
        "--set", dest="overrides", metavar="KEY=VALUE", action="append",
        help="of the space file; default: space.branches=embedding, with which a repetition takes minutes; "
        "any other --set replaces it",
    )  # fmt: skip
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--first-seed", type=int, help="of the first repetition (0); each next one has one more")
    parser.add_argument("--trials", type=int, default=40, help="of plain")
    parser.add_argument("--cap", type=float, help="seconds of each other side")
    parser.add_argument("--more", action="store_true", help="add to the repetitions that are there")
    arguments = parser.parse_args()
    if arguments.more and arguments.first_seed is not None:
        parser.error("Expected --first-seed or --more. Received both: more repetitions have the seeds that follow.")
    arguments.space = arguments.space or Path("search_spaces") / f"{arguments.task}.yaml"
    arguments.overrides = arguments.overrides or ["space.branches=embedding"]
    return arguments


def _facts(arguments: argparse.Namespace) -> dict[str, Any]:
    """What all repetitions have in common."""
    dataset = open_dataset(arguments.dataset)
    spec = load_space(arguments.space, arguments.overrides, tasks=dataset.tasks)
    if spec.task != arguments.task:
        raise SystemExit(f"Expected a space of {arguments.task}. Received one of {spec.task}.")
    names = ("aio-tune", "optuna", "ray", "keras-tuner", "keras", "tensorflow")
    facts = {
        "task": spec.task,
        "dataset": dataset.fingerprint,
        "space": spec.space_facts(),
        "settings": {key: value for key, value in spec.settings_facts().items() if key != "seed"},
        "cores": len(os.sched_getaffinity(0)),
        "plain_trials": arguments.trials,
        "cap": arguments.cap,
        "versions": {name: version(name) for name in names},
    }
    return dict(json.loads(json.dumps(facts)))


def _repetition(arguments: argparse.Namespace, seed: int) -> dict[str, Any]:
    overrides = [*arguments.overrides, f"seed={seed}"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folders = {side: Path(name) / side for side in SIDES}
        for folder in folders.values():
            folder.mkdir()
        plain = [*_peer("plain", arguments, overrides, folders["plain"]), "--trials", str(arguments.trials)]
        sides = {"plain": watch(plain, folders["plain"], noted)}
        target = sides["plain"]["best"][-1][1] - MARGIN
        cap = arguments.cap or sides["plain"]["best"][-1][0]
        print(f"repetition {seed}: plain took {sides['plain']['best'][-1][0]:.0f} s; target {target:.3f}", flush=True)
        turn = seed % len(OTHERS)
        order = [*OTHERS[turn:], *OTHERS[:turn]]
        for side in order:
            folder = folders[side]
            if side == "ours":
                sides[side] = watch(
                    ours.command(arguments, overrides, folder, target), folder, ours.complete, target, cap
                )
            else:
                sides[side] = watch(_peer(side, arguments, overrides, folder), folder, noted, target, cap)
            print(f"    {side}: {_said(reached(sides[side]['best'], target))}", flush=True)
    for facts in sides.values():
        facts["reached"] = reached(facts["best"], target)
    return {"seed": seed, "target": target, "cap": cap, "order": order, "sides": sides}


def _peer(side: str, arguments: argparse.Namespace, overrides: Sequence[str], folder: Path) -> list[str]:
    return [
        sys.executable, "-m", f"benchmarks.peers.{PEERS[side]}", str(arguments.dataset),
        "--space", str(arguments.space), "--folder", str(folder),
        *(word for override in overrides for word in ("--set", override)),
    ]  # fmt: skip


def _said(seconds: float | None) -> str:
    return "not reached" if seconds is None else f"{seconds:.1f} s"


def _show(facts: Mapping[str, Any]) -> None:
    """One row a side: how often it reached the target, in how many seconds, and ours over it."""
    repetitions = facts["repetitions"]
    print(f"{facts['task']}: {len(repetitions)} repetitions, {facts['cores']} cores; median [min, max]")
    print(f"{'side':<14}{'reached':>9}{'seconds to target':>32}{'ours / side':>36}{'s per full trial':>19}")
    for side in SIDES:
        times = [one["sides"][side]["reached"] for one in repetitions]
        there = [seconds for seconds in times if seconds is not None]
        known = [seconds or one["cap"] for seconds, one in zip(times, repetitions, strict=True)]
        seconds = f"{'>= ' if len(there) < len(times) else ''}{spread(known, 1)}" if there else "not reached"
        trials = [s for one in repetitions for s in one["sides"][side]["trial_seconds"]]
        alone = f"{statistics.median(trials):.1f}" if trials else "-"
        ratio = "" if side == "ours" else _ratio(repetitions, side)
        print(f"{side:<14}{f'{len(there)}/{len(times)}':>9}{seconds:>32}{ratio:>36}{alone:>19}")


def _ratio(repetitions: Sequence[Mapping[str, Any]], side: str) -> str:
    """Ours over a side, repetition by repetition; with whoever did not reach the target at the cap, a bound."""
    values, bounds = [], set()
    for one in repetitions:
        of, over = one["sides"]["ours"]["reached"], one["sides"][side]["reached"]
        if of is None and over is None:
            continue  # nothing is known of this one
        bounds |= {">= "} if of is None else {"<= "} if over is None else set()
        values.append((of or one["cap"]) / (over or one["cap"]))
    if not values:
        return "neither reached"
    if len(bounds) == 2:
        return "bounds both ways"
    left_out = len(repetitions) - len(values)
    return "".join(bounds) + spread(values) + (f" ({left_out} unknown)" if left_out else "")


if __name__ == "__main__":
    main()
