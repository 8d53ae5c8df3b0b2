"""Whether groups of patients survive differently: Kaplan-Meier curves, log-rank test, Cox hazard ratios.

The estimators are lifelines'. What is done here is to choose the patients and to say what cannot be said: a group in
which nobody died has no hazard ratio, and groups on different patients (a paper's 98 deaths against 213) are not to be
compared by their p values, which is what ``on_same_patients`` is for.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aio_tune.errors import EvaluationError
from aio_tune.kaplan_meier import KaplanMeier
from aio_tune.numbers import interval

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.95
"""Coverage of all intervals here."""


@dataclass(frozen=True, eq=False)
class Group:
    """Patients who were called the same.

    Attributes:
        name: of the call.
        n: patients.
        events: how many of them died.
        median: days by which half had died, inf if that was not reached.
        curve: their survival.
    """

    name: str
    n: int
    events: int
    median: float
    curve: KaplanMeier


@dataclass(frozen=True)
class HazardRatio:
    """Cox's hazard ratio of a group against the reference group, above 1 where more die; Efron's method for ties.

    Attributes:
        group: its name.
        against: the reference group's name.
        value: the ratio, with its 95 % Wald interval from ``low`` to ``high``.
        low: lower bound.
        high: upper bound.
        p: of Wald's test that it is 1.
    """

    group: str
    against: str
    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, eq=False)
class Separation:
    """How one way of calling patients separates those who live longer from those who do not.

    Attributes:
        title: whose calls.
        groups: in the order of the classes.
        n: patients.
        events: deaths.
        log_rank: the test statistic, chi-squared with ``degrees`` degrees of freedom; NaN where there is no test.
        degrees: groups - 1.
        p: of the log-rank test (Mantel, Cancer Chemother Rep 50:163, 1966); NaN where there is none.
        hazard_ratios: of every group with an event, against the first of these; empty where there is no Cox model.
        concordance: Harrell's C of the Cox model, 0.5 to 1, higher is better; NaN where there is no model of all
            patients, because nobody of some group died.
        proportional_p: of Grambsch and Therneau's test for the hazards' ratio to stay the same over time, the smallest
            over groups; small means that one hazard ratio does not tell the whole story. NaN where there is no model.
        notes: what could not be computed, and why.
    """

    title: str
    groups: tuple[Group, ...]
    n: int
    events: int
    log_rank: float
    degrees: int
    p: float
    hazard_ratios: tuple[HazardRatio, ...]
    concordance: float
    proportional_p: float
    notes: tuple[str, ...]

    def ratio_of(self, group: str) -> HazardRatio | None:
        """A group's hazard ratio; None of the reference group and of those that have none."""
        return next((ratio for ratio in self.hazard_ratios if ratio.group == group), None)

    def ratio_said(self, group: str) -> str:
        """A group's hazard ratio with its interval: "1" of the reference group, "-" of one that has none."""
        ratio = self.ratio_of(group)
        if ratio is not None:
            return interval((ratio.value, ratio.low, ratio.high))
        return "1" if any(ratio.against == group for ratio in self.hazard_ratios) else "-"


def separate(
    title: str, groups: "pd.Series[str]", follow_up: "pd.DataFrame", order: Sequence[str] | None = None
) -> Separation:
    """Compare the survival of groups of patients.

    Args:
        title: whose calls they are.
        groups: group of each patient, missing where unknown; any index.
        follow_up: columns ``days`` (above or equal 0) and ``event`` (1 died, 0 last seen alive), missing where unknown;
            rows are found by the index of ``groups``.
        order: names of the groups, the reference first; those that nobody has are left out, those that it does not
            name come after. Default: as sorted.

    Raises:
        EvaluationError: nobody has both a group and a follow-up.
    """
    table = follow_up.reindex(groups.index)[["days", "event"]].astype("float64")
    table["group"] = groups
    table = table.dropna()
    if table.empty:
        raise EvaluationError(
            f"Expected patients of {title} with a known group, days and event. Received none.",
            "Do the sample ids of the calls and of the clinical table agree?",
        )
    present = sorted(set(table["group"]))
    names = [name for name in dict.fromkeys([*(order or ()), *present]) if name in present]
    found = tuple(_group(name, table[table["group"] == name]) for name in names)
    statistic, p, notes = _log_rank(table, found)
    ratios, concordance, proportional_p, more = _cox(table, found)
    events = sum(group.events for group in found)
    return Separation(
        title, found, len(table), events, statistic, len(found) - 1, p, ratios, concordance, proportional_p,
        (*notes, *more),
    )  # fmt: skip


