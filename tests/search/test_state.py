"""What the state keeps up with every event is what one would find by looking through all trials."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aio_tune.search.state import SearchState, TrialRecord

# Value and size of each trial, how it ends, and when: values often meet.
ends = st.lists(
    st.tuples(
        st.integers(0, 4).map(lambda i: i / 4), st.integers(1, 4), st.sampled_from(["COMPLETE", "PRUNED", "FAIL"])
    ),
    max_size=25,
).flatmap(lambda trials: st.tuples(st.just(trials), st.permutations(range(len(trials)))))


def events(trials: list[tuple[float, int, str]], order: list[int], goal: str | None) -> Iterator[dict[str, Any]]:
    yield {"kind": "search_started", "time": 0.0, "settings": {"second_goal": goal}}
    for number in range(len(trials)):
        yield {"kind": "trial_asked", "time": 1.0, "trial": number, "params": {}}
    for number in order:
        value, parameters, state = trials[number]
        yield {
            "kind": "rung_reported", "time": 2.0, "trial": number, "rung": 0, "epoch": 1, "folds": [0], "value": value,
            "fold_metrics": {}, "seconds": 1.0, "parameters": parameters,
        }  # fmt: skip
        yield {"kind": "trial_ended", "time": 3.0, "trial": number, "state": state, "reason": "", "cv": {}}


def finished(number: int, value: float) -> list[dict[str, Any]]:
    """A trial from its beginning to its end."""
    rung = {"rung": 0, "epoch": 1, "folds": [0], "value": value, "fold_metrics": {}, "seconds": 1.0, "parameters": 1}
    return [
        {"kind": "trial_asked", "time": 1.0, "trial": number, "params": {}},
        {"kind": "rung_reported", "time": 2.0, "trial": number, **rung},
        {"kind": "trial_ended", "time": 3.0, "trial": number, "state": "COMPLETE", "reason": "", "cv": {}},
    ]


FIRST = [
    {"kind": "search_started", "time": 0.0, "settings": {"trials": 1, "seed": 3}},
    *finished(0, 0.7),
    {"kind": "search_ended", "time": 4.0, "reason": "all trials run"},
    {"kind": "model_registered", "time": 4.0, "ensemble": {"name": "aio-ki67-ensemble", "version": 1}},
    {"kind": "confirmed", "time": 5.0, "protocol": "runs", "trial": 0},
    {"kind": "confirmed", "time": 5.0, "protocol": "nested", "trial": None},
    {"kind": "compared", "time": 300_000.0, "variant": "layout=shuffled"},
    {"kind": "search_resumed", "time": 400_000.0, "unfinished": [], "settings": {"trials": 2}},
]


@pytest.mark.parametrize(("value", "same"), [(0.6, True), (0.7, True), (0.8, False)])
def test_what_is_known_of_a_winner_is_not_taken_for_the_next_ones(value: float, same: bool) -> None:
    """A search is extended by a second trial after its first winner was registered, confirmed and compared."""
    state = SearchState.of([*FIRST, *finished(1, value)])
    assert state.best is state.trials[0 if same else 1]
    assert bool(state.registered) == bool(state.compared) == ("runs" in state.confirmed) == same
    assert "nested" in state.confirmed, "that is of the search, whoever won it"


def test_an_extended_search_has_the_settings_of_its_last_driver_and_the_time_of_both() -> None:
    state = SearchState.of(FIRST)
    assert state.settings == {"trials": 2, "seed": 3}
    assert state.elapsed(400_010.0) == 4.0 + 10.0, "days in which no driver ran are not counted"


def goals(trial: TrialRecord, goal: str | None) -> tuple[float, ...]:
    return (trial.value or 0.0,) + (() if goal is None else (-float(trial.parameters),))


@pytest.mark.parametrize("goal", [None, "parameters"])
@given(drawn=ends)
def test_winner_front_and_patience(goal: str | None, drawn: tuple[list[tuple[float, int, str]], list[int]]) -> None:
    state, since = SearchState(), 0
    for event in events(*drawn, goal):
        before = [trial for trial in state.trials.values() if trial.state == "COMPLETE"]
        state.apply(event)
        complete = [trial for trial in state.trials.values() if trial.state == "COMPLETE"]
        if event["kind"] == "trial_ended":
            mine = goals(state.trials[event["trial"]], goal)
            better = not any(all(a >= b for a, b in zip(goals(o, goal), mine, strict=True)) for o in before)
            if event["state"] == "COMPLETE" and better:
                since = 0
            elif event["state"] != "FAIL" and before:
                since += 1
        assert state.since_best == since
        assert state.running == [trial for trial in state.trials.values() if trial.state == "RUNNING"]
        assert state.best is max(complete, key=lambda one: (one.value or 0.0, -one.number), default=None)
        if goal is not None:
            beaten = [
                any(goals(o, goal) != goals(one, goal)
                    and all(a >= b for a, b in zip(goals(o, goal), goals(one, goal), strict=True)) for o in complete)
                for one in complete
            ]  # fmt: skip
            assert state.front == [one for one, lost in zip(complete, beaten, strict=True) if not lost]
