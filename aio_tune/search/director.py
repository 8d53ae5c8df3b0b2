"""Optuna decides: one study in memory, rebuilt from the ledger, that asks for trials and stops the hopeless ones.

The director knows nothing of Ray. Every fact is in the ledger, on disk, before anything is done about it; a new
director that reads the same ledger stands where the old one stood, to the pruner's notes and the sampler's next draw.
"""

import math
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aio_tune.metrics import mean_sd
from aio_tune.search.state import SearchState
from aio_tune.search_space import SearchSpec
from aio_tune.trial import RungReport

if TYPE_CHECKING:
    import optuna

# Successive halving in Optuna counts resources, rungs here are numbered: rung r stands for REDUCTION**r of them, so
# that each rung of ours is exactly one of the pruner's, whatever folds and epochs it is made of.
REDUCTION = 3


@dataclass(frozen=True)
class Assignment:
    """One trial to run: a new one, or one that an earlier driver asked for and that did not end."""

    trial: int
    params: dict[str, Any]


class Director:
    """Asks, hears and decides.

    Args:
        spec: the search space and its settings.
        record: writes one event to the ledger and returns it; called before anything is done about the fact.
        events: what the ledger already holds, in order.
    """

    def __init__(
        self, spec: SearchSpec, record: Callable[..., Mapping[str, Any]], events: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._spec = spec
        self._write = record
        self._study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0), pruner=make_pruner(spec)
        )
        self._running: dict[int, optuna.Trial] = {}
        # What the pruner said at each trial's last rung. Asking it twice would count the trial twice at that rung.
        self._hopeless: dict[int, bool] = {}
        self.state = SearchState()
        for event in events:
            self._replay(event)
        self._unfinished = deque(trial.number for trial in self.state.running)

    def ask(self) -> Assignment | None:
        """The next trial to run: first what an earlier driver left unfinished, then new ones up to the budget."""
        if self._unfinished:
            number = self._unfinished.popleft()
            return Assignment(number, self.state.trials[number].params)
        number = len(self.state.trials)
        if number >= self._spec.trials:
            return None
        params = self._draw(number)
        self._record("trial_asked", trial=number, params=params)
        return Assignment(number, params)

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
            self._hopeless[trial] = self._tell_study(trial, report.rung, report.value)
        return self._decide(trial, report)

    def _decide(self, trial: int, report: RungReport) -> bool:
        if report.value is None or math.isnan(report.value):
            self._end(trial, "FAIL", f"{self._spec.metric} is undefined on a fold of rung {report.rung}")
        elif report.rung == len(self._spec.rungs) - 1:
            self._end(trial, "COMPLETE", "finished all folds", cv=mean_sd(list(report.fold_metrics.values())))
        elif self._hopeless[trial]:
            self._end(trial, "PRUNED", f"{self._spec.pruner} pruner at rung {report.rung}")
        else:
            return True
        return False

    @property
    def finished(self) -> bool:
        """Whether nothing is left to run: the budget is asked for, and every trial ended."""
        return len(self.state.trials) >= self._spec.trials and not self.state.running

    def note_resume(self) -> None:
        """Record that a new driver goes on with the search."""
        self._record("search_resumed", unfinished=[trial.number for trial in self.state.running])

    def note_end(self) -> None:
        """Record that the budget is spent, and who won."""
        best = self.state.best
        self._record("search_ended", reason="budget spent", best_trial=best.number if best else None)

    def fail(self, trial: int, reason: str) -> None:
        """Record that a trial cannot go on, once."""
        if self.state.trials[trial].state == "RUNNING":
            self._end(trial, "FAIL", reason)

    def _draw(self, number: int) -> dict[str, Any]:
        # A fresh sampler for every draw: its random state then depends on the trial's number alone, not on how many
        # draws this driver (rather than one killed before it) has made.
        self._study.sampler = make_sampler(self._spec, number)
        if number < len(self._spec.start):
            self._study.enqueue_trial(self._spec.encode(self._spec.start[number]))
        trial = self._study.ask()
        self._running[number] = trial
        return self._spec.suggest(trial)

    def _tell_study(self, number: int, rung: int, value: float | None) -> bool:
        trial = self._running[number]
        if value is None or math.isnan(value):
            return False
        trial.report(value, step=REDUCTION**rung)
        # Asked at every rung but the last: successive halving notes its own rungs while deciding, so a rebuilt study
        # has to ask again in the same order.
        return rung < len(self._spec.rungs) - 1 and trial.should_prune()

    def _end(self, number: int, state: str, reason: str, cv: Mapping[str, tuple[float, float]] | None = None) -> None:
        value = self.state.trials[number].value
        self._record("trial_ended", trial=number, state=state, value=value, reason=reason, cv=dict(cv or {}))
        self._tell_end(number, state, value)

    def _tell_end(self, number: int, state: str, value: float | None) -> None:
        import optuna

        self._running.pop(number)
        self._study.tell(number, value if state == "COMPLETE" else None, state=optuna.trial.TrialState[state])

    def _record(self, kind: str, **facts: Any) -> None:
        self.state.apply(self._write(kind, **facts))

    def _replay(self, event: Mapping[str, Any]) -> None:
        self.state.apply(event)
        if event["kind"] == "trial_asked":
            self._study.enqueue_trial(self._spec.encode(event["params"]))
            trial = self._study.ask()
            self._spec.suggest(trial)
            self._running[event["trial"]] = trial
        elif event["kind"] == "rung_reported":
            self._hopeless[event["trial"]] = self._tell_study(event["trial"], event["rung"], event["value"])
        elif event["kind"] == "trial_ended":
            self._tell_end(event["trial"], event["state"], event["value"])


def make_sampler(spec: SearchSpec, number: int) -> "optuna.samplers.BaseSampler":
    """The sampler for one draw, seeded by the search's seed and the trial's number."""
    import optuna

    seed = (spec.seed * 1_000_003 + number) % 2**32
    if spec.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    # Optuna's own default of ten random trials would leave a short search without a single modelled one.
    startup = min(10, max(2, spec.trials // 3))
    with warnings.catch_warnings():
        # `group` has been marked experimental since 2021; without it conditional parameters are drawn independently.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            multivariate=True, group=True, constant_liar=True, n_startup_trials=startup, seed=seed
        )


def make_pruner(spec: SearchSpec) -> "optuna.pruners.BasePruner":
    """The pruner, deciding from the study's stored values alone."""
    import optuna

    pruners: dict[str, optuna.pruners.BasePruner] = {
        "none": optuna.pruners.NopPruner(),
        "median": optuna.pruners.MedianPruner(n_startup_trials=3),
        "percentile": optuna.pruners.PercentilePruner(percentile=33.0, n_startup_trials=3),
        "halving": optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=REDUCTION),
    }
    return pruners[spec.pruner]
