"""Commands about registered models: models, promote, evaluate, predict, ui."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aio_tune.cli.console import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    TrackingOption,
    check_out,
    home_of,
    say,
    say_json,
    say_table,
    store_uri,
)
from aio_tune.errors import CohortError, RegistryError
from aio_tune.numbers import interval, mean_sd, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aio_tune.evaluation import Evaluation
    from aio_tune.tracking import ModelSummary, Promotion

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL@ALIAS", help="E.g. aio-ki67-ensemble@evaluation.")]


def models(tracking_uri: TrackingOption = "", home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """List the registered models, and for each alias who promoted what, through which gates, evaluated on what.

    Example: aio-tune models
    """
    from aio_tune.tracking import audit_trail, list_models

    uri = store_uri(tracking_uri, home_of(home))
    found = list_models(uri)
    if as_json:
        trails = {model.name: [asdict(entry) for entry in audit_trail(uri, model.name)] for model in found}
        say_json([asdict(model) | {"audit": trails[model.name]} for model in found])
    elif not found:
        say("No model is registered here yet; `aio-tune search` registers the best trial's.")
    else:
        columns = ["model", "newest", "search", "CV auc", "aliases"]
        say_table("registered models", columns, [_newest(model) for model in found])
        held = [row for model in found if model.aliases for row in _held_aliases(model, audit_trail(uri, model.name))]
        if held:
            columns = ["alias", "version", "since", "by", "gates passed", "evaluated on"]
            say_table("who is promoted", columns, held)


def _newest(model: "ModelSummary") -> list[object]:
    """A model's row: its newest version. There is none where a registration was cut short, or all were deleted."""
    if not model.versions:
        return [model.name, "no version", "-", "-", "-"]
    newest = model.versions[0]
    aliases = ", ".join(f"@{alias} -> {version}" for alias, version in model.aliases.items())
    auc = (newest.metrics.get("cv_auc_mean"), newest.metrics.get("cv_auc_sd"))
    return [model.name, newest.version, newest.tags.get("aio.search", ""), mean_sd(auc), aliases or "-"]


def _held_aliases(model: "ModelSummary", trail: "list[Promotion]") -> list[list[object]]:
    """One row for each alias of a model."""
    rows: list[list[object]] = []
    for alias, version in sorted(model.aliases.items()):
        entries = [entry for entry in trail if (entry.alias, entry.version) == (alias, version)]
        tags = next((one.tags for one in model.versions if one.version == version), {})
        cohorts = sorted(key.removeprefix("evaluated.") for key in tags if key.startswith("evaluated."))
        # After an undo the gates are those of the promotion that it gave the alias back to.
        gates = next((entry.checks for entry in reversed(entries) if not entry.undoes), ())
        when, who = (entries[-1].when[:16].replace("T", " "), entries[-1].who) if entries else ("?", "?")
        passed = ", ".join(check.gate for check in gates) or "-"
        rows.append([f"{model.name}@{alias}", version, when, who, passed, ", ".join(cohorts) or "-"])
    return rows


