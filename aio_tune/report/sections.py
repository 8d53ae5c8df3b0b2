"""What is known of a study -> the sections of its report."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aio_tune.metrics import IN_TABLES
from aio_tune.numbers import mean_sd, number
from aio_tune.report.findings import comparisons, external, genes, harmonisation, paper, survival
from aio_tune.report.page import Figure, Section, Table
from aio_tune.report.study import Study, confusion_text, estimate

if TYPE_CHECKING:
    import pandas as pd


def sections(study: Study) -> list[Section]:
    """The report, from the question to what is not known; sections about things that were not done say so."""
    return [
        _summary(study),
        _patients(study),
        _search(study),
        _cross_validation(study),
        comparisons(study),
        external(study),
        *([harmonisation(study)] if study.harmonisations else []),
        *([paper(study)] if study.paper else []),
        *([survival(study)] if study.survival else []),
        *([genes(study.genes)] if study.genes is not None else []),
        _limits(study),
    ]


def headline(study: Study) -> tuple[str, str]:
    """Title and subtitle of the page."""
    started = study.state.started
    task = study.manifest.tasks[started["settings"]["task"]]
    when = datetime.fromtimestamp(started["time"], UTC).strftime("%Y-%m-%d")
    simulated = ", simulated patients" if started["dataset"]["simulated"] else ""
    return f"{task.title}: the study {started['name']}", f"Search of {when}, {_cohorts(started)}{simulated}"


def _cohorts(started: Mapping[str, Any]) -> str:
    return ", ".join(started["settings"]["train_on"])


def _summary(study: Study) -> Section:
    state, settings = study.state, study.state.started["settings"]
    task, best = study.manifest.tasks[settings["task"]], study.state.best
    counts = ", ".join(f"{name} {n}" for name, n in study.comparison["class_counts"].items())
    states = [trial.state for trial in state.trials.values()]
    text = [
        f"Can a network read {task.title} from a tumour's RNA-seq profile drawn as a picture, one gene, one pixel "
        f"(Chen et al., Breast Cancer Res 23:96, 2021)? {len(states)} configurations were tried on "
        f"{sum(study.comparison['class_counts'].values()):,} samples of {_cohorts(state.started)} ({counts}) with "
        f"{len(study.manifest.genes.symbols):,} genes, by {study.comparison['folds']}-fold cross-validation in which "
        f"all samples of a patient are in one fold. {states.count('COMPLETE')} finished all folds, "
        f"{states.count('PRUNED')} were stopped early, {states.count('FAIL')} failed.",
    ]
    if best is not None:
        text.append(
            f"The best, trial {best.number}, reached an AUC of {mean_sd(best.cv.get('auc'))} over the folds; all its "
            f"out-of-fold calls together {estimate(study.out_of_fold, 'oof_auc')}. These folds also chose it, so the "
            f"number flatters. {_against_baselines(study)}"
        )
    if state.started["dataset"]["simulated"]:
        text.append("The patients are simulated: the numbers show that the chain works, not that the method does.")
    return Section("The study", text)


def _against_baselines(study: Study) -> str:
    rows = study.comparison["rows"]
    network = next(iter(rows.values()))["auc"]
    others = {name: values["auc"] for name, values in list(rows.items())[1:]}
    name, value = max(others.items(), key=lambda item: item[1][0])
    if network[0] > value[0]:
        return f"The best baseline on the same folds is {name} with {mean_sd(tuple(value))}."
    return f"It is no better than {name} on the same folds, with {mean_sd(tuple(value))}."


def _patients(study: Study) -> Section:
    cohorts = study.manifest.cohorts
    rows = [["all", *[f"{cohort.subjects:,} / {cohort.samples:,}" for cohort in cohorts]]]
    for name, task in study.manifest.tasks.items():
        for label in (*task.classes, "missing"):
            both = [(one.table_one.subjects[name][label], one.table_one.profiled[name][label]) for one in cohorts]
            rows.append([f"{task.title}: {label}", *[f"{subjects:,} / {profiled:,}" for subjects, profiled in both]])
    table = Table("Table 1", ["", *[cohort.name for cohort in cohorts]], rows, "Subjects / those with a profile.")
    return Section("Patients", tables=[table])


def _search(study: Study) -> Section:
    shown = study.of_search
    values = [trial.cv["auc"][0] for trial in study.state.trials.values() if "auc" in trial.cv]
    history = Figure(
        "Every trial's value, and the best so far.", shown.figures["history"],
        f"History of {len(study.state.trials)} trials. AUC of those that finished all folds: {_range(values)}.",
        shown.data["history"],
    )  # fmt: skip
    figures = [history]
    if "importance" in shown.figures:
        table = shown.data["importance"]
        said = ", ".join(f"{row.parameter} {row.importance:.2f}" for row in table.itertuples())
        figures.append(Figure("Which parameters mattered (fANOVA).", shown.figures["importance"],
                              f"Importance of the parameters, summing to 1: {said}.", table))  # fmt: skip
    best = study.state.best
    rows = [[name, str(value)] for name, value in sorted(best.params.items())] if best else []
    tables = [Table("The winner's configuration", ["parameter", "value"], rows)] if rows else []
    return Section("The search", tables=tables, figures=figures)


def _range(values: Sequence[float]) -> str:
    return f"{number(min(values))} to {number(max(values))}" if values else "none"


def _cross_validation(study: Study) -> Section:
    rows, controls = study.comparison["rows"], study.comparison["controls"]
    metrics = [metric for metric in IN_TABLES if metric in next(iter(rows.values()))]
    table = Table(
        "Cross-validation, the same folds for all, mean ± sd", ["", *metrics],
        [[who, *[mean_sd(tuple(values[m])) for m in metrics]] for who, values in (rows | controls).items()],
        "The network's row is the best of its search, chosen on these folds.",
    )  # fmt: skip
    lines = study.confirmation["lines"]
    protocols = Table(
        "Which number to report, mean ± sd", ["", "over", *metrics],
        [[line["who"], f"{line['n']} {line['over']}", *[mean_sd(tuple(line["metrics"][m])) for m in metrics]]
         for line in lines],
        "From the most to the least flattering. New splits: the configuration was still chosen on these patients. "
        "Outer folds never seen: free of selection bias.",
    )  # fmt: skip
    return Section("Cross-validation", tables=[table, protocols], figures=_winner_figures(study))


def _winner_figures(study: Study) -> list[Figure]:
    shown, oof = study.of_winner, study.out_of_fold
    calls = shown.data["confusion"]
    said = {
        "roc": ("ROC curves of the winner, out of fold.", f"Out-of-fold AUC {estimate(oof, 'oof_auc')}."),
        "confusion": ("Calls of the winner, out of fold.", confusion_text(calls, study.classes)),
        "calibration": (
            "How often a probability came true, out of fold.",
            "Calibration curve: share of samples of a class among those called with some probability.",
        ),
        "curves": ("Learning curves of every fold, and their mean.", _curves_text(shown.data["curves"])),
        "network": ("The winner's network.", _network_text(shown.data["network"])),
    }
    return [Figure(caption, shown.figures[name], text, shown.data[name]) for name, (caption, text) in said.items()]


def _curves_text(table: "pd.DataFrame") -> str:
    last = table[table["epoch"] == table.groupby("curve")["epoch"].transform("max")]
    means = last.groupby("curve")["value"].mean()
    return "Means over folds after the last epoch: " + ", ".join(f"{k} {v:.3f}" for k, v in means.items()) + "."


def _network_text(table: "pd.DataFrame") -> str:
    return f"The network, layer by layer: {len(table)} layers, first to last {', '.join(map(str, table.iloc[:, 0]))}."


def _limits(study: Study) -> Section:
    started = study.state.started
    return Section("What this does not show", [
        "Numbers on the folds that chose the winner flatter; see which number to report. Small cohorts allow for wide "
        "differences: go by the intervals. For research, not for clinical decisions.",
        *study.notes,
        f"Dataset {started['dataset']['fingerprint'][:12]}, folds {started['folds_digest'][:12]}, seed "
        f"{started['settings']['seed']}, code {started['code_version']}.",
    ])  # fmt: skip
