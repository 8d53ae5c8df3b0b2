"""Trials that samplers need, on a model of real searches: `python -m benchmarks.samplers SPACE LEDGER [LEDGER ...]`.

The ledgers are of searches of that space (--set as for them) on the same folds, in two rungs. What their trials had is
learnt by extremely randomised trees from the configurations; a simulated trial has what the trees say of its
configuration, and noise with the deviation that they leave on trials which they have not seen. Two trials are open at
one time, as on two cores, and nobody is stopped early.

In each repetition Optuna's TPE with its own defaults runs 40 trials, one after the other; the target is its best value
less 0.005, as in benchmarks.peers. Then each sampler draws until a trial has it, 130 at most. Sides are the samplers
that `sampler:` can name and, of TPE, other settings than the project's.
"""

import argparse
import json
import math
import statistics
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.samplers import BaseSampler, TPESampler
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import cross_val_predict

from aio_tune.ledger import read_events
from aio_tune.search.study import make_sampler
from aio_tune.search_space import SearchSpec, load_space
from benchmarks.turns import write

MARGIN = 0.005
PLAIN_TRIALS = 40
MOST = 130
NOT_IN_PLAY = -1.0
"""Of a number that a configuration does not have; the others are not below zero."""
PLACES = 2

# A sampler for a trial, by its number.
Sampler = Callable[[int], BaseSampler]


class Surrogate:
    """What a configuration has, as learnt from complete trials.

    Args:
        configurations: of the trials.
        values: of the trials.
    """

    def __init__(self, configurations: Sequence[Mapping[str, Any]], values: Sequence[float]) -> None:
        table = _encoded(configurations)
        forest = ExtraTreesRegressor(100, min_samples_leaf=3, random_state=0)
        unseen = cross_val_predict(forest, table.to_numpy(), values, cv=10)
        self.trials = len(values)
        self.correlation = float(np.corrcoef(unseen, values)[0, 1])
        self.deviation = float(np.std(unseen - values))
        self._columns = table.columns
        # One row at a time: the trees themselves answer a hundred times faster than the forest's own function.
        self._trees = [one.tree_ for one in forest.fit(table.to_numpy(), values).estimators_]

    def __call__(self, configuration: Mapping[str, Any]) -> float:
        # Below zero a column of zeros and ones has what a zero has: no tree parts the two.
        row = _encoded([configuration]).reindex(columns=self._columns, fill_value=NOT_IN_PLAY).to_numpy(np.float32)
        return float(np.mean([tree.predict(row)[0] for tree in self._trees]))


