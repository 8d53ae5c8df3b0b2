"""A search, as its space file describes it."""

import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from aio_tune.metrics import metric_names
from aio_tune.search_space.located_yaml import Path, show
from aio_tune.search_space.parameters import (
    Choice,
    Condition,
    Fixed,
    Model,
    Parameter,
    RealNumber,
    Text,
    TrueOrFalse,
    Value,
    WholeNumber,
    alternatives,
    holds,
    plain,
)
from aio_tune.tasks import TASKS, Task

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

Count = Annotated[WholeNumber, Field(ge=1)]
# Second goals of which less is better.
COSTS = ("parameters", "seconds")
Rungs = tuple[tuple[Count, Count], ...]


class Resources(Model):
    """What one trial takes of the machine or cluster."""

    max_concurrent_trials: Count | None = Field(
        default=None, description="upper bound on trials at one time; left out, as many as fit"
    )
    autoscaling: bool = Field(
        default=False,
        description="whether nodes are started on demand: one trial more than fit then waits for a place, and is what "
        "they are started for",
    )
    folds_in_parallel: Count = Field(default=1, description="processes of one trial; its folds are dealt to them")
    cpus_per_fold: Count = Field(default=1, description="CPUs, and threads, of one process")
    gpus_per_fold: RealNumber = Field(
        default=0, ge=0, description="share of a GPU of one process, e.g. 0.25; with 0 it sees no GPU"
    )

    memory_budget: RealNumber | None = Field(
        default=None,
        gt=0,
        description="GiB that the training rows may take in a node's memory, once for all its processes; past it they "
        "are read from the node's disk, with the same outcome; left out, a quarter of this machine's memory",
    )

    @model_validator(mode="after")
    def _whole_gpus(self) -> Self:
        if self.gpus_per_fold > 1 and self.gpus_per_fold != int(self.gpus_per_fold):
            raise error(("resources", "gpus_per_fold"), "a share up to 1 or a whole number of GPUs", self.gpus_per_fold)
        return self


class Budget(Model):
    """When to stop before all trials are run; trials that are then on their way end at their next rung."""

    hours: RealNumber | None = Field(default=None, gt=0, description="of wall-clock time, summed over resumed runs")
    patience: Count | None = Field(default=None, description="trials in a row that do not improve on the best one")
    target: RealNumber | None = Field(default=None, description="value of the metric that is good enough")


