import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aio_tune.config import Home
from aio_tune.errors import RegistryError, SearchError
from aio_tune.tracking import (
    audit_trail,
    check_store,
    ensure_store,
    list_models,
    promote,
    resolve,
    tracking_uri,
    ui_command,
    ui_environment,
    undo,
)
from aio_tune.tracking.client import redacted, store_errors, store_name, without_password
from tests.tracking.conftest import EXPERIMENT, Store


def test_uri_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert tracking_uri(Home(Path("h"))) == f"sqlite:///{tmp_path}/h/mlflow.db"


def test_passwords_are_not_repeated() -> None:
    assert redacted("postgresql://ada:secret@db:5432/x") == "postgresql://ada:***@db:5432/x"
    assert redacted("http://127.0.0.1:5000") == "http://127.0.0.1:5000"
    assert redacted("http://ada:s/e[c@ret@db:5000") == "http://ada:***@db:5000", "unquoted"
    assert redacted("http://127.0.0.1:5000/a@b") == "http://127.0.0.1:5000/a@b"


@pytest.mark.parametrize("uri", ["http://ada:se%40cret@db:5000/", "http://ada:se%40cret@db:5000/mlflow"])
@pytest.mark.parametrize(
    "said",
    [
        "API request to http://ada:se%40cret@db:5000/api/2.0/mlflow/runs/search failed with exception no route.",
        "Invalid url: http://ada:se%40cret@db:5000/api",
        "no route to ada:se@cret@db",
    ],
)
def test_a_password_is_found_in_whatever_form_it_is_repeated(uri: str, said: str) -> None:
    assert without_password(said, "http://db:5000") == said
    told = without_password(said, uri)
    assert "cret" not in told
    assert "ada:***@db" in told


def test_a_store_is_the_same_for_another_user_and_from_another_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = {store_name(f"http://{login}db:5000{end}") for login in ("", "ada@", "ada:secret@") for end in ("", "/")}
    assert names == {"http://db:5000"}
    monkeypatch.chdir(tmp_path)
    assert store_name("sqlite:///h/mlflow.db") == f"sqlite:///{tmp_path}/h/mlflow.db"


def test_reading_makes_no_store(tmp_path: Path) -> None:
    uri = tracking_uri(Home(tmp_path / "aio_home"))
    assert list_models(uri) == []
    check_store(uri)
    for read in (
        lambda: resolve(uri, "aio-ki67-ensemble@evaluation"),
        lambda: promote(uri, "aio-ki67-ensemble"),
        lambda: undo(uri, "aio-ki67-ensemble"),
        lambda: audit_trail(uri, "aio-ki67-ensemble"),
    ):
        with pytest.raises(RegistryError, match=rf"{tmp_path}/aio_home/mlflow\.db.*not there.*--home"):
            read()
    assert not list(tmp_path.iterdir())


def test_ui_serves_this_machine_only() -> None:
    command = ui_command("sqlite:////h/mlflow.db", 5001)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--allowed-hosts") + 1] == "127.0.0.1:5001,localhost:5001"
    assert command[command.index("--default-artifact-root") + 1] == "file:///h/artifacts"
    assert ui_environment()["MLFLOW_DISABLE_TELEMETRY"] == "true"


@pytest.mark.slow
def test_second_call_finds_the_same_experiment(store: Store, client: Any) -> None:
    assert ensure_store(store.uri, store.artifacts, EXPERIMENT) == store.experiment_id
    other = ensure_store(store.uri, None, "aio-nhg")
    assert other != store.experiment_id
    assert client.get_experiment(other).artifact_location.startswith(store.artifacts.as_uri())
    leftovers = {file.name for file in store.artifacts.parent.iterdir()} - {"mlflow.db", "mlflow.db.lock", "artifacts"}
    assert not leftovers


@pytest.mark.slow
def test_deleted_experiment_says_how_to_restore_it(store: Store, client: Any) -> None:
    gone = ensure_store(store.uri, None, "aio-gone")
    client.delete_experiment(gone)
    with pytest.raises(SearchError, match=f"restore --experiment-id {gone}"):
        ensure_store(store.uri, None, "aio-gone")


@pytest.mark.slow
def test_a_dead_server_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryError, match="server is running") as refused:
        list_models("http://127.0.0.1:9")
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_a_dead_server_does_not_show_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    # In MLflow's own words, of which an upgrade may make others.
    with pytest.raises(RegistryError, match=r"API request to http://ada:\*\*\*@127") as refused:
        list_models("http://ada:secret@127.0.0.1:9/")
    assert "secret" not in str(refused.value)


@pytest.mark.slow
def test_a_message_without_words_is_its_type() -> None:
    with pytest.raises(SearchError, match="Received: ConnectionResetError"), store_errors("http://db", SearchError):
        raise ConnectionResetError


SILENT = """
import sys
import aio_tune.tracking
assert "mlflow" not in sys.modules, "importing the room imported mlflow"
from aio_tune.tracking.client import connect, prepare
prepare()
from mlflow.telemetry import get_telemetry_client
assert get_telemetry_client() is None, "telemetry is on"
client = connect(sys.argv[1])
client.get_experiment_by_name("aio-ki67")
"""


@pytest.mark.slow
def test_mlflow_comes_late_and_quietly(store: Store) -> None:
    # Not under pytest's own variable, by which MLflow would know that it is being tested and send nothing anyway.
    clean = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", SILENT, store.uri], check=False, env=clean, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