def _encoded(configurations: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Numbers as they are, each value of another parameter as a column."""
    flat = [{k: v if isinstance(v, int | float) else json.dumps(v) for k, v in one.items()} for one in configurations]
    return pd.get_dummies(pd.DataFrame(flat)).astype(float).fillna(NOT_IN_PLAY)


def learnt(ledgers: Sequence[Path]) -> Surrogate:
    """Of the trials of some searches; who was stopped at the first rung has what its value there lets expect."""
    configurations: list[dict[str, Any]] = []
    rungs: list[list[float]] = []
    for ledger in ledgers:
        events = read_events(ledger)[0]
        asked = {event["trial"]: event["params"] for event in events if event["kind"] == "trial_asked"}
        reported: dict[int, dict[int, float]] = {}
        for event in events:
            if event["kind"] == "rung_reported":
                reported.setdefault(event["trial"], {})[event["rung"]] = event["value"]
        for trial, of_rung in reported.items():
            configurations.append(asked[trial])
            rungs.append([of_rung[0], of_rung.get(1, math.nan)])
    first, last = np.array(rungs).T
    complete = ~np.isnan(last)
    slope, height = np.polyfit(first[complete], last[complete], 1)
    return Surrogate(configurations, np.where(complete, last, slope * first + height))


def samplers(spec: SearchSpec) -> dict[str, Sampler]:
    """Name -> the sampler of each trial."""
    seed, own = spec.seed, {"multivariate": True, "group": True, "constant_liar": True}

    def tpe(**settings: Any) -> Sampler:
        sampler = TPESampler(seed=seed, **settings)
        return lambda _: sampler

    def ours(name: str) -> Sampler:
        named = spec.model_copy(update={"sampler": name, "trials": MOST})
        return lambda number: make_sampler(named, number, 0)

    return {
        "tpe (the default)": ours("tpe"),
        "its 20 first at random": tpe(n_startup_trials=20, **own),
        "its 100 candidates": tpe(n_ei_candidates=100, **own),
        "TPE, Optuna's defaults": tpe(),
        "random": ours("random"),
        "quasi-random": ours("quasi-random"),
    }


def run(
    spec: SearchSpec,
    truth: Surrogate,
    sampler: Sampler,
    random: np.random.Generator,
    places: int,
    most: int,
    target: float = math.inf,
) -> list[float]:
    """Values of so many trials, or until one has the target."""
    study = optuna.create_study(direction="maximize")
    for point in spec.start[:1]:
        study.enqueue_trial(spec.encode(point))
    begun: list[tuple[optuna.Trial, float]] = []
    values: list[float] = []
    while len(values) < most and not (values and values[-1] >= target):
        while len(begun) < places:
            study.sampler = sampler(len(values) + len(begun))
            trial = study.ask()
            begun.append((trial, truth(spec.suggest(trial))))
        trial, expected = begun.pop(0)
        values.append(expected + random.normal(0.0, truth.deviation))
        study.tell(trial, values[-1])
    return values


def repetition(spec: SearchSpec, truth: Surrogate, number: int) -> dict[str, Any]:
    """Trials of plain and of each sampler until the target, None where it was not reached."""
    spec = spec.model_copy(update={"seed": number})
    random = np.random.default_rng(number)
    plain = TPESampler(seed=number)
    values = run(spec, truth, lambda _: plain, random, 1, PLAIN_TRIALS)
    target = max(values) - MARGIN
    found: dict[str, int | None] = {"plain": next(i for i, value in enumerate(values, 1) if value >= target)}
    # Other seeds than plain's, or its own draws would come again.
    spec = spec.model_copy(update={"seed": number + 1_000_000})
    for name, sampler in samplers(spec).items():
        values = run(spec, truth, sampler, random, PLACES, MOST, target)
        found[name] = len(values) if values[-1] >= target else None
    return {"target": target, "trials": found}


def main() -> None:
    """Run the repetitions, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("space", type=Path)
    parser.add_argument("ledgers", type=Path, nargs="+")
    parser.add_argument("--set", dest="overrides", metavar="KEY=VALUE", action="append", default=[])
    parser.add_argument("--repetitions", type=int, default=60)
    arguments = parser.parse_args()
    # As the project's own module does: these options have been marked experimental since 2021.
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spec, truth = load_space(arguments.space, arguments.overrides), learnt(arguments.ledgers)
    said = f"{truth.trials} trials; r = {truth.correlation:.2f} and deviation {truth.deviation:.3f} on those not seen"
    print(said)
    done = [repetition(spec, truth, number) for number in range(arguments.repetitions)]
    write(__file__, {"surrogate": said, "repetitions": done})
    print(f"\n{'':26s}  trials to the target: half, nine in ten   within 40   within {MOST}")
    for name in done[0]["trials"]:
        needed = [one["trials"][name] or math.inf for one in done]
        half, most = np.quantile(needed, (0.5, 0.9), method="higher")
        within = [statistics.mean(n <= limit for n in needed) for limit in (PLAIN_TRIALS, MOST)]
        print(f"{name:26s}  {half:26.0f} {most:14.0f}   {within[0]:9.0%}   {within[1]:10.0%}")


if __name__ == "__main__":
    main()
