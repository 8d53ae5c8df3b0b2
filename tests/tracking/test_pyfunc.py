import json
import subprocess
import sys
import types
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from aio_tune.errors import RegistryError
from aio_tune.tracking import pyfunc
from tests.tracking.conftest import GENES, stand_in_ensemble
from tests.tracking.real_model import ALONE, RealModel


def test_closure_holds_what_a_module_imports_and_no_more() -> None:
    closure = pyfunc.code_closure("aio_tune.tracking.runs")
    assert set(closure) >= {"aio_tune", "aio_tune.tracking", "aio_tune.tracking.runs", "aio_tune.errors"}
    assert set(pyfunc.code_closure("aio_tune.files")) == {"aio_tune", "aio_tune.files"}
    assert all(file.is_file() for file in closure.values())


def test_requirements_follow_imports_that_run_at_import() -> None:
    # ledger imports NumPy at once; nothing of it imports Ray or Optuna.
    names = {pin.split("==")[0] for pin in pyfunc.requirements(pyfunc.code_closure("aio_tune.ledger"))}
    assert names == set(pyfunc.PACKAGES)


def test_a_model_brings_neither_search_nor_training() -> None:
    modules = set(pyfunc.code_closure(pyfunc.ENTRY))
    assert pyfunc.ENTRY in modules
    for room in ("search", "trial", "training", "tracking", "evaluation", "cli", "cohorts"):
        assert not {name for name in modules if name.split(".")[1:2] == [room]}
    names = {pin.split("==")[0] for pin in pyfunc.requirements(pyfunc.code_closure(pyfunc.ENTRY))}
    assert not names & {"ray", "optuna", "rich", "typer"}


@dataclass
class FakePrediction:
    probabilities: Any


class FakeEnsemble:
    """Says the first two genes' levels as probabilities, so that the order of columns shows."""

    seen: list[pd.DataFrame]

    @classmethod
    def load(cls, folder: Path, verify: bool) -> "FakeEnsemble":
        assert verify
        assert (folder / "ensemble.json").exists()
        ensemble = cls()
        ensemble.seen = []
        cls.last = ensemble
        return ensemble

    last: "FakeEnsemble"

    def predict(self, frame: pd.DataFrame) -> FakePrediction:
        self.seen.append(frame)
        return FakePrediction(frame[GENES[:2]].to_numpy(np.float32))


@pytest.mark.slow
def test_loader_takes_genes_in_any_order_and_leaves_missing_ones_to_the_ensemble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyfunc, "ENTRY", "aio_tune.errors")
    monkeypatch.setattr(sys, "path", list(sys.path))  # loading a model puts its code in front
    module: Any = types.ModuleType("aio_tune.models.ensemble")
    module.Ensemble = FakeEnsemble
    monkeypatch.setitem(sys.modules, "aio_tune.models.ensemble", module)
    ids = {"run_id": "r", "model_id": "m-1", "artifact_path": "x"}
    folder = stand_in_ensemble(tmp_path / "ensemble", 1)
    pyfunc.save_pyfunc(folder, tmp_path / "model", ids=ids, metadata_facts={"search": "s"})
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    frame = pd.DataFrame(
        {"OTHER": [9.0, 9.0], GENES[1]: [0.8, 0.3], GENES[0]: [0.2, 0.7]}, index=["a", "b"], dtype="float32"
    )
    calls = model.predict(frame)
    assert list(calls.columns) == ["call", "p_negative", "p_positive"]
    assert list(calls["call"]) == ["positive", "negative"]
    assert list(calls.index) == ["a", "b"]
    np.testing.assert_allclose(calls[["p_negative", "p_positive"]], [[0.2, 0.8], [0.7, 0.3]], rtol=1e-6)
    # The missing genes were not refused by the signature: what to do about them is the ensemble's policy.
    assert set(FakeEnsemble.last.seen[0].columns) == set(GENES[:2])


def content(folder: Path) -> dict[str, Any]:
    """Of every file, as bytes; of ``MLmodel`` what it says, but for the time."""
    files = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    facts = yaml.safe_load(files.pop("MLmodel"))
    assert datetime.fromisoformat(facts.pop("utc_time_created"))
    return files | facts


@pytest.mark.slow
def test_a_model_made_out_of_another_one_is_as_if_mlflow_had_saved_it(tmp_path: Path) -> None:
    folders = [stand_in_ensemble(tmp_path / str(members), members) for members in (1, 3)]
    example = pd.DataFrame([np.linspace(0, 5, len(GENES))], columns=GENES)
    for folder, kind in zip(folders, ("one", "all"), strict=True):
        ids = {"run_id": f"run-{kind}", "model_id": f"m-{kind}", "artifact_path": kind}
        pyfunc.save_pyfunc(folder, tmp_path / kind, ids=ids, metadata_facts={"aio.fold": kind}, example=example)
    pyfunc.save_alike(tmp_path / "one", folders[1], tmp_path / "alike", ids=ids, metadata_facts={"aio.fold": "all"})
    assert content(tmp_path / "alike") == content(tmp_path / "all") != content(tmp_path / "one")


def test_a_model_of_other_genes_is_not_made_out_of_it(tmp_path: Path) -> None:
    other = stand_in_ensemble(tmp_path / "model" / "artifacts" / "ensemble", 1).parents[1]
    folder = stand_in_ensemble(tmp_path / "ensemble", 1)
    spec = json.loads((folder / "ensemble.json").read_text())
    (folder / "ensemble.json").write_text(json.dumps(spec | {"genes": GENES[:2]}))
    with pytest.raises(RegistryError, match="of the genes and classes of"):
        pyfunc.save_alike(other, folder, tmp_path / "alike", ids={}, metadata_facts={})
    assert not (tmp_path / "alike").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # TensorFlow 2.21 with NumPy 2.4
def test_a_model_works_where_only_its_own_code_is(real_model: RealModel, tmp_path: Path) -> None:
    """A real ensemble, one process that knows nothing of this checkout, genes shuffled and one of them missing."""
    real_model.samples.to_json(tmp_path / "in.json", orient="split")
    arguments = [real_model.model, tmp_path / "in.json", tmp_path / "out.json"]
    clean = {"PATH": "/usr/bin:/bin", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *map(str, arguments)],
        check=False, cwd=tmp_path, env=clean, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    real_model.check(pd.read_json(tmp_path / "out.json", orient="split"))