def promote(
    model: Annotated[str, typer.Argument(help="A registered model, e.g. aio-ki67-ensemble.")],
    to: Annotated[str, typer.Option(help="candidate, evaluation or champion.")],
    take_back: Annotated[
        bool, typer.Option("--undo", help="Take the last promotion to that alias back; its former holder has it again.")
    ] = False,
    version: Annotated[int | None, typer.Option(help="Default: the newest.", min=1)] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(
            help='A bound, e.g. "auc>=0.80" (mean over folds) or "auc_low>=0.75" (95 % interval); may be repeated.'
        ),
    ] = None,
    why: Annotated[str, typer.Option(help="The reason, for the audit trail.")] = "",
    to_registry: Annotated[
        str, typer.Option(metavar="URI", help="Copy the version to that registry, and move the alias there.")
    ] = "",
    tracking_uri: TrackingOption = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Move an alias to a model's version, if it passes the gates.

    Always looked at: every file's sha256, the signature, the number of folds, genes and layouts.

    Example: aio-tune promote aio-ki67-ensemble --to evaluation --gate "auc>=0.80"
    """
    from aio_tune.models.inspection import inspect_ensemble
    from aio_tune.tracking import Check, check_promotion, copy_version, undo
    from aio_tune.tracking import promote as move_alias
    from aio_tune.tracking.client import redacted

    def inspect(folder: Path, tags: Mapping[str, str]) -> list[Check]:
        findings = inspect_ensemble(folder, tags)
        return [Check(finding.what, "found", finding.value, finding.passed) for finding in findings]

    uri = store_uri(tracking_uri, home_of(home))
    if take_back and (version or gate or to_registry):
        raise RegistryError("Expected --undo by itself. Received it with --version, --gate or --to-registry.")
    if take_back:
        promotion = undo(uri, model, to, why=why)
    elif to_registry:
        # Before the copy: what is refused leaves nothing there, and a copy has no evaluations to hold gates against.
        version, passed = check_promotion(uri, model, version, to, gates=gate or [], inspect=inspect)
        version = copy_version(uri, model, version, to_registry)
        if not as_json:
            say(f"copied: {model} is version {version} in {redacted(to_registry)}.")
        promotion = move_alias(to_registry, model, version, to, inspect=inspect, passed=passed, why=why)
    else:
        promotion = move_alias(uri, model, version, to, gates=gate or [], inspect=inspect, why=why)
    if as_json:
        say_json(asdict(promotion))
        return
    for check in promotion.checks:
        found = f"{check.value:.0f}" if check.metric == "found" else f"{check.metric} = {number(check.value)}"
        say(f"gate passed: {check.gate} ({found})")
    if promotion.undoes:
        now = f"version {promotion.version}" if promotion.version else "no version"
        say(f"{promotion.model} @{promotion.alias} points at {now} again (was version {promotion.previous}).")
        return
    former = f" (was version {promotion.previous})" if promotion.previous else ""
    say(f"{promotion.model} version {promotion.version} is now @{promotion.alias}{former}.")


def evaluate(
    model: ModelArgument,
    data: Annotated[Path, typer.Option(help="An AIO dataset.")],
    cohort: Annotated[str, typer.Option(help="A cohort of it that the model never saw.")],
    tracking_uri: TrackingOption = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Test a promoted model on a cohort that its search never saw.

    Example: aio-tune evaluate aio-ki67-ensemble@evaluation --data dataset --cohort GSE81538
    """
    from aio_tune.dataset import open_dataset
    from aio_tune.evaluation import evaluate as test
    from aio_tune.models.ensemble import Ensemble
    from aio_tune.tracking import log_evaluation, resolve
    from aio_tune.training import configure_backend

    uri = store_uri(tracking_uri, home_of(home))
    dataset = open_dataset(data)
    resolved = resolve(uri, model)
    configure_backend(threads=os.cpu_count() or 1)
    evaluation = test(Ensemble.load(resolved.folder), dataset, cohort)
    name = f"{resolved.name} version {resolved.version}"
    # Told before it is kept: a store that refuses does not take the result with it.
    if as_json:
        say_json(evaluation.as_dict())
    else:
        print_evaluation(name, evaluation)
    log_evaluation(
        uri, resolved, cohort, evaluation.flat_metrics(), tables={"calls": evaluation.calls},
        figures=_figures(name, evaluation), simulated=evaluation.simulated, tags={"aio.dataset": evaluation.dataset},
    )  # fmt: skip


def _figures(name: str, evaluation: "Evaluation") -> "dict[str, Figure]":
    from aio_tune.figures import confusion_figure, roc_figure
    from aio_tune.metrics import one_against_rest, roc_points

    title = f"{name} on {evaluation.cohort}"
    questions = one_against_rest(evaluation.labels, evaluation.probabilities, evaluation.classes)
    # There is no curve of a class that all or none belong to.
    curves = {name: roc_points(*question) for name, question in questions.items() if 0 < question[0].mean() < 1}
    figures = {"confusion": confusion_figure(evaluation.confusion, evaluation.classes, title)}
    return {**figures, "roc": roc_figure(curves, title)} if curves else figures


def print_evaluation(model: str, evaluation: "Evaluation") -> None:
    """Fold-wise and ensemble figures beside the majority class and the baseline."""
    from aio_tune.metrics import IN_TABLES

    metrics = [m for m in IN_TABLES if m in evaluation.ensemble]
    counts = ", ".join(f"{name} {count}" for name, count in evaluation.class_counts.items())
    simulated = " (simulated)" if evaluation.simulated else ""

    rows = [
        ["fold networks, mean ± sd", *[mean_sd(evaluation.folds[m]) for m in metrics]],
        ["ensemble [95 % interval]", *[interval(evaluation.ensemble[m]) for m in metrics]],
        [f"majority class ({evaluation.majority_class})", *[number(evaluation.majority[m]) for m in metrics]],
    ]
    rows += [[name, *[interval(found[m]) for m in metrics]] for name, found in evaluation.baselines.items()]
    title = f"{model} on {evaluation.cohort}{simulated}, {evaluation.task}: {evaluation.n} samples ({counts})"
    say_table(title, ["", *metrics], rows)
    _print_probabilities(evaluation)
    if evaluation.n_unlabelled:
        say(f"{evaluation.n_unlabelled} samples without a known label are not counted.")
    if evaluation.missing_genes:
        say(f"{len(evaluation.missing_genes)} genes of the model are missing; its training means stand in for them.")
    if not evaluation.profiles_compared:
        say("Patients of the training were looked for by id alone: profiles can be compared only where the dataset's "
            "genes are the model's, in the same order.")  # fmt: skip
    say(evaluation.baseline_note)
    if evaluation.n < 50:
        say(f"{evaluation.n} samples are few: go by the intervals.")


