"""Tables as the commands print them, beside Rich's of the same kind."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aio_tune.cli.console import say_table, table_lines

cells = st.text(st.characters(categories=("L", "N", "P"), exclude_characters="\u0b95"), max_size=8)


def rich_lines(columns: list[str], rows: list[list[str]]) -> list[str]:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(Text(column), justify="right" if i else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    file = io.StringIO()
    Console(file=file, width=1000).print(table)
    return [line.rstrip() for line in file.getvalue().splitlines() if line.strip()]


@given(data=st.data(), width=st.integers(1, 5))
def test_a_table_is_that_of_rich(data: st.DataObject, width: int) -> None:
    line = st.lists(cells, min_size=width, max_size=width)
    columns = data.draw(st.lists(cells.filter(bool), min_size=width, max_size=width))
    rows = data.draw(st.lists(line.filter(any), max_size=4))
    assert table_lines(columns, rows) == rich_lines(columns, rows)


def test_into_a_pipe_it_has_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    say_table("a title", ["", "auc"], [["network", 0.75], ["none", None], ["many", 1234]])
    assert capsys.readouterr().out.splitlines() == [
        "a title",
        "             auc",
        " ───────────────",
        " network   0.750",
        " none          -",
        " many      1,234",
    ]
