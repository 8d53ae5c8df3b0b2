"""The files that are fetched are those that the readers look for."""

from fnmatch import fnmatch
from urllib.parse import urlsplit

import pytest

from aio_tune.cohorts import FORMATS, gse81538, gse96058, gse163882, positions
from aio_tune.errors import FetchError
from aio_tune.fetch import ACCESSIONS, GENCODE, SERIES, Sources

READERS = {"GSE96058": gse96058, "GSE81538": gse81538, "GSE163882": gse163882}


def test_every_series_has_a_reader() -> None:
    assert set(SERIES) == set(READERS)
    assert set(SERIES) <= {known.name for known in FORMATS}


@pytest.mark.parametrize("accession", SERIES)
def test_readers_recognise_the_names(accession: str) -> None:
    names = [file.name for file in Sources().files_of(accession)]
    reader = READERS[accession]
    assert sum(fnmatch(name, reader.EXPRESSION) for name in names) == 1
    matrices = sum(fnmatch(name, reader.SERIES_MATRIX) for name in names)
    assert matrices == len(names) - 1 >= 1


def test_positions_are_recognised() -> None:
    (file,) = Sources().files_of(GENCODE)
    assert any(fnmatch(file.name, pattern) for patterns in positions._PATTERNS for pattern in patterns)


@pytest.mark.parametrize("accession", ACCESSIONS)
def test_public_homes_are_encrypted(accession: str) -> None:
    for file in Sources().files_of(accession):
        assert urlsplit(file.address).scheme == "https"
        assert file.address.endswith(f"/{file.name}")
        assert file.name.endswith(".gz")


def test_layout() -> None:
    sources = Sources("https://mirror.example/a/", "https://mirror.example/gencode", 44)
    assert sources.files_of("GSE163882")[1].address == (
        "https://mirror.example/a/geo/series/GSE163nnn/GSE163882/matrix/GSE163882_series_matrix.txt.gz"
    )
    assert sources.files_of(GENCODE)[0].address == (
        "https://mirror.example/gencode/Gencode_human/release_44/gencode.v44.basic.annotation.gtf.gz"
    )


def test_unknown_accession() -> None:
    with pytest.raises(FetchError, match=r"GSE96058.*GENCODE.*'GSE1'"):
        Sources().files_of("GSE1")


@pytest.mark.parametrize(
    "address",
    ["", "mirror.example", "ftp://mirror.example", "https://", "https://m.example/?a=b", "https://m.example/#a",
     "http://[::1", "https://m.example:port", "/etc/passwd", "file:///etc"],
)  # fmt: skip
def test_strange_addresses(address: str) -> None:
    for sources in ({"geo": address}, {"gencode": address}):
        with pytest.raises(FetchError, match="Expected"):
            Sources(**sources)


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(FetchError, match="user name") as refusal:
        Sources("https://someone:secret@mirror.example")
    assert "secret" not in str(refusal.value)
