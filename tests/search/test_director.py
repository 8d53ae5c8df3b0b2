"""The director: what it asks for, whom it stops, and that a rebuilt one is the one that was lost."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aio_tune.ledger import strict_json
from aio_tune.search.director import Director
from aio_tune.search.leaderboard import leaderboard
from aio_tune.search.state import SearchState
from aio_tune.search_space import SearchSpec, load_space
from aio_tune.trial import RungReport

SPACE = """
task: ki67
trials: 9
folds: 3
rungs: [[1, 1], [2, 3], [3, 9]]
sampler: {sampler}
pruner: {pruner}
space:
  optimizer: {{choice: [adam, sgd]}}
  momentum: {{float: [0.5, 0.99], when: {{optimizer: sgd}}}}
  learning_rate: {{float: [1e-5, 1e-2], log: true}}
start:
  - {{optimizer: adam, learning_rate: 3e-4}}
"""


@pytest.fixture(params=["tpe", "random"])
def sampler(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make_spec(folder: Path, sampler: str = "tpe", pruner: str = "halving") -> SearchSpec:
    path = folder / "space.yaml"
    path.write_text(SPACE.format(sampler=sampler, pruner=pruner))
    return load_space(path)


class Book:
    """A ledger in memory, which can refuse to take more than a number of events: the driver's death."""

    def __init__(self, events: Iterable[Mapping[str, Any]] = (), room: int = 10**6) -> None:
        self.events = [dict(event) for event in events]
        self._room = room

    def write(self, kind: str, **facts: Any) -> dict[str, Any]:
        if len(self.events) >= self._room:
            raise KeyboardInterrupt
        event = json.loads(json.dumps(strict_json({"kind": kind, "time": len(self.events), **facts})))
        self.events.append(event)
        return dict(event)


def value_of(params: Mapping[str, Any], rung: int) -> float:
    """A learning curve that depends on the configuration alone, best near a learning rate of 1e-3."""
    distance = abs(np.log10(params["learning_rate"]) + 3)
    return float(0.9 - 0.1 * distance - 0.05 * (2 - rung) - (0.05 if params["optimizer"] == "sgd" else 0.0))


def report(params: Mapping[str, Any], rung: int, value: float | None = None) -> RungReport:
    folds = tuple(range(rung + 1))
    mean = value_of(params, rung) if value is None else value
    metrics = {str(fold): {"auc": mean, "accuracy": 0.5} for fold in folds}
    return RungReport(rung, folds, 3**rung, mean, 1.0, 10, metrics)


def drive(director: Director) -> None:
    """What Ray does, one trial after the other."""
    while (assignment := director.ask()) is not None:
        rung = 0
        while director.hear(assignment.trial, report(assignment.params, rung)):
            rung += 1


def comparable(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in event.items() if key != "time"}
        for event in events
        if event["kind"] != "search_resumed"
    ]


def test_runs_its_budget_from_the_starting_point(tmp_path: Path, sampler: str) -> None:
    book = Book()
    director = Director(make_spec(tmp_path, sampler), book.write)
    drive(director)
    assert director.finished
    assert len(director.state.trials) == 9
    assert director.state.trials[0].params == {"optimizer": "adam", "learning_rate": 3e-4}
    assert len({json.dumps(trial.params) for trial in director.state.trials.values()}) == 9
    assert SearchState.of(book.events) == director.state


def test_same_seed_same_trials(tmp_path: Path, sampler: str) -> None:
    books = [Book(), Book()]
    for book in books:
        drive(Director(make_spec(tmp_path, sampler), book.write))
    assert comparable(books[0].events) == comparable(books[1].events)


@pytest.mark.parametrize("pruner", ["halving", "median", "percentile", "none"])
def test_a_driver_killed_at_any_event_is_replaced_without_a_trace(tmp_path: Path, pruner: str) -> None:
    """The ledger after death at each single event and a resume, but for the note of it, is that of no death at all."""
    spec = make_spec(tmp_path, pruner=pruner)
    whole = Book()
    drive(Director(spec, whole.write))
    for room in range(len(whole.events)):
        dying = Book(room=room)
        with pytest.raises(KeyboardInterrupt):
            drive(Director(spec, dying.write))
        after = Book(dying.events)
        resumed = Director(spec, after.write, dying.events)
        resumed.note_resume()
        drive_on(resumed)
        assert comparable(after.events) == comparable(whole.events), f"killed after {room} events"


def drive_on(director: Director) -> None:
    """As a restarted trial does: it reports the rungs that it finds trained, then the others."""
    while (assignment := director.ask()) is not None:
        for rung in range(3):
            if not director.hear(assignment.trial, report(assignment.params, rung)):
                break


def test_a_rung_heard_twice_counts_once(tmp_path: Path) -> None:
    book = Book()
    director = Director(make_spec(tmp_path, pruner="none"), book.write)
    assignment = director.ask()
    assert assignment is not None
    first = report(assignment.params, 0)
    assert director.hear(assignment.trial, first)
    assert director.hear(assignment.trial, first)
    assert [event["kind"] for event in book.events] == ["trial_asked", "rung_reported"]


def test_states_are_honest(tmp_path: Path) -> None:
    director = Director(make_spec(tmp_path, pruner="none"), Book().write)
    for _ in range(4):
        director.ask()
    params = director.state.trials[0].params
    for rung in range(3):
        director.hear(0, report(params, rung, value=0.7))
    director.hear(1, report(params, 0, value=0.99))
    director.fail(1, "its process was lost")
    director.fail(1, "a second reason comes too late")
    director.hear(2, report(params, 0, value=float("nan")))
    states = {trial.number: (trial.state, trial.reason) for trial in director.state.trials.values()}
    assert states[0] == ("COMPLETE", "finished all folds")
    assert states[1] == ("FAIL", "its process was lost")
    assert states[2] == ("FAIL", "auc is undefined on a fold of rung 0")
    assert states[3][0] == "RUNNING"
    assert director.state.best is not None
    assert director.state.best.number == 0, "a failed trial cannot win, however good its first rung"
    assert director.state.best.cv["auc"] == pytest.approx((0.7, 0.0))


def test_halving_stops_all_but_the_best_third(tmp_path: Path) -> None:
    """By hand: with reduction 3, of nine rising values each new best of its rung goes on, and the others stop."""
    director = Director(make_spec(tmp_path), Book().write)
    goes_on = []
    for trial, value in enumerate((0.5, 0.4, 0.6, 0.55, 0.7, 0.3)):
        assignment = director.ask()
        assert assignment is not None
        goes_on.append(director.hear(trial, report(assignment.params, 0, value=value)))
    # Of 1 to 5 values heard the top one is promoted, of 6 the top two.
    assert goes_on == [True, False, True, False, True, False]


def test_leaderboard_ranks_complete_trials_first(tmp_path: Path) -> None:
    book = Book([{"kind": "search_started", "time": 0, "settings": {"metric": "auc"}}])
    director = Director(make_spec(tmp_path), book.write, book.events)
    drive(director)
    rows = leaderboard(director.state)
    states = [row["state"] for row in rows]
    assert states == sorted(states, key=lambda state: state != "COMPLETE")
    complete = [row["cv_auc_mean"] for row in rows if row["state"] == "COMPLETE"]
    assert complete == sorted(complete, reverse=True)
    assert director.state.best is not None
    assert rows[0]["trial"] == director.state.best.number
