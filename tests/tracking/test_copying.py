"""A version copied to another registry: SQLite to SQLite, and to a real server that keeps the files itself."""

from pathlib import Path
from typing import Any

import pytest

from aio_tune.errors import RegistryError
from aio_tune.tracking import copy_version, promote, pyfunc, register_search, resolve
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
    assert not any(key.startswith("promoted.") for key in there.tags), "what it is good for is decided there"
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


def test_links_in_a_model_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/etc/hostname")
    with pytest.raises(RegistryError, match="symbolic link"):
        folder_digest(tmp_path)
