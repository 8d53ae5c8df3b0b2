"""A search from its space file to its last trial: folds, ledger, cluster, trials."""

import contextlib
import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from aio_tune.config import Home, RunFolder
from aio_tune.dataset import AioDataset
from aio_tune.errors import SearchError
from aio_tune.folds import Folds, make_folds
from aio_tune.ledger import Ledger, read_events, strict_json
from aio_tune.search.director import Director
from aio_tune.search.state import SearchState
from aio_tune.search_space import SearchSpec
from aio_tune.tasks import MISSING, Task, get_task
from aio_tune.trial import TrialContext

Event = Mapping[str, Any]


@dataclass(frozen=True)
class TrainingRows:
    """The rows of a dataset that a search may learn from: its training cohorts' patients whose label is known.

    Attributes:
        task: the clinical question.
        samples: one row per patient, as ``AioDataset.samples`` gives them.
        labels: int8 class indices, shape (n,), none missing.
        expression: float32, shape (n, genes), log2(TPM+1).
        folds: K folds over these rows.
    """

    task: Task
    samples: pd.DataFrame
    labels: npt.NDArray[np.int8]
    expression: npt.NDArray[np.float32]
    folds: Folds

    def class_counts(self) -> dict[str, int]:
        return {name: int((self.labels == i).sum()) for i, name in enumerate(self.task.classes)}


def training_rows(dataset: AioDataset, task_name: str, cohorts: tuple[str, ...], k: int, seed: int) -> TrainingRows:
    """Choose the rows and split them into folds; the same for everyone who asks with the same arguments.

    Raises:
        SearchError: a cohort is not in the dataset, or a class has too few patients.
    """
    unknown = [name for name in cohorts if name not in dataset.cohort_names]
    if unknown:
        raise SearchError(
            f"Expected training cohorts out of {', '.join(dataset.cohort_names)}. Received {', '.join(unknown)}.",
            "Name others with --set train_on='[NAME]'.",
        )
    task = get_task(task_name)
    samples = dataset.samples(cohorts)
    codes = task.encode(samples[task.name])
    known = codes != MISSING
    samples, labels = samples[known].reset_index(drop=True), codes[known]
    if not len(labels):
        raise SearchError(
            f"Expected patients with a known {task.title} in {', '.join(cohorts)}. Received none.",
            "`aio-tune describe` counts the labels of every cohort.",
        )
    folds = make_folds(labels, samples["patient_id"].to_numpy(), k, seed)
    return TrainingRows(task, samples, labels, np.ascontiguousarray(dataset.matrix(cohorts)[known]), folds)


def run_search(
    spec: SearchSpec,
    dataset: AioDataset,
    rows: TrainingRows,
    home: Home,
    name: str,
    *,
    address: str = "local",
    resume: bool = False,
    on_event: Callable[[Event], None] = lambda event: None,
) -> SearchState:
    """Run a search until its budget is spent, or until SIGINT.

    Args:
        spec: search space and settings.
        dataset: where the training cohorts are.
        rows: what ``training_rows`` gives for this dataset and ``spec``.
        home: where the run's folder goes.
        name: the search's name.
        address: ``"local"`` for a Ray of its own on this machine, else a cluster's address.
        resume: go on with a search of that name that an earlier driver left.
        on_event: told every event of the ledger as it is written, the earlier ones first.

    Returns:
        The search as it stands; ``ended`` is empty when it was interrupted.

    Raises:
        SearchError: the search exists already (or does not, with ``resume``), was of other data or another space,
            does not fit the cluster, or another process is running it.
    """
    run = home.run(name)
    check_name(run, resume)
    started = _started_facts(spec, dataset, rows, name)
    run.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    with Ledger(run.ledger) as ledger:

        def record(kind: str, **facts: Any) -> Event:
            event = ledger.append(kind, **facts)
            on_event(event)
            return event

        director = _open_director(spec, record, run, started, on_event)
        if not director.finished:
            with _cluster(address):
                _run_on_cluster(director, spec, rows, run, home)
        if director.finished and not director.state.ended:
            director.note_end()
    return director.state


def check_name(run: RunFolder, resume: bool) -> None:
    """A new search needs a new name, a resumed one an old name.

    Raises:
        SearchError: it is the other way round.
    """
    exists = run.ledger.exists()
    if exists and not resume:
        raise SearchError(
            f"Expected a new search name. Received {run.name!r}, which is taken.",
            "Go on with that search by --resume, or choose another --name.",
        )
    if resume and not exists:
        raise SearchError(
            f"Expected the name of a search to resume. Received {run.name!r}, which has no ledger.",
            "Start it without --resume.",
        )