class SearchSpec(Model):
    """Everything a search needs to know but the data. Frozen.

    Of ``epochs`` and ``rungs`` one may be left out: ``rungs`` is then the ladder of ``default_rungs``, ``epochs`` the
    last rung's. That the names in ``space`` are the network's is checked by ``load_space``, not here.
    """

    task: Text = Field(description="the clinical question", examples=list(TASKS))
    auxiliary: tuple[Text, ...] = Field(
        default=(),
        description="further tasks that the networks learn along, where their labels are known; see auxiliary_weight",
    )
    train_on: tuple[Text, ...] = Field(
        default=("GSE96058",), min_length=1, description="cohorts to train and cross-validate on"
    )
    metric: Text = Field(default="auc", description="what is compared: the mean over folds; higher is better")
    second_goal: Text | None = Field(
        default=None,
        description="a second thing to be good at: parameters or seconds (fewer is better), or another metric",
    )
    folds: WholeNumber = Field(default=5, ge=2, description="K of the cross-validation")
    seed: WholeNumber = Field(default=0, ge=0, le=2**31 - 1, description="of folds, sampler, weights and batches")
    trials: Count = Field(description="how many configurations are tried")
    epochs: Count = Field(description="passes over the training rows of a trial that finishes")
    rungs: Rungs = Field(
        min_length=1, description="pairs [folds, epochs]: after each a trial reports, and may be stopped"
    )
    sampler: Literal["tpe", "random", "quasi-random", "grid", "gp", "nsga2"] = Field(
        default="tpe", description="how the next configuration is chosen"
    )
    pruner: Literal["halving", "median", "percentile", "none"] = Field(
        default="halving", description="how hopeless trials are recognised at a rung"
    )
    deterministic: TrueOrFalse = Field(
        default=False, description="bit-identical results on the same machine, at the price of speed"
    )
    layout_control: TrueOrFalse = Field(
        default=True,
        description="at the end, train the best network with convolutions on shuffled pixels and other layouts",
    )
    budget: Budget = Budget()
    max_parameters: Count | None = Field(
        default=None, description="weights of one fold's network; larger networks are refused before they cost anything"
    )
    resources: Resources = Resources()
    space: dict[str, Parameter] = Field(
        description="parameter of preprocessing, network or training -> what it may be; others keep their default"
    )
    exclude: tuple[Annotated[dict[str, Condition], Field(min_length=1)], ...] = Field(
        default=(),
        description="combinations that are never tried: a configuration for which all conditions of one entry hold",
    )
    start: tuple[dict[str, Value], ...] = Field(
        default=(), description="configurations to try first; a parameter that is left out is drawn"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        """``epochs`` from ``rungs``, or the reverse; wrong types are left for the fields to complain about."""
        if not isinstance(data, Mapping):
            return data
        epochs, rungs, folds = data.get("epochs"), data.get("rungs"), data.get("folds", 5)
        if "epochs" not in data and "rungs" not in data:
            raise error((), "epochs or rungs", "neither")
        if "rungs" not in data:
            if isinstance(epochs, int) and isinstance(folds, int) and min(epochs, folds) > 0:
                return {**data, "rungs": default_rungs(folds, epochs)}
            return {**data, "rungs": [(1, 1)]}
        if "epochs" not in data:
            last = rungs[-1] if isinstance(rungs, list | tuple) and rungs else None
            return {**data, "epochs": last[1] if isinstance(last, list | tuple) and len(last) == 2 else 1}
        return data

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        # What the ledger holds was checked when the search began, and names no dataset.
        tasks: Mapping[str, Task] | None = (info.context or {}).get("tasks")
        if tasks is not None:
            self._check_task(tasks)
        if len(set(self.train_on)) != len(self.train_on):
            raise error(("train_on",), "each cohort once", self.train_on)
        if self.resources.folds_in_parallel > self.folds:
            raise error(("resources", "folds_in_parallel"), f"at most as many processes as folds, {self.folds}",
                        self.resources.folds_in_parallel)  # fmt: skip
        self._check_rungs()
        self._check_conditions()
        self._check_exclude()
        self._check_grid()
        self._check_start()
        return self

    def _check_task(self, tasks: "Mapping[str, Task]") -> None:
        if self.task not in tasks:
            raise error(("task",), f"a task, one of {', '.join(tasks)}", self.task, tasks)
        for i, name in enumerate(self.auxiliary):
            if name not in tasks or name == self.task or name in self.auxiliary[:i]:
                others = [other for other in tasks if other != self.task]
                raise error(("auxiliary", i), f"each once, other tasks, of {', '.join(others)}", name, others)
        if bool(self.auxiliary) != ("auxiliary_weight" in self.space):
            raise error(("auxiliary",), "auxiliary tasks together with auxiliary_weight in the space, or neither",
                        list(self.auxiliary))  # fmt: skip
        metrics = metric_names(tasks[self.task].classes)
        if self.metric not in metrics:
            raise error(("metric",), f"a metric of {self.task}, one of {', '.join(metrics)}", self.metric, metrics)
        known = (*COSTS, *(name for name in metrics if name != self.metric))
        if self.second_goal is not None and self.second_goal not in known:
            raise error(("second_goal",), f"a goal beside {self.metric}, one of {', '.join(known)}", self.second_goal,
                        known)  # fmt: skip
        if self.second_goal is not None and self.pruner != "none":
            # By the first goal alone a pruner would stop the very trials that are good at the second one.
            raise error(("pruner",), "pruner: none with a second goal", self.pruner)

    def _check_rungs(self) -> None:
        for i, (folds, epochs) in enumerate(self.rungs):
            before = self.rungs[i - 1] if i else (1, 0)
            if folds < before[0] or epochs <= before[1]:
                raise error(("rungs", i), "rungs with more epochs and no fewer folds than the one before, "
                            f"{list(before)}", [folds, epochs])  # fmt: skip
        if self.rungs[-1][0] != self.folds:
            raise error(("rungs", len(self.rungs) - 1), f"a last rung with all {self.folds} folds", self.rungs[-1][0])
        if self.rungs[-1][1] != self.epochs:
            raise error(("epochs",), f"as many epochs as the last rung has, {self.rungs[-1][1]}", self.epochs)

    def _check_conditions(self) -> None:
        for name, parameter in self.space.items():
            for other, condition in parameter.when.items():
                at = ("space", name, "when", other)
                if other not in self.space:
                    raise error(at, "a condition on a parameter of this space", other, self.space)
                # A parent that is fixed, perhaps by an override, may well leave its dependants without a use.
                for value in () if isinstance(self.space[other], Fixed) else alternatives(condition):
                    if not self.space[other].allows(value):
                        raise error(at, f"a value that {other} can take", plain(value), _names(self.space[other]))
        left = dict(self.space)
        while left:
            free = [name for name in left if not left.keys() & left[name].when.keys()]
            if not free:
                raise error(("space", next(iter(left)), "when"), "conditions that do not lead back to themselves",
                            list(left))  # fmt: skip
            left = {name: parameter for name, parameter in left.items() if name not in free}

    def _check_exclude(self) -> None:
        for i, rule in enumerate(self.exclude):
            for name, condition in rule.items():
                at = ("exclude", i, name)
                if name not in self.space:
                    raise error(at, "a parameter of this space", name, self.space)
                for value in () if isinstance(self.space[name], Fixed) else alternatives(condition):
                    if not self.space[name].allows(value):
                        raise error(at, f"a value that {name} can take", plain(value), _names(self.space[name]))

    def _check_grid(self) -> None:
        for name, parameter in self.space.items() if self.sampler == "grid" else ():
            if not isinstance(parameter, Fixed) and parameter.grid() is None:
                raise error(("space", name), f"{name} as a choice, an int or a float with a step, for a grid",
                            parameter.facts())  # fmt: skip

    def _check_start(self) -> None:
        for i, point in enumerate(self.start):
            if rule := self.excluded(point):
                raise error(("start", i), "a starting point that is not excluded", rule)
            for name, value in point.items():
                at = ("start", i, name)
                if name not in self.space:
                    raise error(at, "a starting point of parameters in this space", name, self.space)
                if not self.space[name].allows(value):
                    raise error(at, f"a value within the space of {name}", plain(value), _names(self.space[name]))

    @cached_property
    def _order(self) -> tuple[str, ...]:
        """Every parameter after those its conditions speak of, else as in the file."""
        order: list[str] = []
        while len(order) < len(self.space):
            order += [n for n in self.space if n not in order and self.space[n].when.keys() <= set(order)]
        return tuple(order)

    def suggest(self, trial: "BaseTrial") -> dict[str, Any]:
        """Draw a configuration ("define by run"): a parameter whose condition does not hold is not in it.

        Args:
            trial: asked for every searched parameter of the configuration, by its name.

        Returns:
            Parameter -> value, in JSON values (lists, not tuples), those that are fixed included.
        """
        params: dict[str, Any] = {}
        for name in self._order:
            parameter = self.space[name]
            if _active(parameter.when, params):
                params[name] = parameter.suggest(trial, name)
        return params

    def excluded(self, params: Mapping[str, Any]) -> str:
        """The rule of ``exclude`` that a configuration breaks, in words; empty if it breaks none.

        A condition on a parameter that is not part of the configuration does not hold.
        """
        for rule in self.exclude:
            if _active(rule, params):
                return " with ".join(f"{name} {show(params[name])}" for name in rule)
        return ""

    def signed(self, second: float) -> float:
        """The second goal's value as Optuna is told it, of one for which higher is better."""
        return -second if self.second_goal in COSTS else second

    def grid(self) -> dict[str, list[Any]]:
        """Every searched parameter with all its values, as Optuna holds them; only for the grid sampler."""
        searched = {name: parameter for name, parameter in self.space.items() if not isinstance(parameter, Fixed)}
        return {name: parameter.grid() or [] for name, parameter in searched.items()}

    def distributions(self) -> "dict[str, BaseDistribution]":
        """Every searched parameter as Optuna sees it, conditional ones included, fixed ones not."""
        found = {name: parameter.distribution() for name, parameter in self.space.items()}
        return {name: distribution for name, distribution in found.items() if distribution is not None}

    def encode(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration, whole or in part, in the form that ``Study.enqueue_trial`` takes.

        ``suggest`` then gives it back. Fixed parameters are left out; one whose condition does not hold is never
        asked for.
        """
        return {
            name: self.space[name].encode(value)
            for name, value in params.items()
            if not isinstance(self.space[name], Fixed)
        }

    def space_facts(self) -> dict[str, Any]:
        """The space in JSON values, as it would stand in a file: equal facts are the same space."""
        return {name: parameter.facts() for name, parameter in self.space.items()}

    def settings_facts(self) -> dict[str, Any]:
        """Everything but the space in JSON values; every default is spelt out."""
        return self.model_dump(mode="json", exclude={"space"})


def default_rungs(folds: int, epochs: int) -> Rungs:
    """The ladder (K/2, e/2) -> (K, e), the first rung's folds rounded up, for K folds and e epochs.

    Of those that reached the best network on both recorded tasks, whichever half of the configurations was searched,
    the quickest (benchmarks/rungs.py). A rung that rounding leaves without an epoch of its own is left out.
    """
    first = (math.ceil(folds / 2), round(epochs / 2))
    return (first, (folds, epochs)) if 0 < first[1] < epochs else ((folds, epochs),)


def error(at: Path, expected: str, received: object, near: Iterable[str] = ()) -> PydanticCustomError:
    """A complaint that knows where in the file it belongs (``at``) and what may have been meant (``near``)."""
    context = {"at": at, "expected": expected, "received": show(received), "near": tuple(near), "key": received}
    return PydanticCustomError("spec", "Expected {expected}. Received {received}.", context)


def _active(when: Mapping[str, Condition], params: Mapping[str, Any]) -> bool:
    return all(other in params and holds(condition, params[other]) for other, condition in when.items())


def _names(parameter: Parameter) -> tuple[str, ...]:
    return tuple(o for o in parameter.options if isinstance(o, str)) if isinstance(parameter, Choice) else ()
