"""The command explain."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from aio_tune.cli.prepare_view import PrepareView
from aio_tune.errors import EvaluationError
from aio_tune.files import written_whole
from aio_tune.numbers import number

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from aio_tune.evaluation.attribution.explain import Explanation

SHOWN = 20


def explain(
    model: Annotated[str, typer.Argument(metavar="MODEL@ALIAS", help="E.g. aio-ki67-ensemble@evaluation.")],
    data: Annotated[Path, typer.Option(help="An AIO dataset.")],
    out: Annotated[Path, typer.Option(help="The table of genes, e.g. genes.csv; a picture is written beside it.")],
    cohort: Annotated[
        list[str] | None, typer.Option(help="Samples are drawn from it; repeatable. Default: the dataset's first.")
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL@ALIAS", help="A further model, e.g. of another seed, to agree; repeatable."),
    ] = None,
    method: Annotated[str, typer.Option(help="integrated-gradients, grad-cam or occlusion.")] = "integrated-gradients",
    samples: Annotated[int, typer.Option(help="Most samples, drawn at random.", min=1)] = 100,
    seed: Annotated[int, typer.Option(help="Of the draw.", min=0)] = 0,
    signal: Annotated[
        Path | None, typer.Option(help="simulation.json of simulated data: how many of the top genes are true ones.")
    ] = None,
    tracking_uri: TrackingOption = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Which genes drive a model's calls, and in how many of its folds.

    A gene's attribution is what it adds to or takes from the log-odds of a class, against the mean training profile;
    that of grad-cam is where the convolutions look, without a unit or a sign.

    Example: aio-tune explain aio-ki67-ensemble@evaluation --data dataset --out genes.csv
    """
    from aio_tune.dataset import open_dataset
    from aio_tune.evaluation.attribution.explain import explain as attribute
    from aio_tune.evaluation.attribution.signal import precisions, read_signal
    from aio_tune.models.ensemble import Ensemble
    from aio_tune.tracking import resolve
    from aio_tune.training import configure_backend

    picture = _picture_beside(out)
    uri = store_uri(tracking_uri, home_of(home))
    dataset = open_dataset(data)
    programmes = None if signal is None else read_signal(signal)
    resolved = {reference: resolve(uri, reference) for reference in (model, *(also or []))}
    configure_backend(threads=os.cpu_count() or 1)
    ensembles = {reference: Ensemble.load(found.folder) for reference, found in resolved.items()}
    with PrepareView() as view:
        explanation = attribute(
            ensembles, dataset, cohort or (), samples=samples, seed=seed, method=method,
            watch=lambda done, of: view("networks", done, of),
        )  # fmt: skip
    whose = " and ".join(f"{found.name} version {found.version}" for found in resolved.values())
    with written_whole(out) as file:
        explanation.table.assign(method=explanation.method, model=whose).to_csv(
            file, index=False, float_format="%.6g", lineterminator="\n"
        )
    _draw(explanation, " and ".join(ensembles), picture)
    found = None if programmes is None else precisions(explanation.table, programmes)
    facts = _facts(explanation, list(ensembles), found) | {"written": [str(out), str(picture)]}
    if as_json:
        say_json(facts)
        return
    _print(explanation, facts)
    for path in (out, picture):
        say(f"written: {path}")


def _picture_beside(out: Path) -> Path:
    """Where the figure goes; asked for before the long work."""
    picture = out.with_suffix(".png")
    if picture == out:
        raise EvaluationError(
            f"Expected a table to write, such as genes.csv. Received {out}, the name that its picture would have."
        )
    for path in (out, picture):
        check_out(path, "genes.csv")
    return picture


def _draw(explanation: "Explanation", models: str, path: Path) -> None:
    from aio_tune.figures import save_png
    from aio_tune.figures.attribution import attribution_figure

    drawing = explanation.drawing
    title = f"{models}, {explanation.method} over {explanation.n_samples} samples of {', '.join(explanation.cohorts)}"
    figure = attribution_figure(
        drawing.mean, drawing.attributions, f"{title}\nlayout {drawing.layout}, that of the first fold",
        "mean |attribution|, log-odds; red: high values speak for it" if drawing.signed else "mean Grad-CAM",
        drawing.chromosome, drawing.chromosomes,
    )  # fmt: skip
    save_png(figure, path)


def _facts(
    explanation: "Explanation", models: list[str], precision: dict[str, dict[str, float]] | None
) -> dict[str, Any]:
    """An explanation in JSON values, its best genes alone."""
    import pandas as pd

    errors = explanation.completeness
    top = explanation.table.head(SHOWN).astype(object)
    return {
        "models": models,
        "task": explanation.task,
        "classes": list(explanation.classes),
        "method": explanation.method,
        "cohorts": list(explanation.cohorts),
        "samples": explanation.n_samples,
        "networks": list(explanation.networks),
        "genes": len(explanation.table),
        "missing_genes": list(explanation.missing_genes),
        "completeness_error": None if errors is None else _completeness(errors),
        "precision_at_50": precision,
        "linear": explanation.linear_note,
        "top": top.where(pd.notna(top), None).to_dict("records"),
    }


def _completeness(errors: "npt.NDArray[np.float64]") -> dict[str, float]:
    """Relative errors of the sums; large for a sample whose score hardly differs from the mean profile's."""
    import numpy as np

    within = float((errors <= 0.01).mean())
    return {"median": float(np.median(errors)), "within_1_percent": within, "worst": float(errors.max())}


def _print(explanation: "Explanation", facts: dict[str, Any]) -> None:
    networks = len(explanation.networks)
    classes = explanation.classes
    columns = ["gene", "chr", "attribution", *classes, "mean rank", "sd", f"top 50 of {networks}", "linear rank"]
    rows = [
        [row["symbol"], row["chromosome"], float(row["attribution"]), *(_direction(row, name) for name in classes),
         _rank(row["mean_rank"]), _rank(row["rank_sd"]), row["folds_in_top_50"], _rank(row["linear_rank"])]
        for row in facts["top"]
    ]  # fmt: skip
    what = f"{explanation.task}, {explanation.method} over {explanation.n_samples} samples"
    say_table(f"genes by mean rank over {networks} networks: {what} of {', '.join(explanation.cohorts)}", columns, rows)
    if any(_direction(row, name) for row in facts["top"] for name in classes):
        say("+ a high value speaks for the class, - against it. Attributions are log-odds, against the mean profile.")
    say("Of genes that rise and fall together a network may take any: go by those that many networks rank high.")
    if explanation.missing_genes:
        say(f"{len(explanation.missing_genes)} genes of the model are missing; its training means stand in for them.")
    if facts["completeness_error"]:
        errors = facts["completeness_error"]
        say(f"Completeness error of the sums: median {errors['median']:.2%}, within 1% for "
            f"{errors['within_1_percent']:.0%} of them, worst {errors['worst']:.2%}.")  # fmt: skip
    say(facts["linear"])
    if facts["precision_at_50"]:
        rows = [[name, *map(number, found.values())] for name, found in facts["precision_at_50"].items()]
        say_table(
            "share of the top 50 genes that carry signal (simulated)",
            ["programme", "networks", "one network", "linear", "chance"], rows,
        )  # fmt: skip


def _direction(row: dict[str, Any], name: str) -> str:
    """``+``, ``-``, or nothing where the method has no signs."""
    direction = row[f"direction_{name}"]
    return "" if direction is None else "+" if direction > 0 else "-" if direction < 0 else "0"


def _rank(rank: float | None) -> str:
    return "-" if rank is None else f"{rank:.1f}"
