"""The command that downloads public files: fetch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aio_tune.cli.console import JsonOption, command_line, say, say_json
from aio_tune.errors import FetchError

if TYPE_CHECKING:
    from aio_tune.fetch import Outcome


def fetch(
    accessions: Annotated[
        list[str],
        typer.Argument(metavar="ACCESSION...", help="GSE96058, GSE81538, GSE163882, or GENCODE for gene positions."),
    ],
    to: Annotated[Path, typer.Option(metavar="DIR", help="Folder; each accession has its own in it.")],
    base: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A mirror of GEO. Default: GEO itself.")] = None,
    gencode_base: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A mirror of GENCODE. Default: GENCODE itself.")
    ] = None,
    gencode_release: Annotated[
        int | None, typer.Option(help="Human release of GENCODE. Default: a fixed one, the same for all.", min=1)
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="MB", help="Refuse a file that is larger, also when decompressed.", min=1)
    ] = 16_000,
    as_json: JsonOption = False,
) -> None:
    """Download cohort files from GEO and gene positions from GENCODE.

    Stopped anywhere, the same command goes on from there. A file that is there is whole: it was checked to its end.

    Example: aio-tune fetch GSE96058 GSE81538 GENCODE --to geo
    """
    from aio_tune.cli.fetch_view import FetchView
    from aio_tune.fetch import GENCODE_BASE, GENCODE_RELEASE, GEO_BASE, Sources
    from aio_tune.fetch import fetch as fetch_files

    sources = Sources(base or GEO_BASE, gencode_base or GENCODE_BASE, gencode_release or GENCODE_RELEASE)
    try:
        with FetchView() as view:
            outcomes = fetch_files(accessions, to, sources, limit=limit * 1_000_000, watcher=view)
    except KeyboardInterrupt:
        given = (("--base", base), ("--gencode-base", gencode_base), ("--gencode-release", gencode_release))
        options = [word for name, value in given if value is not None for word in (name, value)]
        again = command_line("aio-tune", "fetch", *accessions, "--to", to, *options, "--limit", limit)
        raise FetchError("The download was interrupted; what came is kept.", f"Go on with: {again}") from None
    if as_json:
        say_json([_facts(outcome) for outcome in outcomes])
        return
    for outcome in outcomes:
        state = "fetched" if outcome.is_new else "there already"
        say(f"{outcome.path}: {state}, {outcome.fetched.size:,} bytes, sha256 {outcome.fetched.sha256}")
    new = sum(outcome.is_new for outcome in outcomes)
    if new:
        say(f"{to}: {new} of {len(outcomes)} files fetched; where from is in each folder's fetched.json.")
    else:
        say(f"Nothing to do: all {len(outcomes)} files are in {to} already, unchanged.")
    say(f"Next: {_next(to, outcomes)}")


def _facts(outcome: "Outcome") -> dict[str, object]:
    return {
        "accession": outcome.accession,
        "path": str(outcome.path),
        "fetched": outcome.is_new,
        **outcome.fetched.model_dump(),
    }


def _next(to: Path, outcomes: Sequence["Outcome"]) -> str:
    """The command that goes on with what was fetched, now and earlier."""
    from aio_tune.fetch import GENCODE, RECORD, SERIES

    folders = [to / accession for accession in SERIES if (to / accession / RECORD).is_file()]
    annotation = [outcome.path for outcome in outcomes if outcome.accession == GENCODE]
    annotation = annotation or sorted((to / GENCODE).glob("*.gtf.gz"))
    if not annotation:
        return command_line("aio-tune", "fetch", GENCODE, "--to", to) + "  (gene positions)"
    if not folders:
        return command_line("aio-tune", "fetch", next(iter(SERIES)), "--to", to)
    return command_line("aio-tune", "prepare", *folders, "--annotation", annotation[-1], "--out", "dataset")
