"""Sections of what was found beyond the search: comparisons, external cohorts, survival, genes."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aio_tune.calibration import ERRORS
from aio_tune.evaluation.baselines import BASELINES
from aio_tune.figures import confusion_figure, roc_figure, survival_figure
from aio_tune.metrics import IN_TABLES, confusion, one_against_rest, roc_points
from aio_tune.numbers import interval, mean_sd, number, p_value, years
from aio_tune.report.page import Figure, Section, Table
from aio_tune.report.study import Study, confusion_text, estimate
from aio_tune.reproduce import Verdict
from aio_tune.search.geometry import CONTROL

if TYPE_CHECKING:
    import pandas as pd

    from aio_tune.evaluation.survival import Separation
    from aio_tune.tracking import StoredEvaluation, StoredHarmonisation

TOP_GENES = 20
_GENE_COLUMNS = ("symbol", "chromosome", "attribution", "mean_rank", "rank_sd", "folds_in_top_50", "linear_rank")
# Method of attribution -> what its numbers mean.
_ATTRIBUTION = {
    "integrated-gradients": "Attribution by integrated gradients: mean absolute change of the log-odds against the "
    "mean training profile.",
    "occlusion": "Attribution by occlusion: mean absolute change of the log-odds when a block of genes is set to the "
    "mean training profile, divided equally among them.",
    "grad-cam": "Attribution by Grad-CAM: where in the picture the convolutions look, of no unit and without a sign; "
    "neighbours in the picture share it.",
}
# Beginning of the names of metrics -> whose they are.
_WHOSE = {"": "ensemble"} | {f"{baseline.key}_": baseline.name for baseline in BASELINES}


def comparisons(study: Study) -> Section:
    """The winner against variants of it; if none was asked for, how to ask."""
    if not study.confirmation["compared"]:
        return Section("Comparisons of configurations", _geometry(study))
    rows = []
    for one in study.confirmation["compared"]:
        difference = one["differences"].get("auc") or next(iter(one["differences"].values()))
        shown = interval((difference["mean"], difference["low"], difference["high"]))
        means = [mean_sd(tuple(one[whose]["auc"])) for whose in ("reference", "metrics")]
        rows.append([one["variant"], str(one["runs"]), *means, shown, p_value(difference["p"])])
    table = Table(
        "The winner against variants of it, AUC, fold by fold on the same splits",
        ["variant", "runs", "winner", "variant's", "difference [95 %]", "p"], rows,
        "Corrected resampled t-test (Nadeau and Bengio, 2003): folds share training patients. The winner was chosen "
        "among many, its variant among one, so a small difference in its favour means little.",
    )  # fmt: skip
    return Section("Comparisons of configurations", _geometry(study), tables=[table])


def _geometry(study: Study) -> list[str]:
    """Whether the picture's geometry helps: on the folds of the search, and on new splits if that was asked."""
    said, best = study.geometry.sentences(), study.state.best
    if best is not None and best.number != study.geometry.trial and study.geometry.trial is not None:
        said.append("The winner itself has no convolution: to it the layout is an order of inputs, and cannot help.")
    asked = {one["variant"]: one["differences"].get("auc") for one in study.confirmation["compared"]}
    if found := asked.get(f"layout={CONTROL}"):
        said.append(f"On new splits, shuffling the winner's pixels changes the AUC by "
                    f"{interval((found['mean'], found['low'], found['high']))}.")  # fmt: skip
    return said


def paper(study: Study) -> Section:
    """The paper's numbers beside the study's, and whether it is the same work."""
    rows = [
        [
            one.where,
            one.what,
            one.paper,
            one.here or "-",
            ": ".join(filter(None, (one.verdict.value, one.note))),
        ]
        for one in study.paper
    ]
    same = sum(one.verdict in (Verdict.PASS, Verdict.FAIL) for one in study.paper)
    text = (
        f"{same} of these {len(rows)} numbers come of the same patients as the paper's, and are held against them; the "
        "others stand beside them and say nothing of them."
    )
    table = Table("Chen et al., Breast Cancer Res 23:96, 2021", ["where", "what", "paper", "here", "same work?"], rows)
    return Section("Beside the paper", [text], tables=[table])


def external(study: Study) -> Section:
    """Cohorts that the search never saw."""
    if not study.evaluations:
        return Section("External cohorts", ["No cohort that the search never saw was evaluated: aio-tune evaluate."])
    tables, figures = [], []
    for one in study.evaluations:
        metrics = [metric for metric in IN_TABLES if metric in one.metrics]
        rows = [
            [who, *[estimate(one.metrics, f"{key}{metric}") for metric in metrics]]
            for key, who in _WHOSE.items()
            if f"{key}auc" in one.metrics or f"{key}accuracy" in one.metrics
        ]
        tables.append(Table(f"{one.cohort}, {len(one.calls):,} samples, with 95 % intervals", ["", *metrics], rows,
                            _probabilities(one.metrics)))  # fmt: skip
        figures += _external_figures(one, study.classes)
    text = (
        "The search never saw these patients: overlap by patient id is refused, and by profile where the dataset has "
        "the model's genes in the model's order."
    )
    return Section("External cohorts", [text], tables, figures)


def _probabilities(metrics: Mapping[str, float]) -> str:
    said = [f"Brier score {number(metrics.get('brier'))}, at the model's temperature "
            f"{number(metrics.get('brier_calibrated'))}."]  # fmt: skip
    said += [
        f"Tolerating {percent} %: {metrics[f'called_{percent}']:.0%} called, "
        f"{number(metrics.get(f'called_{percent}_accuracy'))} of these rightly."
        for percent in (round(100 * error) for error in ERRORS)
        if f"called_{percent}" in metrics
    ]
    return " ".join(said)


