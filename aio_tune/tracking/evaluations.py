"""Results on cohorts that the search never saw, kept with the version they belong to."""

import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aio_tune.errors import RegistryError
from aio_tune.tracking.artifacts import send_figures, send_tables
from aio_tune.tracking.client import connect, store_errors
from aio_tune.tracking.registry import EVALUATION_TAG, MODEL_ID, ResolvedModel, evaluated
from aio_tune.tracking.runs import KIND

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from mlflow import MlflowClient

_HARMONISED = "harmonised."
_CHOSEN = "aio.harmoniser"
_TABLE = "harmonisers"
_SIMULATED = "aio.simulated"
# Kind of run -> the command that makes it, and how its name goes on after the version's.
_COMMANDS = {"evaluation": "evaluate", "harmonisation": "harmonise"}
_JOINED = {"evaluation": "on", "harmonisation": "harmonised for"}


@dataclass(frozen=True, eq=False)
class StoredEvaluation:
    """An evaluation as it was kept.

    Attributes:
        cohort: the patients.
        metrics: see ``log_evaluation``.
        calls: ``calls.csv`` of the ensemble with the column ``truth``.
        dataset: fingerprint of the dataset, empty if unknown.
        simulated: whether the patients were simulated; None where the evaluation does not say, as those of before.
    """

    cohort: str
    metrics: dict[str, float]
    calls: "pd.DataFrame"
    dataset: str
    simulated: bool | None = None


@dataclass(frozen=True, eq=False)
class StoredHarmonisation:
    """A harmonisation study as it was kept; see ``log_harmonisation``."""

    cohort: str
    metrics: dict[str, float]
    table: "pd.DataFrame"
    chosen: str


def read_evaluations(
    uri: str, model: str, version: int, origin: Mapping[str, str] | None = None
) -> list[StoredEvaluation]:
    """The last evaluation of a version on each cohort, by the cohorts' names.

    Args:
        uri: the tracking store.
        model: its name.
        version: its number.
        origin: tags that the version must have, such as ``aio.search``: in another store the number may be that of
            another search's.

    Raises:
        RegistryError: the store cannot be reached, or there is no such version.
    """
    import pandas as pd

    found = []
    with store_errors(uri), tempfile.TemporaryDirectory() as folder:
        client = connect(uri)
        tags = _tags(client, model, version, origin or {})
        for key in sorted(key for key in tags if key.startswith("evaluated.")):
            run = client.get_run(json.loads(tags[key])["run_id"])
            file = client.download_artifacts(run.info.run_id, "tables/calls.csv", folder)
            calls = pd.read_csv(file, dtype={"sample_id": "str", "call": "str", "truth": "str"})
            name = key.removeprefix("evaluated.")
            dataset, simulated = (run.data.tags.get(tag, "") for tag in ("aio.dataset", _SIMULATED))
            known = {"true": True, "false": False}.get(simulated)
            found.append(StoredEvaluation(name, dict(run.data.metrics), calls, dataset, known))
    return found