def _print_probabilities(evaluation: "Evaluation") -> None:
    """What the probabilities are worth, and what calling only the sure ones gives."""
    scores = {"ensemble": evaluation.brier, "at its temperature": evaluation.brier_calibrated,
              "PCA + logistic regression": evaluation.brier_baseline}  # fmt: skip
    known = ", ".join(f"{name} {number(score)}" for name, score in scores.items() if score == score)  # noqa: PLR0124
    say(f"Brier score (lower is better): {known}.")
    if evaluation.no_call:
        say_table(
            "no call unless sure (conformal)",
            ["true class ruled out: tolerated", "here", "called", "of these rightly"],
            [
                [f"{one.error:.0%}", f"{1 - one.held:.1%}", f"{one.called:.1%}", one.accuracy]
                for one in evaluation.no_call
            ],
        )


def predict(
    model: ModelArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Expression by gene symbol: CSV, TSV or Parquet.")],
    out: Annotated[Path, typer.Option(help="The calls, e.g. calls.csv.")],
    unit: Annotated[
        str, typer.Option(help='"TPM", "FPKM", "log2(TPM+1)" or "log2(FPKM+0.1)". Default: told by the values.')
    ] = "",
    tolerate: Annotated[
        float | None,
        typer.Option(help="Call only where sure: the tolerated share of errors, e.g. 0.1. Other calls are left empty."),
    ] = None,
    tracking_uri: TrackingOption = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Call every sample of a file: one row per sample, probabilities and call.

    Further kinds of omics that the model looks at are read if an omics.yaml beside the file names them.

    Example: aio-tune predict aio-ki67-ensemble@champion new_patients.csv --unit TPM --out calls.csv
    """
    from aio_tune.calls import write_calls
    from aio_tune.cohorts import Unit
    from aio_tune.evaluation import call_samples, only_sure, read_samples
    from aio_tune.evaluation.predict import missing_genes
    from aio_tune.models.ensemble import Ensemble
    from aio_tune.tracking import resolve
    from aio_tune.training import configure_backend

    units = [known.value for known in Unit]
    if unit and unit not in units:
        raise CohortError(f"Expected a unit, one of {', '.join(units)}. Received {unit!r}.")
    check_out(out, "calls.csv")
    resolved = resolve(store_uri(tracking_uri, home_of(home)), model)
    configure_backend(threads=os.cpu_count() or 1)
    ensemble = Ensemble.load(resolved.folder)
    frame = read_samples(ensemble, file, Unit(unit) if unit else None)
    calls = call_samples(ensemble, frame)
    if tolerate is not None:
        calls = only_sure(ensemble, calls, tolerate)
    write_calls(calls, out)
    counted = calls["call"].fillna("no call").value_counts().sort_index()
    counts = ", ".join(f"{call} {count}" for call, count in counted.items())
    say(f"{out}: {len(calls)} samples called by {resolved.name} version {resolved.version} ({counts}).")
    if missing := missing_genes(ensemble, frame):
        named = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        say(f"{len(missing):,} genes of the model are missing in {file.name} ({named}); its training means stand in "
            "for them. Former symbols in the file are the likely cause.")  # fmt: skip
    for kind in ensemble.omics:
        columns = frame.columns[frame.columns.str.startswith(f"{kind}:")]
        n = int(frame[columns].notna().any(axis=1).sum())
        say(f"{n:,} of them with {kind}{'' if n else ', which an omics.yaml beside the file would name'}.")


def ui(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = 5000,
    tracking_uri: TrackingOption = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Start the MLflow UI on the project's store, for this machine alone.

    Example: aio-tune ui --port 5000
    """
    from aio_tune.tracking import ensure_store, ui_command, ui_environment

    uri = store_uri(tracking_uri, home_of(home))
    if not tracking_uri:
        ensure_store(uri, None, "Default")
    say(f"MLflow UI on http://127.0.0.1:{port} (Ctrl-C ends it)")
    command = ui_command(uri, port)
    # In place of this process: Ctrl-C, and whoever stops us, then reach the server itself.
    os.execve(command[0], command, {**os.environ, **ui_environment()})  # noqa: S606  (no shell is the point)