def on_same_patients(callers: "Mapping[str, pd.Series[str]]", follow_up: "pd.DataFrame") -> "dict[str, pd.Series[str]]":
    """Each caller's groups, of the patients alone that every caller called and whose follow-up is known.

    Args:
        callers: title -> group of each patient, by patient; missing where not called.
        follow_up: see ``separate``.

    Raises:
        EvaluationError: there is no such patient.
    """
    import pandas as pd

    known = follow_up[["days", "event"]].dropna().index
    for groups in callers.values():
        known = known.intersection(groups.dropna().index)
    if known.empty:
        raise EvaluationError(
            f"Expected patients that all of {', '.join(callers)} called, with a known follow-up. Received none.",
            "Look at each by itself.",
        )
    return {title: pd.Series(groups.loc[known]) for title, groups in callers.items()}


def _group(name: str, table: "pd.DataFrame") -> Group:
    from lifelines import KaplanMeierFitter

    fitter = KaplanMeierFitter(alpha=1 - LEVEL).fit(table["days"], table["event"])
    interval = fitter.confidence_interval_survival_function_
    curve = KaplanMeier(
        days=fitter.survival_function_.index.to_numpy(dtype=np.float64),
        survival=fitter.survival_function_.iloc[:, 0].to_numpy(dtype=np.float64),
        low=interval.iloc[:, 0].to_numpy(dtype=np.float64),
        high=interval.iloc[:, 1].to_numpy(dtype=np.float64),
        at_risk=fitter.event_table["at_risk"].to_numpy(dtype=np.int64),
        censored=np.sort(table.loc[table["event"] == 0, "days"].to_numpy(dtype=np.float64)),
    )
    return Group(name, len(table), int(table["event"].sum()), float(fitter.median_survival_time_), curve)


def _log_rank(table: "pd.DataFrame", groups: Sequence[Group]) -> tuple[float, float, list[str]]:
    """Statistic, p and notes."""
    if len(groups) < 2 or not any(group.events for group in groups):
        return np.nan, np.nan, [f"no log-rank test: {_why_none(groups)}"]
    from lifelines.statistics import multivariate_logrank_test

    result = multivariate_logrank_test(table["days"], table["group"], table["event"])
    return float(result.test_statistic), float(result.p_value), []


def _cox(table: "pd.DataFrame", groups: Sequence[Group]) -> tuple[tuple[HazardRatio, ...], float, float, list[str]]:
    """Hazard ratios, concordance, p of the test for proportional hazards, and notes."""
    with_events = [group.name for group in groups if group.events]
    notes = [f"no hazard ratio of {group.name}: nobody of its {group.n} died" for group in groups if not group.events]
    if len(with_events) < 2:
        return (), np.nan, np.nan, [*notes, f"no Cox model: {_why_none(groups)}"]
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError, ConvergenceWarning
    from lifelines.statistics import proportional_hazard_test

    reference, *others = with_events
    data = table[table["group"].isin(with_events)]
    design = data[["days", "event"]].copy()
    # Covariates are named by number: a group may be called "days".
    for i, name in enumerate(others):
        design[f"group_{i}"] = (data["group"] == name).astype("float64")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            model = CoxPHFitter(alpha=1 - LEVEL).fit(design, "days", "event")
    except (ConvergenceError, ConvergenceWarning):
        # The likelihood has no maximum: a ratio would be infinite, and what an optimiser stops at is no estimate.
        return (
            (),
            np.nan,
            np.nan,
            [*notes, "no Cox model: time alone tells the groups apart, or there are too few deaths"],
        )
    ratios = tuple(_ratio(model, f"group_{i}", name, reference) for i, name in enumerate(others))
    proportional_p = float(np.min(proportional_hazard_test(model, design, time_transform="rank").p_value))
    left_out = len(table) - len(design)
    if left_out:
        # Of fewer patients than the rest of the row, and so not to be compared with another row's.
        said = f"no C: the {left_out} patients of groups without a death are not in the Cox model"
        return ratios, np.nan, proportional_p, [*notes, said]
    return ratios, _concordance(model, design), proportional_p, notes


def _concordance(model: Any, design: "pd.DataFrame") -> float:
    """Harrell's C, NaN where no two patients can be told apart: nobody outlived anyone who died."""
    from lifelines.utils import concordance_index

    try:
        return float(concordance_index(design["days"], -model.predict_partial_hazard(design), design["event"]))
    except ZeroDivisionError:
        return np.nan


def _ratio(model: Any, covariate: str, group: str, against: str) -> HazardRatio:
    coefficient = float(model.params_[covariate])
    low, high = (float(bound) for bound in model.confidence_intervals_.loc[covariate])
    return HazardRatio(
        group, against, float(np.exp(coefficient)), float(np.exp(low)), float(np.exp(high)),
        float(model.summary.loc[covariate, "p"]),
    )  # fmt: skip


def _why_none(groups: Sequence[Group]) -> str:
    if len(groups) < 2:
        return f"there is one group only, {groups[0].name}"
    if not any(group.events for group in groups):
        return "nobody died"
    return "deaths in one group only"
