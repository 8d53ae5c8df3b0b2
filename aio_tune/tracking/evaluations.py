"""Results on cohorts that the search never saw, kept with the version they belong to."""

import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aio_tune.tracking.artifacts import send_figures, send_tables
from aio_tune.tracking.client import connect, store_errors
from aio_tune.tracking.registry import EVALUATION_TAG, MODEL_ID, ResolvedModel
from aio_tune.tracking.runs import KIND

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class StoredEvaluation:
    """An evaluation as it was kept.

    Attributes:
        cohort: the patients.
        metrics: see ``log_evaluation``.
        calls: ``calls.csv`` of the ensemble with the column ``truth``.
        dataset: fingerprint of the dataset, empty if unknown.
    """

    cohort: str
    metrics: dict[str, float]
    calls: "pd.DataFrame"
    dataset: str


def read_evaluations(uri: str, model: str, version: int) -> list[StoredEvaluation]:
    """The last evaluation of a version on each cohort, by the cohorts' names.

    Raises:
        RegistryError: the store cannot be reached, or there is no such version.
    """
    import pandas as pd

    found = []
    with store_errors(uri), tempfile.TemporaryDirectory() as folder:
        client = connect(uri)
        tags = client.get_model_version(model, str(version)).tags
        for key in sorted(key for key in tags if key.startswith("evaluated.")):
            run = client.get_run(json.loads(tags[key])["run_id"])
            file = client.download_artifacts(run.info.run_id, "tables/calls.csv", folder)
            calls = pd.read_csv(file, dtype={"sample_id": "str", "call": "str", "truth": "str"})
            name = key.removeprefix("evaluated.")
            found.append(StoredEvaluation(name, dict(run.data.metrics), calls, run.data.tags.get("aio.dataset", "")))
    return found


def log_evaluation(
    uri: str,
    model: ResolvedModel,
    cohort: str,
    metrics: Mapping[str, float],
    *,
    tables: "Mapping[str, pd.DataFrame] | None" = None,
    figures: "Mapping[str, Figure] | None" = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Keep one evaluation: a run below the trial's run, and its metrics as tags of the version.

    The tags ``evaluation.<cohort>.<metric>`` are what gates such as ``GSE81538:auc>=0.75`` look at; a later
    evaluation on the same cohort replaces them, while its run stays beside the earlier ones.

    Args:
        uri: the tracking store.
        model: the evaluated version.
        cohort: name of the cohort.
        metrics: of the ensemble and beside it, e.g. ``auc``, ``auc_low``, ``pca_logistic_auc``.
        tables: name -> table, kept as CSV.
        figures: name -> matplotlib figure, kept as PNG.
        tags: more tags of the run, e.g. the dataset's fingerprint.

    Returns:
        The run's id.

    Raises:
        RegistryError: the store refused.
    """
    with store_errors(uri):
        from mlflow.entities import LoggedModelInput, Metric

        client = connect(uri)
        trial_run = client.get_run(model.run_id)
        run_tags = {
            **(tags or {}),
            KIND: "evaluation",
            "aio.cohort": cohort,
            "aio.model": model.name,
            "aio.version": str(model.version),
            "aio.alias": model.alias,
            "mlflow.parentRunId": model.run_id,
            "mlflow.source.name": "aio-tune evaluate",
            "mlflow.source.type": "LOCAL",
        }
        name = f"{model.name} {model.version} on {cohort}"
        run = client.create_run(trial_run.info.experiment_id, tags=run_tags, run_name=name)
        run_id = str(run.info.run_id)
        finite = {key: float(value) for key, value in metrics.items() if math.isfinite(value)}
        points = [Metric(key, value, run.info.start_time, 0) for key, value in finite.items()]
        client.log_batch(run_id, metrics=points)
        if MODEL_ID in model.tags:
            client.log_inputs(run_id, models=[LoggedModelInput(model.tags[MODEL_ID])])
        send_tables(client, run_id, tables or {})
        send_figures(client, run_id, figures or {})
        for key, value in finite.items():
            client.set_model_version_tag(model.name, str(model.version), f"{EVALUATION_TAG}{cohort}.{key}", repr(value))
        summary = json.dumps({"run_id": run_id, "alias": model.alias})
        client.set_model_version_tag(model.name, str(model.version), f"evaluated.{cohort}", summary)
        client.set_terminated(run_id, "FINISHED")
    return run_id
