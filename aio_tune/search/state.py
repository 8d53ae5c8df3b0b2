"""What the ledger says, as tables: the same reading for the driver, the leaderboard and the live view."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

TrialState = Literal["RUNNING", "COMPLETE", "PRUNED", "FAIL"]

# Written by the driver of a search. Other commands add events too, days after the last driver has gone.
_DRIVERS = frozenset(
    {"search_started", "search_resumed", "trial_asked", "rung_reported", "trial_ended", "search_ended"}
)


@dataclass
class TrialRecord:
    """One trial, as far as it came.

    Attributes:
        number: from 0, in the order in which the trials were asked for.
        params: the configuration.
        state: RUNNING until it ended.
        rung: last rung reported (from 0), -1 before the first.
        epoch: epoch of that rung.
        folds: folds in play at that rung.
        value: mean of the search's metric over those folds.
        fold_metrics: fold -> metric -> value at that rung.
        cv: metric -> (mean, sd) over all folds; only of a COMPLETE trial.
        seconds: training time summed over folds and rungs.
        parameters: weights of one fold's network.
        reason: why it ended.
        split: which split of the patients it is cross-validated on; always 0 in a search.
        same_as: the earlier trial of the same configuration whose result it shares, if there is one.
    """

    number: int
    params: dict[str, Any]
    state: TrialState = "RUNNING"
    rung: int = -1
    epoch: int = 0
    folds: tuple[int, ...] = ()
    value: float | None = None
    cv: dict[str, tuple[float, float]] = field(default_factory=dict)
    fold_metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    seconds: float = 0.0
    parameters: int = 0
    reason: str = ""
    split: int = 0
    same_as: int | None = None


@dataclass
class SearchState:
    """A search as its ledger tells it: the sum of its events, in order.

    Attributes:
        started: the first event: name, settings, dataset.
        trials: by number.
        ended: why it ended; empty while it has not.
        registered: the event that says what was registered of the present winner; empty before.
        confirmed: results of confirmations, by kind (``runs`` of the present winner, ``nested``); the last of each.
        compared: comparisons of the present winner with variants of it, by variant; the last one of each.
        refused: why drawn configurations were refused before they cost anything.
        since_best: trials that ended (FAIL not counted) since the last one that improved on all before it.
        events: how many there were.
        seconds: wall-clock time of drivers that are gone, from each one's first event to its last.
        driver_began: time of the present driver's first event, s since 1970.
    """

    started: dict[str, Any] = field(default_factory=dict)
    trials: dict[int, TrialRecord] = field(default_factory=dict)
    ended: str = ""
    registered: dict[str, Any] = field(default_factory=dict)
    confirmed: dict[str, dict[str, Any]] = field(default_factory=dict)
    compared: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    since_best: int = 0
    events: int = 0
    seconds: float = 0.0
    driver_began: float = 0.0
    _changed: dict[str, Any] = field(default_factory=dict)
    _last_time: float = 0.0
    # Kept up with every event: looked for among all trials, they would slow a search down as it grows.
    _running: dict[int, TrialRecord] = field(default_factory=dict)
    _best: TrialRecord | None = None
    _front: list[TrialRecord] = field(default_factory=list)

    @classmethod
    def of(cls, events: Iterable[Mapping[str, Any]]) -> "SearchState":
        state = cls()
        for event in events:
            state.apply(event)
        return state

    def apply(self, event: Mapping[str, Any]) -> None:
        """Add one event. Events of a kind not known here (written by a later version) change nothing."""
        self.events += 1
        kind = event["kind"]
        if kind in ("search_started", "search_resumed"):
            self.seconds += self._last_time - self.driver_began
            self.driver_began = event["time"]
        if kind in _DRIVERS:
            self._last_time = event["time"]
        if kind == "search_started":
            self.started = dict(event)
        elif kind == "search_resumed":
            self.ended = ""
            self._changed = dict(event.get("settings", {}))
        elif kind == "trial_asked":
            self._apply_asked(event)
        elif kind == "rung_reported":
            self._apply_rung(event)
        elif kind == "trial_ended":
            self._apply_end(event)
        elif kind == "search_ended":
            self.ended = event["reason"]
        elif kind == "model_registered":
            self.registered = dict(event)
        elif kind == "confirmed":
            self.confirmed[event["protocol"]] = dict(event)
        elif kind == "compared":
            self.compared[event["variant"]] = dict(event)

    def _apply_asked(self, event: Mapping[str, Any]) -> None:
        trial = TrialRecord(event["trial"], dict(event["params"]))
        trial.split = event.get("split", 0)
        trial.same_as = event.get("same_as")
        self.refused += [refused["reason"] for refused in event.get("refused", ())]
        self.trials[trial.number] = self._running[trial.number] = trial

    def _apply_end(self, event: Mapping[str, Any]) -> None:
        trial = self.trials[event["trial"]]
        if trial.same_as is not None and event["state"] != "FAIL":
            self._share(trial, self.trials[trial.same_as])
        trial.reason = event["reason"]
        trial.cv = {name: (mean, sd) for name, (mean, sd) in event["cv"].items()}
        trial.state = event["state"]
        self._running.pop(trial.number, None)
        had_best = self.best is not None
        if trial.state == "COMPLETE" and self._enter(trial):
            self.since_best = 0
        elif trial.state != "FAIL" and had_best:
            self.since_best += 1

    def _enter(self, trial: TrialRecord) -> bool:
        """Count a complete trial among the others; whether it is at some goal better than all of them."""
        goals = self._goals(trial)
        if self.second_goal is None:
            improves = self._best is None or goals > self._goals(self._best)
        else:
            improves = not any(all(a >= b for a, b in zip(self._goals(o), goals, strict=True)) for o in self._front)
            if not any(self._dominates(other, trial) for other in self._front):
                self._front = [other for other in self._front if not self._dominates(trial, other)] + [trial]
        if trial.value is not None:
            best = max(self._best or trial, trial, key=lambda one: (one.value or 0.0, -one.number))
            if best is not self._best:
                self._crown(best)
        return improves

    def _crown(self, best: TrialRecord) -> None:
        """Another trial is the winner: what is known of the one before, if the search was extended, is not of it."""
        self._best = best
        self.registered = {}
        self.compared = {}
        self.confirmed.pop("runs", None)

    @staticmethod
    def _share(trial: TrialRecord, other: TrialRecord) -> None:
        """Take over what a trial of the same configuration reached; its training time was spent only once."""
        trial.rung, trial.epoch, trial.folds, trial.value = other.rung, other.epoch, other.folds, other.value
        trial.fold_metrics, trial.parameters = other.fold_metrics, other.parameters

    def _apply_rung(self, event: Mapping[str, Any]) -> None:
        trial = self.trials[event["trial"]]
        trial.rung = event["rung"]
        trial.epoch = event["epoch"]
        trial.folds = tuple(event["folds"])
        trial.value = event["value"]
        trial.fold_metrics = event["fold_metrics"]
        trial.seconds += event["seconds"]
        trial.parameters = event["parameters"]

    @property
    def running(self) -> list[TrialRecord]:
        """The trials that have not ended, in the order in which they were asked for."""
        return list(self._running.values())

    @property
    def best(self) -> TrialRecord | None:
        """The winner so far: only a trial that finished all folds can be it; the earlier one wins a tie."""
        return self._best

    @property
    def settings(self) -> dict[str, Any]:
        """Of the search, with what its last driver was told to change."""
        return {**self.started.get("settings", {}), **self._changed}

    def origin_tags(self) -> dict[str, str]:
        """Tags that tell a registered model of this search from those of others."""
        return {"aio.search": self.started["name"], "aio.dataset": self.started["dataset"]["fingerprint"]}

    def elapsed(self, now: float) -> float:
        """Wall-clock seconds that drivers have spent on the search until ``now``, s since 1970."""
        return self.seconds + now - self.driver_began

    @property
    def second_goal(self) -> str | None:
        """What trials are judged by beside the metric, if anything."""
        goal = self.started.get("settings", {}).get("second_goal")
        return None if goal is None else str(goal)

    def second_value(self, trial: TrialRecord) -> float | None:
        """How good a COMPLETE trial is at the second goal; higher is better, so costs are negative."""
        goal = self.second_goal
        if goal in ("parameters", "seconds"):
            source = self.trials[trial.same_as] if trial.same_as is not None else trial
            return -float(source.parameters if goal == "parameters" else source.seconds)
        return trial.cv.get(goal or "", (None, None))[0]

    @property
    def front(self) -> list[TrialRecord]:
        """The trials that no other beats at one goal without being worse at the other; with one goal, the best."""
        if self.second_goal is None:
            return [self.best] if self.best else []
        return sorted(self._front, key=lambda trial: trial.number)

    def _goals(self, trial: TrialRecord) -> tuple[float, ...]:
        lowest = float("-inf")
        first = lowest if trial.value is None else trial.value
        if self.second_goal is None:
            return (first,)
        second = self.second_value(trial)
        return (first, lowest if second is None else second)

    def _dominates(self, one: TrialRecord, other: TrialRecord) -> bool:
        ours, theirs = self._goals(one), self._goals(other)
        return ours != theirs and all(a >= b for a, b in zip(ours, theirs, strict=True))

    def ranked(self) -> list[TrialRecord]:
        """Complete trials by value, then the others by how far they came and how well they did there."""

        def key(trial: TrialRecord) -> tuple[bool, int, float, int]:
            value = trial.value if trial.value is not None else float("-inf")
            return (trial.state != "COMPLETE", -trial.rung, -value, trial.number)

        return sorted(self.trials.values(), key=key)
