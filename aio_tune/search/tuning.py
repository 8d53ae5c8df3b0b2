"""Ray executes: the director's trials as a Ray Tune experiment.

Tune's own resume, loggers and checkpoints are not used: the ledger is the truth, and a resumed search is a new Tuner
fed by it. What Tune gives is placement: trials in placement groups, over however many nodes there are, with their
actors kept between trials.
"""

import json
import logging
import os
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from aio_tune.errors import AioTuneError, SearchError, TrialError
from aio_tune.search.director import Director
from aio_tune.trial import Assignment, RungReport, TrialContext, TrialRun, WorkerPool, drop_checkpoints, gist

_log = logging.getLogger(__name__)
_Value = TypeVar("_Value")

# How often a rung is begun when the trial's coordinator, or its node, is lost; lost fold workers are the trial's own
# business.
TRIAL_TRIES = 3
# Experiments in a row that Tune may give up without a single event in the ledger.
FRUITLESS = 3


class TrialTrainable(tune.Trainable):
    """One step is one rung. Kept between trials (``reset_config``), with its workers."""

    def setup(self, config: dict[str, Any], context: TrialContext | None = None) -> None:
        if context is None:
            raise ValueError("Expected the search's TrialContext. Received none.")
        # It has no share of a GPU, and Ray no longer hides the GPUs from those that have none.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._context = context
        self._pool = WorkerPool(context, context.spares_of(config["slot"]))
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._pool.replace_worn()
        task = Assignment(new_config["trial"], new_config["params"], new_config["split"])
        self._run = TrialRun(self._context, self._pool, task)
        return True

    def step(self) -> dict[str, Any]:
        try:
            report = self._run.next_rung()
        except TrialError as error:
            return {"failed": str(error)}
        except SearchError as error:
            return {"stopped": [error.problem, error.hint]}
        # As one string: Tune flattens nested results into one column per number.
        return {"report": json.dumps(report.facts())}

    def cleanup(self) -> None:
        self._pool.close()


class _Stopped(BaseException):
    """The search cannot go on. Not an ``Exception``: Tune would turn that into the text of its traceback."""

    def __init__(self, reason: AioTuneError) -> None:
        self.reason = reason
        super().__init__(str(reason))


def _or_stop(action: Callable[[], _Value]) -> _Value:
    """What ``action`` returns; an error of ours (the ledger cannot be written) ends the experiment."""
    try:
        return action()
    except AioTuneError as error:
        raise _Stopped(error) from error


class _Losses:
    """Trials that lost their coordinator: given out again, until one got nowhere too often.

    Tune's own restarts are not used: whatever ``max_failures`` says, it gives a trial up at once if its coordinator was
    lost before its first step, as happens to one that is kept for the next trial on a node that goes down. And it tells
    the scheduler of every loss in the same words, restart or not.
    """

    def __init__(self) -> None:
        self._times: Counter[int] = Counter()
        self._waiting: deque[Assignment] = deque()

    def add(self, assignment: Assignment) -> bool:
        """Note a loss; returns whether the trial is to be tried again."""
        self._times[assignment.trial] += 1
        again = self._times[assignment.trial] < TRIAL_TRIES
        if again:
            self._waiting.append(assignment)
        return again

    def take(self) -> Assignment | None:
        """A trial to be tried again."""
        return self._waiting.popleft() if self._waiting else None

    def forgive(self, trial: int) -> None:
        """The trial got somewhere: only losses running count."""
        self._times.pop(trial, None)

    def leave_to_director(self) -> None:
        """A new experiment begins, for which the director gives out whatever is unfinished."""
        self._waiting.clear()


class DirectedSearcher(Searcher):
    """Hands the director's trials to Tune, as many at one time as there is room for at that time.

    Not by Tune's own limit, which is set once: nodes that join in the middle would get nothing. And without a limit
    Tune draws one trial more than fits, which then knows less of the others.
    """

    def __init__(self, director: Director, losses: _Losses, room: Callable[[], int]) -> None:
        super().__init__()
        self._director = director
        self._losses = losses
        self._room = room
        self._live: set[str] = set()
        self._given = 0

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if len(self._live) >= self._room():
            return None
        assignment = self._losses.take() or _or_stop(self._director.ask)
        if assignment is None:
            return Searcher.FINISHED
        self._live.add(trial_id)
        slot, self._given = self._given, self._given + 1
        return {"trial": assignment.trial, "params": assignment.params, "split": assignment.split, "slot": slot}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Its place is free. The scheduler has told the director already, and it alone sees why a trial ended."""
        self._live.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save, the ledger has it; Tune expects the file."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("A search is resumed from its ledger, not from Tune's snapshot.")

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles what it is given into its snapshots, which nobody reads."""
        return {}


