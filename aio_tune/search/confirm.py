"""Confirming a search's winner: numbers that owe less, or nothing, to having been chosen.

Three numbers, from the most to the least flattering:

    search   the winner's cross-validation on the folds on which it was chosen among all trials
    runs     the same configuration, slightly varied, on new splits of the same patients: no longer the folds that
             chose it, but it was still chosen on these patients. The protocol of Chen et al. (2021): five runs or more
    nested   whole searches, each of which never sees one outer fold, on which its ensemble is then judged: free of
             selection bias (Varma and Simon, BMC Bioinformatics 7:91, 2006)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError

from aio_tune.config import Home, RunFolder
from aio_tune.dataset import AioDataset
from aio_tune.errors import SearchError
from aio_tune.folds import Folds
from aio_tune.ledger import Ledger, read_events
from aio_tune.metrics import mean_sd
from aio_tune.models import DEFAULT_NETWORK, NETWORKS
from aio_tune.search.ahead import Ahead
from aio_tune.search.feasibility import Feasibility
from aio_tune.search.leaderboard import read_state
from aio_tune.search.rows import TrainingRows
from aio_tune.search.run import Event, Plan, begun, ignore, run_plan, started_facts
from aio_tune.search.source import Draw, Source
from aio_tune.search.state import SearchState, TrialRecord
from aio_tune.search_space import Budget, SearchSpec, change_resources
from aio_tune.training import TrainingParams, configuration

FEWEST_RUNS = 5
# Seeds of new splits lie this far from the search's own, so that none of them is that of another search's folds.
NEW_SPLITS = 10_000

# By how much a run varies the winner's configuration: factors, as powers of ten, drawn evenly.
RATE = 0.1
EPSILON = 0.5
PENALTY = 0.15
VARIED = {"learning_rate": RATE, "epsilon": EPSILON, "bn_epsilon": EPSILON, "conv_l1": PENALTY, "conv_l2": PENALTY,
          "embedding_l1": PENALTY, "embedding_l2": PENALTY, "fc_l2": PENALTY}  # fmt: skip


class FixedRuns(Source):
    """Configurations that are known beforehand, each on a split of its own or all on the same."""

    def __init__(self, configurations: list[dict[str, Any]], n_splits: int) -> None:
        self._configurations = configurations
        self._n_splits = n_splits

    def draws(self, number: int) -> Iterator[Draw]:
        if number < len(self._configurations):
            yield Draw(self._configurations[number], split=number if self._n_splits > 1 else 0, preset=True)

    def keep(self, number: int, draw: Draw) -> None:
        """Nothing to keep: what comes next depends on the number alone."""

    def refuse(self, number: int, draw: Draw) -> None:
        """Never called: all draws are preset."""

    def report(self, number: int, rung: int, value: float) -> bool:
        return False

    def end(self, number: int, state: str, values: tuple[float, ...], reached: tuple[int, float] | None = None) -> None:
        """Nothing to learn from it."""


def finished_search(
    home: Home, name: str, overrides: Sequence[str] = ()
) -> tuple[SearchState, TrialRecord, SearchSpec]:
    """A search that ended, its winner, and its settings as its last driver had them.

    Args:
        home: where the search is.
        name: the search's.
        overrides: of the resources, as of ``change_resources``.

    Raises:
        SearchError: there is no such search, it goes on still, or no trial of it finished all folds.
        SpaceError: an override is of something else, or wrong.
    """
    state = read_state(home, name)
    if not state.ended or state.best is None:
        raise SearchError(
            f"Expected a search with a winner. Received {name}, which "
            f"{'has none' if state.ended else 'has not ended'}.",
            "Go on with it by aio-tune search ... --resume.",
        )
    try:
        spec = SearchSpec.model_validate({**state.settings, "space": state.started["space"]})
    except ValidationError as error:
        raise SearchError(
            f"Expected settings that this version understands in the ledger of {name}. Received others: "
            f"{error.errors()[0]['msg']}.",
            "It was written by another version of aio_tune: use that one.",
        ) from error
    return state, state.best, change_resources(spec, overrides)


def same_rows(state: SearchState, rows: TrainingRows, dataset: AioDataset) -> None:
    """Check that ``rows`` are those that the search learnt from.

    Raises:
        SearchError: the dataset is another one.
    """
    before = state.started["dataset"]["fingerprint"]
    if dataset.fingerprint != before or rows.folds.digest != state.started["folds_digest"]:
        raise SearchError(
            f"Expected the dataset that was searched, {before[:12]}. Received {dataset.fingerprint[:12]}.",
            "Name it with --data.",
        )


def confirm_runs(
    home: Home,
    name: str,
    dataset: AioDataset,
    rows: TrainingRows,
    runs: int,
    *,
    address: str = "local",
    on_event: Callable[[Event], None] = ignore,
    overrides: Sequence[str] = (),
) -> SearchState:
    """Cross-validate the winner ``runs`` times, each time slightly varied and on a new split of the patients.

    The first run has the winner's own configuration. Going on after an interruption trains no run again, and finishes
    those that were begun; asking for more runs than before adds the missing ones.

    Args:
        home: where the search is.
        name: the search's.
        dataset: what it was searched on.
        rows: what ``training_rows`` gives for it.
        runs: at least five.
        address: as of ``run_search``.
        on_event: as of ``run_search``.
        overrides: as of ``finished_search``.

    Returns:
        The runs, as trials of a search of their own; ``ended`` is empty when they were interrupted.

    Raises:
        SearchError: too few runs, no winner, another dataset; or as ``run_search``.
    """
    if runs < FEWEST_RUNS:
        raise SearchError(f"Expected at least {FEWEST_RUNS} runs, as in the paper. Received {runs}.")
    state, best, spec = finished_search(home, name, overrides)
    same_rows(state, rows, dataset)
    folder = confirm_folder(home, name, best.number)
    runs = max(runs, runs_begun(folder))
    configurations = [vary(best.params, spec.seed, run) for run in range(runs)]
    confirmed = {"search": name, "trial": best.number, "params": best.params}
    confirmation = run_configurations(
        home, f"{name}/confirm", spec, configurations, dataset, rows, folder,
        {"confirms": confirmed}, address, on_event, new_splits(rows, spec.seed, runs),
    )  # fmt: skip
    if confirmation.ended:
        note(home, name, "runs", best.number, run_means(confirmation))
    return confirmation


def runs_begun(run: RunFolder) -> int:
    """How many configurations of ``run_configurations`` were begun before, by its ledger."""
    return len(SearchState.of(read_events(run.ledger)[0]).trials) if begun(run) else 0


def run_configurations(
    home: Home,
    name: str,
    spec: SearchSpec,
    configurations: list[dict[str, Any]],
    dataset: AioDataset,
    rows: TrainingRows,
    run: RunFolder,
    facts: Mapping[str, Any],
    address: str | Ahead,
    on_event: Callable[[Event], None],
    splits: tuple[Folds, ...],
) -> SearchState:
    """Cross-validate configurations that are known beforehand, all the way and without pruning.

    Args:
        home: where the cache is.
        name: what the ledger calls it.
        spec: settings of the search that it belongs to.
        configurations: one for each run.
        dataset: as of ``confirm_runs``.
        rows: likewise.
        run: the folder of ledger and trials.
        facts: more of the first event.
        address: as of ``run_search``.
        on_event: as of ``run_search``.
        splits: of the patients, one for each configuration, or one for all.
    """
    runs = len(configurations)
    changes: dict[str, Any] = {"rungs": spec.rungs[-1:], "pruner": "none", "sampler": "random", "trials": runs}
    changes |= {"start": (), "exclude": (), "max_parameters": None, "second_goal": None, "budget": Budget()}
    plain = spec.model_copy(update=changes)
    feasibility = Feasibility(plain, len(dataset.genes), rows.task.n_classes, rows.in_memory, rows.kinds)
    plan = Plan(plain, FixedRuns(configurations, len(splits)), feasibility, rows, splits)
    started = {**started_facts(plain, dataset, rows, name), "space": {}, **facts}
    return run_plan(plan, started, run, home, address, on_event)


def new_splits(rows: TrainingRows, seed: int, runs: int) -> tuple[Folds, ...]:
    """The split of each run; the first ones stay the same when more are asked for."""
    return tuple(rows.split_again(seed + NEW_SPLITS + run).folds for run in range(runs))


def confirm_folder(home: Home, name: str, trial: int) -> RunFolder:
    """Where the runs that confirm a trial are."""
    return RunFolder(home.run(name).path / "confirm" / f"trial_{trial:05d}")


def run_means(confirmation: SearchState) -> list[dict[str, float]]:
    """Of each run that finished, every metric's mean over its folds."""
    complete = [trial for trial in confirmation.trials.values() if trial.state == "COMPLETE"]
    return [{metric: mean for metric, (mean, _) in trial.cv.items()} for trial in complete]


