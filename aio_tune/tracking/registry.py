"""The model registry: registered versions, and how they are found again; ``registering`` puts them there.

Aliases say what a version is good for; only ``promotion.promote`` moves them.
"""

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aio_tune.errors import RegistryError
from aio_tune.tracking.client import connect, is_missing, store_errors

ALIASES = ("candidate", "evaluation", "champion")
METRIC_TAG = "metric."
EVALUATION_TAG = "evaluation."
MODEL_ID = "aio.model_id"


@dataclass(frozen=True)
class VersionSummary:
    """One registered version.

    Attributes:
        version: its number.
        aliases: those that point at it.
        created_ms: ms since 1970.
        run_id: of the trial it comes from.
        metrics: cross-validated, e.g. ``cv_auc_mean``, and on cohorts, e.g. ``GSE81538:auc``.
        tags: all tags of the version.
        ready: whether it can be used.
    """

    version: int
    aliases: tuple[str, ...]
    created_ms: int
    run_id: str
    metrics: dict[str, float]
    tags: dict[str, str]
    ready: bool


@dataclass(frozen=True)
class ModelSummary:
    """One registered model with its versions, newest first."""

    name: str
    aliases: dict[str, int]
    versions: tuple[VersionSummary, ...]


@dataclass(frozen=True)
class ResolvedModel:
    """A version found through an alias, with its ensemble on this machine.

    Attributes:
        name: of the registered model.
        version: its number.
        alias: through which it was found.
        folder: the ensemble folder, for ``Ensemble.load``.
        run_id: of the trial it comes from.
        metrics: see ``VersionSummary``.
        tags: all tags of the version.
    """

    name: str
    version: int
    alias: str
    folder: Path
    run_id: str
    metrics: dict[str, float]
    tags: dict[str, str]


def list_models(uri: str) -> list[ModelSummary]:
    """Every registered model of ours, by name; none where the file of a SQLite store is yet to be made.

    Raises:
        RegistryError: the store cannot be reached.
    """
    if is_missing(uri):
        return []
    with store_errors(uri):
        client = connect(uri)
        return [summarise(client, model) for model in _pages(client.search_registered_models, "name LIKE 'aio-%'")]


def find_model(client: Any, name: str) -> ModelSummary:
    """The registered model called ``name``.

    Raises:
        RegistryError: there is none; lists those that there are.
    """
    # Quoting is not needed for the names that exist, and a name with a quote cannot exist.
    for model in _pages(client.search_registered_models, f"name = '{name}'") if "'" not in name else ():
        return summarise(client, model)
    names = sorted(model.name for model in _pages(client.search_registered_models, "name LIKE 'aio-%'"))
    raise RegistryError(
        f"Expected the name of a registered model. Received {name!r}.",
        f"There are: {', '.join(names)}." if names else "There are none yet: run a search first.",
    )


def summarise(client: Any, model: Any) -> ModelSummary:
    """A registered model of MLflow's as one of ours."""
    aliases = {alias: int(version) for alias, version in model.aliases.items()}
    versions = [
        VersionSummary(
            version=int(version.version),
            aliases=tuple(sorted(alias for alias, number in aliases.items() if number == int(version.version))),
            created_ms=int(version.creation_timestamp),
            run_id=str(version.run_id),
            metrics=_metrics(version.tags),
            tags=dict(version.tags),
            ready=version.status == "READY",
        )
        for version in _pages(client.search_model_versions, f"name = '{model.name}'")
    ]
    versions.sort(key=lambda version: version.version, reverse=True)
    return ModelSummary(model.name, aliases, tuple(versions))


def choose_version(summary: ModelSummary, version: int | None) -> VersionSummary:
    """The version of that number, or the newest that is ready.

    Raises:
        RegistryError: there is none.
    """
    ready = [candidate for candidate in summary.versions if candidate.ready]
    for candidate in ready:  # newest first
        if version is None or candidate.version == version:
            return candidate
    raise RegistryError(
        f"Expected a version of {summary.name} that is ready. Received {version or 'none'}.",
        f"There are: {', '.join(str(candidate.version) for candidate in ready) or 'none'}.",
    )


