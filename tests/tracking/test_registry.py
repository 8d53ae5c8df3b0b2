import atexit
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aio_tune.errors import GateError, RegistryError
from aio_tune.tasks.names import check_class, check_cohort
from aio_tune.tracking import (
    Check,
    Registration,
    audit_trail,
    list_models,
    log_evaluation,
    parse_gate,
    promote,
    pyfunc,
    read_evaluations,
    register_search,
    resolve,
)
from aio_tune.tracking import gates as gates_module
from aio_tune.tracking.registry import EVALUATION_TAG, evaluated, fetch_model
from tests.tracking.conftest import GENES, Store, stand_in_ensemble

pytestmark = pytest.mark.slow

METRICS = {"cv_auc_mean": 0.84, "cv_auc_sd": 0.02, "cv_f1_mean": float("nan")}
MODEL = "aio-ki67-ensemble"


def register(
    store: Store, run_id: str, folder: Path, trial: int, metrics: Mapping[str, float], task: str = "ki67"
) -> Registration:
    return register_search(
        store.uri,
        task=task,
        search="s1",
        trial=trial,
        run_id=run_id,
        ensemble_folder=folder / "all",
        fold_folders={0: folder / "fold0", 1: folder / "fold1"},
        metrics=metrics,
        fold_metrics={0: {"auc": 0.83}, 1: {"auc": 0.85}},
        params={"learning_rate": 3e-4},
        tags={"aio.dataset": "f" * 64},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ensembles")
    for name, members in (("all", 2), ("fold0", 1), ("fold1", 1)):
        stand_in_ensemble(folder / name, members)
    return folder


@pytest.fixture(scope="module")
def registered(store: Store, folder: Path) -> tuple[Registration, str]:
    from aio_tune.tracking.client import connect

    run = connect(store.uri).create_run(store.experiment_id, run_name="a trial").info.run_id
    with pytest.MonkeyPatch.context() as patch:
        # The closure of the real entry is tested on its own; the stand-ins need none of it.
        patch.setattr(pyfunc, "ENTRY", "aio_tune.errors")
        registration = register(store, run, folder, 3, METRICS)
        again = register(store, run, folder, 3, METRICS)
        assert again == registration, "registering again added versions"
        newer = register(store, connect(store.uri).create_run(store.experiment_id).info.run_id, folder, 4, METRICS)
    assert newer.ensemble_version == registration.ensemble_version + 1
    return registration, run


def test_fold_versions_and_one_ensemble_version(registered: tuple[Registration, str], client: Any) -> None:
    registration, run = registered
    assert (registration.fold_model, registration.ensemble_model) == ("aio-ki67", MODEL)
    folds = [client.get_model_version("aio-ki67", version) for version in registration.fold_versions]
    assert [version.tags["aio.fold"] for version in folds] == ["0", "1"]
    assert [version.tags["metric.auc"] for version in folds] == ["0.83", "0.85"]
    ensemble = client.get_model_version(MODEL, registration.ensemble_version)
    assert ensemble.run_id == run
    assert ensemble.tags["aio.search"] == "s1"
    assert "| cv_auc | 0.840 ± 0.020 |" in ensemble.description
    assert [output.model_id for output in client.get_run(run).outputs.model_outputs]


def test_mlflow_saves_one_model_of_a_registration(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten thousand genes each takes it ten seconds; the others are made out of the first."""
    from aio_tune.tracking import registering
    from aio_tune.tracking.client import connect

    saved = []

    def noted(ensemble: Path, *arguments: Any, **named: Any) -> None:
        saved.append(ensemble.name)
        pyfunc.save_pyfunc(ensemble, *arguments, **named)

    monkeypatch.setattr(pyfunc, "ENTRY", "aio_tune.errors")
    monkeypatch.setattr(registering, "save_pyfunc", noted)
    client = connect(store.uri)
    made = register(store, client.create_run(store.experiment_id).info.run_id, folder, 5, METRICS, task="counted")
    for name in (made.fold_model, made.ensemble_model):  # the store is every test's
        client.delete_registered_model(name)
    assert saved == ["fold0"]


def test_nothing_in_a_model_is_a_pickle(registered: tuple[Registration, str], store: Store) -> None:
    files = [file for file in store.artifacts.rglob("*") if file.is_file()]
    assert any(file.name == "MLmodel" for file in files)
    for file in files:
        head = file.read_bytes()[:2]
        assert not (head[:1] == b"\x80" and head[1:] in {bytes([n]) for n in range(1, 6)}), f"{file} is a pickle"
        assert file.suffix not in {".pkl", ".pickle", ".joblib"}


def test_model_folder_is_complete(registered: tuple[Registration, str], store: Store, folder: Path) -> None:
    from mlflow.models import Model

    promote(store.uri, MODEL, alias="candidate")
    model = resolve(store.uri, f"{MODEL}@candidate")
    root = next(parent for parent in model.folder.parents if (parent / "MLmodel").exists())
    assert sorted(file.name for file in model.folder.iterdir()) == sorted(f.name for f in (folder / "all").iterdir())
    saved = Model.load(str(root))
    assert saved.signature.inputs.input_names() == GENES
    assert saved.signature.outputs.input_names() == ["call", "p_negative", "p_positive"]
    assert list(saved.load_input_example(str(root)).columns) == GENES
    pins = (root / "requirements.txt").read_text().split()
    assert {pin.split("==")[0] for pin in pins} >= {"keras", "tensorflow", "numpy", "pandas", "mlflow"}
    assert all("==" in pin for pin in pins)
    code = {str(file.relative_to(root / "code")) for file in (root / "code").rglob("*") if file.is_file()}
    assert code == {"aio_tune/__init__.py", "aio_tune/errors.py"}


def test_promote_moves_the_alias_and_writes_it_down(registered: tuple[Registration, str], store: Store) -> None:
    first = registered[0].ensemble_version
    before = len(audit_trail(store.uri, MODEL))
    promote(store.uri, MODEL, first, "evaluation", gates=["auc>=0.80"], why="best of s1", who="ada")
    promote(store.uri, MODEL, None, "evaluation", gates=["cv_auc_sd<0.05"], who="ada")
    older, newer = audit_trail(store.uri, MODEL)[before:]
    assert (older.version, older.who, older.why, older.alias) == (first, "ada", "best of s1", "evaluation")
    assert older.checks[0].metric == "cv_auc_mean"
    assert older.checks[0].value == 0.84
    assert newer.previous == first
    assert resolve(store.uri, f"{MODEL}@evaluation").version == newer.version == first + 1
    summary = next(model for model in list_models(store.uri) if model.name == MODEL)
    assert summary.aliases["evaluation"] == newer.version
    assert "evaluation" in summary.versions[0].aliases


@pytest.mark.parametrize(
    ("gate", "says"),
    [
        ("auc>=0.90", r"auc>=0\.9\. Received cv_auc_mean = 0\.84"),
        ("f1>=0.1", "cv_f1_mean = nan"),
        ("recall>=0.1", "Received 'recall'. It has: cv_auc_mean"),
        ("auc=>0.9", "Expected a gate such as"),
        ("auc", "Expected a gate such as"),
        ("auc>=high", "Expected a gate such as"),
    ],
)
def test_a_gate_not_passed_moves_nothing(
    registered: tuple[Registration, str], store: Store, gate: str, says: str
) -> None:
    before = audit_trail(store.uri, MODEL)
    with pytest.raises(GateError, match=says):
        promote(store.uri, MODEL, alias="champion", gates=["auc>=0.5", gate])
    assert audit_trail(store.uri, MODEL) == before
    with pytest.raises(RegistryError, match="champion"):
        resolve(store.uri, f"{MODEL}@champion")


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        (MODEL, f"promote {MODEL} --to evaluation"),
        (f"{MODEL}/1", f"promote {MODEL} --version 1 --to evaluation"),
        ("aio-nhg-ensemble@evaluation", f"There are: aio-ki67, {MODEL}"),
        (f"{MODEL}@best", r"aliases set: candidate \(version"),
        ("it's@evaluation", "registered model"),
    ],
)
def test_what_cannot_be_resolved_says_what_there_is(
    registered: tuple[Registration, str], store: Store, reference: str, says: str
) -> None:
    promote(store.uri, MODEL, alias="candidate")
    with pytest.raises(RegistryError, match=says):
        resolve(store.uri, reference)


def test_unknown_alias_version_and_model_are_refused(registered: tuple[Registration, str], store: Store) -> None:
    with pytest.raises(RegistryError, match="one of candidate, evaluation, champion"):
        promote(store.uri, MODEL, alias="production")
    with pytest.raises(RegistryError, match="There are: 2, 1"):
        promote(store.uri, MODEL, 99)
    with pytest.raises(RegistryError, match=MODEL):
        promote(store.uri, "aio-er-ensemble")


def test_evaluation_is_kept_with_its_version(registered: tuple[Registration, str], store: Store, client: Any) -> None:
    from matplotlib.figure import Figure

    promote(store.uri, MODEL, alias="evaluation")
    model = resolve(store.uri, f"{MODEL}@evaluation")
    run_id = log_evaluation(
        store.uri,
        model,
        "GSE81538",
        {"auc": 0.79, "auc_low": 0.71, "f1": float("nan")},
        tables={"calls": pd.DataFrame({"sample_id": ["a"], "call": ["positive"]})},
        figures={"roc": Figure()},
    )
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"auc": 0.79, "auc_low": 0.71}
    assert run.data.tags["mlflow.parentRunId"] == model.run_id
    assert {f.path for part in ("tables", "figures") for f in client.list_artifacts(run_id, part)} == {
        "tables/calls.csv",
        "figures/roc.png",
    }
    assert resolve(store.uri, f"{MODEL}@evaluation").metrics["GSE81538:auc"] == 0.79
    promote(store.uri, MODEL, model.version, "evaluation", gates=["GSE81538:auc_low>=0.7"])
    with pytest.raises(GateError, match=r"GSE81538:auc = 0\.79"):
        promote(store.uri, MODEL, model.version, "champion", gates=["GSE81538:auc>=0.8"])


def test_of_a_later_evaluation_no_earlier_value_is_left(
    registered: tuple[Registration, str], store: Store, client: Any
) -> None:
    promote(store.uri, MODEL, alias="evaluation")
    model = resolve(store.uri, f"{MODEL}@evaluation")
    for cohort in ("B", "B-2"):
        log_evaluation(store.uri, model, cohort, {"auc": 0.79, "auc_low": 0.71, "boosting_auc": 0.8})
    log_evaluation(store.uri, model, "B", {"auc": float("nan"), "accuracy": 0.6}, simulated=True)
    found = resolve(store.uri, f"{MODEL}@evaluation").metrics
    assert {name: value for name, value in found.items() if name.startswith("B:")} == {"B:accuracy": 0.6}
    assert {name for name in found if name.startswith("B-2:")} == {"B-2:auc", "B-2:auc_low", "B-2:boosting_auc"}
    with pytest.raises(GateError, match=r"Received 'B:auc_low'\. It has: .*B:accuracy"):
        promote(store.uri, MODEL, model.version, "champion", gates=["B:auc_low>=0.7"])


def test_an_evaluation_says_whether_its_patients_were_simulated(
    registered: tuple[Registration, str], store: Store
) -> None:
    # Another version than that of the tests whose evaluations have no calls to be read.
    promote(store.uri, MODEL, registered[0].ensemble_version, "candidate")
    model = resolve(store.uri, f"{MODEL}@candidate")
    calls = {"calls": pd.DataFrame({"sample_id": ["a"], "call": ["positive"], "truth": ["positive"]})}
    for cohort, simulated in (("C1", True), ("C2", False), ("C3", None)):
        log_evaluation(store.uri, model, cohort, {"auc": 0.8}, tables=calls, simulated=simulated)
    found = {one.cohort: one.simulated for one in read_evaluations(store.uri, MODEL, model.version)}
    assert found == {"C1": True, "C2": False, "C3": None}


# The import of MLflow takes longer than an example may.
@settings(deadline=None)
@given(
    name=st.from_regex(r"\w([\w -]{0,62}[\w-])?", fullmatch=True),
    cohort=st.from_regex(r"\w([\w. -]{0,62}[\w-])?", fullmatch=True),
)
def test_every_name_of_a_class_or_cohort_may_be_tagged_and_gated(name: str, cohort: str) -> None:
    from mlflow.utils import validation

    assume(name.lower() not in {"na", "nan", "none", "null"})
    assert check_class(name) == name
    assert check_cohort(cohort) == cohort
    metric = f"pca_logistic_precision_{name}_high"
    tag = f"{EVALUATION_TAG}{cohort}.{metric}"
    validation._validate_model_version_tag(tag, "0.5")
    validation._validate_metric(metric, 0.5, 0, 0)
    assert evaluated(tag) == (cohort, metric)
    assert parse_gate(f"{cohort}:{metric}>=0.5").metric == f"{cohort}:{metric}"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The client of a server with one model; temporary folders are made in ``tmp_path / "temporary"``."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))

    def download(artifact_uri: str, dst_path: str, tracking_uri: str) -> str:
        return str(stand_in_ensemble(Path(dst_path) / "artifacts", 1))

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", download)
    return SimpleNamespace(get_model_version_download_uri=lambda name, version: "mlflow-artifacts:/1/models/m-1/model")


def test_what_was_fetched_of_a_server_goes_with_the_process(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_end: list[Callable[[], object]] = []
    monkeypatch.setattr(atexit, "register", lambda do, *given, **more: at_the_end.append(partial(do, *given, **more)))
    assert (fetch_model(served, "http://mlflow", MODEL, 1) / "ensemble.json").is_file()
    assert len(list((tmp_path / "temporary").iterdir())) == 1
    for do in at_the_end:
        do()
    assert not list((tmp_path / "temporary").iterdir())


def test_what_was_fetched_to_be_looked_at_goes_at_once(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates_module, "check_signature", lambda root: Check("signature", "found", 6, True))
    monkeypatch.setattr(gates_module, "ensemble_folder", lambda root: root)

    def look(folder: Path, tags: Mapping[str, str]) -> list[Check]:
        assert (folder / "ensemble.json").is_file()
        return [Check("genes as registered", "found", 6, tags["as"] == "registered")]

    version = SimpleNamespace(version=1, tags={"as": "registered"})
    found = gates_module.check_files(served, "http://mlflow", MODEL, version, look)  # type: ignore[arg-type]
    assert [check.gate for check in found] == ["signature", "genes as registered"]
    version.tags["as"] = "changed"
    with pytest.raises(GateError, match="genes as registered"):
        gates_module.check_files(served, "http://mlflow", MODEL, version, look)  # type: ignore[arg-type]
    assert not list((tmp_path / "temporary").iterdir())


def test_a_link_in_a_model_folder_is_refused(
    tmp_path: Path, store: Store, registered: tuple[Registration, str]
) -> None:
    folder = stand_in_ensemble(tmp_path / "linked", 1)
    (folder / "fold_9.keras").symlink_to("/etc/hostname")
    with pytest.raises(RegistryError, match="symbolic link"):
        pyfunc.ensemble_spec(folder)
    with pytest.raises(RegistryError, match="ensemble folder"):
        pyfunc.ensemble_spec(tmp_path / "nothing")
