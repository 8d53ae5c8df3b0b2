"""Against a real MLflow server, stopped while a mirror sends and started again later."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aio_tune.ledger import Ledger
from aio_tune.tracking import Mirror, promote, pyfunc, register_search, resolve
from aio_tune.tracking.client import connect
from tests.tracking.conftest import Store, points_of, stand_in_ensemble, write_end, write_search, write_trial
from tests.tracking.serving import Server, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(store, tmp_path_factory.mktemp("server") / "server.log")
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_an_outage_loses_and_doubles_nothing(
    server: Server, store: Store, tmp_path: Path, client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with Ledger(folder / "ledger.jsonl") as ledger:
        mirror = Mirror(ledger.path, server.uri, "aio-outage", interval=0.02).start()
        write_search(ledger, "outage")
        for trial in range(4):
            write_trial(ledger, trial)
        wait_for(lambda: mirror.trial_run(0) is not None, 60)
        write_trial(ledger, 4)
        server.stop()  # while the mirror sends
        start = time.monotonic()
        for trial in range(5, 9):
            write_trial(ledger, trial, "PRUNED")
        assert time.monotonic() - start < 2, "the search waited for MLflow"
        time.sleep(3)
        assert mirror.behind > 0
        server.start()
        for trial in range(9, 12):
            write_trial(ledger, trial)
        write_end(ledger, best_trial=11)
        assert mirror.close(120)

    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "ledger.jsonl").write_bytes(ledger.path.read_bytes())
    reference = Mirror(alone / "ledger.jsonl", store.uri, "aio-reference", store.artifacts).start()
    assert reference.close(60)
    for trial in range(12):
        runs = (mirror.trial_run(trial), reference.trial_run(trial))
        sent, expected = (points_of(client, str(run)) for run in runs)
        assert sent == expected > 0
        assert len({client.get_run(run).info.status for run in runs}) == 1
    experiment = client.get_experiment_by_name("aio-outage").experiment_id
    assert len(client.search_runs([experiment])) == 13
    assert capsys.readouterr().out == ""


def test_registry_through_a_server(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pyfunc, "ENTRY", "aio_tune.errors")
    client = connect(server.uri)
    run = client.create_run(client.create_experiment("aio-served")).info.run_id
    folder = stand_in_ensemble(tmp_path / "ensemble", 1)
    registration = register_search(
        server.uri,
        task="served",
        search="s",
        trial=0,
        run_id=run,
        ensemble_folder=folder,
        fold_folders={0: folder},
        metrics={"cv_auc_mean": 0.8},
    )
    promote(server.uri, registration.ensemble_model, gates=["auc>0.7"])
    model = resolve(server.uri, f"{registration.ensemble_model}@evaluation", tmp_path / "cache")
    assert {file.name: file.read_bytes() for file in model.folder.iterdir()} == {
        file.name: file.read_bytes() for file in folder.iterdir()
    }
    assert capsys.readouterr() == ("", "")


def test_only_this_machine_is_answered(server: Server) -> None:
    address = f"{server.uri}/api/2.0/mlflow/experiments/search?max_results=1"
    with urllib.request.urlopen(address, timeout=10) as response:
        assert response.status == 200
    renamed = urllib.request.Request(address, headers={"Host": "elsewhere.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(renamed, timeout=10)
    assert refused.value.code == 403
    refused.value.close()
