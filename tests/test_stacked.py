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
from aio_tune.training.checkpoint import MODEL, PREPROCESSING
from tests.stacking import CASES, X, folds

pytest.importorskip("jax")
pytestmark = pytest.mark.slow

# Of numbers of the size of one, in float32, whose sums are taken in another order.
ROUNDING = 2e-6
# What is tested is our arithmetic, not XLA's optimiser: without it a program is compiled in a quarter of the time.
XLA_FLAGS = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
# With Keras' epsilon of 1e-7 Adam makes a good part of a whole step of a gradient of pure rounding (tests.stacking).
# In a network of convolutions that ends in one pixel that is conv2b_norm/beta: gradients of -6e-9 alone and 3e-8
# together, where the layer's largest is 3e-2, moved weights 1.2e-4 apart in one step, and 1.4e-3 in three epochs. With
# SGD these epochs left them 4e-7 apart, with an epsilon of 1e-3 6e-7, without batch normalisation 2e-7, and that in
# float64 7e-16. So here gradients are compared, and each side is held to Adam's step from its own.
OWN_EPSILON = "convolutions alone, Keras' own epsilon"
ADAM = [name for name, params in CASES.items() if params.get("optimizer", "adam") == "adam"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stacked")
    env = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": XLA_FLAGS}
    subprocess.run([sys.executable, "-m", "tests.stacking", str(folder)], check=True, env=env, timeout=500)
    return folder


@pytest.fixture(scope="module")
def seen(folder: Path) -> dict[str, Any]:
    seen: dict[str, Any] = json.loads((folder / "seen.json").read_text())
    return seen


def beyond_rounding(apart: dict[str, float]) -> dict[str, float]:
    """The variables, by path, that differ by more."""
    return {path: difference for path, difference in apart.items() if not difference < ROUNDING}


@pytest.mark.parametrize("after", ["step", "epochs"])
@pytest.mark.parametrize("case", [case for case in CASES if case != OWN_EPSILON])
def test_each_fold_learns_what_it_learns_alone(seen: dict[str, Any], case: str, after: str) -> None:
    found = seen["cases"][case]
    assert not beyond_rounding(found[after])
    assert found[f"{after} probabilities"] < ROUNDING
    assert found[f"{after} losses"] < ROUNDING


@pytest.mark.parametrize("case", ADAM)
def test_every_layer_has_the_gradients_that_it_has_alone(seen: dict[str, Any], case: str) -> None:
    found = seen["cases"][case]
    assert not beyond_rounding(found["gradients"])
    assert not beyond_rounding(found["from own gradients"]["alone"])
    assert not beyond_rounding(found["from own gradients"]["together"])
    assert found["step losses"] < ROUNDING


@pytest.mark.parametrize("case", CASES)
def test_every_layer_learns(seen: dict[str, Any], case: str) -> None:
    """Else it would be no wonder that it is equal."""
    moved = {path: by for path, by in seen["cases"][case]["epochs moved"].items() if path.endswith("/kernel")}
    assert moved
    assert min(moved.values()) > 1e-3


def test_only_folds_with_batches_alike_are_one_program(seen: dict[str, Any]) -> None:
    found = seen["uneven"]
    assert found["order"] == [0, 1, 2, 3, 4, 5]
    assert found["groups"] == [[0, 1, 2, 3]]
    assert found["apart"] < ROUNDING


def test_configurations_of_one_shape_are_one_program_and_stay_their_own(seen: dict[str, Any]) -> None:
    """Rates of learning, scalings, layouts, class weights and batch sizes of their own; not another epsilon."""
    found = seen["configurations"]
    assert found["groups"] == [[0, 1, 2, 3], [0, 1]]
    assert not beyond_rounding(found["apart"])
    assert found["rates"] == pytest.approx([3e-2, 3e-2, 1e-3, 1e-3])
    assert found["stored rates"] == [3e-2, 3e-2, 1e-3, 1e-3]
    assert "of another fold, seed or configuration" in found["refused"]


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
