"""Ray Tune as the director uses it, with trials that train nothing."""

import logging
import time
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune

from aio_tune.ledger import Ledger
from aio_tune.search.director import Director
from aio_tune.search.feasibility import Feasibility
from aio_tune.search.study import OptunaStudy
from aio_tune.search.tuning import run_trials
from aio_tune.search_space import SearchSpec
from aio_tune.trial import TrialContext
from tests.search.small_trials import context_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PLACES = 3
SPEC = SearchSpec.model_validate(
    {"task": "ki67", "trials": PLACES, "epochs": 1, "folds": 2, "space": {"dropout": {"float": [0.0, 0.6]}}}
)
NOTHING = "there is nothing to train"


class Meeting(tune.Trainable):
    """Gets ready only once the others of its time are getting ready too."""

    def setup(self, config: dict[str, Any], context: TrialContext | None = None) -> None:
        assert context is not None
        folder, last = context.trials_folder, time.monotonic() + 60
        (folder / str(config["slot"])).touch()
        while len(list(folder.iterdir())) < PLACES:
            assert time.monotonic() < last, "the others never came"
            time.sleep(0.05)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True

    def step(self) -> dict[str, Any]:
        return {"failed": NOTHING}


def test_all_places_start_at_one_time(tmp_path: Path) -> None:
    """One after the other, some seconds each, a cluster of 256 places would take half an hour to be in use."""
    ray.init("local", num_cpus=PLACES, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        context = context_of(tmp_path)
        context.trials_folder.mkdir()
        with Ledger(tmp_path / "ledger.jsonl") as ledger:
            first = ledger.append("search_started", name="meeting", settings=SPEC.settings_facts())
            director = Director(SPEC, OptunaStudy(SPEC), Feasibility(SPEC, 64, 2), ledger.append, [first])
            run_trials(director, context, lambda: PLACES, tmp_path / "ray", Meeting)
    finally:
        ray.shutdown()
    assert [trial.reason for trial in director.state.trials.values()] == [NOTHING] * PLACES
