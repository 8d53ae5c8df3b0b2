"""Expression tables: what is read properly, and what is refused in one line."""

import gzip
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aio_tune.cohorts.blocks import Layout, _parse_csv, _parse_plain
from aio_tune.cohorts.growing import GrowingMatrix
from aio_tune.cohorts.text_table import TextTable, put_first, read_text_table
from aio_tune.errors import CohortError

PLAIN = b",S1,S2\nAAA,1,2\nBBB,-3.5,4e1\n"
pack = partial(gzip.compress, mtime=0)  # the bytes are part of a test's name, which workers must agree on
PACKED = pack(PLAIN)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.csv", PLAIN),
        ("gzip.csv.gz", PACKED),
        ("gzip_without_suffix.csv", PACKED),
        ("two_gzip_members.csv.gz", pack(PLAIN[:14]) + pack(PLAIN[14:])),
        ("byte_order_mark.csv", b"\xef\xbb\xbf" + PLAIN),
        ("crlf.csv", PLAIN.replace(b"\n", b"\r\n")),
        ("bom_and_crlf.csv.gz", pack(b"\xef\xbb\xbf" + PLAIN.replace(b"\n", b"\r\n"))),
        ("quoted.csv", b'"","S1","S2"\n"AAA","1",2\n"BBB",-3.5,"4e1"\n'),
        ("tabs.tsv", PLAIN.replace(b",", b"\t")),
        ("tabs_in_a_csv.csv", PLAIN.replace(b",", b"\t")),
        ("header_one_short.txt", b"S1\tS2\nAAA\t1\t2\nBBB\t-3.5\t40\n"),
        ("no_last_newline.csv", PLAIN.rstrip()),
        ("blank_lines.csv", b"\n" + PLAIN + b"\n\n"),
        ("spaces.csv", b", S1 ,S2\nAAA , 1,2 \nBBB,-3.5,40\n"),
    ],
)
def test_reads(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    table = read_text_table(tmp_path / name)
    assert table.columns == ("S1", "S2")
    assert table.row_names == ["AAA", "BBB"]
    assert table.values.dtype == np.float32
    np.testing.assert_array_equal(table.values, np.float32([[1, -3.5], [2, 40]]))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cut.csv.gz", PACKED[:-9], "truncated or damaged"),
        ("cut_checksum.csv.gz", PACKED[:-3], "truncated or damaged"),
        ("not_gzip.csv.gz", PLAIN, "truncated or damaged"),
        ("word.csv", b",S1,S2\nAAA,1,2\nBBB,x7,4\n", "'x7' in row 'BBB', column 'S1' (line 3)"),
        ("nan.csv", b",S1,S2\nAAA,1,NaN\n", "'NaN' in row 'AAA', column 'S2' (line 2)"),
        ("na.csv", b",S1,S2\nAAA,1,NA\n", "'NA' in row 'AAA', column 'S2' (line 2)"),
        ("inf.csv", b",S1,S2\nAAA,1,-inf\n", "'-inf' in row 'AAA', column 'S2' (line 2)"),
        ("huge.csv", b",S1,S2\nAAA,1,1e300\n", "'1e300' in row 'AAA', column 'S2' (line 2)"),
        ("empty_cell.csv", b",S1,S2\nAAA,,2\n", "'' in row 'AAA', column 'S1' (line 2)"),
        ("short_row.csv", b",S1,S2\nAAA,1,2\nBBB,3\n", "Received 2 in row 'BBB' (line 3)"),
        ("long_row.csv", b",S1,S2\nAAA,1,2\nBBB,3,4,5\n", "Received 4 in row 'BBB' (line 3)"),
        ("twice.csv", b",S1,S1\nAAA,1,2\n", "'S1' more than once"),
        ("no_name.csv", b",S1,\nAAA,1,2\n", "column 3 without"),
        ("empty.csv", b"", "is empty"),
        ("empty.csv.gz", b"", "is empty"),
        ("blank.csv", b"\n\n", "is empty"),
        ("header.csv", b",S1,S2\n", "header only"),
        ("header.csv.gz", pack(b",S1,S2\n"), "header only"),
        ("semicolons.csv", b";S1;S2\nAAA;1;2\n", "Received the header"),
        ("latin1.csv", b",S1,S2\n\xe9,1,2\n", "Received byte 0xe9"),
        ("binary.csv", bytes(range(256)), "Received byte"),
    ],
)
def test_refuses(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CohortError) as error:
        read_text_table(tmp_path / name)
    message = str(error.value)
    assert said in message
    assert message.startswith("Expected ")
    assert "Received" in message
    assert name in message
    assert "\n" not in message


