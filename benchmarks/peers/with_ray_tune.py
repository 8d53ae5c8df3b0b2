"""Ray Tune as its guides combine it: OptunaSearch proposes, ASHA stops by epochs, the folds in lockstep in a trainable.

A step is one epoch of each fold, and reports their mean AUC. As many trials at one time as there are cores, each with
one CPU and one thread. Processes are kept from trial to trial (``reuse_actors``), for else each trial would import
TensorFlow anew; Tune's own result files are not written; and a limiter sees that OptunaSearch is asked for a
configuration only when there is room for it.
"""

import argparse
import logging
import os
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from benchmarks.peers.work import CrossValidation, note, open_work, side_arguments, starts

GRACE_PERIOD, REDUCTION = 2, 3
SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # its own waits for trials that nobody needs
    "RAY_AIR_NEW_OUTPUT": "0",
}


class CrossValidated(tune.Trainable):
    """All folds of a configuration, an epoch a step."""

    def setup(self, config: dict[str, Any], arguments: argparse.Namespace | None = None) -> None:
        from aio_tune.training import configure_backend

        assert arguments is not None
        configure_backend(threads=1)
        self._work = open_work(arguments)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._folds = None if self._work.refusal(new_config) else CrossValidation(self._work, new_config)
        return True

    def step(self) -> dict[str, Any]:
        if self._folds is None:
            return {"auc": 0.0, "seconds": 0.0, "done": True}
        return {"auc": self._folds.train(1), "seconds": self._folds.seconds}


class _Notes(tune.Callback):
    """Writes complete trials down in the driver, as they are reported to it."""

    def __init__(self, arguments: argparse.Namespace, last_epoch: int) -> None:
        self._arguments, self._last_epoch = arguments, last_epoch

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        if result["training_iteration"] == self._last_epoch:
            note(self._arguments.folder, result["auc"], result["seconds"])


def main() -> None:
    """Search until stopped."""
    os.environ.update(SETTINGS)
    arguments = side_arguments()
    work = open_work(arguments)
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    cores = int(ray.cluster_resources()["CPU"])
    search = OptunaSearch(
        work.spec.suggest, metric="auc", mode="max", points_to_evaluate=starts(work.spec), seed=work.spec.seed
    )
    tune.Tuner(
        tune.with_resources(tune.with_parameters(CrossValidated, arguments=arguments), {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=ConcurrencyLimiter(search, max_concurrent=cores),
            scheduler=ASHAScheduler(
                time_attr="training_iteration", metric="auc", mode="max", max_t=work.last_epoch,
                grace_period=min(GRACE_PERIOD, work.last_epoch), reduction_factor=REDUCTION,
            ),
            num_samples=arguments.trials or -1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(arguments.folder / "ray"),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            # Else a trial that fails would count as one that was no good.
            failure_config=tune.FailureConfig(fail_fast="raise"),
            callbacks=[_Notes(arguments, work.last_epoch)],
            verbose=0,
        ),
    ).fit()  # fmt: skip


if __name__ == "__main__":
    main()
