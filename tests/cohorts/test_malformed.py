"""Every way in which an expression table is known to go wrong: what is said of it, or how it is read on purpose."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from aio_tune.cohorts import read_folder
from aio_tune.errors import CohortError
from tests.cohorts.geo_files import scan_b

PLAIN = b",F1,F2,F3\nAAA,0.5,1.5,2.5\nBBB,-3.3219,1.25,4.75\nCCC,1.0,2.0,3.25\n"
VALUES = [[0.5, -3.3219, 1.0], [1.5, 1.25, 2.0], [2.5, 4.75, 3.25]]  # samples x genes
TITLES = ("F1", "F2", "F3")
GENES = ("AAA", "BBB", "CCC")


@dataclass(frozen=True)
class Refused:
    """One line that holds these words."""

    said: str


@dataclass(frozen=True)
class Read:
    """Read on purpose: these samples and genes, and a note with these words."""

    samples: tuple[str, ...] = TITLES
    genes: tuple[str, ...] = GENES
    note: str = ""
    values: tuple[tuple[float, ...], ...] = tuple(map(tuple, VALUES))


def with_cell(row: bytes, new: bytes) -> bytes:
    return PLAIN.replace(row, new, 1)


VARIANTS: dict[str, tuple[bytes, Refused | Read]] = {
    "as it should be": (PLAIN, Read()),
    # --- read, on purpose ---
    "CRLF": (PLAIN.replace(b"\n", b"\r\n"), Read()),
    "carriage returns alone": (PLAIN.replace(b"\n", b"\r"), Read()),
    "byte-order mark": (b"\xef\xbb\xbf" + PLAIN, Read()),
    "byte-order mark and CRLF": (b"\xef\xbb\xbf" + PLAIN.replace(b"\n", b"\r\n"), Read()),
    "quoted everywhere": (
        b"\n".join(b",".join(b'"%b"' % cell for cell in line.split(b",")) for line in PLAIN.splitlines()),
        Read(),
    ),
    "symbols quoted, as R writes them": (b"".join(b'"%b"%b\n' % (line[:3], line[3:]) if i else line + b"\n"
        for i, line in enumerate(PLAIN.splitlines())), Read()),
    "a quoted symbol that a spreadsheet made a date of": (
        with_cell(b"BBB", b'"1-Mar"'), Read(genes=("AAA", "1-Mar", "CCC"))
    ),
    "tabs in a .csv": (PLAIN.replace(b",", b"\t"), Read()),
    "no name for the first column, nor a place for it": (PLAIN.removeprefix(b","), Read()),
    "no line end at the end": (PLAIN.rstrip(), Read()),
    "blank lines": (b"\n\n" + PLAIN.replace(b"\nCCC", b"\n\nCCC") + b"\n\n", Read()),
    "spaces around cells": (PLAIN.replace(b",", b" , "), Read()),
    "one symbol twice": (
        with_cell(b"CCC", b"AAA"),
        Read(
            genes=("AAA", "BBB"),
            note="1 gene row added, in linear space, to another of the same symbol",
            values=tuple((float(np.log2(2**a + 2**c - 0.1)), b) for a, b, c in VALUES),
        ),
    ),
    "replicates only": (
        PLAIN.replace(b"F1,F2,F3", b"F1repl,F2repl,F3repl"),
        Read(samples=("F1repl", "F2repl", "F3repl")),
    ),
    "a replicate beside its primary": (
        PLAIN.replace(b"F1,F2,F3", b"F1,F1repl,F3"),
        Read(samples=("F1", "F3"), note="1 further column of the same patients set aside", values=tuple(
            tuple(VALUES[i]) for i in (0, 2))),
    ),
    # --- refused ---
    "empty": (b"", Refused("is empty")),
    "blank lines alone": (b"\r\n\r\n", Refused("is empty")),
    "a header only": (b",F1,F2,F3\n", Refused("has a header only")),
    "a header and blank lines only": (b",F1,F2,F3\n\n\n", Refused("has a header only")),
    "no header": (
        PLAIN.partition(b"\n")[2], Refused("Received none: profiles such as '0.5', clinical rows such as 'F1'")
    ),
    "no header, one value twice in the first row": (b"AAA,1,1,2\nBBB,1,2,3\n", Refused("'1' more than once")),
    "a sample twice": (PLAIN.replace(b"F3", b"F1", 1), Refused("'F1' more than once")),
    "a column without a name": (PLAIN.replace(b"F2", b"", 1), Refused("column 3 without")),
    "a row too short": (with_cell(b"1.25,4.75", b"4.75"), Refused("Expected 4 cells in every row of")),
    "a row too short, by name": (with_cell(b"1.25,4.75", b"4.75"), Refused("Received 3 in row 'BBB' (line 3)")),
    "a row too long": (with_cell(b"4.75", b"4.75,7"), Refused("Received 5 in row 'BBB' (line 3)")),
    "the last row cut off": (PLAIN.removesuffix(b",3.25\n"), Refused("Received 3 in row 'CCC' (line 4)")),
    "a row of the right length by a comma in its symbol": (
        with_cell(b"BBB,-3.3219", b'"BB,B"'), Refused("Received 3 in row 'BB,B' (line 3)")
    ),
    "a word": (with_cell(b"1.25", b"#DIV/0!"), Refused("'#DIV/0!' in row 'BBB', column 'F2' (line 3)")),
    "a word in a quoted row": (
        with_cell(b"BBB,-3.3219,1.25", b'"BBB","-3.3219","x"'), Refused("'x' in row 'BBB', column 'F2' (line 3)")
    ),
    "a word behind CRLF": (
        with_cell(b"1.25", b"x").replace(b"\n", b"\r\n"), Refused("'x' in row 'BBB', column 'F2' (line 3)")
    ),
    "an empty cell": (with_cell(b"1.25", b""), Refused("'' in row 'BBB', column 'F2' (line 3)")),
    "a missing value": (with_cell(b"1.25", b"NA"), Refused("'NA' in row 'BBB', column 'F2' (line 3)")),
    "NaN": (with_cell(b"1.25", b"nan"), Refused("'nan' in row 'BBB', column 'F2' (line 3)")),
    "infinity": (with_cell(b"1.25", b"-Inf"), Refused("'-Inf' in row 'BBB', column 'F2' (line 3)")),
    "over what a float32 can hold": (with_cell(b"1.25", b"1e39"), Refused("'1e39' in row 'BBB', column 'F2' (line 3)")),
    "a decimal comma": (with_cell(b"1.25", b'"1,25"'), Refused("'1,25' in row 'BBB', column 'F2' (line 3)")),
    "a number as Python writes it": (with_cell(b"1.25", b"1_25"), Refused("'1_25' in row 'BBB', column 'F2' (line 3)")),
    "digits of another script": (
        with_cell(b"1.25", "\u0663".encode()), Refused("'\u0663' in row 'BBB', column 'F2' (line 3)")
    ),
    "a quote never closed": (with_cell(b"BBB", b'"BBB'), Refused("(line 4)")),
    "semicolons": (PLAIN.replace(b",", b";"), Refused("Received the header [';F1;F2;F3']")),
    "not UTF-8": (with_cell(b"BBB", b"B\xe9B"), Refused("Received byte 0xe9")),
    "UTF-16": (PLAIN.decode().encode("utf-16"), Refused("Received byte 0xff")),
    "an empty symbol": (with_cell(b"BBB", b""), Refused("a symbol for every gene")),
    "counts": (b",F1,F2,F3\n" + b"".join(b"G%d,%d,%d,7\n" % (i, i, 9 * i) for i in range(300)), Refused("counts")),
    "a linear unit": (with_cell(b"4.75", b"4750.5"), Refused("these look linear")),
    "the same value everywhere": (b",F1,F2,F3\nAAA,1,1,1\nBBB,1,1,1\n", Refused("the same value, 1, everywhere")),
}  # fmt: skip


def check(folder: Path, expected: Refused | Read) -> None:
    if isinstance(expected, Refused):
        with pytest.raises(CohortError) as error:
            read_folder(folder)
        message = str(error.value)
        assert expected.said in message
        assert message.startswith("Expected ") and "Received" in message and "\n" not in message
        return
    (cohort,) = read_folder(folder)
    assert tuple(cohort.clinical.index) == expected.samples
    assert cohort.genes == expected.genes
    assert any(expected.note in note for note in cohort.notes)
    np.testing.assert_allclose(cohort.expression, np.float32(expected.values), rtol=1e-6)


def titles_of(variant: str) -> tuple[str, ...]:
    if variant == "replicates only":
        return ("F1repl", "F2repl", "F3repl")
    return ("F1", "F1repl", "F3") if variant == "a replicate beside its primary" else TITLES


@pytest.mark.parametrize("pack", [bytes, lambda text: gzip.compress(text, mtime=0)], ids=["plain", "gzip"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant(tmp_path: Path, variant: str, pack: Callable[[bytes], bytes]) -> None:
    text, expected = VARIANTS[variant]
    scan_b(tmp_path, titles_of(variant))
    (tmp_path / "GSE96058_gene_expression_transformed.csv").write_bytes(pack(text))
    check(tmp_path, expected)


@pytest.mark.parametrize("block", [7, 16, 33])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_wherever_the_blocks_end(
    tmp_path: Path, variant: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said, and of which line, does not depend on how the file is cut into blocks."""
    monkeypatch.setattr("aio_tune.cohorts.text_table._BLOCK_BYTES", block)
    text, expected = VARIANTS[variant]
    if variant == "a quote never closed":
        expected = Refused("in row 'BBB")  # the rest of the block is in the quote
    scan_b(tmp_path, titles_of(variant))
    (tmp_path / "GSE96058_gene_expression_transformed.csv").write_bytes(text)
    check(tmp_path, expected)
