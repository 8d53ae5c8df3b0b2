"""A version copied to another registry: SQLite to SQLite, and to a real server that keeps the files itself."""

from pathlib import Path
from typing import Any

import pytest

from aio_tune.cli import models as commands
from aio_tune.errors import GateError, RegistryError
from aio_tune.models import inspection
from aio_tune.tracking import (
    audit_trail,
    copy_version,
    log_evaluation,
    promote,
    pyfunc,
    register_search,
    resolve,
)
from aio_tune.tracking import copying as copying_module
from aio_tune.tracking.client import connect
from aio_tune.tracking.copying import COPIED_FROM, FILES, folder_digest
from tests.tracking.conftest import Store, stand_in_ensemble

pytestmark = pytest.mark.slow

MODEL = "aio-er-ensemble"


@pytest.fixture(scope="module")
def store(second_store: Store) -> Store:
    return second_store


@pytest.fixture(scope="module")
def version(store: Store, tmp_path_factory: pytest.TempPathFactory) -> int:
    folder = stand_in_ensemble(tmp_path_factory.mktemp("ensembles") / "all", 2)
    run = connect(store.uri).create_run(store.experiment_id).info.run_id
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyfunc, "ENTRY", "aio_tune.errors")
        registration = register_search(
            store.uri, task="er", search="s3", trial=0, run_id=run, ensemble_folder=folder, fold_folders={0: folder},
            metrics={"cv_auc_mean": 0.91, "cv_auc_sd": float("nan")}, tags={"aio.dataset": "f" * 64},
        )  # fmt: skip
    promote(store.uri, MODEL, alias="evaluation", who="ada")
    log_evaluation(store.uri, resolve(store.uri, f"{MODEL}@evaluation"), "GSE81538", {"auc": 0.79})
    number = str(registration.ensemble_version)
    connect(store.uri).set_model_version_tag(MODEL, number, "harmonised.GSE163882", '{"run_id": "of this store"}')
    return registration.ensemble_version


@pytest.fixture
def other(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'production' / 'mlflow.db'}"


def test_a_copy_is_the_same_files_and_knows_where_it_is_from(store: Store, version: int, other: str) -> None:
    number = copy_version(store.uri, MODEL, version, other)
    assert number == 1
    client = connect(other)
    there, here = client.get_model_version(MODEL, "1"), connect(store.uri).get_model_version(MODEL, str(version))
    assert there.tags[COPIED_FROM] == f"{store.uri} {MODEL} version {version}"
    assert there.tags["metric.cv_auc_mean"] == "0.91"
    assert there.tags["aio.dataset"] == "f" * 64
    stays = ("promoted.", "evaluat", "harmonised.")
    assert sum(key.startswith(stays) for key in here.tags) == 4
    assert not any(key.startswith(stays) for key in there.tags), "what it is good for is decided there"
    assert there.description.startswith(here.description)
    assert client.get_run(there.run_id).data.metrics == {"cv_auc_mean": 0.91}
    promote(other, MODEL, 1, "champion", gates=["auc>=0.9"])
    copied, original = resolve(other, f"{MODEL}@champion"), resolve(store.uri, f"{MODEL}@evaluation")
    assert folder_digest(copied.folder) == folder_digest(original.folder)
    root = next(parent for parent in copied.folder.parents if (parent / "MLmodel").exists())
    assert there.tags[FILES] == folder_digest(root)
    assert copy_version(store.uri, MODEL, version, other) == 1, "copied again it is found"
    assert len(client.search_model_versions(f"name = '{MODEL}'")) == 1


def test_what_does_not_arrive_whole_is_no_version(
    store: Store, version: int, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = copying_module.folder_digest

    def damaged(folder: Path) -> str:
        if store.artifacts not in folder.parents:  # what arrived
            next(folder.rglob("*.keras")).write_bytes(b"damaged on its way")
        return before(folder)

    monkeypatch.setattr(copying_module, "folder_digest", damaged)
    with pytest.raises(RegistryError, match="as they were sent"):
        copy_version(store.uri, MODEL, version, other)
    assert not connect(other).search_model_versions(f"name = '{MODEL}'")


@pytest.mark.parametrize(
    ("model", "number", "said"), [(MODEL, 99, "version of aio-er-ensemble that is ready"), ("aio-x", None, "aio-x")]
)
def test_what_is_not_there(store: Store, version: int, other: str, model: str, number: Any, said: str) -> None:
    with pytest.raises(RegistryError, match=said):
        copy_version(store.uri, model, number, other)


def test_the_same_registry_is_refused(store: Store, version: int) -> None:
    with pytest.raises(RegistryError, match="another registry"):
        copy_version(store.uri, MODEL, version, store.uri)


@pytest.mark.parametrize(
    ("alias", "gate", "said"),
    [
        ("production", "auc>=0.5", "one of candidate, evaluation, champion"),
        ("champion", "auc>=0.95", r"cv_auc_mean = 0\.91"),
        ("champion", "GSE81538:auc>=0.8", r"GSE81538:auc = 0\.79"),
        ("champion", "auc=>0.5", "Expected a gate such as"),
        ("champion", "auc>=0.5", "every file of its recorded sha256"),
    ],
)
def test_what_may_not_be_promoted_is_not_copied(
    store: Store, version: int, other: str, alias: str, gate: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = [inspection.Finding("every file of its recorded sha256", 1, False)]
    monkeypatch.setattr(inspection, "inspect_ensemble", lambda folder, tags: damaged)
    with pytest.raises((GateError, RegistryError), match=said):
        commands.promote(MODEL, to=alias, gate=[gate], to_registry=other, tracking_uri=store.uri)
    assert not Path(other.removeprefix("sqlite:///")).parent.exists()


def test_gates_on_evaluations_are_held_where_the_evaluations_are(
    store: Store, version: int, other: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(inspection, "inspect_ensemble", lambda folder, tags: [])
    gates = ["auc>=0.9", "GSE81538:auc>=0.75"]
    commands.promote(MODEL, to="champion", gate=gates, to_registry=other, tracking_uri=store.uri)
    assert "is version 1 in sqlite:///" in capsys.readouterr().out
    (entry,) = audit_trail(other, MODEL)
    assert (entry.version, entry.alias) == (1, "champion")
    assert [check.gate for check in entry.checks] == [
        "auc>=0.9", "GSE81538:auc>=0.75", "signature of the ensemble's columns",
    ]  # fmt: skip
    assert resolve(other, f"{MODEL}@champion").version == 1


def test_links_in_a_model_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/etc/hostname")
    with pytest.raises(RegistryError, match="symbolic link"):
        folder_digest(tmp_path)
