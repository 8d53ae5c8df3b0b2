"""The director: what it asks for, whom it stops, and that a rebuilt one is the one that was lost."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aio_tune.errors import SearchError
from aio_tune.ledger import strict_json
from aio_tune.search.director import Director
from aio_tune.search.feasibility import Feasibility
from aio_tune.search.leaderboard import leaderboard
from aio_tune.search.state import SearchState
from aio_tune.search.study import OptunaStudy
from aio_tune.search_space import SearchSpec, load_space
from aio_tune.trial import Assignment, RungReport

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


# GP needs PyTorch, which is an extra.
SAMPLERS = ["tpe", "random", "quasi-random", "nsga2", "gp"]


@pytest.fixture(params=SAMPLERS)
def sampler(request: pytest.FixtureRequest) -> str:
    if request.param == "gp":
        pytest.importorskip("torch")
    return str(request.param)


def make_spec(folder: Path, sampler: str = "tpe", pruner: str = "halving", more: Iterable[str] = ()) -> SearchSpec:
    path = folder / "space.yaml"
    path.write_text(SPACE.format(sampler=sampler, pruner=pruner))
    return load_space(path, list(more))


def direct(
    spec: SearchSpec,
    book: "Book",
    events: Iterable[Mapping[str, Any]] = (),
    clock: Callable[[], float] = lambda: 0.0,
) -> Director:
    return Director(spec, OptunaStudy(spec), Feasibility(spec, 64, 2), book.write, events, clock)


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
    director = direct(make_spec(tmp_path, sampler), book)
    drive(director)
    assert director.finished
    assert len(director.state.trials) == 9
    assert director.state.trials[0].params == {"optimizer": "adam", "learning_rate": 3e-4}
    assert len({json.dumps(trial.params) for trial in director.state.trials.values()}) == 9
    assert director.stop_reason == "all 9 trials run"
    assert SearchState.of(book.events) == director.state


def test_same_seed_same_trials(tmp_path: Path, sampler: str) -> None:
    books = [Book(), Book()]
    for book in books:
        drive(direct(make_spec(tmp_path, sampler), book))
    assert comparable(books[0].events) == comparable(books[1].events)


KINDS = [(sampler, "halving") for sampler in (*SAMPLERS, "grid")] + [
    ("tpe", pruner) for pruner in ("median", "percentile", "none")
]


@pytest.mark.parametrize(("name", "pruner"), KINDS)
def test_a_driver_killed_at_any_event_is_replaced_without_a_trace(tmp_path: Path, name: str, pruner: str) -> None:
    """The ledger after death at each single event and a resume, but for the note of it, is that of no death at all."""
    if name == "gp":
        pytest.importorskip("torch")
    # Excluded draws and, on the grid, configurations that come twice: all that a ledger can tell of a draw.
    more = ["trials=12", "exclude=[{optimizer: sgd, learning_rate: {min: 1.0e-3}}]"]
    if name == "grid":
        more += ["space.learning_rate={choice: [1.0e-4, 3.0e-4, 1.0e-3]}", "space.momentum.step=0.49"]
    spec = make_spec(tmp_path, name, pruner, more)
    whole = Book()
    drive(direct(spec, whole))
    for room in range(len(whole.events)):
        dying = Book(room=room)
        with pytest.raises(KeyboardInterrupt):
            drive(direct(spec, dying))
        after = Book(dying.events)
        resumed = direct(spec, after, dying.events)
        resumed.note_resume()
        drive_on(resumed)
        assert comparable(after.events) == comparable(whole.events), f"killed after {room} events"


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for six trials, so that the study that draws is replaced again and again."""
    for name, value in (("MOST", 6), ("BEST", 2), ("LATEST", 3)):
        monkeypatch.setattr(f"aio_tune.search.study.{name}", value)


FORGETFUL = ["trials=24", "exclude=[{optimizer: sgd, learning_rate: {min: 1.0e-3}}]"]


