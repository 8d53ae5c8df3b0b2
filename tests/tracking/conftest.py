"""One SQLite store for the room's tests (its migrations take seconds), and ledgers as a search writes them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aio_tune.config import Home
from aio_tune.ledger import Ledger
from aio_tune.tracking import ensure_store, tracking_uri

if TYPE_CHECKING:
    from tests.tracking.real_model import RealModel

EXPERIMENT = "aio-ki67"


# MLflow 3.17 uses what SQLAlchemy 2.1 and pandas 3 call deprecated; nothing here can change that.
MLFLOW_WARNINGS = (
    "ignore:The ``noload`` loader strategy:DeprecationWarning",
    "ignore:Operation with range is deprecated:DeprecationWarning",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for warning in MLFLOW_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="session", autouse=True)
def no_pickle() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
        yield


@dataclass(frozen=True)
class Store:
    uri: str
    experiment_id: str
    artifacts: Path


def new_store(folder: Path) -> Store:
    home = Home(folder / "a home")  # a space, as in many a user's folders
    uri = tracking_uri(home)
    return Store(uri, ensure_store(uri, home.artifacts, EXPERIMENT), home.artifacts)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return new_store(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def second_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """For tests whose models would be in the way of others'."""
    return new_store(tmp_path_factory.mktemp("second_home"))


@pytest.fixture(scope="session")
def real_model(tmp_path_factory: pytest.TempPathFactory) -> "RealModel":
    from tests.tracking.real_model import build_real_model  # late: most tests here need neither Keras nor a network

    return build_real_model(tmp_path_factory.mktemp("real_model"))


@pytest.fixture
def client(store: Store) -> Any:
    from aio_tune.tracking.client import connect

    return connect(store.uri)


@pytest.fixture
def client_of() -> Callable[[str], Any]:
    """The client of any store."""
    from aio_tune.tracking.client import connect

    return connect


CURVES = ("train_loss", "valid_loss", "valid_auc")
RUNGS = ((1, 2), (3, 5))  # (folds, epoch)


def write_search(ledger: Ledger, name: str = "s1") -> None:
    ledger.append(
        "search_started",
        name=name,
        space={},
        settings={"task": "ki67", "metric": "auc", "folds": 3, "seed": 7, "rungs": [list(rung) for rung in RUNGS]},
        dataset={"path": "data/simulated", "fingerprint": "f" * 64, "genes": 64, "simulated": True},
        folds_digest="d" * 64,
        class_counts={"negative": 10, "positive": 12},
        code_version="0.1.0",
    )


def write_rung(ledger: Ledger, trial: int, rung: int) -> None:
    folds, epoch = RUNGS[rung]
    before, trained = RUNGS[rung - 1] if rung else (0, 0)
    started = {str(fold): trained if fold < before else 0 for fold in range(folds)}
    ledger.append(
        "rung_reported",
        trial=trial,
        rung=rung,
        folds=list(range(folds)),
        epoch=epoch,
        value=auc(trial),
        seconds=1.5,
        parameters=1234,
        fold_metrics={str(fold): {"auc": auc(trial) + fold / 100, "accuracy": 0.75} for fold in range(folds)},
        curves={
            fold: {name: [(int(fold) + 1) / (step + 1) for step in range(first, epoch)] for name in CURVES}
            for fold, first in started.items()
        },
        from_epoch=started,
    )


def auc(trial: int) -> float:
    return 0.5 + 0.01 * (trial % 40)


PARAMS = {"learning_rate": 3e-4, "network": "aio_cnn", "fc": [64, 32]}


def write_trial(ledger: Ledger, trial: int, state: str = "COMPLETE", params: dict[str, Any] = PARAMS) -> None:
    ledger.append("trial_asked", trial=trial, params=params)
    write_rung(ledger, trial, 0)
    if state == "COMPLETE":
        write_rung(ledger, trial, 1)
    cv = {"auc": (auc(trial) + 0.01, 0.01), "accuracy": (0.75, 0.0)} if state == "COMPLETE" else {}
    ledger.append("trial_ended", trial=trial, state=state, value=auc(trial), reason="why " + state, cv=cv)


def write_end(ledger: Ledger, best_trial: int) -> None:
    ledger.append("search_ended", reason="budget spent", best_trial=best_trial)


def points_of(client: Any, run_id: str) -> int:
    """How many metric points a run holds."""
    keys = client.get_run(run_id).data.metrics
    return sum(len(client.get_metric_history(run_id, key)) for key in keys)


GENES = [f"GENE{i}" for i in range(6)]


def stand_in_ensemble(folder: Path, members: int) -> Path:
    """A folder with an ensemble's names in it; its networks cannot be loaded."""
    folder.mkdir(parents=True)
    spec = {"format": 1, "task": "ki67", "classes": ["negative", "positive"], "genes": GENES}
    (folder / "ensemble.json").write_text(json.dumps(spec))
    for fold in range(members):
        (folder / f"fold_{fold}.keras").write_bytes(b"not a network")
        (folder / f"fold_{fold}.npz").write_bytes(b"not a preprocessor")
    return folder
