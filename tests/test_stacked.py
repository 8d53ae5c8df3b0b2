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

# Numbers of the size of one, in float32, whose sums are taken in another order.
ROUNDING = 1e-4
# Three epochs of 12 steps hand each step's rounding on, and Adam's first steps divide by it.
HANDED_ON = 2e-3


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


@pytest.mark.parametrize("case", CASES)
def test_one_step_is_that_of_each_fold_alone(seen: dict[str, Any], case: str) -> None:
    found = seen["cases"][case]
    assert found["step"] < ROUNDING
    assert found["step probabilities"] < ROUNDING
    assert found["step losses"] < ROUNDING


@pytest.mark.parametrize("case", CASES)
def test_epochs_are_those_of_each_fold_alone(seen: dict[str, Any], case: str) -> None:
    found = seen["cases"][case]
    assert found["epochs"] < HANDED_ON
    assert found["epochs probabilities"] < HANDED_ON
    assert found["epochs losses"] < HANDED_ON


def test_only_folds_with_batches_alike_are_one_program(seen: dict[str, Any]) -> None:
    found = seen["uneven"]
    assert found["order"] == [0, 1, 2, 3, 4, 5]
    assert found["groups"] == [[0, 1, 2, 3]]
    assert found["apart"] < HANDED_ON


def test_rungs_checkpoints_and_pictures_that_are_not_kept_change_nothing(seen: dict[str, Any]) -> None:
    assert seen["rungs"]["epochs"] == [3] * 4
    assert seen["rungs"]["apart"] < HANDED_ON


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
