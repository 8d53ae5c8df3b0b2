"""Recorded learning curves through the real director and pruner, on a simulated clock and a simulated cluster.

A place is what trains one trial at a time: a core, or a share of a GPU. Training costs what was recorded; what else
costs time is given as ``Costs``. Nothing is drawn at random but the order of the configurations.
"""

import heapq
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aio_tune.search.director import Director
from aio_tune.search.feasibility import Feasibility
from aio_tune.search.pruning import PRUNERS
from aio_tune.search.source import Draw, Source
from aio_tune.search_space import SearchSpec
from aio_tune.trial import Assignment, RungReport
from benchmarks.curves import Curves

Rungs = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Costs:
    """What takes time beside the epochs of the recorded core.

    Attributes:
        worker: seconds until a place can train at all (its process, the import of TensorFlow).
        rung: seconds between a rung's last epoch and the driver's hearing of it, of the place.
        driver: seconds of the driver for each report and each new trial; it serves one place at a time.
        growth: what each trial asked for so far adds to that.
        speed: how many times faster than the recorded core an epoch is; what comes before the first epoch is not.
        node: places of one node.
        join: seconds after which a further node joins; the first is there from the beginning.
        copy: seconds to bring the training matrix to a node. The first node has it, and sends it to one after another.
    """

    worker: float = 0.0
    rung: float = 0.0
    driver: float = 0.0
    growth: float = 0.0
    speed: float = 1.0
    node: int = 1
    join: float = 0.0
    copy: float = 0.0

    def ready(self, place: int) -> float:
        """When a place can train."""
        copied = 0.0
        for node in range(1, place // self.node + 1):
            copied = max(copied, node * self.join) + self.copy
        return max(copied, place // self.node * self.join) + self.worker


@dataclass(frozen=True)
class Replay:
    """One simulated search.

    Attributes:
        best: pairs (seconds, best CV mean so far), one for each complete trial.
        seconds: until the last trial ended.
        training: seconds that places trained, summed.
        fold_epochs: trained in all.
        deciding: real CPU seconds of director and pruner for each message to the driver, a report or the asking for a
            new trial, in their order.
    """

    best: list[tuple[float, float]]
    seconds: float
    training: float
    fold_epochs: int
    deciding: list[float]

    @property
    def messages(self) -> int:
        """Reports and new trials that the driver dealt with."""
        return len(self.deciding)

    def reached(self, target: float) -> float:
        """Seconds until a complete trial was at least as good; infinite if none was."""
        return next((seconds for seconds, best in self.best if best >= target), math.inf)


def replay(
    curves: Curves, order: Sequence[int], rungs: Rungs, pruner: str, places: int = 1, costs: Costs | None = None
) -> Replay:
    """One search of the recorded configurations in ``order``; one may be in it more than once, as another trial."""
    return _Simulation(curves, order, rungs, pruner, costs or Costs()).run(places)


class _Simulation:
    def __init__(self, curves: Curves, order: Sequence[int], rungs: Rungs, pruner: str, costs: Costs) -> None:
        self._curves, self._order, self._rungs, self._costs = curves, order, rungs, costs
        self._now = self._driver_free = 0.0
        spec = SearchSpec.model_validate({
            "task": curves.task, "trials": len(order), "folds": curves.auc.shape[1], "rungs": rungs, "pruner": pruner,
            "sampler": "random", "space": {"serial": {"int": [0, len(order)]}},
        })  # fmt: skip
        self._director = Director(
            spec, _InOrder(spec), _NeverTheSame(spec, 1, 2), self._record, clock=lambda: self._now
        )
        self._training = 0.0
        self._fold_epochs = 0
        self._deciding: list[float] = []

    def run(self, places: int) -> Replay:
        best, highest = [], -math.inf
        # (when its rung ends, or its worker has started, place, its trial, its rung)
        working: list[tuple[float, int, Assignment | None, int]] = [
            (self._costs.ready(place), place, None, 0) for place in range(places)
        ]
        end = 0.0
        while working:
            self._now, place, task, rung = heapq.heappop(working)
            if task is not None:
                self._now += self._costs.rung
                goes_on = self._serve(self._director.hear, task.trial, self._report(task, rung))
                end = max(end, self._now)
                if goes_on:
                    self._train(working, place, task, rung + 1)
                    continue
                trial = self._director.state.trials[task.trial]
                if trial.state == "COMPLETE" and trial.value is not None:
                    highest = max(highest, trial.value)
                    best.append((self._now, highest))
            if len(self._director.state.trials) < len(self._order):
                self._train(working, place, self._serve(self._director.ask), 0)
        return Replay(best, end, self._training, self._fold_epochs, self._deciding)

    def _serve(self, decide: Any, *arguments: Any) -> Any:
        """One message to the driver; the place has its answer when the driver is done with it."""
        began = time.process_time()
        answer = decide(*arguments)
        self._deciding.append(time.process_time() - began)
        cost = self._costs.driver + self._costs.growth * len(self._director.state.trials)
        self._now = self._driver_free = max(self._driver_free, self._now) + cost
        return answer

    def _train(self, working: list[Any], place: int, task: Assignment, rung: int) -> None:
        i = self._order[task.trial]
        folds, epoch = self._rungs[rung]
        before = self._rungs[rung - 1] if rung else (0, 0)
        fold_epochs = folds * epoch - before[0] * before[1]
        seconds = fold_epochs * self._curves.epoch[i] / self._costs.speed + (0.0 if rung else self._curves.start[i])
        self._fold_epochs += fold_epochs
        self._training += seconds
        heapq.heappush(working, (self._now + seconds, place, task, rung))

    def _report(self, task: Assignment, rung: int) -> RungReport:
        folds, epoch = self._rungs[rung]
        auc = self._curves.auc[self._order[task.trial], :folds, epoch - 1]
        metrics = {str(fold): {"auc": float(one)} for fold, one in enumerate(auc)}
        return _Told(rung, tuple(range(folds)), epoch, float(np.mean(auc)), 0.0, 1, metrics)

    def _record(self, kind: str, **facts: Any) -> dict[str, Any]:
        return {"kind": kind, "time": self._now, **facts}


class _Told(RungReport):
    """Nobody changes it after it was told, so that its facts need no copies, which take half of a replay's time."""

    def facts(self) -> dict[str, Any]:
        return {**vars(self), "folds": list(self.folds)}


class _InOrder(Source):
    """Draws no configuration: trial after trial; judges as a search does."""

    def __init__(self, spec: SearchSpec) -> None:
        self._last = len(spec.rungs) - 1
        self._pruner = PRUNERS[spec.pruner]()
        self._reported: dict[int, dict[int, float]] = {}

    def draws(self, number: int) -> Iterator[Draw]:
        yield Draw({"serial": number}, preset=True)

    def keep(self, number: int, draw: Draw) -> None:
        self._reported[number] = {}

    def refuse(self, number: int, draw: Draw) -> None:
        raise AssertionError("unreachable: no recorded configuration is refused")

    def report(self, number: int, rung: int, value: float) -> bool:
        self._reported[number][rung] = value
        return rung < self._last and self._pruner.stops(self._reported[number])

    def end(self, number: int, state: str, values: tuple[float, ...], reached: tuple[int, float] | None = None) -> None:
        reported = self._reported.pop(number)
        if state == "COMPLETE":
            self._pruner.complete(reported)


class _NeverTheSame(Feasibility):
    """Every recorded configuration is feasible and is another one."""

    def refusal(self, params: Mapping[str, Any]) -> str:
        return ""

    def identity(self, params: Mapping[str, Any]) -> str:
        return str(params["serial"])