def _external_figures(one: "StoredEvaluation", classes: Sequence[str]) -> list[Figure]:
    index = {name: i for i, name in enumerate(classes)}
    labels = one.calls["truth"].map(index).to_numpy(dtype=np.int64)
    probabilities = one.calls[[f"p_{name}" for name in classes]].to_numpy(dtype=np.float64)
    questions = one_against_rest(labels, probabilities, classes)
    curves = {name: roc_points(*question) for name, question in questions.items() if 0 < question[0].mean() < 1}
    drawn = confusion_figure(confusion(labels, probabilities, len(classes)), classes, one.cohort)
    said = f"ROC curves; AUC {estimate(one.metrics, 'auc')}."
    return [
        Figure(f"ROC on {one.cohort}.", roc_figure(curves, one.cohort), said, one.calls),
        Figure(f"Calls on {one.cohort}.", drawn, confusion_text(one.calls, classes), one.calls),
    ]


def harmonisation(study: Study) -> Section:
    """What each harmoniser would have come to on cohorts of other platforms."""
    text = [
        "The winner's configuration trained anew with each harmoniser, on its own training patients. One of the "
        "single-sample harmonisers is chosen without a label of the cohort, by a rehearsal: validation patients "
        "given the cohort's noise, and its distribution of each gene. Transductive harmonisers need the whole cohort."
    ]
    tables = []
    for one in study.harmonisations:
        rows = [_harmoniser(row) for row in one.table.to_dict("records")]
        caption = f"Harmonisers for {one.cohort}, AUC, {int(one.metrics['tested_on']):,} samples"
        columns = ["", "kind", "own folds", "rehearsal", one.cohort, "ensemble [95 %]", "won back"]
        tables.append(Table(caption, columns, rows, _shift(one), one.table))
    return Section("Harmonisation", text, tables)


def _shift(one: "StoredHarmonisation") -> str:
    """What the shift costs, and what of that is won back."""
    lost = one.metrics.get("lost", math.nan)
    if math.isnan(lost):
        return "What the shift costs is not known: the AUC is not defined on this cohort."
    if lost <= 0:
        return "Without a harmoniser the cohort is read as well as the training patients: there is nothing to win back."
    said = f"The shift costs {lost:.3f} of AUC without a harmoniser; chosen: {one.chosen}"
    return f"{said}." if one.chosen == "none" else f"{said}, which wins {one.metrics['won_back']:.0%} of that back."


def _harmoniser(row: Mapping[Hashable, Any]) -> list[str]:
    means = [mean_sd((row[f"{name}_auc_mean"], row[f"{name}_auc_sd"])) for name in ("inside", "rehearsed", "outside")]
    ensemble = interval((row["ensemble_auc"], row["ensemble_auc_low"], row["ensemble_auc_high"]))
    name = f"> {row['harmoniser']}" if row["chosen"] else str(row["harmoniser"])
    return [name, str(row["kind"]), *means, ensemble, "" if row["harmoniser"] == "none" else number(row["won_back"])]


def survival(study: Study) -> Section:
    """Kaplan-Meier curves and tests of the groups that were called."""
    text = ["Groups on different patients are not to be compared by their p values."]
    tables, figures = [], []
    for patients, separations in study.survival.items():
        text += [f"{one.title}: {note}." for one in separations for note in one.notes]
        rows = []
        for one in separations:
            for group in one.groups:
                shown = one.ratio_said(group.name)
                counts = [f"{group.n:,}", f"{group.events:,}", years(group.median)]
                rows.append([f"{one.title}: {group.name}", *counts, shown, p_value(one.p), number(one.concordance)])
            figures.append(_survival_figure(one, patients))
        columns = ["calls", "patients", "deaths", "median", "hazard ratio [95 %]", "log-rank p", "C"]
        tables.append(Table(f"Overall survival, {patients}", columns, rows))
    return Section("Survival", text, tables, figures)


def _survival_figure(one: "Separation", patients: str) -> Figure:
    import pandas as pd

    curves = {group.name: group.curve for group in one.groups}
    table = pd.concat(curve.table().assign(group=name) for name, curve in curves.items())
    said = "; ".join(f"{group.name}: {group.events} deaths in {group.n} patients" for group in one.groups)
    drawing = survival_figure(curves, one.title, f"log-rank p = {p_value(one.p)}")
    return Figure(
        f"{one.title}, {patients}.", drawing, f"Kaplan-Meier curves. {said}. Log-rank p {p_value(one.p)}.", table
    )


def genes(table: "pd.DataFrame") -> Section:
    """The first of a table of genes by attribution, and what it says of its method and model, if anything."""
    method, model = _said(table, "method"), _said(table, "model")
    # A method without signs leaves the directions empty.
    directions = [name for name in map(str, table) if name.startswith("direction_") and table[name].notna().any()]
    shown = [name for name in map(str, table) if name in _GENE_COLUMNS or name in directions]
    top = table[shown].head(TOP_GENES)
    rows = [[_cell(value) for value in row] for row in top.itertuples(index=False)]
    caption = f"The {len(top)} genes that drive the calls{f' of {model}' if model else ''} most"
    notes = [
        _ATTRIBUTION.get(method, f"Attribution by {method}." if method else ""),
        "direction: above 0 a high value speaks for the class." if directions else "",
        "A gene that few folds rank high is not to be relied on; of genes that rise and fall together a network may "
        "take any.",
    ]
    note = " ".join(filter(None, notes))
    return Section("Genes", tables=[Table(caption, [str(name) for name in top.columns], rows, note, table)])


def _said(table: "pd.DataFrame", column: str) -> str:
    """The one value of a column; empty where there is none, or several."""
    values = {str(value) for value in table[column].dropna()} if column in table else set()
    return values.pop() if len(values) == 1 else ""


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