def note(home: Home, name: str, protocol: str, trial: int | None, results: list[dict[str, float]], **more: Any) -> None:
    """Write a confirmation's result, and ``more`` of it, into the search's ledger, from where it goes to MLflow; once.

    Raises:
        SearchError: nothing could be confirmed, or the ledger cannot be written.
    """
    if not results:
        raise SearchError(
            f"Expected at least one run of {name} to finish all folds. Received none.", "See the reasons above."
        )
    facts = {"protocol": protocol, "trial": trial, "results": results, "metrics": mean_sd(results), **more}
    with Ledger(home.run(name).ledger) as ledger:
        old = read_state(home, name).confirmed.get(protocol, {})
        if any(old.get(key) != value for key, value in facts.items() if key != "metrics"):
            ledger.append("confirmed", **facts)


def vary(params: Mapping[str, Any], seed: int, run: int) -> dict[str, Any]:
    """The configuration of one run: rate, epsilon, penalties and kernel size changed slightly; run 0 changes nothing.

    Args:
        params: the winner's.
        seed: of the search.
        run: from 0; the same run is always varied in the same way.
    """
    if run == 0:
        return dict(params)
    random = np.random.default_rng([seed, NEW_SPLITS, run])
    varied = dict(params)
    values = configuration(params)
    for name, width in VARIED.items():
        factor = 10 ** random.uniform(-width, width)
        if values[name] and (name in params or name == "learning_rate"):
            varied[name] = min(float(values[name]) * factor, _highest(name))
    step = int(random.choice([-2, 0, 2]))
    if "kernel_size" in params and values["branches"] != "embedding":
        varied["kernel_size"] = min(int(_highest("kernel_size")), max(1, int(values["kernel_size"]) + step))
    return varied


def _highest(name: str) -> float:
    """The largest value that a parameter may have."""
    for model in (TrainingParams, NETWORKS[DEFAULT_NETWORK].params):
        if name in model.model_fields:
            return float(next(limit.le for limit in model.model_fields[name].metadata if hasattr(limit, "le")))
    raise KeyError(name)
