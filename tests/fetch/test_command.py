"""`aio-tune fetch` as a user meets it."""

import gzip
import json
import shlex
from pathlib import Path

import pytest

from aio_tune.cohorts import simulate
from aio_tune.fetch import ACCESSIONS, Sources
from tests.cli.conftest import Run
from tests.fetch.conftest import ACCESSION, EXPRESSION, EXPRESSION_PATH, MATRIX
from tests.fetch.server import Site, cut_after, status


@pytest.fixture
def words(site: Site, tmp_path: Path) -> tuple[object, ...]:
    return ("fetch", ACCESSION, "--to", tmp_path / "geo", "--base", site.address)


def test_help_names_what_can_be_fetched(aio: Run) -> None:
    _, out, _ = aio("fetch", "--help")
    for accession in ACCESSIONS:
        assert accession in out


def test_fetched_and_nothing_to_do(aio: Run, words: tuple[object, ...], site: Site, tmp_path: Path) -> None:
    site.will(cut_after(20_000), status(503, Retry_After=0), path=EXPRESSION_PATH)
    status_, out, err = aio(*words)
    assert status_ == 0
    assert f"{EXPRESSION}: fetched, " in out
    assert "2 of 2 files fetched" in out
    assert out.splitlines()[-1].startswith(f"Next: aio-tune fetch GENCODE --to {tmp_path / 'geo'}")
    assert f"{EXPRESSION}: {len(site.pages[EXPRESSION_PATH].content):,} bytes" in err
    assert "trying again" in err
    site.asked.clear()
    status_, out, err = aio(*words)
    assert status_ == 0
    assert "Nothing to do: all 2 files are in" in out
    assert err == ""
    assert site.asked == []


def test_json(aio: Run, words: tuple[object, ...], site: Site, tmp_path: Path) -> None:
    status_, out, _ = aio(*words, "--json")
    assert status_ == 0
    first, second = json.loads(out)
    assert first["path"] == str(tmp_path / "geo" / ACCESSION / EXPRESSION)
    assert (first["fetched"], first["accession"]) == (True, ACCESSION)
    assert first["address"] == site.address + EXPRESSION_PATH
    assert second["path"].endswith(MATRIX)
    assert [entry["fetched"] for entry in json.loads(aio(*words, "--json")[1])] == [False, False]


def test_errors_are_one_line(aio: Run, words: tuple[object, ...], site: Site, tmp_path: Path) -> None:
    geo = tmp_path / "geo"
    base = ("--base", site.address)
    for line, told in (
        (("fetch", "GSE1", "--to", geo), "'GSE1'"),
        (("fetch", ACCESSION, "--to", geo, "--base", "geo.example"), "geo.example"),
        (("fetch", "GSE96058", "--to", geo, *base), "404 Not Found"),
        (("fetch", "GENCODE", "--to", geo, "--gencode-base", site.address), "gencode.v47.basic"),
    ):
        status_, out, err = aio(*line)
        assert (status_, out) == (1, ""), line
        assert len(err.strip().splitlines()) == 1
        assert err.startswith("aio-tune: Expected")
        assert told in err
    site.put(EXPRESSION_PATH, gzip.compress(bytes(1_000_001)))
    status_, _, err = aio(*words, "--limit", 1)
    assert status_ == 1
    assert err.splitlines()[-1].startswith("aio-tune: Expected at most 1,000,000 bytes inside")


@pytest.mark.parametrize("line", [("fetch", "--to", "geo"), ("fetch", ACCESSION), ("fetch", ACCESSION, "--limit", 0)])
def test_bad_usage(aio: Run, line: tuple[object, ...]) -> None:
    assert aio(*line)[0] == 2


def test_what_was_fetched_can_be_prepared(aio: Run, site: Site, tmp_path: Path) -> None:
    """Simulated cohorts, served as GEO and GENCODE serve the real ones."""
    simulated = simulate(tmp_path / "simulated", samples=(60, 30, 30), genes=120, seed=1)
    sources = Sources(site.address, site.address)
    patterns = {"suppl": "{}_*csv.gz", "matrix": "{}*series_matrix.txt.gz"}
    for accession in ACCESSIONS[:3]:
        for file in sources.files_of(accession):
            kind = file.address.split("/")[-2]
            # Series matrices have GEO's own names; expression tables are named after their number of samples.
            path = simulated / file.name
            if not path.exists():
                (path,) = simulated.glob(patterns[kind].format(accession))
            site.put(file.address.removeprefix(site.address), path.read_bytes())
    (gtf,) = sources.files_of("GENCODE")
    site.put(gtf.address.removeprefix(site.address), as_gtf(next(simulated.glob("gene_positions*"))))

    bases = ("--base", site.address, "--gencode-base", site.address)
    status_, out, err = aio("fetch", *ACCESSIONS, "--to", tmp_path / "geo", *bases)
    assert status_ == 0, err
    command = shlex.split(out.splitlines()[-1].removeprefix("Next: "))
    assert command[:2] == ["aio-tune", "prepare"]
    assert command[-2:] == ["--out", "dataset"]
    status_, out, err = aio(*command[1:-1], tmp_path / "dataset")
    assert status_ == 0, err
    assert "cohorts GSE96058" in out


def as_gtf(positions: Path) -> bytes:
    content = positions.read_bytes()
    text = (gzip.decompress(content) if positions.suffix == ".gz" else content).decode()
    lines = []
    for line in text.splitlines()[1:]:
        symbol, chrom, start, end, strand = line.split("\t")
        lines.append(f'{chrom}\tHAVANA\tgene\t{start}\t{end}\t.\t{strand}\t.\tgene_name "{symbol}";')
    return gzip.compress("\n".join(lines).encode())


def test_bars_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from aio_tune.cli.fetch_view import FetchView

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with FetchView() as view:
        view.received("a.gz", 0, 1000)
        view.received("a.gz", 500, 1000)
        view.received("b.gz", 100, None)
        view.note("a.gz: [bold] lost")
        view.checking("a.gz")
    out, err = capsys.readouterr()
    assert out == ""
    assert "a.gz (checking)" in err
    assert "a.gz: [bold] lost" in err
