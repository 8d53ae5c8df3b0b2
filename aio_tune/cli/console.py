"""What the commands share: options and tables."""

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from aio_tune.config import Home
from aio_tune.errors import EvaluationError
from aio_tune.numbers import number

HomeOption = Annotated[
    Path,
    typer.Option(
        "--home", envvar="AIO_TUNE_HOME", help="Folder that holds all your searches leave.", show_default=True
    ),
]
TrackingOption = Annotated[
    str, typer.Option("--tracking-uri", help="MLflow server. Default: one SQLite file in the home folder.")
]
AddressOption = Annotated[
    str,
    typer.Option(
        "--address", envvar="RAY_ADDRESS", help="Address of a Ray cluster (host:port). Default: this machine alone."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print results as JSON, for machines.")]

DEFAULT_HOME = Path("aio_home")


def home_of(path: Path) -> Home:
    """The home folder, as an absolute path: workers and servers have working folders of their own."""
    return Home(path.resolve())


def store_uri(tracking_uri: str, home: Home) -> str:
    """The MLflow store to use: the one asked for, else the home folder's own."""
    from aio_tune.tracking import tracking_uri as uri_of

    return tracking_uri or uri_of(home)


def place_words(tracking_uri: str, home: Home) -> list[object]:
    """The options by which a next command finds the same store and home folder; a password is not repeated.

    Args:
        tracking_uri: as asked for; empty for the home folder's own store.
        home: the home folder.
    """
    from aio_tune.tracking.client import redacted

    words: list[object] = ["--tracking-uri", redacted(tracking_uri)] if tracking_uri else []
    if home.path != DEFAULT_HOME.resolve():
        here = Path.cwd()
        words += ["--home", home.path.relative_to(here) if home.path.is_relative_to(here) else home.path]
    return words


def say_of_password(tracking_uri: str) -> None:
    """Beside a command that was printed: what its *** is, and how to do without; nothing if it has none."""
    from aio_tune.tracking.client import redacted

    if redacted(tracking_uri) != tracking_uri:
        other = " MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD keep it out of there."
        say("*** stands for the password, which every user of this machine can read from a command line."
            f"{other if tracking_uri.startswith('http') else ''}")  # fmt: skip


def check_out(path: Path, example: str) -> None:
    """Make sure, before the long work, that a file can be written there.

    Raises:
        EvaluationError: it is a folder, or in none that is there.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise EvaluationError(
            f"Expected a file to write, such as {example}, in a folder that is there. Received {path}"
            f"{', a folder' if path.is_dir() else ''}."
        )


def say(line: str = "") -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


def say_json(value: Any) -> None:
    """Print ``value`` as strict JSON: what is undefined is null."""
    print(json.dumps(_plain(value), indent=2, allow_nan=False))


def say_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table as aligned text, as wide as it needs to be; title and names of columns bold on a terminal."""
    head, *body = table_lines(columns, [[_cell(value) for value in row] for row in rows])
    typer.secho(title, bold=True)
    typer.secho(head, bold=True)
    say("\n".join(body))


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Names of columns, a rule, and the rows; the first column to the left, the others to the right.

    Rich's own tables take 0.1 ms for each cell, which is seconds for a search of thousands of trials.
    """
    from rich.cells import cell_len

    lengths = [[cell_len(text) for text in line] for line in (columns, *rows)]
    widths = [max(column) for column in zip(*lengths, strict=True)]

    def line(texts: Sequence[str], taken: Sequence[int]) -> str:
        gaps = [" " * (width - length) for width, length in zip(widths, taken, strict=True)]
        first = f" {texts[0]}{gaps[0]}"
        return "   ".join([first, *(gap + text for gap, text in zip(gaps[1:], texts[1:], strict=True))]).rstrip()

    rule = " " + "─" * (sum(widths) + 3 * (len(widths) - 1))
    head, *body = [line(texts, taken) for texts, taken in zip((columns, *rows), lengths, strict=True)]
    return [head, rule, *body]


def command_line(*words: object) -> str:
    """A command as the user can paste it."""
    return shlex.join(str(word) for word in words)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return number(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
