"""Labels that mean nothing are not learnt: no scaling, harmoniser or fold lets validation rows into the training."""

from typing import Any

import numpy as np
import pytest

from aio_tune.folds import make_folds
from aio_tune.harmonise import HARMONISERS
from aio_tune.metrics import bootstrap_interval
from aio_tune.scaling import SCALINGS
from aio_tune.training import FoldSpec, FoldTrainer
from tests.models.small import CLASSES, TINY, samples

pytestmark = pytest.mark.slow

PATIENTS, FOLDS, EPOCHS = 160, 4, 12
# Of 18 networks without a leak one would fall out of a 95 % interval by chance.
LEVEL = 0.999


def out_of_fold_interval(x: Any, y: Any, scaling: str, harmoniser: str) -> tuple[float, float]:
    """Interval of the AUC of all out-of-fold calls together."""
    patients = [f"p{i}" for i in range(len(y))]
    folds = make_folds(y, patients, FOLDS, seed=0)
    probabilities, program = np.empty((len(y), 2), np.float32), None
    params = {**TINY, "scaling": scaling, "harmoniser": harmoniser, "batch_size": 16}
    for fold, (train, valid) in enumerate(zip(folds.train, folds.valid, strict=True)):
        trainer = FoldTrainer(params, x, y, FoldSpec(fold, train, valid), CLASSES, seed=1, program=program)
        probabilities[valid] = trainer.train_to(EPOCHS).probabilities
        program = trainer.program
    return bootstrap_interval(y, probabilities, CLASSES, "auc", groups=patients, level=LEVEL)


def permuted(seed: int = 5) -> tuple[Any, Any]:
    """Profiles with structure, and labels that have nothing to do with it."""
    x, y = samples(PATIENTS)
    return x, np.random.default_rng(seed).permutation(y)


@pytest.mark.parametrize("harmoniser", HARMONISERS)
@pytest.mark.parametrize("scaling", SCALINGS)
def test_permuted_labels(scaling: str, harmoniser: str) -> None:
    low, high = out_of_fold_interval(*permuted(), scaling, harmoniser)
    assert low < 0.5 < high


def test_the_same_chain_learns_labels_that_mean_something() -> None:
    low, _ = out_of_fold_interval(*samples(PATIENTS), "zscore", "none")
    assert low > 0.75


def test_a_leak_would_be_seen() -> None:
    """One gene that knows the permuted label, as if fitted on all rows."""
    x, y = permuted()
    leaking = x.copy()
    leaking[:, 7] += 4 * y
    low, _ = out_of_fold_interval(leaking, y, "zscore", "none")
    assert low > 0.6
