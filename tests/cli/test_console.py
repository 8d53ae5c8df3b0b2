"""Tables as the commands print them, beside Rich's of the same kind."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aio_tune.cli.console import place_words, say_of_password, say_table, table_lines
from aio_tune.config import Home

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


def test_a_next_command_finds_the_same_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place_words("", Home(tmp_path / "aio_home")) == [], "the defaults"
    assert place_words("", Home(tmp_path / "demo" / "aio_home")) == ["--home", Path("demo/aio_home")]
    assert place_words("http://ada:secret@mlflow", Home(Path("/shared/aio_home"))) == [
        "--tracking-uri", "http://ada:***@mlflow", "--home", Path("/shared/aio_home"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("http://ada:secret@mlflow", "*** stands for the password, which every user of this machine can read from a "
         "command line. MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD keep it out of there.\n"),
        ("postgresql://ada:secret@db/mlflow", "*** stands for the password, which every user of this machine can read "
         "from a command line.\n"),
        ("http://mlflow", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_what_is_said_of_a_password(uri: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    say_of_password(uri)
    assert capsys.readouterr().out == told
