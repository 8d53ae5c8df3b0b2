"""cluster/mlflow/serve.sh as it stands: PostgreSQL, an S3, logins; and a search that logs and registers through it."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.place import Place
from tests.tracking.team_server import free_port, missing, postgres, start, stop, wait_until_it_answers

SERVE = Path(__file__).parents[2] / "cluster" / "mlflow" / "serve.sh"
BUCKET = "aio-mlflow"
API = "/api/2.0/mlflow"

SPACE = """
task: nhg
folds: 2
trials: 1
rungs: [[2, 2]]
layout_control: false
space:
  branches: embedding
  embedding_width: 4
  fc_widths: [4]
"""


@dataclass(frozen=True)
class Team:
    """A running server.

    Attributes:
        url: its address.
        admin: name and password.
        s3: address of its S3.
    """

    url: str
    admin: tuple[str, str]
    s3: str

    def get(self, path: str, **more: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=30, **more)

    def new_user(self, name: str) -> tuple[str, str]:
        login = (name, secrets.token_hex(12))
        body = dict(zip(("username", "password"), login, strict=True))
        made = requests.post(f"{self.url}{API}/users/create", json=body, auth=self.admin, timeout=30)
        assert made.status_code == 200, made.text
        return login


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "AIO_", "AWS_"))}
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **more}


PASSWORD = "a@b/c%d e"
COMPLETE = {
    "AIO_MLFLOW_DATABASE_PASSWORD": "p",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "k" * 64,
    "MLFLOW_AUTH_ADMIN_PASSWORD": "a",
    "AIO_MLFLOW_ARTIFACTS": "/nowhere",
    "AIO_MLFLOW_ALLOWED_HOSTS": "localhost:5000",
}


@pytest.mark.parametrize("left_out", COMPLETE)
def test_it_does_not_start_without_its_secrets(left_out: str) -> None:
    given = {key: value for key, value in COMPLETE.items() if key != left_out}
    done = subprocess.run(
        ["bash", str(SERVE)], env=environment(**given), capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 1
    assert f"expected {left_out}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_short_key_is_refused() -> None:
    given = {**COMPLETE, "MLFLOW_FLASK_SERVER_SECRET_KEY": "short"}
    done = subprocess.run(
        ["bash", str(SERVE)], env=environment(**given), capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 1
    assert "at least 32 characters" in done.stderr


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    if missing():
        pytest.skip(missing())
    import boto3
    import psycopg

    folder = tmp_path_factory.mktemp("team")
    s3_port, port = free_port(), free_port()
    s3 = f"http://127.0.0.1:{s3_port}"
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    with postgres(folder) as database, (folder / "log").open("ab") as log:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("create database auth")
            # As a person might choose one.
            connection.execute(f"alter user mlflow password '{PASSWORD}'")
        place = database.rpartition("@")[2]
        store = start([sys.executable, "-m", "moto.server", "-p", str(s3_port)], environment(), log.fileno())
        server = None
        try:
            wait_until_it_answers(f"{s3}/moto-api/", store, folder / "log")
            client = boto3.client(
                "s3", endpoint_url=s3, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
            )
            client.create_bucket(Bucket=BUCKET)
            given = {
                **keys,
                "MLFLOW_S3_ENDPOINT_URL": s3,
                "AIO_MLFLOW_DATABASE_HOST": place.partition("/")[0],
                "AIO_MLFLOW_DATABASE_PASSWORD": PASSWORD,
                "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
                "MLFLOW_AUTH_ADMIN_PASSWORD": secrets.token_hex(12),
                "AIO_MLFLOW_ARTIFACTS": f"s3://{BUCKET}/artifacts",
                "AIO_MLFLOW_ALLOWED_HOSTS": f"127.0.0.1:{port},localhost:{port}",
                "AIO_MLFLOW_PORT": str(port),
            }
            server = start(["bash", str(SERVE)], environment(**given), log.fileno())
            url = f"http://127.0.0.1:{port}"
            wait_until_it_answers(f"{url}/health", server, folder / "log", seconds=240)
            yield Team(url, ("admin", given["MLFLOW_AUTH_ADMIN_PASSWORD"]), s3)
        finally:
            if server is not None:
                stop(server)
            stop(store)


@pytest.mark.slow
def test_who_is_let_in(team: Team) -> None:
    path = f"{API}/experiments/search?max_results=5"
    assert team.get(path).status_code == 401
    assert team.get(path, auth=("admin", "wrong")).status_code == 401
    assert team.get(path, auth=team.admin).status_code == 200
    assert team.get(path, auth=team.admin, headers={"Host": "elsewhere.example"}).status_code == 403


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_search_logs_and_registers_through_it(team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    owner, other = team.new_user("owner"), team.new_user("other")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", owner[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", owner[1])
    place = Place(tmp_path, SPACE)
    place.run("simulate", place.geo, "--samples", 60, "--genes", 128, "--seed", 3)
    place.run("prepare", place.geo, "--out", place.dataset)
    store = ("--tracking-uri", team.url)
    said = place.run("search", place.space, "--data", place.dataset, "--name", "team", "--home", place.home, *store)
    assert "registered: aio-nhg-ensemble version 1" in said
    assert "mlflow: the store answers" in place.run("doctor", "--home", place.home, *store)

    by_name = f"{API}/experiments/get-by-name?experiment_name=aio-nhg"
    assert team.get(by_name, auth=owner).status_code == 200
    assert team.get(by_name, auth=other).status_code == 403, "what is not shared is not seen"
    client = boto3.client(
        "s3", endpoint_url=team.s3, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
    )
    stored = [each["Key"] for each in client.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert any(key.endswith(".keras") for key in stored)

    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    assert "1 problem was found: Expected the tracking store" in place.refuse("doctor", "--home", place.home, *store)
