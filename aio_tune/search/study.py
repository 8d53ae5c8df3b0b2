"""Optuna's part: it draws configurations.

One study in memory, which is kept small: of many trials it holds those that matter to a model, so that a draw costs the
same after thousands of trials as after hundreds. What samplers note in it goes into the ledger with each draw, so that
a rebuilt study goes on in the same way.
"""

import heapq
import importlib.util
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aio_tune.errors import SearchError
from aio_tune.search.pruning import PRUNERS
from aio_tune.search.source import Draw, Source
from aio_tune.search_space import COSTS, SearchSpec

if TYPE_CHECKING:
    import optuna

# Of more than so many trials a modelling sampler keeps the best ones, and of the others the latest: TPE gives old
# trials little weight anyway, and its good group has never more than 25; a Gaussian process slows with their cube.
MOST = 250
BEST = 25
LATEST = 100

# Samplers without a model: they count draws or generations, for which they need all trials.
COUNTING = ("quasi-random", "grid", "nsga2")


@dataclass
class _Open:
    """A trial that has not ended, as the study has it."""

    draw: Draw
    trial: "optuna.Trial"
    reported: dict[int, float] = field(default_factory=dict)


class OptunaStudy(Source):
    """Draws by the sampler that the space file names, and judges by the pruner.

    Raises:
        SearchError: the sampler needs a package that is not installed.
    """

    def __init__(self, spec: SearchSpec) -> None:
        if spec.sampler == "gp" and importlib.util.find_spec("torch") is None:
            raise SearchError(
                "Expected PyTorch, which Optuna's GP sampler is built on. Received none.",
                "Install the gp extra (pip install 'aio-tune[gp]'), or choose --set sampler=tpe.",
            )
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._spec = spec
        self._study = self._new_study()
        self._pruner = PRUNERS[spec.pruner]()
        self._open: dict[int, _Open] = {}
        # The draw that was made last, if nobody has said yet what becomes of it.
        self._drawn: optuna.Trial | None = None
        self._refused: set[int] = set()
        self._from_grid = 0

    def draws(self, number: int) -> Iterator[Draw]:
        for attempt in range(self.attempts):
            self._drop_draw()
            if number < len(self._spec.start):
                yield self._preset(number, attempt)
            elif self._spec.sampler == "grid" and self._from_grid >= grid_size(self._spec):
                return
            else:
                yield self._draw(number, attempt)

    @property
    def may_redraw(self) -> bool:
        return self._spec.sampler not in COUNTING

    def keep(self, number: int, draw: Draw) -> None:
        self._open[number] = _Open(draw, self._take(draw))

    def refuse(self, number: int, draw: Draw) -> None:
        import optuna

        trial = self._take(draw)
        # Known to be infeasible, or else TPE would take the region for unexplored and draw from it again and again.
        trial.set_constraint("refused", 1.0)
        self._refused.add(trial.number)
        self._study.tell(trial.number, state=optuna.trial.TrialState.PRUNED)
        self._forget_some()

    def report(self, number: int, rung: int, value: float) -> bool:
        if self._spec.second_goal is not None:
            return False
        trial = self._open[number]
        trial.reported[rung] = value
        trial.trial.report(value, step=rung)
        # Asked at every rung but the last: the pruner takes note of a value by being asked about it.
        return rung < len(self._spec.rungs) - 1 and self._pruner.stops(trial.reported)

    def end(self, number: int, state: str, values: tuple[float, ...], reached: tuple[int, float] | None = None) -> None:
        import optuna

        trial = self._open.pop(number)
        if reached is not None and state == "PRUNED":
            trial.trial.report(reached[1], step=reached[0])
        end = optuna.trial.TrialState[state]
        self._study.tell(trial.trial.number, values if state == "COMPLETE" else None, state=end)
        # A trial that shares another one's result reported nothing, and is not to be judged by.
        if state == "COMPLETE" and reached is None:
            self._pruner.complete(trial.reported)
        self._forget_some()

    def _new_study(self) -> "optuna.Study":
        import optuna

        return optuna.create_study(directions=directions(self._spec), sampler=optuna.samplers.RandomSampler(seed=0))

    def _preset(self, number: int, attempt: int) -> Draw:
        """A starting point; what it leaves out is drawn at random."""
        import optuna

        point = self._spec.start[number]
        view = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=_seed(self._spec, number, attempt)))
        view.enqueue_trial(self._spec.encode(point))
        trial = view.ask()
        params = self._spec.suggest(trial)
        return Draw(params, preset=trial.params.keys() <= point.keys())

    def _draw(self, number: int, attempt: int) -> Draw:
        import optuna

        study = self._study
        # A new sampler for every draw: its random state then depends on the trial's number alone, not on how many
        # draws this driver (rather than one killed before it) has made.
        study.sampler = make_sampler(self._spec, number, attempt)
        if self.may_redraw and attempt >= self.attempts // 2:
            # A model that keeps asking for what is refused has nothing more to say.
            study.sampler = optuna.samplers.RandomSampler(seed=_seed(self._spec, number, attempt))
        before = _study_notes(study)
        trial = study.ask()
        params = self._spec.suggest(trial)
        study.sampler = optuna.samplers.RandomSampler(seed=0)
        of_trial = dict(study._storage.get_trial_system_attrs(trial._trial_id))
        of_study = {key: value for key, value in _study_notes(study).items() if before.get(key) != value}
        notes = {key: value for key, value in (("trial", of_trial), ("study", of_study)) if value}
        self._from_grid += "grid_id" in of_trial
        self._drawn = trial
        return Draw(params, notes=notes)

    def _drop_draw(self) -> None:
        """Forget a draw that was neither kept nor refused; samplers pass over failed trials."""
        import optuna

        if self._drawn is not None:
            self._study.tell(self._drawn.number, state=optuna.trial.TrialState.FAIL)
            self._drawn = None

    def _take(self, draw: Draw) -> "optuna.Trial":
        """The running trial of a draw: the one just drawn, or a new one of a draw that an earlier driver made."""
        if self._drawn is not None:
            trial, self._drawn = self._drawn, None
            return trial
        self._from_grid += "grid_id" in draw.notes.get("trial", {})
        for key, value in draw.notes.get("study", {}).items():
            self._study._storage.set_study_system_attr(self._study._study_id, key, value)
        return self._add(draw)

    def _add(self, draw: Draw) -> "optuna.Trial":
        import optuna

        attributes = {**draw.notes.get("trial", {}), "fixed_params": self._spec.encode(draw.params)}
        waiting = optuna.create_trial(state=optuna.trial.TrialState.WAITING, system_attrs=attributes)
        self._study.add_trial(waiting)
        trial = self._study.ask()
        self._spec.suggest(trial)
        return trial

    def _forget_some(self) -> None:
        """Replace the study that draws by one of the trials that matter, once it has too many."""
        from optuna.trial import TrialState

        finished = (TrialState.COMPLETE, TrialState.PRUNED)
        trials = self._study.get_trials(deepcopy=False, states=finished)
        if not self.may_redraw or len(trials) <= MOST:
            return
        kept = self._matter(trials)
        self._study = self._new_study()
        self._study.add_trials(kept)
        self._refused = {number for number, trial in enumerate(kept) if trial.number in self._refused}
        for open_one in self._open.values():
            open_one.trial = self._add(open_one.draw)
            for rung, value in open_one.reported.items():
                open_one.trial.report(value, step=rung)

    def _matter(self, trials: "list[optuna.trial.FrozenTrial]") -> "list[optuna.trial.FrozenTrial]":
        from optuna.study import StudyDirection
        from optuna.trial import TrialState

        chosen: set[int] = set()
        for i, direction in enumerate(self._study.directions):
            sign = 1 if direction == StudyDirection.MAXIMIZE else -1
            complete = [(sign * t.values[i], t.number) for t in trials if t.state == TrialState.COMPLETE]
            chosen |= {number for _, number in heapq.nlargest(BEST, complete)}
        tried = [trial.number for trial in trials if trial.number not in self._refused]
        refused = [trial.number for trial in trials if trial.number in self._refused]
        chosen |= {*tried[-LATEST:], *refused[-BEST:]}
        return [trial for trial in trials if trial.number in chosen]


