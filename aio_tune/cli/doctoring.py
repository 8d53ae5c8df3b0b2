"""The command that looks for what is wrong with a cluster: doctor."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aio_tune.cli.console import (
    DEFAULT_HOME,
    AddressOption,
    HomeOption,
    JsonOption,
    TrackingOption,
    home_of,
    say,
    say_json,
)
from aio_tune.errors import LaunchError

if TYPE_CHECKING:
    from aio_tune.doctor import Finding


def doctor(
    space: Annotated[
        Path | None, typer.Argument(metavar="[SPACE.yaml]", help="Search that is to be run; needs --data.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The AIO dataset it is to use.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting of the space file.")
    ] = None,
    address: AddressOption = "local",
    tracking_uri: TrackingOption = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Look for what would stop a search, or let others in: is the cluster closed, are its nodes alike, is there room?

    Exit status 1 if there is a problem, 0 with warnings alone.

    Example: aio-tune doctor search_spaces/ki67.yaml --data dataset --address head:6379
    """
    from aio_tune.dataset import open_dataset
    from aio_tune.doctor import Level, Wanted, examine
    from aio_tune.search_space import load_space

    if space is not None and data is None:
        raise LaunchError("Expected --data with a space file. Received none.", "Name the dataset of the search.")
    dataset = open_dataset(data) if data is not None else None
    spec = (
        load_space(space, overrides or [], tasks=dataset.tasks) if space is not None and dataset is not None else None
    )
    findings = examine(Wanted(address, home_of(home), dataset, spec, tracking_uri))
    if as_json:
        say_json([finding.facts() for finding in findings])
    else:
        _show(findings)
    problems = [finding for finding in findings if finding.level is Level.PROBLEM]
    if problems:
        many = "1 problem was" if len(problems) == 1 else f"{len(problems)} problems were"
        raise LaunchError(f"{many} found: {problems[0].what}.", problems[0].hint)


def _show(findings: Sequence["Finding"]) -> None:
    for finding in findings:
        say(f"{finding.level.value:8} {finding.check}: {finding.what}")
        if finding.hint:
            say(f"{'':8} -> {finding.hint}")
