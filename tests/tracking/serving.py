"""A real MLflow server on a store, as ``aio-tune ui`` starts it."""

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from aio_tune.tracking import ui_command, ui_environment
from tests.tracking.conftest import Store


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Server:
    """``mlflow server`` on the store, as ``aio-tune ui`` starts it."""

    def __init__(self, store: Store, log: Path) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._command = ui_command(store.uri, self.port, store.artifacts)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env={**os.environ, **ui_environment()}, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(self.answers, 120)

    def answers(self) -> bool:
        return answers(f"{self.uri}/health")

    def stop(self) -> None:
        if self._process is not None:
            end(self._process)
            self._process = None


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a server to end, which takes its worker processes with it; force it if it does not."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
