"""Nested cross-validation: whole searches, each judged on an outer fold that it never sees."""

import functools
import os
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from aio_tune.config import Home, RunFolder
from aio_tune.dataset import AioDataset
from aio_tune.errors import SearchError
from aio_tune.folds import Folds
from aio_tune.kinds import select
from aio_tune.metrics import evaluate_calls
from aio_tune.models.ensemble import Ensemble
from aio_tune.search.confirm import NEW_SPLITS, finished_search, note, same_rows
from aio_tune.search.finish import save_ensemble
from aio_tune.search.out_of_fold import read_out_of_fold
from aio_tune.search.rows import TrainingRows
from aio_tune.search.run import Event, begun, ignore, run_search
from aio_tune.search.state import SearchState
from aio_tune.training import configure_backend

# What is done about the events of the search without outer fold k: called with k and its ledger's folder.
Follow = Callable[[int, RunFolder], Callable[[Event], None]]


def nested_folder(home: Home, name: str, outer: int) -> RunFolder:
    """Where the search without one outer fold is."""
    return RunFolder(home.run(name).path / "nested" / f"outer_{outer}")


def outer_split(rows: TrainingRows, seed: int) -> Folds:
    """The outer folds: as many as inner ones, and other ones than the search's own."""
    return rows.split_again(seed + NEW_SPLITS - 1).folds


def confirm_nested(
    home: Home,
    name: str,
    dataset: AioDataset,
    rows: TrainingRows,
    *,
    trials: int | None = None,
    address: str = "local",
    follow: Follow = lambda outer, run: ignore,
    overrides: Sequence[str] = (),
) -> list[dict[str, float]] | None:
    """Repeat the whole search K times, each time without one of K outer folds, and judge its ensemble on that fold.

    Everything that chose the winner is repeated inside: samplers, pruners, starting points. Starting points and ranges
    that were themselves found on these patients are not, and still flatter. Interrupted, it goes on where it was.

    Args:
        home: where the search is.
        name: the search's.
        dataset: what it was searched on.
        rows: what ``training_rows`` gives for it.
        trials: of each search; as many as the search had, if not said.
        address: as of ``run_search``.
        follow: gives, for each outer fold, what is told the events of its search.
        overrides: as of ``finished_search``.

    Returns:
        Every metric on each outer fold; None if it was interrupted.

    Raises:
        SearchError: no winner, another dataset, a search without a winner; or as ``run_search``.
    """
    state, _, spec = finished_search(home, name, overrides)
    same_rows(state, rows, dataset)
    if trials is not None:
        spec = spec.model_copy(update={"trials": trials})
    outer_folds = outer_split(rows, spec.seed)
    results = []
    for outer, (train, valid) in enumerate(zip(outer_folds.train, outer_folds.valid, strict=True)):
        run = nested_folder(home, name, outer)
        inner = rows.only(train, spec.seed)
        searched = run_search(
            spec, dataset, inner, home, f"{name}/nested_{outer}", address=address, resume=begun(run),
            on_event=follow(outer, run), run=run,
        )  # fmt: skip
        if not searched.ended:
            return None
        results.append(_judge(run, searched, inner, rows, valid, dataset))
    note(home, name, "nested", None, results, trials=spec.trials)
    return results


def _judge(
    run: RunFolder,
    searched: SearchState,
    inner: TrainingRows,
    rows: TrainingRows,
    valid: npt.NDArray[np.int64],
    dataset: AioDataset,
) -> dict[str, float]:
    """Metrics, on an outer fold, of the ensemble that the search without it would have registered."""
    if searched.best is None:
        raise SearchError(
            f"Expected a trial of {run.path} to finish all folds. Received none.",
            "Give the search more trials, or a space without what fails.",
        )
    calls = read_out_of_fold(run, searched.best, inner)
    save_ensemble(run, searched, searched.best, inner, dataset, calls)
    _prepare_backend()
    ensemble = Ensemble.load(run.ensemble)
    unseen = select(rows.stored.only(valid).read(), rows.kinds, ensemble.kinds)[:]
    probabilities = ensemble.predict_matrix(unseen).mean(axis=0)
    return evaluate_calls(rows.labels[valid].astype(np.int64), probabilities, rows.task.classes)


@functools.cache
def _prepare_backend() -> None:
    """Once per process: TensorFlow is set up before its first use or not at all."""
    configure_backend(threads=os.cpu_count() or 1)
