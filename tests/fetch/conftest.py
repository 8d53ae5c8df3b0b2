"""A site that is laid out like GEO, and a way to fetch from it."""

import gzip
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aio_tune.fetch import Outcome, Patience, Sources, Watcher, fetch
from tests.cli.conftest import aio  # noqa: F401  (a fixture)
from tests.fetch.server import Site, serving

ACCESSION = "GSE81538"
"""The series that most tests fetch: an expression table and a series matrix."""

EXPRESSION = "GSE81538_gene_expression_405_transformed.csv.gz"
MATRIX = "GSE81538_series_matrix.txt.gz"
EXPRESSION_PATH = f"/geo/series/GSE81nnn/GSE81538/suppl/{EXPRESSION}"
MATRIX_PATH = f"/geo/series/GSE81nnn/GSE81538/matrix/{MATRIX}"


def table(seed: int = 0, size: int = 60_000) -> bytes:
    """A gzip file of about ``size`` bytes."""
    return gzip.compress(random.Random(seed).randbytes(size), compresslevel=1, mtime=0)


@dataclass
class Heard(Watcher):
    """What a watcher was told."""

    notes: list[str] = field(default_factory=list)
    steps: list[tuple[str, int, int | None]] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)

    def received(self, name: str, done: int, total: int | None) -> None:
        self.steps.append((name, done, total))

    def checking(self, name: str) -> None:
        self.checked.append(name)

    def note(self, text: str) -> None:
        self.notes.append(text)


QUICK = Patience(attempts=4, first_wait=0.001, longest_wait=0.002, connect=5, read=5, progress=50_000)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way to this computer leads through no proxy, whatever the tester's settings are."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        site.put(EXPRESSION_PATH, table(1))
        site.put(MATRIX_PATH, table(2, 3000))
        yield site


Get = Callable[..., tuple[list[Outcome], Heard]]


@pytest.fixture
def get(site: Site, tmp_path: Path) -> Get:
    """Fetch the series into ``tmp_path/geo``; returns outcomes and what the watcher heard."""

    def run(patience: Patience = QUICK, limit: int = 1_000_000, base: str = "") -> tuple[list[Outcome], Heard]:
        heard = Heard()
        sources = Sources(base or site.address, base or site.address)
        outcomes = fetch([ACCESSION], tmp_path / "geo", sources, limit=limit, patience=patience, watcher=heard)
        return outcomes, heard

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the series' files are to be."""
    return tmp_path / "geo" / ACCESSION
