"""Which rungs and which pruner reach a good network soonest, on both tasks: `python -m benchmarks.rungs`; minutes.

The learning curves of real patients (benchmarks/curves.py) through the real director and pruners, on two places that
cost what a core cost when the curves were recorded. Those seconds are approximate: another process ran beside the
second half of the Ki67 trials. Fold-epochs, which depend on no clock, stand beside them.

Every variant (rungs x pruner) searches the same configurations in 30 orders. It has reached the target once a complete
trial is within 0.005 of the table's best CV mean at the last epoch; "time" is seconds until then over the median of
plain cross-validation, "ratio" the same over plain cross-validation in that very order, infinite if never; "spent" is
the training of the whole search over plain cross-validation's; "regret" is what the best network found lacks to the
table's best. Variants are ranked by reaching it 27 times of 30 on both tasks, then by the worse task's time.

With one best configuration for a target, that ranking may be luck. So in each order a random half of the configurations
is a search of its own, with its own target, and the other half another one: a variant is chosen on the first halves and
reported on the second ones, and on one task and reported on the other.
"""

import math
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aio_tune.search_space import default_rungs, load_space
from benchmarks.curves import Curves, load, tasks
from benchmarks.replay import Replay, Rungs, replay
from benchmarks.turns import ratios, write

SEEDS = 30
ROBUST = 27
CLOSE = 0.005
PLACES = 2
SHOWN = 10
PRUNERS = ("halving", "median", "percentile")
SPACES = Path(__file__).parents[1] / "search_spaces"
PLAIN = ("plain CV", "none")


def ladders(folds: int, epochs: int) -> dict[str, Rungs]:
    """Candidates; the share of the epochs is in the name, and the shipped ladders keep theirs."""

    def at(*rungs: tuple[int, float]) -> Rungs:
        return [*((n, max(i + 1, round(share * epochs))) for i, (n, share) in enumerate(rungs)), (folds, epochs)]

    return {
        "plain CV": at(),
        "default": default_rungs(folds, epochs),
        "1@1/9 2@1/3": at((1, 1 / 9), (2, 1 / 3)),
        "ki67.yaml: 1@1/3 2@2/3": at((1, 1 / 3), (2, 2 / 3)),
        "nhg.yaml: 1@3/7 2@5/7": at((1, 3 / 7), (2, 5 / 7)),
        "1@2/9 2@4/9": at((1, 2 / 9), (2, 4 / 9)),
        "1@1/3": at((1, 1 / 3)),
        "1@1/2": at((1, 1 / 2)),
        "2@1/9": at((2, 1 / 9)),
        "2@2/9": at((2, 2 / 9)),
        "2@1/3": at((2, 1 / 3)),
        "2@1/2": at((2, 1 / 2)),
        "2@2/3": at((2, 2 / 3)),
        "2@1/3 3@2/3": at((2, 1 / 3), (3, 2 / 3)),
        "2@1/9 3@1/3": at((2, 1 / 9), (3, 1 / 3)),
        "2@2/9 3@1/2": at((2, 2 / 9), (3, 1 / 2)),
        "3@1/9": at((3, 1 / 9)),
        "3@2/9": at((3, 2 / 9)),
        "3@1/3": at((3, 1 / 3)),
        "3@2/9 3@1/2": at((3, 2 / 9), (3, 1 / 2)),
        "3@1/3 4@2/3": at((3, 1 / 3), (4, 2 / 3)),
        "4@1/3": at((4, 1 / 3)),
        "all@1/9": at((folds, 1 / 9)),
        "all@2/9": at((folds, 2 / 9)),
        "all@1/3": at((folds, 1 / 3)),
        "all@1/2": at((folds, 1 / 2)),
        "1@1/9 2@1/3 3@2/3": at((1, 1 / 9), (2, 1 / 3), (3, 2 / 3)),
        "1@1/3 2@1/2 3@3/4": at((1, 1 / 3), (2, 1 / 2), (3, 3 / 4)),
        "2@2/9 3@4/9 4@2/3": at((2, 2 / 9), (3, 4 / 9), (4, 2 / 3)),
        "epochs": at((folds, 1 / 9), (folds, 1 / 3)),
        "epochs, finer": at((folds, 1 / 9), (folds, 2 / 9), (folds, 1 / 3), (folds, 2 / 3)),
        "folds first": [(n, epochs - folds + n) for n in range(1, folds + 1)],
    }


