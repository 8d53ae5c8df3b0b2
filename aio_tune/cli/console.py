"""What the commands share: options and tables."""

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from aio_tune.config import Home
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