def log_evaluation(
    uri: str,
    model: ResolvedModel,
    cohort: str,
    metrics: Mapping[str, float],
    *,
    tables: "Mapping[str, pd.DataFrame] | None" = None,
    figures: "Mapping[str, Figure] | None" = None,
    simulated: bool | None = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Keep one evaluation: a run below the trial's run, and its metrics as tags of the version.

    The tags ``evaluation.<cohort>.<metric>`` are what gates such as ``GSE81538:auc>=0.75`` look at; a later
    evaluation on the same cohort replaces all of them, while its run stays beside the earlier ones.

    Args:
        uri: the tracking store.
        model: the evaluated version.
        cohort: name of the cohort.
        metrics: of the ensemble and beside it, e.g. ``auc``, ``auc_low``, ``pca_logistic_auc``.
        tables: name -> table, kept as CSV.
        figures: name -> matplotlib figure, kept as PNG.
        simulated: whether the patients were simulated, if that is known.
        tags: more tags of the run, e.g. the dataset's fingerprint.

    Returns:
        The run's id.

    Raises:
        RegistryError: the store refused.
    """
    with store_errors(uri):
        client = connect(uri)
        finite = {key: float(value) for key, value in metrics.items() if math.isfinite(value)}
        more = dict(tags or {}) if simulated is None else {**(tags or {}), _SIMULATED: json.dumps(simulated)}
        with _run_beside(client, model, cohort, "evaluation", f"evaluated.{cohort}", more) as run_id:
            _send_metrics(client, run_id, finite)
            send_tables(client, run_id, tables or {})
            send_figures(client, run_id, figures or {})
            _replace_metric_tags(client, model, cohort, finite)
    return run_id


def log_harmonisation(
    uri: str, model: ResolvedModel, cohort: str, metrics: Mapping[str, float], table: "pd.DataFrame", chosen: str
) -> str:
    """Keep a harmonisation study of a version: a run below the trial's run; a later study on the cohort replaces it.

    Args:
        uri: the tracking store.
        model: the version whose configuration was trained anew.
        cohort: the target.
        metrics: e.g. ``lost``, ``won_back``.
        table: a row for each harmoniser.
        chosen: the harmoniser's name.

    Returns:
        The run's id.

    Raises:
        RegistryError: the store refused.
    """
    with store_errors(uri):
        client = connect(uri)
        with _run_beside(client, model, cohort, "harmonisation", f"{_HARMONISED}{cohort}", {_CHOSEN: chosen}) as run_id:
            _send_metrics(client, run_id, {key: value for key, value in metrics.items() if math.isfinite(value)})
            send_tables(client, run_id, {_TABLE: table})
    return run_id


def read_harmonisations(
    uri: str, model: str, version: int, origin: Mapping[str, str] | None = None
) -> list[StoredHarmonisation]:
    """The last harmonisation study of a version for each cohort, by the cohorts' names; as ``read_evaluations``.

    Raises:
        RegistryError: the store cannot be reached, or there is no such version.
    """
    import pandas as pd

    found = []
    with store_errors(uri), tempfile.TemporaryDirectory() as folder:
        client = connect(uri)
        tags = _tags(client, model, version, origin or {})
        for key in sorted(key for key in tags if key.startswith(_HARMONISED)):
            run = client.get_run(json.loads(tags[key])["run_id"])
            table = pd.read_csv(client.download_artifacts(run.info.run_id, f"tables/{_TABLE}.csv", folder))
            name = key.removeprefix(_HARMONISED)
            found.append(StoredHarmonisation(name, dict(run.data.metrics), table, run.data.tags[_CHOSEN]))
    return found


def _tags(client: "MlflowClient", model: str, version: int, origin: Mapping[str, str]) -> dict[str, str]:
    """A version's tags; refused if it is of another search."""
    tags = dict(client.get_model_version(model, str(version)).tags)
    other = [name for name, value in origin.items() if tags.get(name) != value]
    if other:
        raise RegistryError(
            f"Expected {model} version {version} with {other[0]} {origin[other[0]]!r}. "
            f"Received {tags.get(other[0], '')!r}: it is another search's.",
            "Name the store that the search was registered in with --tracking-uri.",
        )
    return tags


@contextmanager
def _run_beside(
    client: "MlflowClient", model: ResolvedModel, cohort: str, kind: str, tag: str, more: Mapping[str, str]
) -> Iterator[str]:
    """A run below the version's run; the version's ``tag`` names it once all that belongs to it is sent."""
    from mlflow.entities import LoggedModelInput

    tags = {
        **more,
        KIND: kind,
        "aio.cohort": cohort,
        "aio.model": model.name,
        "aio.version": str(model.version),
        "aio.alias": model.alias,
        "mlflow.parentRunId": model.run_id,
        "mlflow.source.name": f"aio-tune {_COMMANDS[kind]}",
        "mlflow.source.type": "LOCAL",
    }
    experiment = client.get_run(model.run_id).info.experiment_id
    name = f"{model.name} {model.version} {_JOINED[kind]} {cohort}"
    run_id = str(client.create_run(experiment, tags=tags, run_name=name).info.run_id)
    if MODEL_ID in model.tags:
        client.log_inputs(run_id, models=[LoggedModelInput(model.tags[MODEL_ID])])
    yield run_id
    summary = json.dumps({"run_id": run_id, "alias": model.alias})
    client.set_model_version_tag(model.name, str(model.version), tag, summary)
    client.set_terminated(run_id, "FINISHED")


def _replace_metric_tags(
    client: "MlflowClient", model: ResolvedModel, cohort: str, metrics: Mapping[str, float]
) -> None:
    """The version's ``evaluation.<cohort>.<metric>`` tags become these alone."""
    version = str(model.version)
    new = {f"{EVALUATION_TAG}{cohort}.{key}": value for key, value in metrics.items()}
    # As the store has them: ``model`` was read before the evaluation, and another may have ended since.
    there = client.get_model_version(model.name, version).tags
    # First what is not measured any more: no gate is to pass on what an earlier evaluation found.
    for tag in sorted(there):
        if tag.startswith(EVALUATION_TAG) and evaluated(tag)[0] == cohort and tag not in new:
            client.delete_model_version_tag(model.name, version, tag)
    for tag, value in new.items():
        client.set_model_version_tag(model.name, version, tag, repr(value))


def _send_metrics(client: "MlflowClient", run_id: str, metrics: Mapping[str, float]) -> None:
    from mlflow.entities import Metric

    began = client.get_run(run_id).info.start_time
    client.log_batch(run_id, metrics=[Metric(key, value, began, 0) for key, value in metrics.items()])