class DirectedScheduler(FIFOScheduler):
    """Brings each result to the director and its decision back to Tune."""

    def __init__(self, director: Director, losses: _Losses, trials_folder: Path) -> None:
        super().__init__()
        self._director = director
        self._losses = losses
        self._trials_folder = trials_folder

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        number = trial.config["trial"]
        if "stopped" in result:
            raise _Stopped(SearchError(*result["stopped"]))
        if _or_stop(lambda: self._goes_on(number, result)):
            return str(TrialScheduler.CONTINUE)
        complete = self._director.state.trials[number].state == "COMPLETE"
        drop_checkpoints(self._trials_folder, number, keep_models=complete)
        return str(TrialScheduler.STOP)

    def _goes_on(self, number: int, result: dict[str, Any]) -> bool:
        if "failed" in result:
            self._director.fail(number, result["failed"])
            return False
        report = RungReport.from_facts(json.loads(result["report"]))
        # A trial that was tried again tells first what it had told before.
        if report.rung > self._director.state.trials[number].rung:
            self._losses.forgive(number)
        return self._director.hear(number, report)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """None in particular: a place that becomes free goes to a new trial, not to one whose own place is starting.

        Tune's first-in, first-out choice would give it the oldest trial that waits, and end the process that starts for
        that one: where trials are shorter than a start, nodes that join in the middle would never get to train.
        """
        return None

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Called when a trial's coordinator was lost, or failed in a way of its own."""
        task = Assignment(trial.config["trial"], trial.config["params"], trial.config["split"])
        ended = self._director.state.trials[task.trial].state != "RUNNING"
        if not ended and not self._losses.add(task):
            reason = f"Given up after {TRIAL_TRIES} tries: {_why(trial)}"
            _or_stop(lambda: self._director.fail(task.trial, reason))

    def debug_string(self) -> str:
        return "the director's decisions"

    def __getstate__(self) -> dict[str, Any]:
        """Nothing, as for the searcher."""
        return {}


def _why(trial: Trial) -> str:
    """The last line of what Tune wrote down about a trial's failure."""
    try:
        lines = Path(trial.error_file).read_text().strip().splitlines()
    except (OSError, TypeError):
        lines = []
    return lines[-1].strip() if lines else "nothing is known of why."


def run_trials(
    director: Director,
    context: TrialContext,
    room: Callable[[], int],
    storage: Path,
    trainable: type[tune.Trainable] = TrialTrainable,
) -> None:
    """Run the director's trials to the end of its budget.

    Args:
        director: asks, hears and decides.
        context: what the trials share.
        room: how many trials may run at this time.
        storage: a private folder for Tune's own files.
        trainable: what runs one trial.

    Raises:
        SearchError: the ledger cannot be written, a disk is full, or Tune gave up time and again.
        KeyboardInterrupt: on SIGINT, at once; what then still runs ends with the cluster or the driver's job.
    """
    storage.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Tune's result files would hold every curve a second time, and nothing here reads them.
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "86400"
    # Or else Tune would have one coordinator start after the other, some seconds each. The searcher knows the room.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "10000"
    # Tune's newer output prints a banner and a table even when asked to be silent.
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    # The ledger has the reason; a traceback of each lost process on the console helps nobody.
    os.environ["TUNE_PRINT_ALL_TRIAL_ERRORS"] = "0"
    # Its own handler waits for trials and snapshots that nobody needs.
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    # It names, as an error, every trial that was lost and tried again.
    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)
    losses, fruitless, reason = _Losses(), 0, "Ray's logs may say why."
    while not director.finished:
        before = director.state.events
        try:
            _tuner(director, losses, context, room, storage, trainable).fit()
        except _Stopped as stopped:
            raise stopped.reason from None
        except (tune.TuneError, ray.exceptions.RayError, RuntimeError) as error:
            # When Ray's memory monitor has killed a coordinator, Tune raises a RuntimeError of its own.
            if type(error) is RuntimeError and not isinstance(error.__cause__, ray.exceptions.RayError):
                raise
            reason = gist(error.__cause__ or error)
            _log.warning("Ray Tune gave up and is started again: %s", reason)
        fruitless = fruitless + 1 if director.state.events == before else 0
        if fruitless == FRUITLESS:
            raise SearchError(
                f"Expected trials to run. Received {FRUITLESS} experiments that Ray Tune gave up at once: {reason}",
                "See to that, then go on with --resume.",
            )
        director.requeue()
        losses.leave_to_director()


def _tuner(
    director: Director,
    losses: _Losses,
    context: TrialContext,
    room: Callable[[], int],
    storage: Path,
    trainable: type[tune.Trainable],
) -> tune.Tuner:
    return tune.Tuner(
        tune.with_resources(tune.with_parameters(trainable, context=context), placement(context)),
        tune_config=tune.TuneConfig(
            search_alg=DirectedSearcher(director, losses, room),
            scheduler=DirectedScheduler(director, losses, context.trials_folder),
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=time.strftime("tune-%Y%m%d-%H%M%S"),
            storage_path=str(storage),
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )


def placement(context: TrialContext) -> tune.PlacementGroupFactory:
    """The resources of one trial: nothing for the coordinator, one bundle for each fold worker."""
    worker = {"CPU": float(context.cpus_per_fold)}
    if context.gpus_per_fold:
        worker["GPU"] = context.gpus_per_fold
    return tune.PlacementGroupFactory([{}, *[worker] * context.folds_in_parallel], strategy="PACK")
