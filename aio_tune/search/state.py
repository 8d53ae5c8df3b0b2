"""What the ledger says, as tables: the same reading for the driver, the leaderboard and the live view."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

TrialState = Literal["RUNNING", "COMPLETE", "PRUNED", "FAIL"]


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


@dataclass
class SearchState:
    """A search as its ledger tells it: the sum of its events, in order."""

    started: dict[str, Any] = field(default_factory=dict)
    trials: dict[int, TrialRecord] = field(default_factory=dict)
    ended: str = ""
    registered: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Mapping[str, Any]]) -> "SearchState":
        state = cls()
        for event in events:
            state.apply(event)
        return state

    def apply(self, event: Mapping[str, Any]) -> None:
        """Add one event. Events of a kind not known here (written by a later version) change nothing."""
        kind = event["kind"]
        if kind == "search_started":
            self.started = dict(event)
        elif kind == "search_resumed":
            self.ended = ""
        elif kind == "trial_asked":
            self.trials[event["trial"]] = TrialRecord(event["trial"], dict(event["params"]))
        elif kind == "rung_reported":
            self._apply_rung(event)
        elif kind == "trial_ended":
            trial = self.trials[event["trial"]]
            trial.state = event["state"]
            trial.reason = event["reason"]
            trial.cv = {name: (mean, sd) for name, (mean, sd) in event["cv"].items()}
        elif kind == "search_ended":
            self.ended = event["reason"]
        elif kind == "model_registered":
            self.registered = dict(event)

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
        return [trial for trial in self.trials.values() if trial.state == "RUNNING"]

    @property
    def best(self) -> TrialRecord | None:
        """The winner so far: only a trial that finished all folds can be it; the earlier one wins a tie."""
        complete = [trial for trial in self.trials.values() if trial.state == "COMPLETE" and trial.value is not None]
        return max(complete, key=lambda trial: (trial.value or 0.0, -trial.number), default=None)

    def ranked(self) -> list[TrialRecord]:
        """Complete trials by value, then the others by how far they came and how well they did there."""

        def key(trial: TrialRecord) -> tuple[bool, int, float, int]:
            value = trial.value if trial.value is not None else float("-inf")
            return (trial.state != "COMPLETE", -trial.rung, -value, trial.number)

        return sorted(self.trials.values(), key=key)
