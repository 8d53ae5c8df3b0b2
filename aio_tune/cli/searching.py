"""Commands about searches: search, leaderboard."""

import os
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aio_tune.cli.comparing import compare_with_baselines, print_comparison
from aio_tune.cli.console import (
    DEFAULT_HOME,
    AddressOption,
    HomeOption,
    JsonOption,
    TrackingOption,
    command_line,
    home_of,
    place_words,
    say,
    say_json,
    say_of_password,
    store_uri,
)
from aio_tune.cli.following import Follower
from aio_tune.cli.leaderboard_view import print_leaderboard, sort_rows
from aio_tune.cli.submitting import search_as_job
from aio_tune.errors import SearchError
from aio_tune.files import make_private

if TYPE_CHECKING:
    from aio_tune.config import Home, RunFolder
    from aio_tune.dataset import AioDataset
    from aio_tune.search.ahead import Ahead
    from aio_tune.search.geometry import Geometry
    from aio_tune.search.rows import TrainingRows
    from aio_tune.search.state import SearchState
    from aio_tune.search_space import SearchSpec


def search(
    space: Annotated[Path, typer.Argument(metavar="SPACE.yaml", help="Search space, e.g. search_spaces/ki67.yaml.")],
    data: Annotated[Path, typer.Option(help="An AIO dataset.")],
    name: Annotated[str, typer.Option(help="The search's name. Default: the space's, numbered.")] = "",
    trials: Annotated[int | None, typer.Option(help="How many trials; overrides the space file.", min=1)] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting of the space file.")
    ] = None,
    address: AddressOption = "local",
    tracking_uri: TrackingOption = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a search that was interrupted.")] = False,
    resume_or_start: Annotated[
        bool,
        typer.Option("--resume-or-start", help="Go on with the search of that --name, or start it: for jobs."),
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Search for the best network by cross-validation.

    With the URL of a cluster's job API as address (http://...) the search runs as a job there, whose log is shown here:
    paths are the cluster's then, Ctrl-C leaves the job alone, and --resume finds it again.

    Example: aio-tune search search_spaces/ki67.yaml --data dataset --trials 8
    """
    from aio_tune.search.leaderboard import leaderboard as rows_of
    from aio_tune.tracking.client import redacted

    chosen = [*(overrides or []), *([f"trials={trials}"] if trials is not None else [])]
    if resume_or_start and not name:
        raise SearchError("Expected --name with --resume-or-start, to know which search to go on with. Received none.")
    if address.startswith(("http://", "https://")):
        there = search_words(space.name, chosen, data, name, "local", tracking_uri, home)
        again = search_words(space, chosen, data, name, address, redacted(tracking_uri), home)
        say_of_password(tracking_uri)
        search_as_job(address, name, there, space, resume or resume_or_start, command_line(*again, "--resume"))
        return
    name = name or default_name(home_of(home), space.stem, resume)
    resume = resume or (resume_or_start and home_of(home).run(name).ledger.exists())
    # The address of the job that this runs in will not be that of the next one.
    lasting = "local" if address == os.environ.get("RAY_ADDRESS") else address
    again = search_words(space, chosen, data, name, lasting, redacted(tracking_uri), home)
    state = search_and_register(
        space, chosen, data, home_of(home), name, address=address, tracking_uri=tracking_uri, resume=resume,
        resume_command=command_line(*again, "--resume"), quiet=as_json,
    )  # fmt: skip
    if as_json:
        say_json({"name": name, "registered": state.registered, "trials": rows_of(state)})


def search_words(
    space: Path | str, overrides: list[str], data: Path, name: str, address: str, tracking_uri: str, home: Path
) -> list[object]:
    """The words of a command for this search."""
    words: list[object] = ["aio-tune", "search", space, "--data", data, "--name", name]
    for override in overrides:
        words += ["--set", override]
    words += ["--address", address] if address != "local" else []
    words += ["--tracking-uri", tracking_uri] if tracking_uri else []
    return words + (["--home", home] if home != DEFAULT_HOME else [])


def default_name(home: "Home", stem: str, resume: bool) -> str:
    """A new name made from the space file's; or, to resume, the newest of these whose search has not ended."""
    from aio_tune.search.leaderboard import read_state, search_names

    names = [n for n in search_names(home) if n == stem or n.removeprefix(f"{stem}-").isdigit()]
    if resume:
        open_ones = [n for n in names if not read_state(home, n).registered]
        if not open_ones:
            raise SearchError(
                f"Expected an unfinished search called {stem} in {home.path}. Received --resume, and found none.",
                "Name it with --name.",
            )
        return open_ones[-1]
    return stem if stem not in names else f"{stem}-{1 + len(names)}"


def search_and_register(
    space: Path,
    overrides: list[str],
    data: Path,
    home: "Home",
    name: str,
    *,
    address: str = "local",
    tracking_uri: str = "",
    resume: bool = False,
    resume_command: str,
    quiet: bool = False,
) -> "SearchState":
    """Run a search with its MLflow mirror, register the winner, and show it beside the baselines.

    Raises:
        SearchError: the search was interrupted (the message holds the command to resume), or no trial was complete.
    """
    from aio_tune.dataset import open_dataset
    from aio_tune.search.ahead import started_ahead
    from aio_tune.search.cluster import check_address
    from aio_tune.search.leaderboard import read_state
    from aio_tune.search.rows import training_rows
    from aio_tune.search.run import begun, check_name
    from aio_tune.search_space import load_space

    dataset = open_dataset(data)
    spec = load_space(space, overrides, tasks=dataset.tasks)
    check_name(home.run(name), resume)
    check_address(address)
    uri = store_uri(tracking_uri, home)
    # One that has ended and is resumed, to be registered, trains nothing more; or layouts, at most.
    ended = begun(home.run(name)) and read_state(home, name).ended
    with nullcontext(address) if ended else started_ahead(address, spec) as place:
        # Before anything is written: what cannot be searched leaves nothing behind.
        rows = training_rows(dataset, spec.task, spec.train_on, spec.folds, spec.seed, spec.resources.memory_budget)
        if not quiet:
            say(f"search {name}: {spec.trials} trials of {spec.task} on {', '.join(spec.train_on)}, "
                f"rungs {' -> '.join(f'{folds} folds x {epoch} epochs' for folds, epoch in spec.rungs)}")  # fmt: skip
            say(f"to resume, should it be interrupted: {resume_command}")
            say_of_password(tracking_uri)
        _keep_origin(home.run(name), space)
        try:
            state = _search_with_mirror(spec, dataset, rows, home, name, uri, place, resume, resume_command, quiet)
            geometry = _ask_layouts(home, name, spec, state, dataset, rows, uri, place, quiet)
        except KeyboardInterrupt:
            raise _interrupted(name, resume_command) from None
    comparison = compare_with_baselines(state, rows, home.run(name).path / "baseline.json", geometry)
    if not quiet:
        say(f"ended: {state.ended}")
        if state.refused:
            say(f"{len(state.refused)} drawn configurations were refused at no cost, e.g. {state.refused[-1]}")
        print_comparison(comparison, geometry)
        print_registered(state, place_words(tracking_uri, home))
    return state


def _keep_origin(run: "RunFolder", space: Path) -> None:
    """Of a new search: what the user wrote, as given, and the environment; the ledger holds what became of it."""
    from aio_tune.search.environment import environment_text
    from aio_tune.search.run import begun

    make_private(run.path)
    if not begun(run):
        shutil.copyfile(space, run.space)
        run.environment.write_text(environment_text())


def _interrupted(name: str, resume_command: str) -> SearchError:
    return SearchError(f"The search {name} was interrupted; nothing finished is lost.", f"Go on with: {resume_command}")


def _search_with_mirror(
    spec: "SearchSpec",
    dataset: "AioDataset",
    rows: "TrainingRows",
    home: "Home",
    name: str,
    uri: str,
    place: "str | Ahead",
    resume: bool,
    resume_command: str,
    quiet: bool,
) -> "SearchState":
    """Run a search with its MLflow mirror, and register the winner.

    Raises:
        SearchError: as ``search_and_register``.
        KeyboardInterrupt: it was interrupted before its first trial, or after its last.
    """
    from aio_tune.cli.progress import SearchView
    from aio_tune.search.finish import register_winner
    from aio_tune.search.run import begun, run_search
    from aio_tune.tracking import Mirror, ensure_store
    from aio_tune.tracking.client import redacted

    view = SearchView(spec.trials, spec.metric, len(spec.rungs), live=False if quiet else None)
    # Before any trial starts, so that a store that does not work costs nothing.
    ensure_store(uri, None, experiment := f"aio-{spec.task}")
    with Mirror(home.run(name).ledger, uri, experiment) as mirror:
        with view:
            state = run_search(
                spec, dataset, rows, home, name, address=place, resume=resume and begun(home.run(name)),
                on_event=(lambda event: None) if quiet else view,
            )  # fmt: skip
        if not state.ended:
            raise _interrupted(name, resume_command)
        if not mirror.flush(timeout=120):
            raise SearchError(
                f"The search {name} ended, but {redacted(uri)} does not answer, so nothing is registered yet.",
                f"Nothing is lost; when it answers: {resume_command}",
            )
        if state.best is None:
            raise SearchError(
                f"Expected at least one trial of {name} to finish all folds. Received none: {_failures(state)}",
                f"See {command_line('aio-tune', 'leaderboard', name, *place_words('', home))}",
            )
        return register_winner(home, spec, name, dataset, rows, uri, mirror)


def _ask_layouts(
    home: "Home",
    name: str,
    spec: "SearchSpec",
    state: "SearchState",
    dataset: "AioDataset",
    rows: "TrainingRows",
    uri: str,
    place: "str | Ahead",
    quiet: bool,
) -> "Geometry":
    """Train the best network with convolutions on other layouts, if the search is to; then what that has shown.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    from aio_tune.search.geometry import (
        convolving_trial,
        geometry_folder,
        layouts_to_train,
        read_geometry,
        train_layouts,
    )

    trial = convolving_trial(state)
    if spec.layout_control and trial is not None:
        layouts = layouts_to_train(trial)
        if not quiet:
            own = read_geometry(home, name, state).own
            say(f"does the picture's geometry help? trial {trial.number}'s network (layout {own}), trained on the same "
                f"folds with {', '.join(layouts)}")  # fmt: skip
        follower = Follower(uri, f"aio-{spec.task}", quiet)
        try:
            follow = follower.follow(geometry_folder(home, name, trial.number), spec.metric, len(layouts))
            trained = train_layouts(
                home, name, trial, dataset, rows, address=place, on_event=follow, resources=spec.resources
            )
            if not trained.ended:
                raise KeyboardInterrupt
        finally:
            follower.close(hurry=sys.exc_info()[0] is not None)
    return read_geometry(home, name, state)


def _failures(state: "SearchState") -> str:
    failed = [trial for trial in state.trials.values() if trial.state == "FAIL"]
    return f"{len(failed)} failed, the last with: {failed[-1].reason}" if failed else "all were pruned."


def print_registered(state: "SearchState", place: list[object]) -> None:
    """What the search left in the registry, and what to do with it.

    Args:
        state: the search.
        place: see ``place_words``.
    """
    model, folds = state.registered["ensemble"], state.registered["folds"]
    say(f"registered: {model['name']} version {model['version']}, and its {len(folds['versions'])} fold models")
    say(f"Next: {command_line('aio-tune', 'promote', model['name'], '--to', 'evaluation', *place)}")


def leaderboard(
    name: Annotated[str, typer.Argument(help="A search's name.")],
    sort: Annotated[str, typer.Option(help="Column to sort by, instead of rank.")] = "rank",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """The trials of a search, best first.

    Example: aio-tune leaderboard ki67
    """
    from aio_tune.search.leaderboard import leaderboard as rows_of
    from aio_tune.search.leaderboard import read_state

    state = read_state(home_of(home), name)
    rows = rows_of(state)
    sort_rows(rows, sort)
    if as_json:
        say_json(rows)
    else:
        print_leaderboard(name, rows)
