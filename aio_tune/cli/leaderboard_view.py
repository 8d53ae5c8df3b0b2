"""The table of a search's trials."""

import json
from typing import Any

from aio_tune.cli.console import say, say_table
from aio_tune.errors import SearchError
from aio_tune.numbers import duration, number


def sort_rows(rows: list[dict[str, Any]], column: str) -> None:
    """Sort a leaderboard's rows in place: ``cv_`` columns best first, others upwards; what is not known is last.

    Raises:
        SearchError: there is no such column.
    """
    if rows and column not in _columns(rows):
        raise SearchError(f"Expected a column to sort by, one of {', '.join(_columns(rows))}. Received {column!r}.")
    rows.sort(key=lambda row: _sort_key(row[column], descending=column.startswith("cv_")))


def print_leaderboard(name: str, rows: list[dict[str, Any]]) -> None:
    """The rows, with the parameters in which the trials differ, and why those that failed did."""
    if not rows:
        say(f"{name}: no trial yet.")
        return
    columns, varied = _columns(rows), _varied([row["params"] for row in rows])
    cells = [
        [*[_shown(column, row[column]) for column in columns], *[_short(row["params"].get(name)) for name in varied]]
        for row in rows
    ]
    say_table(f"{name}: {len(rows)} trials, and the parameters in which they differ", [*columns, *varied], cells)
    for row in rows:
        if row["state"] == "FAIL":
            say(f"trial {row['trial']} FAIL: {row['reason']}")


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    return [column for column in rows[0] if column not in ("params", "reason")]


def _sort_key(value: Any, descending: bool) -> tuple[bool, Any]:
    if value is None:
        return (True, 0)
    return (False, -value if descending else value)


def _shown(column: str, value: Any) -> str:
    if isinstance(value, float):
        return duration(value) if column == "seconds" else number(value)
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _varied(configurations: list[dict[str, Any]]) -> list[str]:
    """Names of the parameters that are not the same in all configurations."""
    names = dict.fromkeys(name for params in configurations for name in params)
    return [name for name in names if len({json.dumps(params.get(name)) for params in configurations}) > 1]


def _short(value: Any) -> str:
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