def _open_director(
    spec: SearchSpec,
    record: Callable[..., Event],
    run: RunFolder,
    started: dict[str, Any],
    on_event: Callable[[Event], None],
) -> Director:
    events, _ = read_events(run.ledger)
    if not events:
        return Director(spec, record, [record("search_started", **started)])
    _check_same_search(events[0], started)
    for event in events:
        on_event(event)
    director = Director(spec, record, events)
    if not director.finished:
        director.note_resume()
    return director


def _check_same_search(old: Event, new: dict[str, Any]) -> None:
    """Refuse to resume what would mix two searches in one ledger; the budget and the resources may change."""

    def identity(facts: Mapping[str, Any]) -> dict[str, Any]:
        settings = {key: value for key, value in facts["settings"].items() if key not in ("trials", "resources")}
        return {
            "dataset": facts["dataset"]["fingerprint"],
            "folds": facts["folds_digest"],
            "search space": facts["space"],
            **settings,
        }

    before, now = identity(old), identity(strict_json(new))
    changed = [what for what in before if before[what] != now.get(what)]
    if changed:
        raise SearchError(
            f"Expected the search that was started. Received one with other {', '.join(changed)}.",
            "Resume with the same space file, settings and dataset, or start a new search with another --name.",
        )


def _started_facts(spec: SearchSpec, dataset: AioDataset, rows: TrainingRows, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "space": spec.space_facts(),
        "settings": spec.settings_facts(),
        "dataset": {
            "path": str(dataset.path),
            "fingerprint": dataset.fingerprint,
            "genes": len(dataset.genes),
            "simulated": dataset.simulated(spec.train_on),
        },
        "folds_digest": rows.folds.digest,
        "class_counts": rows.class_counts(),
        "patients": int(rows.samples["patient_id"].nunique()),
        "patients_digest": hashlib.sha256("\n".join(sorted(rows.samples["patient_id"])).encode()).hexdigest(),
        "code_version": version("aio-tune"),
    }


def _run_on_cluster(director: Director, spec: SearchSpec, rows: TrainingRows, run: RunFolder, home: Home) -> None:
    import ray

    from aio_tune.search.tuning import run_trials

    context = TrialContext(
        expression=ray.put(rows.expression),
        labels=rows.labels,
        folds=tuple(zip(rows.folds.train, rows.folds.valid, strict=True)),
        classes=rows.task.classes,
        metric=spec.metric,
        rungs=spec.rungs,
        seed=spec.seed,
        deterministic=spec.deterministic,
        trials_folder=run.trials.resolve(),
        layouts_folder=home.layouts.resolve(),
        folds_in_parallel=spec.resources.folds_in_parallel,
        cpus_per_fold=spec.resources.cpus_per_fold,
        gpus_per_fold=spec.resources.gpus_per_fold,
    )
    run_trials(director, context, concurrency(spec, ray.cluster_resources()), run.ray.resolve())
    # Tune's own files serve nothing once the search is over, and hold pickles.
    shutil.rmtree(run.ray, ignore_errors=True)


def concurrency(spec: SearchSpec, resources: Mapping[str, float]) -> int:
    """How many trials run at one time: as many as fit, or fewer if the space file says so.

    Raises:
        SearchError: not even one fits.
    """
    need = {
        "CPU": spec.resources.folds_in_parallel * spec.resources.cpus_per_fold,
        "GPU": spec.resources.folds_in_parallel * spec.resources.gpus_per_fold,
    }
    fits = min(int(resources.get(kind, 0) // amount) for kind, amount in need.items() if amount)
    if fits < 1:
        there = ", ".join(f"{resources.get(kind, 0):g} {kind}" for kind in need)
        raise SearchError(
            f"Expected a cluster with {need['CPU']:g} CPU and {need['GPU']:g} GPU for one trial. Received {there}.",
            "Lower resources.folds_in_parallel, cpus_per_fold or gpus_per_fold with --set.",
        )
    return min(fits, spec.resources.max_concurrent_trials or fits)


@contextlib.contextmanager
def _cluster(address: str) -> Iterator[None]:
    """A Ray for the length of the search: one of our own (``"local"``), or a cluster that is there."""
    # Never asked for by our users, and it would speak to the network from machines that hold patients' data.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    import ray

    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        options["include_dashboard"] = False
    try:
        ray.init(**options)
    except ConnectionError as error:
        raise SearchError(
            f"Expected a Ray cluster at {address}. Received: {str(error).splitlines()[0]}.",
            "Start it, set its RAY_AUTH_MODE and token here too, or leave --address out to search on this machine.",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
