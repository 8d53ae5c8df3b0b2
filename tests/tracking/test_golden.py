"""A model that an earlier release registered: still promoted, resolved and loaded, and by MLflow alone."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aio_tune.errors import GateError, RegistryError
from aio_tune.models.inspection import inspect_ensemble
from aio_tune.tracking.gates import check_signature
from aio_tune.tracking.registry import ensemble_folder
from tests.models.write_golden import FOLDER as ENSEMBLE
from tests.models.write_golden import unseen
from tests.tracking.real_model import ALONE
from tests.tracking.write_golden import FOLDER

CLASSES = ("negative", "positive")


def expected() -> np.ndarray:
    folds = json.loads((ENSEMBLE / "expected.json").read_text())["fold_probabilities"]
    return np.mean(folds, axis=0)


def test_it_passes_the_gates_on_files() -> None:
    assert check_signature(FOLDER).value == 24
    # One folder stood for all folds when it was written.
    findings = inspect_ensemble(ensemble_folder(FOLDER), {**_metadata(), "aio.folds": "2"})
    assert all(finding.passed for finding in findings)
    assert len(findings) == 4


def test_nothing_of_the_machine_that_wrote_it_is_in_it() -> None:
    texts = [file.read_text() for file in (FOLDER / "MLmodel", FOLDER / "artifacts" / "ensemble" / "ensemble.json")]
    assert not [text for text in texts if "/tmp" in text or "/home" in text or "file:" in text]


def _metadata() -> dict[str, str]:
    from mlflow.models import Model

    return dict(Model.load(str(FOLDER)).metadata)


@pytest.mark.parametrize("change", [("GENE3", "GENE99"), ("inputs:", "other:")])
def test_another_signature_is_refused(change: tuple[str, str], tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "model")
    file = tmp_path / "model" / "MLmodel"
    file.write_text(file.read_text().replace(*change))
    with pytest.raises(GateError, match="signature of the ensemble's 24 columns"):
        check_signature(tmp_path / "model")


def test_a_path_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "model")
    file = tmp_path / "model" / "MLmodel"
    file.write_text(file.read_text().replace("path: artifacts/ensemble", "path: ../elsewhere"))
    with pytest.raises(RegistryError, match="path out of it"):
        ensemble_folder(tmp_path / "model")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_this_release_calls_as_the_one_that_wrote_it() -> None:
    from aio_tune.models.ensemble import Ensemble

    found = Ensemble.load(ensemble_folder(FOLDER)).predict(unseen()).probabilities
    np.testing.assert_allclose(found, expected(), atol=1e-5)


@pytest.mark.slow
def test_mlflow_loads_it_by_the_code_inside_it(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "model")  # loading leaves byte code behind
    unseen().to_json(tmp_path / "in.json", orient="split")
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *(str(tmp_path / name) for name in ("model", "in.json", "out.json"))],
        check=False, cwd=tmp_path, capture_output=True, text=True,
        env={"PATH": "/usr/bin:/bin", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    calls = pd.read_json(tmp_path / "out.json", orient="split")
    np.testing.assert_allclose(calls[[f"p_{name}" for name in CLASSES]], expected(), atol=1e-5)
    assert list(calls["call"]) == [CLASSES[i] for i in expected().argmax(axis=1)]
