"""The command report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aio_tune.cli.comparing import compare_with_baselines
from aio_tune.cli.confirming import compare
from aio_tune.cli.console import DEFAULT_HOME, HomeOption, TrackingOption, home_of, say, store_uri
from aio_tune.errors import AioTuneError, EvaluationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from aio_tune.config import Home
    from aio_tune.dataset.manifest import Manifest
    from aio_tune.evaluation.survival import Separation
    from aio_tune.report import Study
    from aio_tune.reproduce import Item
    from aio_tune.search.out_of_fold import OutOfFold
    from aio_tune.search.rows import TrainingRows
    from aio_tune.search.state import SearchState
    from aio_tune.tracking import StoredEvaluation, StoredHarmonisation

FEWEST_DEATHS = 10
"""Fewer say nothing of survival."""


def report(
    name: Annotated[str, typer.Argument(help="A search's name; it has ended.")],
    out: Annotated[Path, typer.Option(help="The page, e.g. report.html.")],
    genes: Annotated[Path | None, typer.Option(help="Genes by attribution, as aio-tune explain writes them.")] = None,
    data: Annotated[Path | None, typer.Option(help="The AIO dataset, if it was moved since the search.")] = None,
    tracking_uri: TrackingOption = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Write all that is known of a search as one HTML page that needs no network.

    Example: aio-tune report ki67 --out report.html
    """
    from aio_tune.report import headline, render, sections, write_page

    study = gather(home_of(home), name, data, genes, store_uri(tracking_uri, home_of(home)))
    write_page(render(*headline(study), sections(study)), out)
    say(f"{out}: {out.stat().st_size / 2**20:.1f} MiB, opens in any browser, without a network.")
    for note in study.notes:
        say(f"note: {note}")


def gather(home: "Home", name: str, data: Path | None, genes: Path | None, uri: str) -> "Study":
    """Everything that the report of a search shows.

    Raises:
        SearchError: there is no such search, it has not ended, or its dataset is another one.
        AioTuneError: a part of it is damaged.
    """
    from aio_tune.dataset import open_dataset
    from aio_tune.report import Study
    from aio_tune.search.confirm import finished_search, same_rows
    from aio_tune.search.geometry import read_geometry
    from aio_tune.search.illustrate import illustrate_search, illustrate_trial
    from aio_tune.search.out_of_fold import read_out_of_fold
    from aio_tune.search.rows import training_rows

    table = None if genes is None else _genes(genes)
    state, best, spec = finished_search(home, name)
    dataset = open_dataset(data or Path(state.started["dataset"]["path"]))
    rows = training_rows(dataset, spec.task, spec.train_on, spec.folds, spec.seed, spec.resources.memory_budget)
    same_rows(state, rows, dataset)
    run = home.run(name)
    calls = read_out_of_fold(run, best, rows)
    geometry = read_geometry(home, name, state)
    survival, note = _survival(rows, calls)
    evaluations, harmonisations, other = _stored(uri, state)
    return Study(
        state=state,
        manifest=dataset.manifest,
        comparison=compare_with_baselines(state, rows, run.path / "baseline.json", geometry),
        geometry=geometry,
        confirmation=compare(state, rows, run.path / "baseline_confirm.json"),
        of_search=illustrate_search(spec, state),
        of_winner=illustrate_trial(run, best, rows),
        out_of_fold=calls.metrics(),
        evaluations=evaluations,
        harmonisations=harmonisations,
        survival=survival,
        genes=table,
        paper=_paper(state, dataset.manifest, evaluations),
        notes=[text for text in (note, other) if text],
    )


def _genes(path: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise EvaluationError(f"Expected a table of genes in {path}. Received: {error}.") from error
    if not {"symbol", "attribution"} <= set(table):
        raise EvaluationError(
            f"Expected columns symbol and attribution in {path}. Received {', '.join(map(str, table.columns[:5]))}.",
            "`aio-tune explain` writes such a table.",
        )
    return table


def _paper(state: "SearchState", manifest: "Manifest", evaluations: "Sequence[StoredEvaluation]") -> "list[Item]":
    """The paper's numbers on the search's own question."""
    from aio_tune.reproduce import network_items, search_result, table_one_items
    from aio_tune.reproduce.networks import CLAIMS

    task = state.started["settings"]["task"]
    real = [cohort for cohort in manifest.cohorts if not cohort.simulated]
    counts = {cohort.name: {task: cohort.table_one.subjects[task]} for cohort in real}
    networks = network_items([search_result(state, evaluations)])
    return [
        *(item for item in table_one_items(counts, (task,)) if item.here),
        *(item for item, claim in zip(networks, CLAIMS, strict=True) if claim.task == task),
    ]


def _stored(uri: str, state: "SearchState") -> "tuple[list[StoredEvaluation], list[StoredHarmonisation], str]":
    """Evaluations and harmonisation studies of the registered ensemble, and a note if they are not to be had."""
    from aio_tune.tracking import read_evaluations, read_harmonisations

    if not state.registered:
        return [], [], "No model of this search is registered."
    model = state.registered["ensemble"]
    name, version = model["name"], int(model["version"])
    try:
        origin = state.origin_tags()
        return read_evaluations(uri, name, version, origin), read_harmonisations(uri, name, version, origin), ""
    except AioTuneError as error:
        return [], [], f"Evaluations and harmonisation studies are missing here: {error.problem}"


def _survival(rows: "TrainingRows", calls: "OutOfFold") -> "tuple[dict[str, list[Separation]], str]":
    """The labels and the network's out-of-fold calls, on the same patients; and why not, if so."""
    import pandas as pd

    from aio_tune.evaluation.survival import on_same_patients, separate

    # By patient: two cohorts may have samples of the same name.
    samples = rows.samples.drop_duplicates("patient_id").set_index("patient_id")
    follow_up = samples[["survival_days", "survival_event"]].set_axis(["days", "event"], axis=1)
    table = calls.table().assign(patient_id=calls.patients).drop_duplicates("patient_id").set_index("patient_id")
    deaths = int(follow_up["event"].reindex(table.index).sum())
    if deaths < FEWEST_DEATHS:
        return {}, f"Survival is not shown: {deaths} deaths among these patients are known, {FEWEST_DEATHS} are needed."
    callers = {
        f"{rows.task.title}, as labelled": pd.Series(table["truth"]),
        "the network, out of fold": pd.Series(table["call"]),
    }
    same = on_same_patients(callers, follow_up)
    return {"on the same patients": [separate(title, same[title], follow_up, rows.task.classes) for title in same]}, ""
