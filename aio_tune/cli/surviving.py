"""The command survival."""

import itertools
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aio_tune.cli.console import JsonOption, say, say_json, say_table
from aio_tune.errors import EvaluationError
from aio_tune.numbers import number, p_value, years

if TYPE_CHECKING:
    import pandas as pd

    from aio_tune.evaluation.follow_up import Clinical
    from aio_tune.evaluation.survival import Separation

OWN, SAME = "each on its own patients", "on the same patients"


def survival(
    out: Annotated[Path, typer.Option(help="Folder for the figures and tables.")],
    clinical: Annotated[
        list[Path],
        typer.Option(help="Series matrix or table (CSV, TSV, Parquet) with days and event; repeatable."),
    ],
    calls: Annotated[list[Path] | None, typer.Argument(metavar="CALLS.csv...", help="Tables of calls.")] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help='Also compare groups of the clinical table, e.g. "ki67 status"; repeatable.'
        ),
    ] = None,
    days: Annotated[str, typer.Option(help="Column with the days. Default: overall survival days, or the like.")] = "",
    event: Annotated[str, typer.Option(help="Column with 1 for a death, 0 for last seen alive.")] = "",
    patient: Annotated[str, typer.Option(help="Column with the patient. Default: patient_id, else the sample.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Kaplan-Meier curves, log-rank test and hazard ratios of groups of patients, by their calls.

    With several ways of calling, all are compared on the same patients too.

    Example: aio-tune survival runs/ki67/out_of_fold.csv --clinical series_matrix.txt.gz --by "ki67 status" --out km
    """
    from aio_tune.evaluation.follow_up import read_clinical
    from aio_tune.evaluation.survival import on_same_patients, separate

    if not calls and not by:
        raise EvaluationError(
            "Expected tables of calls, or --by with a column of the clinical table. Received neither."
        )
    known = read_clinical(clinical, days=days, event=event, patient=patient)
    callers, orders, notes = _callers(calls or [], by or [], known)
    found = {OWN: [separate(title, callers[title], known.follow_up, orders[title]) for title in callers]}
    if len(callers) > 1:
        same = on_same_patients(callers, known.follow_up)
        found[SAME] = [separate(title, same[title], known.follow_up, orders[title]) for title in same]
    files = _write(found, out)
    if as_json:
        say_json({patients: [_facts(one) for one in separations] for patients, separations in found.items()})
        return
    for patients, separations in found.items():
        _print(patients, separations)
    for note in dict.fromkeys(
        [*notes, *(f"{one.title}: {note}" for s in found.values() for one in s for note in one.notes)]
    ):
        say(f"note: {note}.")
    for file in files:
        say(f"written: {file}")


def _callers(
    calls: list[Path], by: list[str], known: "Clinical"
) -> "tuple[dict[str, pd.Series[str]], dict[str, tuple[str, ...] | None], list[str]]":
    """Groups of patients by title, the order of the groups, and notes."""
    from aio_tune.calls import read_calls

    callers: dict[str, pd.Series[str]] = {}
    orders: dict[str, tuple[str, ...] | None] = {}
    notes: list[str] = []
    for path in calls:
        title = path.stem if path.stem not in callers else str(path)
        table, orders[title] = read_calls(path)
        callers[title], strangers = known.join(table, path.name)
        if strangers:
            notes.append(f"{title}: {strangers:,} of {len(table):,} samples are not in {known.source}")
    for column in by:
        title = column if column not in callers else f"{column} (clinical)"
        callers[title], orders[title] = known.groups(column), None
    return callers, orders, notes


def _print(patients: str, separations: "list[Separation]") -> None:
    rows = []
    for one in separations:
        for i, group in enumerate(one.groups):
            shown = one.ratio_said(group.name)
            first = (p_value(one.p), number(one.concordance)) if i == 0 else ("", "")
            rows.append(
                [one.title if i == 0 else "", group.name, group.n, group.events, years(group.median), shown, *first]
            )
    columns = ["calls", "group", "patients", "deaths", "median", "hazard ratio [95 %]", "log-rank p", "C"]
    say_table(f"Overall survival, {patients}", columns, rows)


def _write(found: "dict[str, list[Separation]]", out: Path) -> list[Path]:
    """A figure for each way of calling, and tables of the groups, the tests and the curves."""
    import pandas as pd

    from aio_tune.figures import save_png, survival_figure

    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise EvaluationError(f"Expected a folder to write to. Received the file {out}.") from error
    written: list[Path] = []
    groups: list[dict[str, Any]] = []
    tests: list[dict[str, Any]] = []
    curves: list[pd.DataFrame] = []
    for patients, separations in found.items():
        for one in separations:
            name = _free_name(one.title, "_same_patients" if patients == SAME else "", written)
            note = f"log-rank p = {p_value(one.p)}\n{one.events} deaths in {one.n:,} patients"
            figure = survival_figure({group.name: group.curve for group in one.groups}, one.title, note)
            written.append(out / f"{name}.png")
            save_png(figure, written[-1])
            key = {"calls": one.title, "patients": patients}
            facts = _facts(one)
            groups += [{**key, **group} for group in facts.pop("groups")]
            ratios = {ratio["group"]: ratio for ratio in facts.pop("hazard_ratios")}
            for row in groups[-len(one.groups) :]:
                ratio = ratios.get(row["group"], {})
                row |= {f"hazard_ratio{suffix}": ratio.get(k) for suffix, k in _RATIO.items()}
            tests.append({**key, **{k: v for k, v in facts.items() if k not in ("title", "notes")}})
            curves += [group.curve.table().assign(**key, group=group.name) for group in one.groups]
    tables = {"groups": pd.DataFrame(groups), "tests": pd.DataFrame(tests), "curves": pd.concat(curves)}
    for name, table in tables.items():
        written.append(out / f"{name}.csv")
        table.to_csv(written[-1], index=False)
    return written


def _free_name(title: str, ending: str, written: list[Path]) -> str:
    """A title as the name of a file; numbered where two titles differ only in what a name cannot have."""
    name = re.sub(r"\W+", "_", title)
    taken = {path.stem for path in written}
    numbers = itertools.chain([""], (f"_{i}" for i in itertools.count(2)))
    return next(one for number in numbers if (one := f"{name}{number}{ending}") not in taken)


_RATIO = {"": "value", "_low": "low", "_high": "high", "_p": "p", "_against": "against"}


def _facts(one: "Separation") -> dict[str, Any]:
    """A separation without its curves, in JSON values."""
    return {
        "title": one.title,
        "n": one.n,
        "events": one.events,
        "log_rank": one.log_rank,
        "degrees": one.degrees,
        "p": one.p,
        "concordance": one.concordance,
        "proportional_p": one.proportional_p,
        "groups": [
            {"group": group.name, "n": group.n, "events": group.events, "median_days": group.median}
            for group in one.groups
        ],
        "hazard_ratios": [asdict(ratio) for ratio in one.hazard_ratios],
        "notes": list(one.notes),
    }
