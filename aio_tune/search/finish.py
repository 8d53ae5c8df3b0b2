"""After the last trial: the winner as an ensemble in the registry, and figures on the runs of the best trials."""

from typing import Any

import numpy as np

from aio_tune.calibration import fit_calibration
from aio_tune.calls import write_calls
from aio_tune.config import Home, RunFolder
from aio_tune.dataset import AioDataset
from aio_tune.errors import SearchError
from aio_tune.expression import as_rows, mean_and_sd
from aio_tune.kinds import EXPRESSION, choose, select
from aio_tune.ledger import Ledger
from aio_tune.models.ensemble import Ensemble, kind_columns
from aio_tune.models.ensemble_files import EnsembleSpec, Member, hash_patients
from aio_tune.models.inspection import fingerprints
from aio_tune.search.illustrate import Illustrations, illustrate_search, illustrate_trial
from aio_tune.search.leaderboard import read_state
from aio_tune.search.out_of_fold import OutOfFold, read_out_of_fold
from aio_tune.search.rows import TrainingRows
from aio_tune.search.state import SearchState, TrialRecord
from aio_tune.search_space import SearchSpec
from aio_tune.tracking import Mirror, log_figures, log_tables, log_texts, register_search
from aio_tune.tracking.client import store_name
from aio_tune.training import split_params
from aio_tune.training.checkpoint import MODEL, PREPROCESSING
from aio_tune.trial import fold_folder

# Trials whose runs get figures: those a user would open to compare. Each takes a second or two.
ILLUSTRATED = 10
EXAMPLES = 2


def register_winner(
    home: Home, spec: SearchSpec, name: str, dataset: AioDataset, rows: TrainingRows, uri: str, mirror: Mirror
) -> SearchState:
    """Register the best trial's fold models and their ensemble; doing it again adds nothing.

    Args:
        home: where the search is.
        spec: its space and settings.
        name: the search; it has ended, and a trial of it finished all folds.
        dataset: what it was searched on.
        rows: the rows it learnt from.
        uri: the MLflow store.
        mirror: that of the search, with nothing left to send; it knows the trials' runs.

    Returns:
        The search with ``registered`` filled in.

    Raises:
        SearchError: no trial finished all folds, or the winner has no run yet.
        RegistryError: the store refused.
    """
    state = read_state(home, name)
    if state.best is None:
        raise SearchError(f"Expected a trial of {name} that finished all folds. Received none.")
    # Of another store the versions have other numbers, or are not there. An event without a store is of this one.
    if not state.registered or state.registered.get("store", store_name(uri)) != store_name(uri):
        run = home.run(name)
        _illustrate(run, spec, state, rows, uri, mirror)
        _register(run, state, state.best, rows, dataset, uri, mirror)
        state = read_state(home, name)
        mirror.flush()
    return state


def save_ensemble(
    run: RunFolder, state: SearchState, best: TrialRecord, rows: TrainingRows, dataset: AioDataset, calls: OutOfFold
) -> EnsembleSpec:
    """Write a trial's fold models together into the run's ``ensemble`` folder; returns what was written with them.

    Its out-of-fold calls, which temperature and conformal thresholds are fitted on, are kept as ``out_of_fold.csv``.
    """
    write_calls(calls.table(), run.out_of_fold)
    spec = EnsembleSpec(
        task=rows.task.name,
        classes=rows.task.classes,
        genes=dataset.genes,
        gene_means=mean_and_sd(as_rows(select(rows.expression(), rows.kinds, (EXPRESSION,))))[0].astype(np.float32),
        training_patients=hash_patients(rows.samples["patient_id"]),
        training_profiles=frozenset(rows.samples["profile_sha256"]),
        origin={
            "search": state.started["name"],
            "trial": best.number,
            "params": best.params,
            "epochs": state.started["settings"]["epochs"],
            **_origin_tags(state),
        },
        omics={kind.name: kind.unit.value for kind in dataset.manifest.kinds if kind.name in kinds_of(best, rows)},
        calibration=fit_calibration(calls.labels, calls.probabilities),
    )
    Ensemble.save(run.ensemble, [_member(run, best.number, fold) for fold in range(rows.folds.k)], spec)
    return spec


