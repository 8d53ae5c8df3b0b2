"""What needs trained networks: held against finished searches, if they are the same work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from aio_tune.errors import SearchError
from aio_tune.numbers import mean_sd
from aio_tune.reproduce.base import Item, Verdict, missing
from aio_tune.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aio_tune.search.state import SearchState
    from aio_tune.tracking import StoredEvaluation

MeanSd = tuple[float, float]
_METRICS = ("accuracy", "auc")
_AS_THE_PAPER = {"square": "128x128x1", "stacked": "64x64x4"}  # our layouts, as the paper calls them


@dataclass(frozen=True)
class Claim:
    """A network of the paper.

    Attributes:
        where: table.
        task: clinical question.
        train: training cohort.
        patients: of it, with a known label.
        test: another cohort, or empty for cross-validation.
        tested: patients of that cohort with a known label, 0 for cross-validation.
        layout: that the network had; empty for the paper's best.
        metrics: ``accuracy`` and perhaps ``auc``: mean and standard deviation over folds or runs.
    """

    where: str
    task: str
    train: str
    patients: int
    test: str
    tested: int
    layout: str
    metrics: Mapping[str, MeanSd]


def _claim(where: str, task: str, patients: int, metrics: Sequence[MeanSd], *, train: str = "GSE96058", test: str = "",
           tested: int = 0, layout: str = "") -> Claim:  # fmt: skip
    named = dict(zip(_METRICS, metrics, strict=False))
    return Claim(where, task, train, patients, test, tested, layout, named)


CLAIMS = (
    _claim("Table 2", "ki67", 1363, [(0.821, 0.023), (0.891, 0.021)]),
    _claim("Table 2", "ki67", 1363, [(0.826, 0.037), (0.883, 0.016)], test="GSE81538", tested=405),
    _claim("Table 3", "nhg", 2917, [(0.820, 0.012), (0.931, 0.006)]),
    _claim("Table 3", "nhg", 2917, [(0.764, 0.052), (0.882, 0.012)], test="GSE81538", tested=405),
    _claim("Table 3", "nhg", 2917, [(0.580, 0.006), (0.587, 0.038)], test="GSE163882", tested=222),
    _claim("Table 3", "nhg", 222, [(0.813, 0.026), (0.938, 0.007)], train="GSE163882"),
    _claim("Tables S1 to S5", "ki67", 1363, [(0.825, 0.012)], layout="128x128x1"),
    _claim("Tables S1 to S5", "nhg", 2917, [(0.766, 0.009)], layout="128x128x1"),
    _claim("Tables S1 to S5", "ki67", 1363, [(0.803, 0.054), (0.851, 0.019)], layout="1d"),
    _claim("Tables S1 to S5", "nhg", 2917, [(0.766, 0.009), (0.880, 0.011)], layout="1d"),
)


@dataclass(frozen=True)
class ExternalTest:
    """A search's ensemble on another cohort.

    Attributes:
        metrics: metric -> mean and sd over the fold networks.
        patients: samples with a known label that it was tested on.
        simulated: whether these were simulated; None where the evaluation does not say.
    """

    metrics: Mapping[str, MeanSd]
    patients: int
    simulated: bool | None = None


@dataclass(frozen=True)
class SearchResult:
    """A finished search, as far as the paper can be held against it.

    Attributes:
        name: of the search.
        task: clinical question.
        train: training cohorts.
        patients: samples with a known label.
        cross_validated: layout -> metric -> mean and sd over the folds, of the best trial with that layout; the
            winner's under ``""``.
        external: cohort -> the test on it.
        simulated: whether the patients were simulated.
    """

    name: str
    task: str
    train: tuple[str, ...]
    patients: int
    cross_validated: Mapping[str, Mapping[str, MeanSd]]
    external: Mapping[str, ExternalTest] = field(default_factory=dict)
    simulated: bool = False


def search_result(state: "SearchState", evaluations: "Iterable[StoredEvaluation]" = ()) -> SearchResult:
    """What a finished search has to show for itself.

    Args:
        state: of the search.
        evaluations: of its registered ensemble.

    Raises:
        SearchError: no trial finished.
    """
    if state.best is None:
        raise SearchError("Expected a search with a finished trial. Received one without.")
    confirmed = state.confirmed.get("runs", {}).get("metrics")
    found = {"": {m: tuple(value) for m, value in (confirmed or state.best.cv).items()}}
    for trial in state.ranked():
        if trial.state == "COMPLETE" and trial.params.get("branches") != "embedding":
            layout = str(trial.params.get("layout", "square"))
            found.setdefault(_AS_THE_PAPER.get(layout, layout), dict(trial.cv))
    external = {}
    for one in evaluations:
        metrics = {m: (one.metrics.get(f"fold_{m}_mean"), one.metrics.get(f"fold_{m}_sd")) for m in _METRICS}
        known = {m: (a, b) for m, (a, b) in metrics.items() if a is not None and b is not None}
        external[one.cohort] = ExternalTest(known, int(one.calls["truth"].notna().sum()), one.simulated)
    settings = state.started["settings"]
    return SearchResult(
        name=state.started["name"],
        task=settings["task"],
        train=tuple(settings["train_on"]),
        patients=sum(state.started["class_counts"].values()),
        cross_validated=found,
        external=external,
        simulated=bool(state.started["dataset"]["simulated"]),
    )


def network_items(searches: Sequence[SearchResult]) -> list[Item]:
    """Every network of the paper beside the searches at hand."""
    return [_item(claim, searches) for claim in CLAIMS]


def _item(claim: Claim, searches: Sequence[SearchResult]) -> Item:
    how = f"tested on {claim.test}" if claim.test else "cross-validated"
    layout = f", layout {claim.layout}" if claim.layout else ""
    what = f"{TASKS[claim.task].title}, {claim.train}, {how}{layout}: {', '.join(claim.metrics)}"
    paper = ", ".join(mean_sd(value) for value in claim.metrics.values())
    for search in searches:
        if search.task != claim.task or search.train != (claim.train,):
            continue
        found = _numbers(claim, search)
        if found is not None:
            here = ", ".join(mean_sd(found.get(metric)) for metric in claim.metrics)
            return Item(claim.where, what, paper, here, *_judge(claim, search, found))
    return missing(claim.where, what, paper, _advice(claim))


def _numbers(claim: Claim, search: SearchResult) -> Mapping[str, MeanSd] | None:
    """What the search has beside the claim's metrics; None where it was not tried."""
    if not claim.test:
        return search.cross_validated.get(claim.layout)
    test = search.external.get(claim.test)
    return None if test is None else test.metrics


