"""The simulated cluster of benchmarks/replay.py: its clock counts what a hand counts, and it loses no training."""

import math

import numpy as np
import pytest

from aio_tune.search_space import default_rungs
from benchmarks.curves import Curves, load, tasks
from benchmarks.replay import Costs, replay

# Two folds, two epochs; four configurations, the first the best one.
TINY = Curves(
    "nhg", [{}] * 4, np.array([[[value] * 2] * 2 for value in (0.9, 0.8, 0.7, 0.6)]), start=np.full(4, 1.0),
    epoch=np.full(4, 2.0),
)  # fmt: skip
PLAIN = ((2, 2),)
TRIAL = 1 + 2 * 2 * 2


def test_two_places_share_four_equal_trials() -> None:
    run = replay(TINY, range(4), PLAIN, "none", places=2)
    assert run.seconds == 2 * TRIAL
    assert run.training == 4 * TRIAL
    assert run.best == [(TRIAL, 0.9), (TRIAL, 0.9), (2 * TRIAL, 0.9), (2 * TRIAL, 0.9)]
    assert (run.reached(0.9), run.reached(0.91)) == (TRIAL, math.inf)


def test_a_place_waits_for_its_worker_its_rung_and_the_driver() -> None:
    costs = Costs(worker=10, rung=0.5, driver=0.25)
    run = replay(TINY, range(1), ((1, 1), (2, 2)), "none", costs=costs)
    # Started, given its trial; one epoch of one fold; then the other three; each report waits and is dealt with.
    assert run.seconds == 10 + 0.25 + (1 + 2) + 0.5 + 0.25 + 6 + 0.5 + 0.25
    assert run.messages == 3


def test_the_driver_serves_one_place_at_a_time() -> None:
    run = replay(TINY, range(4), PLAIN, "none", places=4, costs=Costs(driver=1))
    # Asked one after the other until 4; their reports come one second apart.
    assert run.seconds == 4 + TRIAL + 1
    slower = replay(TINY, range(4), PLAIN, "none", places=4, costs=Costs(driver=1, growth=0.5))
    assert slower.seconds > run.seconds


def test_a_faster_place_shortens_epochs_alone() -> None:
    assert replay(TINY, range(1), PLAIN, "none", costs=Costs(speed=4)).seconds == 1 + 8 / 4


def test_nodes_join_and_are_given_the_matrix_one_after_the_other() -> None:
    costs = Costs(worker=1, node=2, join=10, copy=4)
    # The second joins at 10; the third at 20, when the second has its copy; with longer copies it waits for its turn.
    assert [costs.ready(place) for place in range(6)] == [1, 1, 15, 15, 25, 25]
    assert Costs(node=1, join=1, copy=5).ready(3) == 1 + 3 * 5


@pytest.mark.parametrize("task", tasks())
def test_one_place_without_costs_takes_what_training_takes(task: str) -> None:
    curves = load(task)
    n, folds, epochs = curves.auc.shape
    run = replay(curves, range(n), default_rungs(folds, epochs), "none")
    assert run.fold_epochs == n * folds * epochs
    assert run.training == pytest.approx(float((curves.start + curves.epoch * folds * epochs).sum()))
    assert run.seconds == pytest.approx(run.training)


@pytest.mark.parametrize("places", [1, 3, 16])
def test_places_are_never_busier_than_always(places: int) -> None:
    curves = load("nhg")
    costs = Costs(worker=5, rung=0.05, driver=0.01, speed=10)
    run = replay(curves, range(len(curves.auc)), default_rungs(5, 27), "halving", places, costs)
    assert 0 < run.training / (places * run.seconds) < 1
    assert run.fold_epochs <= curves.auc.size