def test_the_fault_is_named_far_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the first block that is parsed at once."""
    monkeypatch.setattr("aio_tune.cohorts.text_table._BLOCK_BYTES", 4096)
    lines = [f"G{i},1.25,2.5" for i in range(3_000)]
    lines[2_990] = "G2990,1.25,oops"
    path = tmp_path / "long.csv"
    path.write_text(",S1,S2\n" + "\n".join(lines) + "\n")
    with pytest.raises(CohortError, match=r"'oops' in row 'G2990', column 'S2' \(line 2992\)"):
        read_text_table(path)


def test_several_blocks_are_joined_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aio_tune.cohorts.text_table._BLOCK_BYTES", 64)
    expected = np.arange(300, dtype=np.float32).reshape(100, 3)
    path = tmp_path / "blocks.csv.gz"
    text = ",A,B,C\n" + "".join(f"G{i},{','.join(f'{v:g}' for v in row)}\n" for i, row in enumerate(expected))
    path.write_bytes(gzip.compress(text.encode()))
    table = read_text_table(path)
    np.testing.assert_array_equal(table.values, expected.T)
    assert table.row_names == [f"G{i}" for i in range(100)]


def test_text_columns_are_told_by_name(tmp_path: Path) -> None:
    path = tmp_path / "annotated.csv"
    path.write_text("id,S1,annotation,S2\nE1,1,AAA,2\nE2,3,BBB,4\n")
    table = read_text_table(path, lambda name: name.startswith("S"))
    assert table.columns == ("S1", "S2")
    assert table.text == {"id": ["E1", "E2"], "annotation": ["AAA", "BBB"]}
    np.testing.assert_array_equal(table.values, [[1, 3], [2, 4]])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000))
def test_any_cut_of_a_gzip_is_refused(tmp_path: Path, where: int) -> None:
    text = ",S1,S2\n" + "".join(f"G{i},{i * 7919 % 1013},{i}\n" for i in range(300))
    whole = gzip.compress(text.encode(), mtime=0)
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(whole[: where % len(whole)])
    with pytest.raises(CohortError, match=r"truncated|is empty"):
        read_text_table(path)


# The quick way of a block and the way that knows all of CSV --------------------------------------------------------

LAYOUT = Layout(Path("table.csv"), ("", "S1", "annotation", "S2"), (False, True, False, True), ",")


def as_written(value: float) -> st.SearchStrategy[str]:
    """The forms in which programs write a number."""
    return st.sampled_from(
        [repr(value), f"{value:.15g}", f"{value:.6f}", f"{value:.3e}", f"{value:+.4E}", f"{value:.20g}", f"{value:.0f}"]
    )


NUMBERS = st.floats(-1e37, 1e37, allow_subnormal=True).flatmap(as_written)
NAMES = st.sampled_from(["AAA", '"BBB"', "1-Mar", '""', "", "\u00e9 x", "  C"])
ROWS = st.lists(st.tuples(NAMES, NUMBERS, NAMES, NUMBERS), min_size=1, max_size=20)


@settings(max_examples=200, deadline=None)
@given(ROWS, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_the_quick_way_gives_the_same_bits(rows: list[tuple[str, ...]], line_end: str, last: bool) -> None:
    block = (line_end.join(",".join(row) for row in rows) + (line_end if last else "")).encode()
    quick, slow = _parse_plain(LAYOUT, block), _parse_csv(LAYOUT, block, 2)
    assert quick is not None
    assert quick.text == slow.text
    assert quick.numbers.view(np.uint32).tolist() == slow.numbers.view(np.uint32).tolist()


def test_numbers_are_rounded_once_from_their_decimal_form(tmp_path: Path) -> None:
    """Not by way of float64: there the first of these lies halfway between two float32, and would go the other way."""
    path = tmp_path / "halfway.csv"
    path.write_text(",S1\nA,1.000000059604644775390626\nB,1.00000005960464477539062\n")
    assert read_text_table(path).values.tolist() == [[float(np.nextafter(np.float32(1), np.float32(2))), 1.0]]


@pytest.mark.parametrize(
    "line",
    ["A, 1,x,2", 'A,"1",x,2', "A,1,x", "A,1,x,2,3", "A,1,x,", "", "A,one,x,2", '"A,B",1,2', 'A,1,x"y,2', "A,1,x\r,2"],
)
def test_the_quick_way_leaves_what_is_not_plain(line: str) -> None:
    assert _parse_plain(LAYOUT, f"A,1,x,2\n{line}\nB,3,y,4\n".encode()) is None
    assert _parse_plain(LAYOUT, b"A,1,x,2\nB,3,y,4\n") is not None


# Matrices in one memory --------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 7), st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1.2)), min_size=1, max_size=12))
def test_a_growing_matrix_holds_its_blocks_however_wrong_the_forecast(
    n_rows: int, blocks: list[tuple[int, float]]
) -> None:
    matrix = GrowingMatrix(n_rows)
    total = sum(size for size, _ in blocks)
    expected = np.arange(total * n_rows, dtype=np.float32).reshape(total, n_rows)
    start = 0
    for size, share in blocks:
        matrix.append(expected[start : start + size], share)
        start += size
    values = matrix.finish()
    assert values.flags.c_contiguous and values.flags.owndata is False
    np.testing.assert_array_equal(values, expected.T)


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(8)), st.integers(0, 8))
def test_columns_are_put_first_in_place(order: list[int], n: int) -> None:
    values = np.arange(24, dtype=np.float32).reshape(8, 3)
    table = TextTable(values, tuple(f"S{i}" for i in range(8)), {"": ["A", "B", "C"]}, ["A", "B", "C"])
    expected = {name: row.tolist() for name, row in zip(table.columns, values, strict=True)}
    first = [f"S{i}" for i in order[:n]]
    moved = put_first(table, first)
    assert moved.values is values
    assert list(moved.columns[:n]) == first
    assert {name: row.tolist() for name, row in zip(moved.columns, values, strict=True)} == expected