def test_a_study_that_forgot_trials_is_rebuilt_alike(tmp_path: Path, forgetful: None) -> None:
    spec = make_spec(tmp_path, more=FORGETFUL)
    whole = Book()
    drive(direct(spec, whole))
    for room in range(0, len(whole.events), 6):
        after = Book(whole.events[:room])
        drive_on(direct(spec, after, after.events[:]))
        assert comparable(after.events) == comparable(whole.events), f"killed after {room} events"


def test_trials_that_run_when_others_are_forgotten_go_on(tmp_path: Path, forgetful: None) -> None:
    spec = make_spec(tmp_path, more=FORGETFUL)
    books = [Book(), Book()]
    for book in books:
        director = direct(spec, book)
        drive_two(director)
        assert len(director.state.trials) == 24
        assert {trial.state for trial in director.state.trials.values()} == {"COMPLETE", "PRUNED"}
    assert comparable(books[0].events) == comparable(books[1].events)


def drive_two(director: Director) -> None:
    """What Ray does with two workers that take turns, rung by rung."""
    running: list[tuple[Assignment, int]] = []
    while True:
        while len(running) < 2 and (assignment := director.ask()) is not None:
            running.append((assignment, 0))
        if not running:
            return
        assignment, rung = running.pop(0)
        if director.hear(assignment.trial, report(assignment.params, rung)):
            running.append((assignment, rung + 1))


def drive_on(director: Director) -> None:
    """As a restarted trial does: it reports the rungs that it finds trained, then the others."""
    while (assignment := director.ask()) is not None:
        for rung in range(3):
            if not director.hear(assignment.trial, report(assignment.params, rung)):
                break


def test_a_rung_heard_twice_counts_once(tmp_path: Path) -> None:
    book = Book()
    director = direct(make_spec(tmp_path, pruner="none"), book)
    assignment = director.ask()
    assert assignment is not None
    first = report(assignment.params, 0)
    assert director.hear(assignment.trial, first)
    assert director.hear(assignment.trial, first)
    assert [event["kind"] for event in book.events] == ["trial_asked", "rung_reported"]


def test_states_are_honest(tmp_path: Path) -> None:
    director = direct(make_spec(tmp_path, pruner="none"), Book())
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
    director = direct(make_spec(tmp_path), Book())
    goes_on = []
    for trial, value in enumerate((0.5, 0.4, 0.6, 0.55, 0.7, 0.3)):
        assignment = director.ask()
        assert assignment is not None
        goes_on.append(director.hear(trial, report(assignment.params, 0, value=value)))
    # Of 1 to 5 values heard the top one is promoted, of 6 the top two.
    assert goes_on == [True, False, True, False, True, False]


def test_leaderboard_ranks_complete_trials_first(tmp_path: Path) -> None:
    book = Book([{"kind": "search_started", "time": 0, "settings": {"metric": "auc"}}])
    director = direct(make_spec(tmp_path), book, book.events)
    drive(director)
    rows = leaderboard(director.state)
    states = [row["state"] for row in rows]
    assert states == sorted(states, key=lambda state: state != "COMPLETE")
    complete = [row["cv_auc_mean"] for row in rows if row["state"] == "COMPLETE"]
    assert complete == sorted(complete, reverse=True)
    assert director.state.best is not None
    assert rows[0]["trial"] == director.state.best.number


def test_grid_tries_every_allowed_point_once_and_ends(tmp_path: Path) -> None:
    more = ["trials=50", "space.learning_rate={choice: [1.0e-4, 3.0e-4, 1.0e-3]}", "space.momentum.step=0.49"]
    book = Book()
    director = direct(make_spec(tmp_path, "grid", "none", [*more, "exclude=[{momentum: 0.5}]"]), book)
    drive(director)
    trials = list(director.state.trials.values())
    # adam with 3 rates, sgd with 3 rates and the one momentum that is allowed.
    distinct = {json.dumps(trial.params, sort_keys=True) for trial in trials}
    assert len(distinct) == 6
    trained = {event["trial"] for event in book.events if event["kind"] == "rung_reported"}
    assert len(trained) == 6, "no configuration is trained twice"
    assert director.stop_reason == "the whole grid was tried"
    assert director.finished
    assert {trial.state for trial in trials} == {"COMPLETE"}
    assert all("excluded" in reason for reason in director.state.refused)


