"""A search's winner beside the baselines and its layout control, all on the same folds."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aio_tune.cli.console import say, say_table
from aio_tune.files import read_json, write_json
from aio_tune.numbers import mean_sd

if TYPE_CHECKING:
    from aio_tune.search.geometry import Geometry
    from aio_tune.search.rows import TrainingRows
    from aio_tune.search.state import SearchState


def compare_with_baselines(
    state: "SearchState", rows: "TrainingRows", path: Path, geometry: "Geometry"
) -> dict[str, Any]:
    """The winner's cross-validation beside baselines and controls on the same folds.

    Args:
        state: the search; it has ended.
        rows: what it learnt from, with its folds.
        path: the baselines are computed once and kept there.
        geometry: what is known of its network on other layouts.

    Returns:
        ``rows``: the winner, if there is one, then the baselines, who -> metric -> (mean, sd); ``controls``: its
        network, or that of the best trial with convolutions, on other layouts, likewise.
    """
    from aio_tune.evaluation import BASELINES, cross_validate
    from aio_tune.metrics import mean_sd as summarise

    settings = state.started["settings"]
    baselines = read_json(path)
    if baselines is None:
        shared = (rows.expression(), rows.labels, rows.folds, rows.task.classes)
        baselines = {one.name: summarise(cross_validate(one, *shared, seed=settings["seed"])) for one in BASELINES}
        write_json(path, baselines)
    best = state.best
    network = {} if best is None else {f"network (trial {best.number})": best.cv}
    others = [one for one in geometry.results if not (geometry.finished and one.layout == geometry.own)]
    return {
        "task": settings["task"],
        "class_counts": state.started["class_counts"],
        "folds": settings["folds"],
        "rows": {**network, **baselines},
        "controls": {f"trial {geometry.trial}, layout {one.layout}": one.cv for one in others},
    }


def print_comparison(comparison: dict[str, Any], geometry: "Geometry") -> None:
    """The table of ``compare_with_baselines``, mean ± sd over the folds, and what the layout control says."""
    from aio_tune.metrics import IN_TABLES

    metrics = [m for m in IN_TABLES if m in next(iter(comparison["rows"].values()))]
    counts = ", ".join(f"{name} {count}" for name, count in comparison["class_counts"].items())
    rows = {**comparison["rows"], **comparison["controls"]}
    say_table(
        f"{comparison['task']}: {comparison['folds']}-fold cross-validation, same folds for all, mean ± sd ({counts})",
        ["", *metrics],
        [[who, *[mean_sd(values[m]) for m in metrics]] for who, values in rows.items()],
    )
    say("The network's row is the best of its search, chosen on these folds, so it flatters; "
        "an unseen cohort (aio-tune evaluate) does not.")  # fmt: skip
    for sentence in geometry.sentences():
        say(sentence)
