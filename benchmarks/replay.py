"""Recorded learning curves through the real director, study and pruner, on a simulated clock and a simulated cluster.

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
from aio_tune.search.source import Draw
from aio_tune.search.study import OptunaStudy
from aio_tune.search_space import SearchSpec
from aio_tune.trial import Assignment, RungReport
from benchmarks.curves import Curves

Rungs = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Costs:
    """What takes time beside the epochs of the recorded core.

    Attributes:
        worker: seconds until a place can train at all (its process, the import of TensorFlow).
        rung: seconds between a rung's last epoch and the driver's decision, of the place.
        driver: seconds of the driver for each report and each new trial; it serves one place at a time.
        speed: how many times faster than the recorded core an epoch is; what comes before the first epoch is not.
    """

    worker: float = 0.0
    rung: float = 0.0
    driver: float = 0.0
    speed: float = 1.0


@dataclass(frozen=True)
class Replay:
    """One simulated search.

    Attributes:
        best: pairs (seconds, best CV mean so far), one for each complete trial.
        seconds: until the last trial ended.
        training: seconds that places trained, summed.
        fold_epochs: trained in all.
        deciding: real seconds that director, study and pruner took for all of it.
    """

    best: list[tuple[float, float]]
    seconds: float
    training: float
    fold_epochs: int
    deciding: float

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
        self._training = self._deciding = 0.0
        self._fold_epochs = 0

    def run(self, places: int) -> Replay:
        best, highest = [], -math.inf
        # (when its rung ends, place, its trial, its rung)
        working: list[tuple[float, int, Assignment, int]] = []
        for place in range(places):
            self._now = self._costs.worker
            self._begin(working, place)
        end = 0.0
        while working:
            self._now, place, task, rung = heapq.heappop(working)
            self._now += self._costs.rung
            end = max(end, self._now)
            goes_on = self._timed(self._director.hear, task.trial, self._report(task, rung))
            if goes_on:
                self._train(working, place, task, rung + 1)
                continue
            trial = self._director.state.trials[task.trial]
            if trial.state == "COMPLETE" and trial.value is not None:
                highest = max(highest, trial.value)
                best.append((self._now, highest))
            self._begin(working, place)
        return Replay(best, end, self._training, self._fold_epochs, self._deciding)

    def _begin(self, working: list[Any], place: int) -> None:
        task = self._timed(self._director.ask)
        if task is not None:
            self._train(working, place, task, 0)

    def _train(self, working: list[Any], place: int, task: Assignment, rung: int) -> None:
        """The place starts when the driver has answered it."""
        self._driver_free = max(self._driver_free, self._now) + self._costs.driver
        i = self._order[task.trial]
        folds, epoch = self._rungs[rung]
        before = self._rungs[rung - 1] if rung else (0, 0)
        fold_epochs = folds * epoch - before[0] * before[1]
        seconds = fold_epochs * self._curves.epoch[i] / self._costs.speed + (0.0 if rung else self._curves.start[i])
        self._fold_epochs += fold_epochs
        self._training += seconds
        heapq.heappush(working, (self._driver_free + seconds, place, task, rung))

    def _report(self, task: Assignment, rung: int) -> RungReport:
        folds, epoch = self._rungs[rung]
        auc = self._curves.auc[self._order[task.trial], :folds, epoch - 1]
        metrics = {str(fold): {"auc": float(one)} for fold, one in enumerate(auc)}
        return RungReport(rung, tuple(range(folds)), epoch, float(np.mean(auc)), 0.0, 1, metrics)

    def _timed(self, decide: Any, *arguments: Any) -> Any:
        began = time.perf_counter()
        answer = decide(*arguments)
        self._deciding += time.perf_counter() - began
        return answer

    def _record(self, kind: str, **facts: Any) -> dict[str, Any]:
        return {"kind": kind, "time": self._now, **facts}


class _InOrder(OptunaStudy):
    """Draws no configuration: trial after trial; judges as ever."""

    def draws(self, number: int) -> Iterator[Draw]:
        yield Draw({"serial": number}, preset=True)


class _NeverTheSame(Feasibility):
    """Every recorded configuration is feasible and is another one."""

    def refusal(self, params: Mapping[str, Any]) -> str:
        return ""

    def identity(self, params: Mapping[str, Any]) -> str:
        return str(params["serial"])
