"""The best trial's models into the registry.

Each fold's model is a version of ``aio-<task>``, all folds together are one version of ``aio-<task>-ensemble``.
"""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aio_tune.tracking.card import model_card
from aio_tune.tracking.client import connect, store_errors
from aio_tune.tracking.pyfunc import ensemble_spec, save_alike, save_pyfunc
from aio_tune.tracking.registry import METRIC_TAG, MODEL_ID

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Registration:
    """What ``register_search`` left in the registry: names and version numbers."""

    ensemble_model: str
    ensemble_version: int
    fold_model: str
    fold_versions: tuple[int, ...]


def register_search(
    uri: str,
    *,
    task: str,
    search: str,
    trial: int,
    run_id: str,
    ensemble_folder: Path,
    fold_folders: Mapping[int, Path],
    metrics: Mapping[str, float],
    fold_metrics: Mapping[int, Mapping[str, float]] | None = None,
    params: Mapping[str, object] | None = None,
    tags: Mapping[str, str] | None = None,
    example: "pd.DataFrame | None" = None,
    notes: str = "",
) -> Registration:
    """Register a trial's fold models and their ensemble. Doing it again, after a crash too, adds no second version.

    Args:
        uri: the tracking store.
        task: e.g. ``"ki67"``.
        search: its name.
        trial: its number.
        run_id: the trial's run, e.g. from ``Mirror.trial_run``.
        ensemble_folder: as written by ``Ensemble.save``, with all folds.
        fold_folders: fold -> ensemble folder with that fold's model alone.
        metrics: of the trial: ``cv_<metric>_mean`` and ``_sd`` as in its run, ``oof_<metric>`` and its interval;
            gates look them up.
        fold_metrics: fold -> metric -> value on that fold's validation rows.
        params: the trial's parameters, for the description.
        tags: more tags for every version, e.g. dataset fingerprint and code version.
        example: some samples, log2(TPM+1), columns gene symbols.
        notes: Markdown to add to the descriptions.

    Returns:
        Names and versions.

    Raises:
        RegistryError: a folder is not an ensemble, or the store refused.
    """
    fold_model, ensemble_model = f"aio-{task}", f"aio-{task}-ensemble"
    origin: dict[str, object] = {"search": search, "trial": trial, "folds": len(fold_folders), **(tags or {})}
    shared = {**(tags or {}), "aio.task": task, "aio.search": search, "aio.trial": str(trial)}
    with store_errors(uri), tempfile.TemporaryDirectory() as staging:
        writer = _Writer(connect(uri), run_id, example, params or {}, notes, Path(staging))
        fold_versions = []
        for fold, folder in sorted(fold_folders.items()):
            what = f"The network trained on all folds but fold {fold}, as an ensemble of one."
            values = (fold_metrics or {}).get(fold, {})
            version_tags = {**shared, "aio.fold": str(fold)}
            fold_versions.append(
                writer.version(
                    model=fold_model,
                    folder=folder,
                    what=what,
                    origin={**origin, "fold": fold},
                    metrics=values,
                    tags=version_tags,
                )
            )
        what = f"{len(fold_folders)} networks, one per fold, whose probabilities are averaged."
        ensemble_tags = {
            **shared,
            "aio.fold": "all",
            "aio.folds": str(len(fold_folders)),
            "aio.fold_versions": " ".join(map(str, fold_versions)),
        }
        version = writer.version(
            model=ensemble_model,
            folder=ensemble_folder,
            what=what,
            origin=origin,
            metrics=metrics,
            tags=ensemble_tags,
        )
    return Registration(ensemble_model, version, fold_model, tuple(fold_versions))


@dataclass(frozen=True)
class _Writer:
    """Writes the versions of one trial.

    Attributes:
        staging: an empty folder, for model folders before they are uploaded; the first one stays, and the others are
            made out of it.
    """

    client: Any
    run_id: str
    example: "pd.DataFrame | None"
    params: Mapping[str, object]
    notes: str
    staging: Path

    def version(
        self,
        *,
        model: str,
        folder: Path,
        what: str,
        origin: Mapping[str, object],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> int:
        """The number of the version for ``folder``, new or from an earlier attempt."""
        found = self._existing(model, tags["aio.fold"])
        if found is not None:
            return found
        logged = self._log(model, folder, tags)
        if not self.client.search_registered_models(f"name = '{model}'"):
            about = f"{what} One version for each search; which one is used is said by the aliases."
            self.client.create_registered_model(model, tags={"aio.kind": "model"}, description=about)
        created = self.client.create_model_version(
            model,
            logged.artifact_location,
            run_id=self.run_id,
            model_id=logged.model_id,
            tags={
                **tags,
                MODEL_ID: logged.model_id,
                **{f"{METRIC_TAG}{name}": repr(float(value)) for name, value in metrics.items()},
            },
            description=model_card(
                model,
                what=what,
                origin=origin,
                metrics=metrics,
                params=self.params,
                missing_genes=str(ensemble_spec(folder).get("missing_genes", "")),
                notes=self.notes,
            ),
        )
        return int(created.version)

    def _existing(self, model: str, fold: str) -> int | None:
        condition = f"name = '{model}' and run_id = '{self.run_id}'"
        for found in self.client.search_model_versions(condition):
            if found.tags.get("aio.fold") == fold:
                return int(found.version)
        return None

    def _log(self, model: str, folder: Path, tags: Mapping[str, str]) -> Any:
        """Upload the model folder as a model of the trial's run."""
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus

        experiment = self.client.get_run(self.run_id).info.experiment_id
        name = model if tags["aio.fold"] == "all" else f"{model}-fold-{tags['aio.fold']}"
        logged = self.client.create_logged_model(
            experiment, name, self.run_id, dict(tags), {key: str(value) for key, value in self.params.items()}
        )
        first, path = self.staging / "first", self.staging / "other"
        ids = {"run_id": self.run_id, "model_id": logged.model_id, "artifact_path": name}
        if not first.exists():
            save_pyfunc(folder, first, ids=ids, metadata_facts=dict(tags), example=self.example)
            self.client.log_model_artifacts(logged.model_id, str(first))
        else:
            save_alike(first, folder, path, ids=ids, metadata_facts=dict(tags))
            self.client.log_model_artifacts(logged.model_id, str(path))
            shutil.rmtree(path)
        self.client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
        self.client.log_outputs(self.run_id, [LoggedModelOutput(logged.model_id, step=0)])
        return logged