def test_a_configuration_that_was_tried_shares_its_result(tmp_path: Path) -> None:
    more = ["trials=30", "space={optimizer: {choice: [adam, sgd]}, learning_rate: {choice: [1.0e-4, 1.0e-3]}}",
            "start=[]"]  # fmt: skip
    book = Book()
    director = direct(make_spec(tmp_path, "random", "none", more), book)
    drive(director)
    trained = {event["trial"] for event in book.events if event["kind"] == "rung_reported"}
    assert len(trained) == 4
    assert len(director.state.trials) == 30
    for trial in director.state.trials.values():
        if trial.number not in trained:
            first = director.state.trials[int(trial.same_as if trial.same_as is not None else -1)]
            assert trial.params == first.params
            assert (trial.value, trial.cv, trial.folds, trial.seconds) == (first.value, first.cv, first.folds, 0.0)
            assert "same configuration" in trial.reason
    assert director.state.best is not None
    assert director.state.best.same_as is None, "the trial that was trained wins, not one that shares its result"


def test_a_default_spelt_out_is_the_same_configuration(tmp_path: Path) -> None:
    more = ["space={optimizer: adam, learning_rate: {choice: [3.0e-4]}, dropout: {float: [0.0, 0.5]}}", "trials=2",
            "start=[{learning_rate: 3.0e-4, dropout: 0.0}, {learning_rate: 3.0e-4, dropout: 0}]"]  # fmt: skip
    director = direct(make_spec(tmp_path, more=more), Book())
    drive(director)
    assert director.state.trials[1].same_as == 0


def test_a_twin_of_a_running_trial_waits_for_it(tmp_path: Path) -> None:
    more = ["trials=3", "space={optimizer: adam, learning_rate: {choice: [1.0e-3]}}", "start=[]"]
    book = Book()
    director = direct(make_spec(tmp_path, pruner="none", more=more), book)
    assignment = director.ask()
    assert assignment is not None
    assert director.ask() is None
    assert not director.finished
    rebuilt = direct(make_spec(tmp_path, pruner="none", more=more), book, book.events)
    for one in (director, rebuilt):
        assert [trial.number for trial in one.state.running] == [0, 1, 2]
    again = rebuilt.ask()
    assert again == assignment
    assert rebuilt.ask() is None, "only the trial that trains is given out again"
    for rung in range(3):
        rebuilt.hear(0, report(assignment.params, rung))
    assert {trial.state for trial in rebuilt.state.trials.values()} == {"COMPLETE"}
    assert rebuilt.finished


def test_refused_draws_cost_no_trial_and_are_told(tmp_path: Path, sampler: str) -> None:
    book = Book()
    more = ["exclude=[{optimizer: sgd}]", "space.filters={choice: [4, 256]}", "max_parameters=100000"]
    director = direct(make_spec(tmp_path, sampler, more=more), book)
    drive(director)
    trials = director.state.trials.values()
    assert len(trials) == 9
    assert {trial.params["optimizer"] for trial in trials} == {"adam"}
    assert {trial.params["filters"] for trial in trials} == {4}
    assert all(trial.state != "FAIL" for trial in trials)
    assert {reason.split(":")[0].split(" of ")[0] for reason in director.state.refused} == {"excluded", "a network"}


def test_a_starting_point_that_cannot_work_fails_at_once(tmp_path: Path) -> None:
    more = ["space.depth={int: [1, 6]}", "start=[{depth: 6, optimizer: adam, learning_rate: 1.0e-3}]"]
    director = direct(make_spec(tmp_path, more=more), Book())
    assignment = director.ask()
    assert assignment is not None
    assert assignment.trial == 1
    failed = director.state.trials[0]
    assert failed.state == "FAIL"
    assert "pool below one pixel" in failed.reason
    assert failed.rung == -1


def test_constraints_that_allow_nothing_end_the_search(tmp_path: Path, sampler: str) -> None:
    director = direct(make_spec(tmp_path, sampler, more=["max_parameters=10", "start=[]"]), Book())
    with pytest.raises(SearchError, match="in a row that they do not, the last one: a network of"):
        director.ask()