def _judge(claim: Claim, search: SearchResult, found: Mapping[str, MeanSd]) -> tuple[Verdict, str]:
    """The verdict, and why."""
    if different := _difference(claim, search):
        return Verdict.OTHER_WORK, f"search {search.name}: {different}"
    worse = [metric for metric, paper in claim.metrics.items() if not _reaches(found.get(metric), paper)]
    note = f"search {search.name}; reached is what lies within two standard deviations, or above"
    return (Verdict.FAIL, f"{note}; not so {', '.join(worse)}") if worse else (Verdict.PASS, note)


def _difference(claim: Claim, search: SearchResult) -> str:
    """In what the patients are not the paper's; empty if nothing shows that they are others."""
    if search.simulated:
        return "simulated patients"
    if search.patients != claim.patients:
        return f"{search.patients:,} of the paper's {claim.patients:,} patients"
    test = search.external[claim.test] if claim.test else None
    if test is not None and test.simulated:
        return f"simulated patients of {claim.test}"
    if test is not None and test.patients != claim.tested:
        return f"tested on {test.patients:,} patients of {claim.test}, the paper on {claim.tested:,}"
    return ""


def _reaches(here: MeanSd | None, paper: MeanSd) -> bool:
    if here is None:
        return False
    spread = float(np.hypot(paper[1], 0.0 if np.isnan(here[1]) else here[1]))
    return here[0] >= paper[0] - 2 * spread


def _advice(claim: Claim) -> str:
    search = f"a search of {claim.task} on {claim.train}"
    if claim.test:
        return f"no such evaluation: {search}, promote, evaluate --cohort {claim.test}; name it with --search"
    return f"no such search: {search}{f' with layout {claim.layout}' if claim.layout else ''}; name it with --search"
