"""The command that serves MLflow's user interface on a home's own store."""

import sys
from pathlib import Path

from aio_tune.tracking.client import SETTINGS
from aio_tune.tracking.store import artifacts_uri


def ui_command(uri: str, port: int = 5000, artifacts: Path | None = None) -> list[str]:
    """The command line of an MLflow server for this machine alone.

    It listens on 127.0.0.1 and answers only requests that call it by a name of this machine: a web page opened
    elsewhere in the same browser cannot reach it through a name of its own (DNS rebinding).

    Args:
        uri: a store that the server opens itself, e.g. from ``tracking_uri``.
        port: to listen on.
        artifacts: see ``ensure_store``.
    """
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--allowed-hosts", f"127.0.0.1:{port},localhost:{port}"]
    location = artifacts_uri(uri, artifacts)
    if location is not None:
        command += ["--default-artifact-root", location]
    return command


def ui_environment() -> dict[str, str]:
    """Environment variables to add for the server: no telemetry, and no workers for jobs we do not use."""
    return {**SETTINGS, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
