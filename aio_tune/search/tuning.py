"""Ray executes: the director's trials as a Ray Tune experiment.

Tune's own resume, loggers and checkpoints are not used: the ledger is the truth, and a resumed search is a new Tuner
fed by it. What Tune gives is placement: trials in placement groups, over however many nodes there are, with their
actors kept between trials.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from aio_tune.errors import TrialError
from aio_tune.search.director import Director
from aio_tune.trial import RungReport, TrialContext, TrialRun, WorkerPool, drop_checkpoints

# Restarts of a whole trial (its coordinator or its node was lost); lost fold workers are the trial's own business.
TRIAL_RESTARTS = 3
# TensorFlow keeps some 5 MiB of every network it has traced for as long as its process lives.
TRIALS_PER_WORKER = 40


class TrialTrainable(tune.Trainable):
    """One step is one rung. Kept between trials (``reset_config``), with its workers."""

    def setup(self, config: dict[str, Any], context: TrialContext | None = None) -> None:
        if context is None:
            raise ValueError("Expected the search's TrialContext. Received none.")
        self._context = context
        self._pool = WorkerPool(context)
        self._trials = 0
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._trials += 1
        if self._trials % TRIALS_PER_WORKER == 0:
            self._pool.close()
        self._run = TrialRun(self._context, self._pool, new_config["trial"], new_config["params"])
        return True

    def step(self) -> dict[str, Any]:
        try:
            report = self._run.next_rung()
        except TrialError as error:
            return {"failed": str(error)}
        # As one string: Tune flattens nested results into one column per number.
        return {"report": json.dumps(report.facts())}

    def cleanup(self) -> None:
        self._pool.close()


class DirectedSearcher(Searcher):
    """Hands the director's trials to Tune."""

    def __init__(self, director: Director) -> None:
        super().__init__()
        self._director = director

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        assignment = self._director.ask()
        if assignment is None:
            return Searcher.FINISHED
        return {"trial": assignment.trial, "params": assignment.params}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the scheduler has told the director already, and it alone sees why a trial ended."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save, the ledger has it; Tune expects the file."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("A search is resumed from its ledger, not from Tune's snapshot.")


class DirectedScheduler(FIFOScheduler):
    """Brings each result to the director and its decision back to Tune."""

    def __init__(self, director: Director, trials_folder: Path) -> None:
        super().__init__()
        self._director = director
        self._trials_folder = trials_folder

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        number = trial.config["trial"]
        if "failed" in result:
            self._director.fail(number, result["failed"])
            goes_on = False
        else:
            goes_on = self._director.hear(number, RungReport.from_facts(json.loads(result["report"])))
        if goes_on:
            return str(TrialScheduler.CONTINUE)
        complete = self._director.state.trials[number].state == "COMPLETE"
        drop_checkpoints(self._trials_folder, number, keep_models=complete)
        return str(TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Called when Tune has given a trial up, after its restarts."""
        error = trial.get_pickled_error() or trial.get_error()
        reason = str(error).strip().splitlines()[-1] if error else "its process was lost"
        self._director.fail(trial.config["trial"], f"Lost {TRIAL_RESTARTS + 1} times running: {reason}")

    def debug_string(self) -> str:
        return "the director's decisions"


def run_trials(director: Director, context: TrialContext, concurrency: int, storage: Path) -> None:
    """Run the director's trials to the end of its budget, or until SIGINT.

    Args:
        director: asks, hears and decides.
        context: what the trials share.
        concurrency: trials at one time; always set, since Tune otherwise holds one pending trial more than fits.
        storage: a private folder for Tune's own files.
    """
    storage.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Tune's result files would hold every curve a second time, and nothing here reads them.
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "86400"
    # Tune's newer output prints a banner and a table even when asked to be silent.
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(TrialTrainable, context=context), placement(context)),
        tune_config=tune.TuneConfig(
            search_alg=DirectedSearcher(director),
            scheduler=DirectedScheduler(director, context.trials_folder),
            num_samples=-1,
            max_concurrent_trials=concurrency,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=time.strftime("tune-%Y%m%d-%H%M%S"),
            storage_path=str(storage),
            failure_config=tune.FailureConfig(max_failures=TRIAL_RESTARTS),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )
    tuner.fit()


def placement(context: TrialContext) -> tune.PlacementGroupFactory:
    """The resources of one trial: nothing for the coordinator, one bundle for each fold worker."""
    worker = {"CPU": float(context.cpus_per_fold)}
    if context.gpus_per_fold:
        worker["GPU"] = context.gpus_per_fold
    return tune.PlacementGroupFactory([{}, *[worker] * context.folds_in_parallel], strategy="PACK")
