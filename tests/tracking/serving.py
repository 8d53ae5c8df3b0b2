"""A real MLflow server on a store, as ``aio-tune ui`` starts it."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from aio_tune.tracking import ui_command, ui_environment
from tests.tracking.conftest import Store
from tests.tracking.team_server import free_port, start, stop, wait_until_it_answers


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
            self._process = start(self._command, {**os.environ, **ui_environment()}, log.fileno())
        wait_until_it_answers(f"{self.uri}/health", self._process, self._log)

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process)
            self._process = None


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