def kinds_of(trial: TrialRecord, rows: TrainingRows) -> tuple[str, ...]:
    """The kinds of omics that a trial's networks look at, in the order of their columns."""
    return choose(split_params(trial.params)[0].omics, rows.kinds)


def _origin_tags(state: SearchState) -> dict[str, str]:
    facts = state.started
    return {
        "aio.dataset": facts["dataset"]["fingerprint"],
        "aio.code_version": facts["code_version"],
        "aio.simulated": str(facts["dataset"]["simulated"]).lower(),
        "aio.training_cohorts": " ".join(facts["settings"]["train_on"]),
    }


def _register(
    run: RunFolder,
    state: SearchState,
    best: TrialRecord,
    rows: TrainingRows,
    dataset: AioDataset,
    uri: str,
    mirror: Mirror,
) -> None:
    calls = read_out_of_fold(run, best, rows)
    spec = save_ensemble(run, state, best, rows, dataset, calls)
    fold_folders = {fold: run.path / "fold_models" / str(fold) for fold in range(rows.folds.k)}
    for fold, folder in fold_folders.items():
        Ensemble.save(folder, [_member(run, best.number, fold)], spec)
    registration = register_search(
        uri,
        task=rows.task.name,
        search=run.name,
        trial=best.number,
        run_id=_run_of(mirror, best.number),
        ensemble_folder=run.ensemble,
        fold_folders=fold_folders,
        metrics=cv_metrics(best) | calls.metrics(),
        fold_metrics={int(fold): values for fold, values in best.fold_metrics.items()},
        params=best.params,
        tags=_origin_tags(state) | fingerprints(run.ensemble),
        example=_example(best, rows, dataset),
    )
    with Ledger(run.ledger) as ledger:
        ledger.append(
            "model_registered",
            store=store_name(uri),
            ensemble={"name": registration.ensemble_model, "version": registration.ensemble_version},
            folds={"name": registration.fold_model, "versions": list(registration.fold_versions)},
        )


def cv_metrics(trial: TrialRecord) -> dict[str, float]:
    """``cv_<metric>_mean`` and ``cv_<metric>_sd``, as the trial's run has them; undefined ones are left out."""
    named: dict[str, float | None] = {}
    for metric, (mean, sd) in trial.cv.items():
        named |= {f"cv_{metric}_mean": mean, f"cv_{metric}_sd": sd}
    return {name: value for name, value in named.items() if value is not None}


def _member(run: RunFolder, trial: int, fold: int) -> Member:
    folder = fold_folder(run.trials, trial, fold)
    return Member(fold, folder / MODEL, folder / PREPROCESSING)


def _example(best: TrialRecord, rows: TrainingRows, dataset: AioDataset) -> Any:
    import pandas as pd

    kinds = kinds_of(best, rows)
    values = select(rows.stored.only(np.arange(EXAMPLES)).read(), rows.kinds, kinds)[:]
    return pd.DataFrame(values, columns=[*dataset.genes, *kind_columns(kinds[1:], dataset.genes)])


def _run_of(mirror: Mirror, trial: int) -> str:
    run_id = mirror.trial_run(trial)
    if run_id is None:
        raise SearchError(
            f"Expected an MLflow run of trial {trial}. Received none: the tracking store does not answer.",
            "Run the search again with --resume when it does; nothing will be trained again.",
        )
    return run_id


def _illustrate(
    run: RunFolder, spec: SearchSpec, state: SearchState, rows: TrainingRows, uri: str, mirror: Mirror
) -> None:
    """Figures on the search's own run and on those of its best trials."""
    if mirror.search_run is not None:
        _log(uri, mirror.search_run, illustrate_search(spec, state))
    complete = [trial for trial in state.ranked() if trial.state == "COMPLETE"]
    for trial in complete[:ILLUSTRATED]:
        _log(uri, _run_of(mirror, trial.number), illustrate_trial(run, trial, rows))


def _log(uri: str, run_id: str, shown: Illustrations) -> None:
    log_figures(uri, run_id, shown.figures)
    log_tables(uri, run_id, shown.tables)
    log_texts(uri, run_id, shown.texts)
