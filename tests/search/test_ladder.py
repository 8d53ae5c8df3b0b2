"""The curves recorded in benchmarks/data, replayed through the director: what the ladder saves must not be lost."""

import statistics

import numpy as np
import pytest

from aio_tune.search_space import default_rungs
from benchmarks import curves as real
from benchmarks import rungs
from benchmarks.ladder import CLOSE, load, replay
from benchmarks.replay import replay as on_places


def test_the_default_ladder_reaches_the_full_search_s_best_in_a_third_of_its_cost() -> None:
    curves = load()
    n, folds, epochs = curves.auc.shape
    target = curves.auc[:, :, -1].mean(axis=1).max() - CLOSE
    shares = []
    for seed in range(11):
        order = np.random.default_rng(seed).permutation(n).tolist()
        progress = replay(curves, order, default_rungs(folds, epochs), "halving")
        shares.append(next((cost for cost, best in progress if best >= target), np.inf) / (n * folds * epochs))
    assert statistics.median(shares) <= 1 / 3


def test_without_a_pruner_every_fold_epoch_is_spent() -> None:
    curves = load()
    n, folds, epochs = curves.auc.shape
    spent, best = replay(curves, range(n), default_rungs(folds, epochs), "none")[-1]
    assert spent == n * folds * epochs
    assert best == curves.auc[:, :, -1].mean(axis=1).max()


@pytest.mark.parametrize("task", real.tasks())
def test_on_real_patients_the_default_ladder_reaches_the_best_sooner_than_plain_cross_validation(task: str) -> None:
    curves = real.load(task)
    _, folds, epochs = curves.auc.shape
    target = curves.auc[:, :, -1].mean(axis=1).max() - rungs.CLOSE
    shares = []
    for seed in range(rungs.SEEDS):
        order = rungs.whole(curves, seed)
        ours, plain = (
            on_places(curves, order, ladder, "halving", rungs.PLACES).reached(target)
            for ladder in (default_rungs(folds, epochs), ((folds, epochs),))
        )
        shares.append(ours / plain)
    assert sum(np.isfinite(shares)) >= rungs.ROBUST
    assert statistics.median(shares) <= 3 / 4
