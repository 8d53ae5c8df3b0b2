"""The director: asks for trials, hears of their rungs and decides; every fact is in the ledger first.

The director knows nothing of Ray, and of Optuna only what ``Source`` says. A new director that reads the same ledger
stands where the old one stood, to the pruner's notes and the sampler's next draw.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aio_tune.errors import SearchError
from aio_tune.metrics import mean_sd
from aio_tune.search.feasibility import Feasibility
from aio_tune.search.source import Draw, Source
from aio_tune.search.state import SearchState, TrialRecord
from aio_tune.search_space import SearchSpec
from aio_tune.trial import Assignment, RungReport

# New draws that are made rather than waiting for a running trial of the same configuration.
REDRAWS = 10
# Settings that a resumed search may have other values of.
MAY_CHANGE = ("trials", "budget", "resources", "layout_control")


class Director:
    """Asks, hears and decides.

    Args:
        spec: the search space and its settings.
        source: draws the configurations; it has heard nothing yet.
        feasibility: refuses configurations that cannot work, and tells which are the same.
        record: writes one event to the ledger and returns it; called before anything is done about the fact.
        events: what the ledger already holds, in order.
        clock: seconds since 1970, for the wall-clock budget.
    """

    def __init__(
        self,
        spec: SearchSpec,
        source: Source,
        feasibility: Feasibility,
        record: Callable[..., Mapping[str, Any]],
        events: Iterable[Mapping[str, Any]] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._spec = spec
        self._source = source
        self._feasibility = feasibility
        self._write = record
        self._clock = clock
        # What the pruner said at each trial's last rung. Asking it twice would count the trial twice at that rung.
        self._hopeless: dict[int, bool] = {}
        # The first trial of each configuration that did not fail, and the trials that wait for one to end.
        self._first: dict[str, int] = {}
        self._waiting: dict[int, list[int]] = {}
        self._exhausted = False
        self.state = SearchState()
        for event in events:
            self._replay(event)
        self._unfinished: deque[int] = deque()
        self.requeue()

    def ask(self) -> Assignment | None:
        """The next trial to run: first what an earlier driver left unfinished, then new ones up to the budget.

        A drawn configuration that was tried before costs a number and no training.

        Raises:
            SearchError: the constraints refuse everything that is drawn.
        """
        while self._unfinished:
            number = self._unfinished.popleft()
            if self._settle(number):
                return self._assignment(number)
        while not self.stop_reason:
            number = len(self.state.trials)
            draw, refused = self._draw(number)
            if draw is None:
                self._exhausted = True
                break
            if self._begin(number, draw, refused):
                return self._assignment(number)
        return None

    def requeue(self) -> None:
        """Count every trial that has not ended as one that nobody works on: ``ask`` gives them out again."""
        running = {trial.number for trial in self.state.running}
        # A driver may have died between the end of a trial and that of the one that waited for it.
        self._waiting = {first: numbers for first, numbers in self._waiting.items() if first in running}
        waiting = {number for numbers in self._waiting.values() for number in numbers}
        self._unfinished = deque(trial.number for trial in self.state.running if trial.number not in waiting)

    def hear(self, trial: int, report: RungReport) -> bool:
        """Take one rung's report; returns whether the trial goes on to the next rung.

        A rung heard before changes nothing: a restarted trial reports again what it finds trained. The decision that
        followed is made again if the driver died between writing the report down and acting on it.
        """
        record = self.state.trials[trial]
        if record.state != "RUNNING":
            return False
        if report.rung < record.rung:
            return True
        if report.rung > record.rung:
            self._record("rung_reported", trial=trial, **report.facts())
            self._hopeless[trial] = self._tell_source(trial, report.rung, report.value)
        return self._decide(trial, report)

    def fail(self, trial: int, reason: str) -> None:
        """Record that a trial cannot go on, once."""
        if self.state.trials[trial].state == "RUNNING":
            self._end(trial, "FAIL", reason)

    @property
    def stop_reason(self) -> str:
        """Why no new trial is asked for; empty while one is. Judged anew after a resume with another budget."""
        budget = self._spec.budget
        if len(self.state.trials) >= self._spec.trials:
            return f"all {self._spec.trials} trials run"
        if self._exhausted:
            return "the whole grid was tried"
        if budget.patience is not None and self.state.best and self.state.since_best >= budget.patience:
            return f"no improvement in {self.state.since_best} trials"
        return self._hurry

    @property
    def finished(self) -> bool:
        """Whether nothing is left to run: no new trial is to be asked for, and every one that was has ended."""
        return not self.state.running and bool(self.stop_reason)

    def note_resume(self) -> None:
        """Record that a new driver goes on with the search, and what it was told to change."""
        settings = self._spec.settings_facts()
        self._record(
            "search_resumed", unfinished=[trial.number for trial in self.state.running],
            settings={name: settings[name] for name in MAY_CHANGE},
        )  # fmt: skip

    def note_end(self) -> None:
        """Record why the search ended, and who won."""
        best = self.state.best
        self._record("search_ended", reason=self.stop_reason, best_trial=best.number if best else None)

    @property
    def _hurry(self) -> str:
        """A reason for running trials too to end at their next rung."""
        budget, best = self._spec.budget, self.state.best
        if budget.target is not None and best is not None and (best.value or -math.inf) >= budget.target:
            return f"{self._spec.metric} of {budget.target:g} reached"
        if budget.hours is not None and self.state.elapsed(self._clock()) >= budget.hours * 3600:
            return f"{budget.hours:g} h spent"
        return ""

    def _assignment(self, number: int) -> Assignment:
        trial = self.state.trials[number]
        return Assignment(number, trial.params, trial.split)

    def _draw(self, number: int) -> tuple[Draw | None, list[dict[str, Any]]]:
        """A configuration that nothing speaks against, and what was refused on the way to it."""
        refused: list[dict[str, Any]] = []
        for attempt, draw in enumerate(self._source.draws(number)):
            reason = "" if draw.preset else self._feasibility.refusal(draw.params)
            if reason:
                self._source.refuse(number, draw)
                refused.append({"reason": reason, "params": draw.params, "notes": draw.notes})
            elif attempt >= REDRAWS or draw.preset or not self._source.may_redraw or not self._runs_already(draw):
                return draw, refused
        if len(refused) >= self._source.attempts:
            raise SearchError(
                f"Expected a configuration that the constraints allow. Received {len(refused)} in a row that they do "
                f"not, the last one: {refused[-1]['reason']}.",
                "Widen exclude or max_parameters, or narrow the space.",
            )
        return None, refused

    def _runs_already(self, draw: Draw) -> bool:
        first = self._first.get(self._identity(draw.params, draw.split))
        return first is not None and self.state.trials[first].state == "RUNNING"

    def _identity(self, params: Mapping[str, Any], split: int) -> str:
        return f"{split} {self._feasibility.identity(params)}"

    def _begin(self, number: int, draw: Draw, refused: list[dict[str, Any]]) -> bool:
        """Record a new trial; returns whether it is to be run."""
        first = self._first.get(self._identity(draw.params, draw.split))
        facts: dict[str, Any] = {"trial": number, "params": draw.params}
        facts |= {"split": draw.split} if draw.split else {}
        facts |= {"notes": draw.notes} if draw.notes else {}
        facts |= {"refused": refused} if refused else {}
        facts |= {"same_as": first} if first is not None else {}
        self._record("trial_asked", **facts)
        self._keep(number, draw)
        return self._settle(number)

    def _keep(self, number: int, draw: Draw) -> None:
        self._source.keep(number, draw)
        trial = self.state.trials[number]
        if trial.same_as is None:
            self._first[self._identity(trial.params, trial.split)] = number
        elif self.state.trials[trial.same_as].state == "RUNNING":
            self._waiting.setdefault(trial.same_as, []).append(number)

    def _settle(self, number: int) -> bool:
        """End a new trial whose outcome is known; returns whether it is not, and the trial is to be run."""
        trial = self.state.trials[number]
        if trial.same_as is not None:
            first = self.state.trials[trial.same_as]
            if first.state != "RUNNING":
                self._end_like(number, first)
            return False
        reason = self._feasibility.refusal(trial.params)
        if reason:
            self._end(number, "FAIL", f"refused: {reason}")
        return not reason

    def _decide(self, trial: int, report: RungReport) -> bool:
        if report.value is None or math.isnan(report.value):
            self._end(trial, "FAIL", f"{self._spec.metric} is undefined on a fold of rung {report.rung}")
        elif report.rung == len(self._spec.rungs) - 1:
            self._end(trial, "COMPLETE", "finished all folds", cv=mean_sd(list(report.fold_metrics.values())))
        elif self._hopeless[trial]:
            self._end(trial, "PRUNED", f"{self._spec.pruner} pruner at rung {report.rung}")
        elif self._hurry:
            self._end(trial, "PRUNED", f"the search ended: {self._hurry}")
        else:
            return True
        return False

    def _tell_source(self, trial: int, rung: int, value: float | None) -> bool:
        return value is not None and not math.isnan(value) and self._source.report(trial, rung, value)

    def _end_like(self, number: int, first: TrialRecord) -> None:
        reason = f"same configuration as trial {first.number}, whose result it shares"
        self._end(number, first.state, reason, cv=first.cv)

    def _end(self, number: int, state: str, reason: str, cv: Mapping[str, tuple[float, float]] | None = None) -> None:
        trial = self.state.trials[number]
        source = self.state.trials[trial.same_as] if trial.same_as is not None else trial
        value = None if trial.same_as is not None and state == "FAIL" else source.value
        self._record("trial_ended", trial=number, state=state, value=value, reason=reason, cv=dict(cv or {}))
        self._tell_end(number)
        for twin in self._waiting.pop(number, []):
            self._end_like(twin, self.state.trials[number])

    def _tell_end(self, number: int) -> None:
        trial = self.state.trials[number]
        if trial.state == "FAIL" and trial.same_as is None:
            # Another trial of it may have better luck: the reason may have been a lost node.
            self._first.pop(self._identity(trial.params, trial.split), None)
        values: tuple[float, ...] = ()
        if trial.state == "COMPLETE":
            second = self.state.second_value(trial) if self.state.second_goal else None
            values = (trial.value or 0.0,) + (() if second is None else (self._spec.signed(second),))
        reached = (trial.rung, trial.value) if trial.same_as is not None and trial.value is not None else None
        self._source.end(number, trial.state, values, reached)

    def _record(self, kind: str, **facts: Any) -> None:
        self.state.apply(self._write(kind, **facts))

    def _replay(self, event: Mapping[str, Any]) -> None:
        self.state.apply(event)
        if event["kind"] == "trial_asked":
            for refused in event.get("refused", ()):
                self._source.refuse(event["trial"], Draw(refused["params"], notes=refused["notes"]))
            draw = Draw(event["params"], event.get("split", 0), notes=event.get("notes", {}))
            self._keep(event["trial"], draw)
        elif event["kind"] == "rung_reported":
            self._hopeless[event["trial"]] = self._tell_source(event["trial"], event["rung"], event["value"])
        elif event["kind"] == "trial_ended":
            for waiting in self._waiting.values():
                if event["trial"] in waiting:
                    waiting.remove(event["trial"])
            self._tell_end(event["trial"])
