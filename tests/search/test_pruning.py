"""Every pruner beside Optuna's own, whose rules it follows, and what all of them guarantee."""

import sys
from collections.abc import Callable

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aio_tune.search.pruning import PRUNERS, REDUCTION, STARTUP, Pruner, quantile
from aio_tune.search_space import SearchSpec

RUNGS = 3
ORACLES: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
    "none": optuna.pruners.NopPruner,
    "halving": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=REDUCTION),
    "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=STARTUP),
    "percentile": lambda: optuna.pruners.PercentilePruner(33.0, n_startup_trials=STARTUP),
}
# Values that often meet, and such that do not.
trials = st.lists(
    st.lists(
        st.one_of(st.integers(0, 4).map(lambda i: i / 4), st.floats(0, 1, allow_subnormal=False)),
        min_size=RUNGS,
        max_size=RUNGS,
    ),
    max_size=30,
)


def decisions(pruner: Pruner, values: list[list[float]]) -> list[list[bool]]:
    """What is said of each trial at each rung, until it is stopped; one trial after the other."""
    said = []
    for of_trial in values:
        reported: dict[int, float] = {}
        answers = []
        for rung, value in enumerate(of_trial):
            reported[rung] = value
            if rung < RUNGS - 1:
                answers.append(pruner.stops(reported))
                if answers[-1]:
                    break
        else:
            pruner.complete(reported)
        said.append(answers)
    return said


def oracle_decisions(pruner: optuna.pruners.BasePruner, values: list[list[float]]) -> list[list[bool]]:
    """The same by Optuna, with steps for which each of our rungs is one of successive halving's."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
    said = []
    for of_trial in values:
        trial, answers = study.ask(), []
        for rung, value in enumerate(of_trial):
            trial.report(value, step=REDUCTION**rung)
            if rung < RUNGS - 1:
                answers.append(bool(trial.should_prune()))
                if answers[-1]:
                    study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                    break
        else:
            study.tell(trial, of_trial[-1])
        said.append(answers)
    return said


def test_every_pruner_of_the_space_file_is_here() -> None:
    allowed = SearchSpec.model_json_schema()["properties"]["pruner"]["enum"]
    assert set(PRUNERS) == set(ORACLES) == set(allowed)


@pytest.mark.parametrize("name", PRUNERS)
@given(values=trials)
def test_it_decides_as_optuna_does(name: str, values: list[list[float]]) -> None:
    assert decisions(PRUNERS[name](), values) == oracle_decisions(ORACLES[name](), values)


@pytest.mark.parametrize("name", PRUNERS)
@given(values=trials)
def test_the_best_trial_at_a_rung_goes_on(name: str, values: list[list[float]]) -> None:
    pruner = PRUNERS[name]()
    decisions(pruner, values)
    assert not pruner.stops({0: 2.0})


@pytest.mark.parametrize("name", ["halving", "median", "percentile"])
def test_it_stops_somebody(name: str) -> None:
    values = np.random.default_rng(0).random((40, RUNGS)).tolist()
    said = decisions(PRUNERS[name](), values)
    assert 10 < sum(any(answers) for answers in said) < 40


@pytest.mark.parametrize("name", PRUNERS)
def test_a_decision_takes_no_more_python_after_thousands_of_trials(name: str) -> None:
    """Lines of Python: what moves a list's tail is one of them."""

    def lines(of: Pruner) -> int:
        count = 0

        def note(frame: object, event: str, argument: object) -> object:
            nonlocal count
            count += event == "line"
            return note

        sys.settrace(note)
        try:
            of.stops({0: 0.5, 1: 0.5})
        finally:
            sys.settrace(None)
        return count

    few, many = PRUNERS[name](), PRUNERS[name]()
    random = np.random.default_rng(0)
    decisions(few, random.random((20, RUNGS)).tolist())
    decisions(many, random.random((5000, RUNGS)).tolist())
    assert lines(many) == lines(few)


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), share=st.floats(0, 1))
def test_quantiles_are_numpy_s(values: list[float], share: float) -> None:
    ours, theirs = quantile(sorted(values), share), float(np.quantile(values, share))
    assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-9)
