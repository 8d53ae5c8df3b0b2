"""Does the picture's geometry help? The same network with its genes laid out in other ways, and shuffled.

The best trial that has convolutions, even if it was stopped early, is trained on the search's own folds, with the same
seed and epochs, on genes in chromosome order, by co-expression, and in random order: fold by fold nothing else differs.
To a network without convolutions the layout is an order of inputs, and cannot matter.

``shuffled`` is a square, as ``square`` and ``coexpression`` are; a network whose own layout has another shape (``1d``,
``64x64x4``) differs from it in the shape, too.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from aio_tune.config import Home, RunFolder
from aio_tune.dataset import AioDataset
from aio_tune.ledger import read_events
from aio_tune.numbers import interval
from aio_tune.paired import PairedDifference, paired_difference
from aio_tune.search.ahead import Ahead
from aio_tune.search.confirm import finished_search, run_configurations, same_rows
from aio_tune.search.rows import TrainingRows
from aio_tune.search.run import Event, begun, ignore
from aio_tune.search.state import SearchState, TrialRecord
from aio_tune.search_space import Resources
from aio_tune.training import configuration

CONTROL = "shuffled"
ORDERS = {"square": "chromosome order", "coexpression": "co-expressed genes side by side"}
"""Layouts that are compared with the control, beside the network's own, and what they order genes by."""


@dataclass(frozen=True)
class LayoutResult:
    """One layout under the network.

    Attributes:
        layout: its name.
        cv: metric -> (mean, sd) over the folds.
        auc: this layout's AUC less the control's, fold by fold; None for the control itself, and where a fold has none.
    """

    layout: str
    cv: dict[str, tuple[float, float]]
    auc: PairedDifference | None = None


@dataclass(frozen=True)
class Geometry:
    """What is known of the picture's geometry.

    Attributes:
        trial: whose network it is; None if no trial had convolutions.
        own: the layout that this trial had.
        finished: whether it finished all folds in the search, which were then among those that chose it.
        results: its own layout first, the control last; empty if none of it was trained.
        failed: layout -> why it could not be trained.
    """

    trial: int | None
    own: str = ""
    finished: bool = True
    results: tuple[LayoutResult, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)

    def sentences(self) -> list[str]:
        """What it says, in words."""
        if self.trial is None:
            return ["No network of this search has convolutions: to the others the layout is an order of inputs, and "
                    "cannot help."]  # fmt: skip
        found = [self._sentence(one.layout, one.auc) for one in self.results if one.auc is not None]
        return [
            *(found or ["Whether the picture's geometry helps was not asked: no network saw shuffled pixels."]),
            *(f"Layout {layout} could not be trained: {reason}" for layout, reason in self.failed.items()),
        ]

    def _sentence(self, layout: str, auc: PairedDifference) -> str:
        order = ORDERS.get(layout)
        named = f"{layout} ({order})" if order else layout
        shown = interval((auc.mean, auc.low, auc.high))
        if auc.low > 0:
            verdict = "this geometry helps"
        elif auc.high < 0:
            verdict = "this geometry harms"
        else:
            verdict = "this geometry was not found to help"
        chosen = ", which was chosen on these folds" if layout == self.own and self.finished else ""
        return f"Layout {named}{chosen}, against shuffled pixels, trial {self.trial}'s network: AUC {shown}: {verdict}."


def convolving_trial(state: SearchState) -> TrialRecord | None:
    """The best trial whose network has convolutions: of those that finished all folds, else of those that came far."""
    return next((trial for trial in state.ranked() if trial.state != "FAIL" and _convolves(trial)), None)


def layouts_to_train(trial: TrialRecord) -> tuple[str, ...]:
    """The layouts on which a trial's network must be trained; its own too, if it did not finish all folds."""
    own = _own_layout(trial)
    mine = () if trial.state == "COMPLETE" or own in (*ORDERS, CONTROL) else (own,)
    others = (layout for layout in (*ORDERS, CONTROL) if layout != own or trial.state != "COMPLETE")
    return (*mine, *others)


def geometry_folder(home: Home, name: str, trial: int) -> RunFolder:
    """Where the networks on other layouts are."""
    return RunFolder(home.run(name).path / "layouts" / f"trial_{trial:05d}")


def train_layouts(
    home: Home,
    name: str,
    trial: TrialRecord,
    dataset: AioDataset,
    rows: TrainingRows,
    *,
    address: str | Ahead = "local",
    on_event: Callable[[Event], None] = ignore,
    resources: Resources | None = None,
) -> SearchState:
    """Train a trial's network on other layouts, on the search's own folds; what is done is not done again.

    Args:
        home: where the search is.
        name: the search's; it has ended.
        trial: as ``convolving_trial`` gives it.
        dataset: what it was searched on.
        rows: what ``training_rows`` gives for it.
        address: as of ``run_search``.
        on_event: as of ``run_search``.
        resources: other ones than the search's last driver had.

    Returns:
        The layouts, as trials of a search of their own; ``ended`` is empty when they were interrupted.

    Raises:
        SearchError: no winner, another dataset; or as ``run_search``.
    """
    state, _, spec = finished_search(home, name)
    same_rows(state, rows, dataset)
    if resources is not None:
        spec = spec.model_copy(update={"resources": resources})
    configurations = [{**trial.params, "layout": layout} for layout in layouts_to_train(trial)]
    return run_configurations(
        home, f"{name}/layouts", spec, configurations, dataset, rows, geometry_folder(home, name, trial.number),
        {"lays_out": {"search": name, "trial": trial.number}}, address, on_event, (rows.folds,),
    )  # fmt: skip


def read_geometry(home: Home, name: str, state: SearchState) -> Geometry:
    """What ``train_layouts`` found out for a search, as far as it came."""
    trial = convolving_trial(state)
    if trial is None:
        return Geometry(None)
    own, finished = _own_layout(trial), trial.state == "COMPLETE"
    folder = geometry_folder(home, name, trial.number)
    if not begun(folder):
        return Geometry(trial.number, own, finished)
    trained = SearchState.of(read_events(folder.ledger)[0]).trials.values()
    by_layout = {own: trial} if finished else {}
    by_layout |= {_own_layout(one): one for one in trained if one.state == "COMPLETE"}
    failed = {_own_layout(one): one.reason for one in trained if one.state == "FAIL"}
    control = by_layout.pop(CONTROL, None)
    if control is None:
        return Geometry(trial.number, own, finished, failed=failed)
    found = [LayoutResult(layout, one.cv, _difference(one, control)) for layout, one in by_layout.items()]
    return Geometry(trial.number, own, finished, (*found, LayoutResult(CONTROL, control.cv)), failed)


def _convolves(trial: TrialRecord) -> bool:
    return configuration(trial.params).get("branches") != "embedding"


def _own_layout(trial: TrialRecord) -> str:
    return str(configuration(trial.params)["layout"])


def _difference(one: TrialRecord, control: TrialRecord) -> PairedDifference | None:
    """None where a fold has no AUC, of patients of one class alone."""
    folds = sorted(control.fold_metrics)
    ours, theirs = ([trial.fold_metrics[fold].get("auc", math.nan) for fold in folds] for trial in (one, control))
    if any(value is None or not math.isfinite(value) for value in (*ours, *theirs)):
        return None
    return paired_difference(ours, theirs, len(folds))