def test_patience(tmp_path: Path) -> None:
    director = direct(make_spec(tmp_path, pruner="none", more=["budget.patience=3", "start=[]"]), Book())
    for value in (0.7, 0.6, 0.8, 0.75, 0.8, None, 0.1):
        assignment = director.ask()
        assert assignment is not None
        if value is None:
            director.fail(assignment.trial, "bad luck")
            continue
        for rung in range(3):
            director.hear(assignment.trial, report(assignment.params, rung, value=value))
    # .75, an equal .8 and .1 did not improve on .8; the failed trial says nothing.
    assert director.ask() is None
    assert director.stop_reason == "no improvement in 3 trials"
    assert len(director.state.trials) == 7


def test_target_ends_running_trials_at_their_next_rung(tmp_path: Path) -> None:
    director = direct(make_spec(tmp_path, pruner="none", more=["budget.target=0.85", "start=[]"]), Book())
    first, second = director.ask(), director.ask()
    assert first is not None
    assert second is not None
    for rung in range(3):
        director.hear(first.trial, report(first.params, rung, value=0.86))
    assert director.ask() is None
    assert not director.finished
    assert not director.hear(second.trial, report(second.params, 0, value=0.9))
    state = director.state.trials[second.trial]
    assert (state.state, state.reason) == ("PRUNED", "the search ended: auc of 0.85 reached")
    assert director.finished


def test_hours_count_over_resumed_drivers_and_can_be_raised(tmp_path: Path) -> None:
    """Times in a Book are its line numbers, in seconds."""
    spec = make_spec(tmp_path, pruner="none", more=["budget.hours=0.01", "start=[]"])  # 36 s
    book = Book([{"kind": "search_started", "time": 0, "settings": {}}])
    director = direct(spec, book, book.events, clock=lambda: 30.0)
    assert director.ask() is not None
    late = direct(spec, book, book.events, clock=lambda: 36.0)
    assert late.ask() is not None, "the unfinished trial goes on"
    assert late.ask() is None
    assert late.stop_reason == "0.01 h spent"
    # The first driver was there from 0 to 1, a second one begins at 1000: 1 s is spent, and 35 are left.
    resumed = [*book.events, {"kind": "search_resumed", "time": 1000, "unfinished": [0]}]
    assert direct(spec, Book(resumed), resumed, clock=lambda: 1034.0).stop_reason == ""
    assert direct(spec, Book(resumed), resumed, clock=lambda: 1035.0).stop_reason == "0.01 h spent"
    more = make_spec(tmp_path, pruner="none", more=["budget.hours=0.1", "start=[]"])
    assert direct(more, Book(resumed), resumed, clock=lambda: 1035.0).stop_reason == ""


@pytest.mark.parametrize("name", ["tpe", "random", "quasi-random", "nsga2"])
def test_two_goals_keep_what_no_other_beats(tmp_path: Path, name: str) -> None:
    more = ["second_goal=parameters", "trials=25", "space.filters={int: [1, 64]}", "start=[]"]
    book = Book([{"kind": "search_started", "time": 0, "settings": {"metric": "auc", "second_goal": "parameters"}}])
    spec = make_spec(tmp_path, name, "none", more)
    director = direct(spec, book, book.events)
    while (assignment := director.ask()) is not None:
        weights = int(assignment.params["filters"])
        for rung in range(3):
            told = report(assignment.params, rung, value=0.5 + weights / 200)
            director.hear(assignment.trial, replace(told, parameters=weights))
    trials = director.state.trials.values()
    # Every trial trades the one goal for the other, so the front is all of them but equal ones.
    assert {trial.parameters for trial in director.state.front} == {trial.parameters for trial in trials}
    worse = [{**event, "value": 0.0} if (event["kind"], event.get("trial")) == ("rung_reported", 0) else event
             for event in book.events]  # fmt: skip
    state = SearchState.of(worse)
    beaten = state.trials[0]
    assert beaten not in state.front or beaten.parameters == min(trial.parameters for trial in trials)
    assert leaderboard(director.state)[0]["front"] is True


def test_gp_without_pytorch_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SearchError, match="gp extra"):
        OptunaStudy(make_spec(tmp_path, "gp"))
