"""Folds as one program: what they learn alone, within rounding; on the JAX backend, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aio_tune.models.safety import load_keras
from aio_tune.preprocess import Preprocessor
from aio_tune.training.fold import MODEL, PREPROCESSING
from tests.stacking import CASES, X, folds

pytest.importorskip("jax")
pytestmark = pytest.mark.slow

# Of numbers of the size of one, in float32, whose sums are taken in another order.
ROUNDING = 2e-6
# After one step and after three epochs. Adam divides gradients near zero by their own size, which makes much of their
# rounding; that this is what it is here was not shown.
NOT_EXPLAINED = {("convolutions", "step"): 1e-4, ("convolutions", "epochs"): 2e-3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stacked")
    env = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-m", "tests.stacking", str(folder)], check=True, env=env, timeout=500)
    return folder


@pytest.fixture(scope="module")
def seen(folder: Path) -> dict[str, Any]:
    seen: dict[str, Any] = json.loads((folder / "seen.json").read_text())
    return seen


@pytest.mark.parametrize("after", ["step", "epochs"])
@pytest.mark.parametrize("case", CASES)
def test_each_fold_learns_what_it_learns_alone(seen: dict[str, Any], case: str, after: str) -> None:
    found, bound = seen["cases"][case], NOT_EXPLAINED.get((case, after), ROUNDING)
    assert found[after] < bound
    assert found[f"{after} probabilities"] < bound
    assert found[f"{after} losses"] < ROUNDING


def test_only_folds_with_batches_alike_are_one_program(seen: dict[str, Any]) -> None:
    found = seen["uneven"]
    assert found["order"] == [0, 1, 2, 3, 4, 5]
    assert found["groups"] == [[0, 1, 2, 3]]
    assert found["apart"] < ROUNDING


def test_rungs_checkpoints_and_pictures_that_are_not_kept_change_nothing(seen: dict[str, Any]) -> None:
    assert seen["rungs"]["epochs"] == [3] * 4
    assert seen["rungs"]["apart"] < ROUNDING


def test_a_fold_that_diverges_is_named(seen: dict[str, Any]) -> None:
    assert "TrialError: Expected a finite loss" in seen["diverges"]
    assert "fold 2" in seen["diverges"]


def test_each_fold_is_an_ordinary_model(folder: Path) -> None:
    """Saved under JAX, read under the backend of everybody else."""
    with np.load(folder / "probabilities.npz") as stored:
        for spec, name in zip(folds(), stored.files, strict=True):
            model = load_keras(folder / f"fold_{spec.fold}" / MODEL)
            pictures = Preprocessor.load(folder / f"fold_{spec.fold}" / PREPROCESSING).transform(X[spec.valid])
            np.testing.assert_allclose(np.asarray(model(pictures)), stored[name], atol=1e-5)
