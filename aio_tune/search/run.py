"""A search from its space file to its last trial: folds, ledger, cluster, trials."""

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from aio_tune.config import Home, RunFolder
from aio_tune.dataset import AioDataset, StoredRows
from aio_tune.errors import SearchError
from aio_tune.files import make_private
from aio_tune.folds import Folds
from aio_tune.ledger import Ledger, read_events, strict_json
from aio_tune.search.ahead import Ahead, joined
from aio_tune.search.cluster import Room, check_fits, forget_row_files, node_resources, smallest_object_store
from aio_tune.search.director import MAY_CHANGE, Director
from aio_tune.search.feasibility import Feasibility
from aio_tune.search.rows import TrainingRows
from aio_tune.search.source import Source
from aio_tune.search.state import SearchState
from aio_tune.search.study import OptunaStudy
from aio_tune.search_space import SearchSpec
from aio_tune.trial import SharedMatrix, TrialContext

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    Attributes:
        spec: settings; of its space only the source knows.
        source: draws the configurations; it has heard nothing yet.
        feasibility: refuses those that cannot work.
        rows: what is learnt from.
        splits: the folds; a draw names one of them.
    """

    spec: SearchSpec
    source: Source
    feasibility: Feasibility
    rows: TrainingRows
    splits: tuple[Folds, ...]


def ignore(event: Event) -> None:
    """What is done about an event that nobody wants to be told."""


def run_search(
    spec: SearchSpec,
    dataset: AioDataset,
    rows: TrainingRows,
    home: Home,
    name: str,
    *,
    address: str | Ahead = "local",
    resume: bool = False,
    on_event: Callable[[Event], None] = ignore,
    run: RunFolder | None = None,
) -> SearchState:
    """Run a search until its budget is spent, or until SIGINT.

    Args:
        spec: search space and settings.
        dataset: where the training cohorts are.
        rows: what ``training_rows`` gives for this dataset and ``spec``.
        home: where the run's folder goes.
        name: the search's name.
        address: ``"local"`` for a Ray of its own on this machine, else a cluster's address; or what was started ahead.
        resume: go on with a search of that name that an earlier driver left.
        on_event: told every event of the ledger as it is written, the earlier ones first.
        run: its folder, if it is not the one that ``home`` has for that name.

    Returns:
        The search as it stands; ``ended`` is empty when it was interrupted.

    Raises:
        SearchError: the search exists already (or does not, with ``resume``), was of other data or another space,
            does not fit the cluster, or another process is running it.
    """
    run = run or home.run(name)
    check_name(run, resume)
    facts = started_facts(spec, dataset, rows, name)
    n_genes, n_classes = len(dataset.genes), rows.task.n_classes
    source, feasibility = OptunaStudy(spec), Feasibility(spec, n_genes, n_classes, rows.in_memory, rows.kinds)
    plan = Plan(spec, source, feasibility, rows, (rows.folds,))
    return run_plan(plan, facts, run, home, address, on_event)


def run_plan(
    plan: Plan,
    started: Mapping[str, Any],
    run: RunFolder,
    home: Home,
    address: str | Ahead,
    on_event: Callable[[Event], None] = ignore,
) -> SearchState:
    """Run trials until nothing is left to run, or until SIGINT; go on with what the run's ledger holds.

    Args:
        plan: what is to be run.
        started: facts of the first event; those of an older ledger must agree.
        run: the folder of ledger and trials.
        home: where the cache is.
        address: as of ``run_search``.
        on_event: as of ``run_search``.

    Returns:
        The trials as they stand; ``ended`` is empty when they were interrupted.

    Raises:
        SearchError: as ``run_search``.
    """
    make_private(run.path)
    with Ledger(run.ledger) as ledger:

        def record(kind: str, **facts: Any) -> Event:
            event = ledger.append(kind, **facts)
            on_event(event)
            return event

        director = _open_director(plan, record, run, started, on_event)
        with contextlib.suppress(KeyboardInterrupt):
            if not director.finished:
                with joined(address) as spares:
                    _run_on_cluster(director, plan, run, home, spares)
            if director.finished and not director.state.ended:
                director.note_end()
    return director.state


def begun(run: RunFolder) -> bool:
    """Whether a search has left anything to go on from."""
    return run.ledger.exists() and bool(read_events(run.ledger)[0])


def check_name(run: RunFolder, resume: bool) -> None:
    """A new search needs a new name, a resumed one an old name.

    Raises:
        SearchError: it is the other way round.
    """
    exists = run.path.exists()
    if begun(run) and not resume:
        raise SearchError(
            f"Expected a new search name. Received {run.name!r}, which is taken.",
            "Go on with that search by --resume, or choose another --name.",
        )
    if resume and not exists:
        raise SearchError(
            f"Expected the name of a search to resume. Received {run.name!r}, which is not there.",
            "Start it without --resume.",
        )


def _open_director(
    plan: Plan,
    record: Callable[..., Event],
    run: RunFolder,
    started: Mapping[str, Any],
    on_event: Callable[[Event], None],
) -> Director:
    events, _ = read_events(run.ledger)
    if not events:
        return Director(plan.spec, plan.source, plan.feasibility, record, [record("search_started", **started)])
    _check_same_search(events[0], started)
    for event in events:
        on_event(event)
    director = Director(plan.spec, plan.source, plan.feasibility, record, events)
    if not director.finished:
        director.note_resume()
    return director


def _check_same_search(old: Event, new: Mapping[str, Any]) -> None:
    """Refuse to resume what would mix two searches in one ledger; the budget and the resources may change."""

    def identity(facts: Mapping[str, Any]) -> dict[str, Any]:
        settings = {key: value for key, value in facts["settings"].items() if key not in MAY_CHANGE}
        return {
            "dataset": facts["dataset"]["fingerprint"],
            "folds": facts["folds_digest"],
            "search space": facts["space"],
            "trial to confirm": facts.get("confirms"),
            **settings,
        }

    before, now = identity(old), identity(strict_json(new))
    changed = [what for what in before if before[what] != now.get(what)]
    if changed:
        raise SearchError(
            f"Expected the search that was started. Received one with other {', '.join(changed)}.",
            "Resume with the same space file, settings and dataset, or start a new search with another --name.",
        )


def started_facts(spec: SearchSpec, dataset: AioDataset, rows: TrainingRows, name: str) -> dict[str, Any]:
    """What the first event of a ledger says."""
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


def _shared(rows: TrainingRows) -> SharedMatrix | StoredRows:
    """The rows' expression where all trials find it.

    Raises:
        SearchError: it fits into the memory budget, but not into the object store of each node.
        DatasetError: it cannot be read, or unpacked on this machine.
    """
    import ray

    if not rows.in_memory:
        rows.stored.open()  # before any worker does: what is wrong with the disk is told here
        return rows.stored
    room = smallest_object_store()
    if rows.stored.nbytes > room:
        gib = 2**30
        raise SearchError(
            f"Expected room for {rows.stored.nbytes / gib:.1f} GiB of expression in every node's object store. "
            f"Received a node with {room / gib:.1f} GiB.",
            f"Have it read from disk by --set resources.memory_budget={room / gib / 2:.1f}, or give Ray more "
            "(--object-store-memory).",
        )
    # Read here and given away: the driver keeps no copy of its own beside the node's.
    return SharedMatrix(ray.put(rows.stored.read()))


def _run_on_cluster(director: Director, plan: Plan, run: RunFolder, home: Home, spares: tuple[Any, ...]) -> None:
    from aio_tune.search.tuning import run_trials

    rows, spec = plan.rows, plan.spec
    check_fits(spec, node_resources())
    context = TrialContext(
        expression=_shared(rows),
        labels=rows.labels,
        splits=tuple(tuple(zip(folds.train, folds.valid, strict=True)) for folds in plan.splits),
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
        kinds=rows.kinds,
        auxiliary=tuple(
            (task.encode(rows.samples[task.name]), task.n_classes)
            for task in map(rows.stored.dataset.task, spec.auxiliary)
        ),
        spares=spares,
    )
    run_trials(director, context, Room(spec), run.ray.resolve())
    if not rows.in_memory:
        forget_row_files()
    # Tune's own files serve nothing once the search is over, and hold pickles.
    shutil.rmtree(run.ray, ignore_errors=True)
