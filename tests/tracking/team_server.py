"""A team's MLflow: a PostgreSQL database, and a server that takes and gives the files itself.

For tests and benchmarks. Everything listens on 127.0.0.1 only and is stopped when its ``with`` block ends.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from aio_tune.tracking import ui_environment

_USER = "mlflow"
_START = 120.0  # seconds that a server may take to answer
_STOP = 30.0


def missing() -> str:
    """Why no team server can be started here; empty where one can."""
    if _binaries() is None:
        return "PostgreSQL's server is not installed (Debian: apt-get install postgresql)"
    if find_spec("psycopg") is None:
        return "psycopg, by which MLflow speaks to PostgreSQL, is not installed"
    return ""


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A new PostgreSQL server with one empty database; gives its URI, password included.

    Args:
        folder: for the server's log. The data lie in a folder of their own directly below the system's temporary one:
            PostgreSQL refuses to run as root, and the user it then runs as cannot enter the folders of pytest. A short
            path also keeps its socket's within the 107 characters that the system allows.
    """
    binaries = _binaries()
    assert binaries is not None, missing()
    port, password = free_port(), secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="pg-") as base_name, (folder / "postgres.log").open("ab") as log:
        base = Path(base_name)
        data = base / "data"
        password_file = base / "password"
        password_file.touch(0o600)
        password_file.write_text(password)
        as_user: list[str] = []
        if os.geteuid() == 0:
            as_user = ["runuser", "-u", "postgres", "--"]
            for path in (base, password_file):
                shutil.chown(path, "postgres", "postgres")

        def run(program: str, *arguments: str) -> None:
            # Into the file, not a pipe: the server inherits it and would keep the pipe open.
            command = [*as_user, str(binaries / program), "-D", str(data), *arguments]
            subprocess.run(command, cwd=base, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True, timeout=120)

        settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={base}"
        run("initdb", "-A", "scram-sha-256", f"--pwfile={password_file}", "-U", _USER, "-E", "UTF8", "--locale=C")
        try:
            run("pg_ctl", "-w", "-o", settings, "start")
            address = f"{_USER}:{password}@127.0.0.1:{port}"
            _create_database(f"postgresql://{address}/postgres")
            yield f"postgresql://{address}/mlflow"
        finally:
            if (data / "postmaster.pid").exists():
                run("pg_ctl", "-w", "-m", "fast", "stop")


class TeamServer:
    """``mlflow server`` on a database, with its files proxied: clients send them to it and never see the folder.

    Can be stopped and started again, at the same address and on the same data.
    """

    def __init__(self, folder: Path, database_uri: str, workers: int = 2) -> None:
        self.destination = folder / "artifacts"
        """The folder where the server keeps the files."""
        self.database_uri = database_uri
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        port = free_port()
        self.uri = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
        self._command += ["--workers", str(workers), "--allowed-hosts", f"127.0.0.1:{port},localhost:{port}"]
        self._command += ["--serve-artifacts", "--artifacts-destination", self.destination.absolute().as_uri()]
        # Not on the command line, where every user of the machine could read the password.
        self._environment = {**os.environ, **ui_environment(), "MLFLOW_BACKEND_STORE_URI": database_uri}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = start(self._command, self._environment, log.fileno())
        wait_until_it_answers(f"{self.uri}/health", self._process, self._log)

    def stop(self) -> None:
        """Stop it and its workers; does nothing if it does not run."""
        if self._process is not None:
            stop(self._process)
            self._process = None


def points_in(database: str) -> dict[str, int]:
    """Points per run, of all runs of a database; asking a server for each metric of so many takes minutes."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(database)
    try:
        with engine.connect() as connection:
            counts = connection.execute(
                sqlalchemy.text("select run_uuid, count(*) as points from metrics group by run_uuid")
            )
            return {row.run_uuid: row.points for row in counts}
    finally:
        engine.dispose()


@contextmanager
def team_server(folder: Path, database_uri: str) -> Iterator[str]:
    """A running ``TeamServer``; gives its address."""
    with TeamServer(folder, database_uri) as server:
        yield server.uri


def start(command: list[str], environment: Mapping[str, str], log: int) -> "subprocess.Popen[bytes]":
    """Start a server that does not hear the Ctrl-C that is meant for the tests."""
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all that it started."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.terminate()
    try:
        process.wait(_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in family:
        try:
            if child.status() != psutil.STATUS_ZOMBIE:
                child.terminate()
                child.wait(_STOP)
        except psutil.NoSuchProcess:
            continue
        except psutil.TimeoutExpired:
            child.kill()


def wait_until_it_answers(address: str, process: "subprocess.Popen[bytes]", log: Path, seconds: float = _START) -> None:
    """Wait until GET says 200.

    Raises:
        AssertionError: it ended, or did not answer within ``seconds``; with the end of its log.
    """
    end = time.monotonic() + seconds
    while not answers(address):
        assert process.poll() is None, f"the server ended:\n{_tail(log)}"
        assert time.monotonic() < end, f"the server does not answer:\n{_tail(log)}"
        time.sleep(0.1)


def answers(address: str) -> bool:
    """Whether GET says 200."""
    try:
        with urllib.request.urlopen(address, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _binaries() -> Path | None:
    """The folder of PostgreSQL's programs. Debian keeps the server's out of PATH, one folder per version."""
    on_path = shutil.which("initdb")
    candidates = [Path(on_path).parent] if on_path else []
    candidates += sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True
    )
    return next((folder for folder in candidates if (folder / "pg_ctl").exists()), None)


def _create_database(uri: str) -> None:
    import psycopg

    with psycopg.connect(uri, autocommit=True) as connection:  # a database cannot be created within a transaction
        connection.execute("create database mlflow")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]
