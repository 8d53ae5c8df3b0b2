"""Ray and fold workers that are started while a search makes ready, in a real Ray of its own."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from aio_tune.errors import LaunchError
from aio_tune.search.ahead import Ahead, joined, started_ahead
from aio_tune.search_space import SearchSpec
from aio_tune.trial import Assignment, TrialRun, WorkerPool
from tests.search.small_trials import PARAMS, context_of

# Each of the workers imports TensorFlow.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FOLDS = 3
SPEC = SearchSpec.model_validate(
    {"task": "ki67", "trials": 1, "epochs": 9, "space": {}, "resources": {"folds_in_parallel": FOLDS}}
)
PATIENCE = 60.0


@pytest.fixture(scope="module")
def ahead() -> Iterator[Ahead]:
    with started_ahead("local", SPEC) as place:
        yield place
    assert not ray.is_initialized()


@pytest.fixture(scope="module")
def spares(ahead: Ahead) -> Iterator[tuple[Any, ...]]:
    with joined(ahead) as found:
        yield found
    for spare in found:
        with pytest.raises(ray.exceptions.RayActorError):
            ray.get(spare.worn.remote(), timeout=PATIENCE)
    with joined(ahead) as none:
        assert none == (), "only the first run has workers"


def trained_by(pool: WorkerPool, folder: Path) -> psutil.Process:
    """Train a trial; the process that did."""
    report = TrialRun(context_of(folder), pool, Assignment(0, PARAMS)).next_rung()
    assert report.value is not None
    (where,) = set(report.where.values())
    return psutil.Process(int(where.rpartition(":")[2]))


def test_a_trial_has_the_workers_of_its_slot(tmp_path: Path, spares: tuple[Any, ...]) -> None:
    assert len(spares) == FOLDS, "one for each fold that is trained at one time"
    context = replace(context_of(tmp_path), spares=spares)
    assert [context.spares_of(slot) for slot in range(4)] == [(spare,) for spare in spares] + [()]
    assert replace(context, folds_in_parallel=FOLDS).spares_of(0) == spares


def test_they_train_what_others_would(tmp_path: Path, spares: tuple[Any, ...]) -> None:
    pool = WorkerPool(context_of(tmp_path), spares[:1])
    process = trained_by(pool, tmp_path)
    assert process.is_running(), "kept for the next trial"
    pool.close()
    process.wait(PATIENCE)


def test_one_ends_with_its_coordinator(tmp_path: Path, spares: tuple[Any, ...]) -> None:
    coordinator = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        ray.get(spares[1].take.remote(context_of(tmp_path), coordinator.pid))
        assert ray.get(spares[1].worn.remote()) is False
    finally:
        coordinator.kill()
        coordinator.wait()
    with pytest.raises(ray.exceptions.RayActorError):
        while True:
            ray.get(spares[1].worn.remote(), timeout=PATIENCE)


def test_lost_ones_are_replaced(tmp_path: Path, spares: tuple[Any, ...]) -> None:
    ray.kill(spares[2])
    pool = WorkerPool(context_of(tmp_path), spares[2:])
    assert trained_by(pool, tmp_path).is_running()
    pool.close()


def test_what_cannot_be_reached_is_told_to_whoever_joins() -> None:
    with (
        started_ahead("127.0.0.1:1", SPEC) as nowhere,
        pytest.raises(LaunchError, match=r"127\.0\.0\.1:1"),
        joined(nowhere),
    ):
        raise AssertionError("nothing is there to be joined")
