"""The command reproduce."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aio_tune.cli.console import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    TrackingOption,
    home_of,
    say,
    say_json,
    say_table,
    store_uri,
)
from aio_tune.errors import CohortError, EvaluationError

if TYPE_CHECKING:
    from aio_tune.config import Home
    from aio_tune.reproduce import SearchResult


def reproduce(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders with files of the GEO series.")],
    search: Annotated[
        list[str] | None, typer.Option(help="A finished search to hold the paper's networks against; repeatable.")
    ] = None,
    tracking_uri: TrackingOption = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Rebuild what the files at hand allow of Chen et al. 2021: pass, fail, or which file is missing.

    Example: aio-tune reproduce geo/gse96058 --search ki67
    """
    from aio_tune.reproduce import Verdict, clinical_items, expression_items, network_items

    for folder in folders:
        if not folder.is_dir():
            raise CohortError(f"Expected a folder with files of GEO series. Received {folder}.")
    place = home_of(home)
    searches = [_result(place, name, store_uri(tracking_uri, place)) for name in search or []]
    items = [*clinical_items(folders), *expression_items(folders), *network_items(searches)]
    if all(item.verdict == Verdict.NOT_POSSIBLE for item in items):
        raise CohortError(
            f"Expected files of GSE96058, GSE81538 or GSE163882 in {', '.join(map(str, folders))}. Received none.",
            "`aio-tune fetch` downloads them.",
        )
    if as_json:
        say_json([asdict(item) for item in items])
    else:
        rows = [[item.where, item.what, item.paper, item.here or "-", item.verdict.value] for item in items]
        say_table("Chen et al., Breast Cancer Res 23:96, 2021", ["where", "what", "paper", "here", ""], rows)
        for note in dict.fromkeys(f"{item.verdict.value}: {item.note}" for item in items if item.note):
            say(note)
        verdicts = [item.verdict for item in items]
        say(", ".join(f"{verdicts.count(verdict)} {verdict.value}" for verdict in Verdict) + ".")
    if failed := [item for item in items if item.verdict == Verdict.FAIL]:
        raise EvaluationError(
            f"Expected the paper's numbers. Received others for {len(failed)} of {len(items)}, "
            f"the first: {failed[0].what}: {failed[0].paper} there, {failed[0].here} here.",
            "Are these the files that GEO has?",
        )


def _result(home: "Home", name: str, uri: str) -> "SearchResult":
    """What a search has to show for itself.

    Raises:
        SearchError: there is no such search, or it has not ended.
        RegistryError: the store cannot be reached.
    """
    from aio_tune.reproduce import search_result
    from aio_tune.search.confirm import finished_search
    from aio_tune.tracking import read_evaluations

    state, _, _ = finished_search(home, name)
    if not state.registered:
        return search_result(state, ())
    model = state.registered["ensemble"]
    return search_result(state, read_evaluations(uri, model["name"], int(model["version"]), state.origin_tags()))