def resolve(uri: str, reference: str, cache: Path | None = None) -> ResolvedModel:
    """The version that an alias points at, with its files on this machine.

    Args:
        uri: the tracking store.
        reference: ``MODEL@ALIAS``. A bare model or version number is refused: using a model on cohorts is a decision,
            and promoting is how it is taken and recorded.
        cache: folder for models of a server; None means one that is removed when this process ends. Files of a local
            store are used in place.

    Raises:
        RegistryError: the reference is not of that form, or nothing is there, or what is there is not a model folder
            of ours.
    """
    name, at, alias = reference.partition("@")
    if not at or not alias:
        model, _, version = reference.partition("/")
        flag = f" --version {version}" if version else ""
        raise RegistryError(
            f"Expected MODEL@ALIAS. Received {reference!r}.",
            f"Promote it first: aio-tune promote {model}{flag} --to evaluation; then use {model}@evaluation.",
        )
    with store_errors(uri):
        client = connect(uri)
        model_summary = find_model(client, name)
        number = model_summary.aliases.get(alias)
        if number is None:
            there = ", ".join(f"{key} (version {value})" for key, value in sorted(model_summary.aliases.items()))
            raise RegistryError(
                f"Expected an alias of {name}. Received {alias!r}; aliases set: {there or 'none'}.",
                f"Set it with: aio-tune promote {name} --to {alias if alias in ALIASES else 'evaluation'}",
            )
        found = next(version for version in model_summary.versions if version.version == number)
        folder = ensemble_folder(fetch_model(client, uri, name, number, cache))
    return ResolvedModel(name, number, alias, folder, found.run_id, found.metrics, found.tags)


def fetch_model(client: Any, uri: str, name: str, version: int, cache: Path | None = None) -> Path:
    """The whole model folder of a version: where it lies if the store is local, else a copy (see ``resolve``)."""
    from mlflow.artifacts import download_artifacts

    source = client.get_model_version_download_uri(name, str(version))
    if source.startswith(("file:", "/")):
        return Path(download_artifacts(artifact_uri=source, tracking_uri=uri))
    if cache is None:
        cache = Path(tempfile.mkdtemp(prefix="aio-tune-models-"))
        atexit.register(shutil.rmtree, cache, ignore_errors=True)
    # Named by the logged model's id within the source, so that two servers' "version 1" never meet in one cache.
    target = cache / name / f"{version}-{Path(source.rstrip('/')).parent.name}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=target.parent))
        try:
            fetched = Path(download_artifacts(artifact_uri=source, dst_path=str(unfinished), tracking_uri=uri))
            fetched.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return target


def ensemble_folder(root: Path) -> Path:
    """The ensemble within a model folder, which must really lie within it.

    Raises:
        RegistryError: it is not a model folder of ours, or names a place out of it.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    try:
        place = Model.load(str(root)).flavors["python_function"]["artifacts"]["ensemble"]["path"]
    except (MlflowException, OSError, KeyError, TypeError) as error:
        raise RegistryError(f"Expected a model folder of aio-tune at {root}. Received: {error}.") from error
    folder = root / place
    if not folder.resolve().is_relative_to(root.resolve()):
        raise RegistryError(f"Expected an ensemble within {root}. Received a path out of it: {place}.")
    return folder


def _metrics(tags: Mapping[str, str]) -> dict[str, float]:
    """Metrics from a version's tags: ``metric.<name>``, and ``evaluation.<cohort>.<name>`` as ``<cohort>:<name>``."""
    metrics = {}
    for key, value in tags.items():
        if key.startswith(METRIC_TAG):
            metrics[key.removeprefix(METRIC_TAG)] = float(value)
        elif key.startswith(EVALUATION_TAG):
            cohort, name = evaluated(key)
            metrics[f"{cohort}:{name}"] = float(value)
    return metrics


def evaluated(tag: str) -> tuple[str, str]:
    """The cohort and the metric that a tag ``evaluation.<cohort>.<metric>`` is about."""
    cohort, _, metric = tag.removeprefix(EVALUATION_TAG).rpartition(".")
    return cohort, metric


def _pages(search: Any, condition: str) -> list[Any]:
    """All results of a search that MLflow gives page by page."""
    results: list[Any] = []
    token = None
    while True:
        page = search(condition, page_token=token)
        results.extend(page)
        token = page.token
        if not token:
            return results
