"""The door to MLflow: imported late, quiet, without telemetry, and with errors of our own tree."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from aio_tune.errors import AioTuneError, RegistryError

# MLflow can be told these things by environment variable only. A value that the user has set stands.
SETTINGS = {
    # Read while mlflow is imported; without it usage records and a configuration request go to mlflow.org.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Otherwise two lines with the run's address are printed whenever a run on a server ends.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # Otherwise a progress bar is drawn for every model that is copied or fetched.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Otherwise a pyproject.toml and uv.lock in the working directory are copied into every model.
    "MLFLOW_UV_AUTO_DETECT": "false",
    # By default one call to a dead server blocks for minutes. The mirror has its own back-off, and a command that
    # a user waits for should say soon that the server is down.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
}


def prepare() -> None:
    """Import mlflow with our settings and turn its progress chatter off. Cheap after the first call."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401  (configures its loggers, which are then turned down)

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Retries inside MLflow's HTTP client are reported here; whoever called hears of the failure itself.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


def connect(uri: str) -> Any:
    """An ``MlflowClient`` of the store at ``uri``, for runs and registry; leaves the global tracking URI alone."""
    prepare()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def redacted(uri: str) -> str:
    """``uri`` without its password."""
    parts = urlsplit(uri)
    if not parts.password:
        return uri
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{host}"))


@contextmanager
def store_errors(uri: str, kind: type[AioTuneError] = RegistryError) -> Iterator[None]:
    """Turn what MLflow raises within the block into one line of our own.

    Raises:
        kind: MLflow, or the network or disk below it, refused.
    """
    prepare()
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        # MLflow repeats addresses, passwords included, in its messages.
        reason = (str(error).splitlines() or [type(error).__name__])[0].replace(uri, redacted(uri))
        raise kind(
            f"Expected the tracking store {redacted(uri)} to do as asked. Received: {reason}",
            "Check that the server is running and can be reached." if uri.startswith("http") else "",
        ) from error
