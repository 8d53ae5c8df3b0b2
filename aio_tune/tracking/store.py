"""Where runs and models are kept: by default one SQLite file and one folder of artifacts, else a tracking server."""

import os
from pathlib import Path
from typing import Any

from aio_tune.config import Home
from aio_tune.errors import SearchError
from aio_tune.files import locked, make_private
from aio_tune.tracking.client import SQLITE, connect, database_of, is_missing, prepare, store_errors

# The UI then shows runs, and not what it has for conversations with language models.
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


def tracking_uri(home: Home) -> str:
    """The address of a home's own store, with an absolute path: MLflow is also started from other folders."""
    return f"{SQLITE}{home.database.absolute()}"


def ensure_store(uri: str, artifacts: Path | None, experiment: str) -> str:
    """Make sure that the store and the experiment exist; call it before any trial starts.

    A SQLite file is created under a lock, so that processes that start together do not race through MLflow's
    migrations, and under another name first, so that an interrupted creation leaves no half-migrated database.

    Args:
        uri: the store, e.g. from ``tracking_uri`` or ``http://host:port``.
        artifacts: folder for the experiment's files; None leaves it to the server, and for a SQLite store means
            ``artifacts/`` beside the database.
        experiment: its name; one experiment per task keeps the runs table comparable.

    Returns:
        The experiment's id.

    Raises:
        SearchError: the store cannot be created or reached, or the experiment was deleted.
    """
    database = database_of(uri)
    location = artifacts_uri(uri, artifacts)
    with store_errors(uri, SearchError):
        if database is None:
            return _experiment(connect(uri), experiment, location)
        make_private(database.parent)
        with locked(database.with_name(database.name + ".lock")):
            if not database.exists():
                _create_database(database, str(location))
            return _experiment(connect(uri), experiment, location)


def check_store(uri: str) -> None:
    """Ask a store one question. A SQLite store that a search has yet to make is asked nothing.

    Raises:
        SearchError: it does not answer, or not to this user.
    """
    if is_missing(uri):
        return
    with store_errors(uri, SearchError):
        connect(uri).search_experiments(max_results=1)


def artifacts_uri(uri: str, artifacts: Path | None) -> str | None:
    """Where a new experiment keeps its files; None where the server decides.

    A SQLite store needs an answer: without one MLflow would take ``./mlruns`` of the working directory.
    """
    database = database_of(uri)
    if artifacts is None and database is not None:
        artifacts = database.parent / "artifacts"
    return None if artifacts is None else artifacts.absolute().as_uri()


def _create_database(database: Path, default_artifacts: str) -> None:
    prepare()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    unfinished = database.with_name(database.name + ".new")
    unfinished.unlink(missing_ok=True)
    store = SqlAlchemyStore(f"{SQLITE}{unfinished}", default_artifacts)
    store.engine.dispose()  # closes the file, so that it can be renamed with everything in it
    os.replace(unfinished, database)  # noqa: PTH105  (says that an existing file would be replaced atomically)


def _experiment(client: Any, name: str, location: str | None) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=_EXPERIMENT_TAGS))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)  # another process was quicker
    if found.lifecycle_stage != "active":
        raise SearchError(
            f"Expected the experiment {name!r} to be active. Received a deleted one.",
            f"Restore it with: mlflow experiments restore --experiment-id {found.experiment_id}",
        )
    return str(found.experiment_id)
