"""The door to MLflow: imported late, quiet, without telemetry, and with errors of our own tree."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

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

SQLITE = "sqlite:///"
# User and password of a URI. Not by urllib.parse: it refuses, or does not see, a password with unquoted "/" or "[".
_LOGIN = re.compile(r"(?<=://)(?P<user>[^:/?#@]*):(?!\d+(?:[/?#]|$)).*@")
_USER = re.compile(r"(?<=://)[^:/?#@]*@")


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
    """An ``MlflowClient`` of the store at ``uri``, for runs and registry; leaves the global tracking URI alone.

    Raises:
        RegistryError: the file of a SQLite store is not there. MLflow would make one, readable by others, of whatever
            a mistyped path names; only ``store.ensure_store`` does.
    """
    if is_missing(uri):
        raise RegistryError(
            f"Expected an MLflow store in {database_of(uri)}. Received the name of a file that is not there.",
            "Name the home folder of your searches by --home, or a server by --tracking-uri; a search makes a new one.",
        )
    prepare()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def database_of(uri: str) -> Path | None:
    """The file of a SQLite store; None for any other store."""
    return Path(uri.removeprefix(SQLITE).partition("?")[0]) if uri.startswith(SQLITE) else None


def is_missing(uri: str) -> bool:
    """Whether a SQLite store has no file yet."""
    database = database_of(uri)
    return database is not None and not database.exists()


def redacted(uri: str) -> str:
    """``uri`` without its password."""
    return _LOGIN.sub(r"\g<user>:***@", uri)


def without_password(text: str, uri: str) -> str:
    """``text`` without the password of ``uri``, whatever form of the address it repeats: whole, cut or continued."""
    login = _LOGIN.search(uri)
    if login is None:
        return text
    for form in (login[0], unquote(login[0])):
        text = text.replace(form, f"{login['user']}:***@")
    return text


def store_name(uri: str) -> str:
    """What tells a store from others: its URI without user and password, a SQLite file by its whole path."""
    database = database_of(uri)
    if database is not None:
        return f"{SQLITE}{database.absolute()}"
    return _USER.sub("", _LOGIN.sub("", uri)).rstrip("/")


def first_line(error: BaseException, uri: str) -> str:
    """Why a store refused, in one line without its password: MLflow repeats addresses in its messages."""
    return without_password((str(error).splitlines() or [type(error).__name__])[0], uri)


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
        raise kind(
            f"Expected the tracking store {redacted(uri)} to do as asked. Received: {first_line(error, uri)}",
            "Check that the server is running and can be reached." if uri.startswith("http") else "",
        ) from error
