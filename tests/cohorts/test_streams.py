"""Files as bytes: damage, bombs, and work ahead in threads."""

import gzip
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aio_tune.cohorts import streams
from aio_tune.cohorts.ahead import ahead, threads
from aio_tune.cohorts.geo import read_series_matrix
from aio_tune.cohorts.positions import read_positions
from aio_tune.cohorts.streams import open_bytes, open_text
from aio_tune.cohorts.text_table import read_text_table
from aio_tune.errors import CohortError

# Damage --------------------------------------------------------------------------------------------------------------


def test_any_flipped_bit_of_a_gzip_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    text = b",S1,S2\n" + b"".join(b"G%d,%d,%d\n" % (i, i * 7919 % 1013, i) for i in range(60))
    whole = gzip.compress(text, mtime=0)
    path = tmp_path / "table.csv.gz"
    path.write_bytes(whole)
    truth = read_text_table(path)
    refused = 0
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        try:
            table = read_text_table(path)
            assert table.values.tolist() == truth.values.tolist() and table.row_names == truth.row_names
        except CohortError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 0.9 * len(whole)


@pytest.mark.parametrize("tail", [b"garbage", gzip.compress(b"x", mtime=0)[:7]])
def test_what_follows_a_gzip_must_be_a_gzip(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(b",S1\nA,1\n") + tail)
    with pytest.raises(CohortError, match="truncated or damaged"):
        read_text_table(path)
    path.write_bytes(gzip.compress(b",S1\nA,1\n") + bytes(512))  # the padding of a tape is no damage
    assert read_text_table(path).row_names == ["A"]


# Bombs ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_SMALL", 100_000)
    monkeypatch.setattr(streams, "MAX_LINE", 50_000)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize(
    ("name", "read", "head", "line"),
    [
        ("table.csv.gz", read_text_table, b",S1,S2\n", b"A,1,2\n"),
        ("table_series_matrix.txt.gz", read_series_matrix, b'!Sample_title\t"T1"\n', b'!Series_type\t"x"\n'),
        ("genes.gtf.gz", read_positions, b"", b"# nothing\n"),
        ("gene_positions.tsv.gz", read_positions, b"symbol\tchrom\tstart\tend\tstrand\n", b"A\t1\t1\t2\t+\n"),
    ],
)
def test_a_gzip_that_swells_beyond_bounds_is_refused(
    tmp_path: Path, name: str, read: Callable[[Path], object], head: bytes, line: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(head + line * 1_000_000))
    size = path.stat().st_size
    with pytest.raises(CohortError) as error:
        read(path)
    limit = max(100_000, streams.MAX_SWELL * size)
    assert str(error.value) == (
        f"Expected at most {limit:,} bytes of text in {name}, a gzip file of {size:,}. Received more. "
        "Unpack it yourself if you trust it."
    )


def test_the_most_that_any_gzip_may_unpack_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(b",S1\n" + b"A,1\n" * 1000))
    read_text_table(path)
    monkeypatch.setattr(streams, "MAX_UNPACKED", 4003)
    with pytest.raises(CohortError, match="at most 4,003 bytes"):
        read_text_table(path)
    monkeypatch.setattr(streams, "MAX_UNPACKED", 4004)
    read_text_table(path)


def test_a_plain_file_may_be_as_long_as_it_likes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_UNPACKED", 1)
    (tmp_path / "table.csv").write_text(",S1\nA,1\n")
    assert read_text_table(tmp_path / "table.csv").row_names == ["A"]


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    "text",
    [b"," * 80_000, b",S1\nA," + b"1" * 80_000, b",S1\nA,1\n" + b" " * 80_000],
    ids=["header", "first row", "later row"],
)
def test_a_line_without_end_is_refused(tmp_path: Path, pack: Callable[[bytes], bytes], text: bytes) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(pack(text))
    with pytest.raises(CohortError, match=r"Expected lines of at most 50,000 bytes in table\.csv\. Received a longer"):
        read_text_table(path)


def test_bytes_and_text_of_a_file(tmp_path: Path) -> None:
    text = "\ufeffa\tb\r\n\u00e9\n"
    for pack in (bytes, gzip.compress, lambda content: zlib.compress(content, wbits=31)):
        path = tmp_path / "file"
        path.write_bytes(pack(text.encode()))
        with open_bytes(path) as raw:
            assert raw.read(3) == b"\xef\xbb\xbf"
            assert raw.read() == text.encode()[3:]
            assert raw.read(1) == b""
            assert raw.share == 1
        with open_text(path) as file:
            assert file.read() == text[1:]


# Work ahead ----------------------------------------------------------------------------------------------------------


def test_results_come_in_order_and_few_items_are_taken_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(50):
            taken.append(i)
            yield i

    gate = threading.Event()

    def work(i: int) -> int:
        if i % 3 == 0:
            gate.wait(0.01)
        return i * i

    for number, result in enumerate(ahead(work, items())):
        assert result == number**2
        assert len(taken) <= number + threads() + 1
    assert len(taken) == 50


def test_what_work_or_items_raise_comes_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise KeyError("items")

    results = ahead(lambda i: 1 // (3 - i), items())
    assert [next(results) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    before = threading.active_count()
    with pytest.raises(KeyError):
        list(ahead(lambda i: i, items()))
    assert threading.active_count() <= before
