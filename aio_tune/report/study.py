"""What a report is about, and how its numbers are said in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aio_tune.numbers import interval, number

if TYPE_CHECKING:
    import pandas as pd

    from aio_tune.dataset.manifest import Manifest
    from aio_tune.evaluation.survival import Separation
    from aio_tune.reproduce import Item
    from aio_tune.search.geometry import Geometry
    from aio_tune.search.illustrate import Illustrations
    from aio_tune.search.state import SearchState
    from aio_tune.tracking import StoredEvaluation, StoredHarmonisation


@dataclass(frozen=True, eq=False)
class Study:
    """Everything that a report shows; whatever was not done is empty.

    Attributes:
        state: the search.
        manifest: of its dataset.
        comparison: winner, baselines and controls on the same folds, as ``aio_tune.cli.comparing`` has them.
        confirmation: what was confirmed, as ``aio_tune.cli.confirming.compare`` gives it.
        geometry: what the layout control says.
        of_search: figures of the search.
        of_winner: figures of its winner.
        out_of_fold: ``oof_<metric>``, with ``_low`` and ``_high``, of the winner.
        evaluations: of the registered ensemble, on cohorts that the search never saw.
        harmonisations: of the registered ensemble's configuration, for cohorts of other platforms.
        survival: which patients -> ways of calling them.
        genes: as ``aio-tune explain`` writes them.
        paper: numbers of Chen et al. 2021 on the same question, beside what the study has.
        notes: what is missing, and why.
    """

    state: "SearchState"
    manifest: "Manifest"
    comparison: Mapping[str, Any]
    confirmation: Mapping[str, Any]
    geometry: "Geometry"
    of_search: "Illustrations"
    of_winner: "Illustrations"
    out_of_fold: Mapping[str, float]
    evaluations: "Sequence[StoredEvaluation]" = ()
    harmonisations: "Sequence[StoredHarmonisation]" = ()
    survival: "Mapping[str, Sequence[Separation]]" = field(default_factory=dict)
    genes: "pd.DataFrame | None" = None
    paper: "Sequence[Item]" = ()
    notes: Sequence[str] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of its task."""
        return self.manifest.tasks[self.state.started["settings"]["task"]].classes


def estimate(metrics: Mapping[str, float], name: str) -> str:
    """A metric with its interval, ``<name>_low`` to ``<name>_high``; a dash where there is none."""
    if name not in metrics:
        return "-"
    if f"{name}_low" not in metrics:
        return number(metrics[name])
    return interval((metrics[name], metrics[f"{name}_low"], metrics[f"{name}_high"]))


def confusion_text(calls: "pd.DataFrame", classes: Sequence[str]) -> str:
    """A confusion matrix in words, from columns ``truth`` and ``call``."""
    parts = []
    for name in classes:
        of_class = calls[calls["truth"] == name]
        called = of_class["call"].value_counts()
        parts.append(f"of {len(of_class)} {name} " + ", ".join(f"{called.get(k, 0)} were called {k}" for k in classes))
    return "Confusion matrix: " + "; ".join(parts) + "."