def grid_size(spec: SearchSpec) -> int:
    """How many points the grid has; those that differ only in a parameter that is not in play count each."""
    return math.prod(len(values) for values in spec.grid().values())


def directions(spec: SearchSpec) -> "list[optuna.study.StudyDirection]":
    """Optuna's directions of the one goal, or of both."""
    from optuna.study import StudyDirection

    goals = [StudyDirection.MAXIMIZE]
    if spec.second_goal is not None:
        goals.append(StudyDirection.MINIMIZE if spec.second_goal in COSTS else StudyDirection.MAXIMIZE)
    return goals


def make_sampler(spec: SearchSpec, number: int, attempt: int) -> "optuna.samplers.BaseSampler":
    """The sampler for one draw, seeded by the search's seed, the trial's number and how often it was drawn before."""
    import optuna

    samplers = optuna.samplers
    seed = _seed(spec, number, attempt)
    # Optuna's own default of ten random trials would leave a short search without a single modelled one.
    startup = min(10, max(2, spec.trials // 3))
    with warnings.catch_warnings():
        # `group` and the quasi-random sampler have been marked experimental since 2021; without the first,
        # conditional parameters would be drawn independently.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if spec.sampler == "tpe":
            return samplers.TPESampler(
                multivariate=True, group=True, constant_liar=True, n_startup_trials=startup, seed=seed
            )
        if spec.sampler == "gp":
            return samplers.GPSampler(n_startup_trials=startup, seed=seed, warn_independent_sampling=False)
        if spec.sampler == "quasi-random":
            return samplers.QMCSampler(
                scramble=True,
                seed=spec.seed,
                independent_sampler=samplers.RandomSampler(seed=seed),
                warn_independent_sampling=False,
            )
        if spec.sampler == "grid":
            return samplers.GridSampler(spec.grid(), seed=spec.seed)
        if spec.sampler == "nsga2":
            # Five generations or more; Optuna's own fifty trials each would leave a short search in its first one.
            return samplers.NSGAIISampler(population_size=min(50, max(4, spec.trials // 5)), seed=seed)
    return samplers.RandomSampler(seed=seed)


def _seed(spec: SearchSpec, number: int, attempt: int) -> int:
    return (spec.seed * 1_000_003 + number + attempt * 500_009) % 2**32


def _study_notes(study: "optuna.Study") -> Mapping[str, Any]:
    """What samplers keep about a study; Optuna has no public way to read it, or to set it again."""
    return dict(study._storage.get_study_system_attrs(study._study_id))