REFERENCES = [
    *(("default", pruner) for pruner in PRUNERS), ("1@1/9 2@1/3", "halving"), ("1@1/9 2@1/3", "median"),
    ("ki67.yaml: 1@1/3 2@2/3", "halving"), ("nhg.yaml: 1@3/7 2@5/7", "halving"), ("epochs", "halving"),
    ("epochs", "median"), ("folds first", "halving"), ("folds first", "median"), PLAIN,
]  # fmt: skip


def variants(folds: int, epochs: int) -> dict[tuple[str, str], Rungs]:
    """Every ladder with every pruner; without one, rungs change nothing but how often a trial reports."""
    found = ladders(folds, epochs)
    return {PLAIN: found.pop("plain CV"), **{(name, pruner): found[name] for name in found for pruner in PRUNERS}}


def cut(curves: Curves, epochs: int) -> Curves:
    """The same trials, shorter."""
    return Curves(curves.task, curves.params, curves.auc[:, :, :epochs], curves.start, curves.epoch)


Orders = Callable[[Curves, int], Sequence[int]]


def whole(curves: Curves, seed: int) -> list[int]:
    """All configurations in a random order."""
    return np.random.default_rng(seed).permutation(len(curves.auc)).tolist()


def first_half(curves: Curves, seed: int) -> list[int]:
    """The first half of that order."""
    order = whole(curves, seed)
    return order[: len(order) // 2]


def second_half(curves: Curves, seed: int) -> list[int]:
    """What the first half leaves."""
    order = whole(curves, seed)
    return order[len(order) // 2 :]


def measure(curves: Curves, orders: Orders) -> dict[tuple[str, str], dict[str, Any]]:
    """Every variant's figures over all seeds; plain cross-validation's own are what the others are set against."""
    folds, epochs = curves.auc.shape[1:]
    final = curves.auc[:, :, -1].mean(axis=1)
    best = [float(final[orders(curves, seed)].max()) for seed in range(SEEDS)]
    runs: dict[tuple[str, str], list[Replay]] = {}
    for key, rungs in variants(folds, epochs).items():
        runs[key] = [replay(curves, orders(curves, seed), rungs, key[1], PLACES) for seed in range(SEEDS)]
        if sys.stderr.isatty():
            print(".", end="", file=sys.stderr, flush=True)
    times = {key: [run.reached(top - CLOSE) for run, top in zip(found, best, strict=True)]
             for key, found in runs.items()}  # fmt: skip
    plain, plain_times = runs[PLAIN], times[PLAIN]
    return {
        key: {
            "reached": sum(map(math.isfinite, times[key])),
            "time": statistics.median(times[key]) / statistics.median(plain_times),
            "ratios": ratios(times[key], plain_times),
            "spent": statistics.median(ratios([r.training for r in found], [r.training for r in plain])),
            "fold_epochs": statistics.median(ratios([r.fold_epochs for r in found], [r.fold_epochs for r in plain])),
            "regret": statistics.median(top - run.best[-1][1] if run.best else math.nan
                                        for run, top in zip(found, best, strict=True)),
        } for key, found in runs.items()
    }  # fmt: skip


def ranked(results: Mapping[str, Mapping[tuple[str, str], Any]]) -> list[tuple[str, str]]:
    """Robust on every task first, then by the time on the task where it is worse; ties by how often it reached."""

    def place(key: tuple[str, str]) -> tuple[bool, float, int]:
        found = [of_task[key] for of_task in results.values()]
        reached = min(one["reached"] for one in found)
        return reached < ROBUST, max(one["time"] for one in found), -reached

    return sorted(next(iter(results.values())), key=place)


def show(results: Mapping[str, Mapping[tuple[str, str], Any]], keys: Sequence[tuple[str, str]]) -> None:
    """One line for each variant and task."""
    print(f"  {'rungs (the last: all folds, all epochs)':<40}{'pruner':<11} task  reached   time"
          "   ratio: median [min, max]   spent  fold-epochs  regret")  # fmt: skip
    for key in keys:
        for task, of_task in results.items():
            one = of_task[key]
            name, pruner = key if task == next(iter(results)) else ("", "")
            spread = f"{statistics.median(one['ratios']):.2f} [{min(one['ratios']):.2f}, {max(one['ratios']):.2f}]"
            print(f"  {name:<40}{pruner:<11} {task:<5} {one['reached']:>3}/{SEEDS}  {one['time']:>5.2f}  {spread:>25}"
                  f"  {one['spent']:>6.2f}  {one['fold_epochs']:>11.2f}  {one['regret']:>6.4f}")  # fmt: skip


def cross_check(first: Mapping[str, Any], second: Mapping[str, Any], whole_table: Mapping[str, Any]) -> None:
    """What was chosen on one part, on the other part."""
    print("\nChosen on the first halves of the configurations, reported on the second halves:")
    chosen = ranked(first)[:3]
    show(second, [*chosen, *(key for key in (("default", "halving"), PLAIN) if key not in chosen)])
    names = list(whole_table)
    for one, other in zip(names, names[::-1], strict=True):
        print(f"\nChosen on {one} alone, reported on {other}:")
        show({other: whole_table[other]}, ranked({one: whole_table[one]})[:3])


def main() -> None:
    """Print the tables; write every figure as JSON."""
    tables = {task: load(task) for task in tasks()}
    for task, curves in tables.items():
        final = np.sort(curves.auc[:, :, -1].mean(axis=1))[::-1]
        close = int((final >= final[0] - CLOSE).sum())
        print(f"{task}: {len(final)} configurations, {curves.auc.shape[2]} epochs, best CV AUC {final[0]:.4f}; "
              f"{close} of them within {CLOSE}")  # fmt: skip
    parts = {"whole": whole, "first halves": first_half, "second halves": second_half}
    results = {name: {task: measure(c, orders) for task, c in tables.items()} for name, orders in parts.items()}
    order = ranked(results["whole"])
    print(f"\nAll configurations, all epochs; the best {SHOWN} of {len(order)} variants:")
    show(results["whole"], order[:SHOWN])
    print("\nFor reference:")
    show(results["whole"], [key for key in REFERENCES if key not in order[:SHOWN]])
    cross_check(results["first halves"], results["second halves"], results["whole"])
    both = {f"{task}, {name}": results[name][task] for name in parts for task in tables}
    print("\nRanked by all of these together, the whole table and both halves, the best:")
    show(both, ranked(both)[:3])
    shipped = {}
    for task, curves in tables.items():
        epochs = load_space(SPACES / f"{task}.yaml").epochs
        shipped[f"{task} {epochs}"] = measure(cut(curves, epochs), whole)
    print("\nCurves cut to the epochs of the shipped spaces (task and epochs):")
    order = ranked(shipped)[: SHOWN // 2]
    show(shipped, [*order, *(key for key in REFERENCES if key not in order)])
    facts: dict[str, Any] = {"seeds": SEEDS, "places": PLACES, "close": CLOSE}
    for part, found in {**results, "shipped epochs": shipped}.items():
        facts[part] = {task: {", ".join(key): one for key, one in of_task.items()} for task, of_task in found.items()}
    write(__file__, facts)


if __name__ == "__main__":
    main()
