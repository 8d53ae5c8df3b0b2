"""Gene positions from every form of file, and cohorts brought to one scale and order."""

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aio_tune.cohorts import Cohort, GenePositions, Unit, assemble, find_positions, read_positions
from aio_tune.cohorts.clinical import clinical_table
from aio_tune.cohorts.positions import Position
from aio_tune.errors import CohortError
from aio_tune.tasks import TASKS

TSV = """\
symbol\tchrom\tstart\tend\tstrand
MINUS\tchr1\t100\t900\t-
PLUS\tchr1\t500\t600\t+
TEN\tchr10\t1\t2\t+
TWO\tchr2\t1\t2\t+
EX\tchrX\t5\t9\t-
PAR\tchrY\t5\t9\t+
PAR\tchrX\t1\t3\t+
ALT\tchr1_KI270706v1_random\t5\t9\t+
MT-ND1\tchrM\t5\t9\t+
"""


def gtf(*rows: tuple[str, str, int, int, str, str]) -> str:
    """Rows of chromosome, feature, start, end, strand, attributes."""
    lines = [f"{c}\tsource\t{f}\t{a}\t{b}\t.\t{s}\t.\t{t}" for c, f, a, b, s, t in rows]
    return "#!genome-build\n" + "\n".join(lines) + "\n"


GENCODE = gtf(
    ("chr1", "gene", 100, 900, "-", 'gene_id "ENSG1.2"; gene_type "protein_coding"; gene_name "MINUS"; level 2;'),
    ("chr1", "transcript", 100, 2000, "-", 'gene_id "ENSG1.2"; transcript_id "T"; gene_name "MINUS";'),
    ("chr1", "gene", 500, 600, "+", 'gene_id "PLUS"; gene_type "lncRNA";'),
)
UCSC = gtf(
    ("chr1", "transcript", 300, 900, "-", 'gene_id "MINUS"; transcript_id "T1";  gene_name "MINUS";'),
    ("chr1", "exon", 300, 400, "-", 'gene_id "MINUS"; transcript_id "T1"; exon_number "1"; gene_name "MINUS";'),
    ("chr1", "transcript", 100, 700, "-", 'gene_id "MINUS"; transcript_id "T2";  gene_name "MINUS";'),
    ("chr1", "transcript", 500, 600, "+", 'gene_id "PLUS"; transcript_id "T3";  gene_name "PLUS";'),
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gene_positions.tsv", TSV),
        ("gene_positions.tsv.gz", TSV.replace("\n", "\r\n")),
        ("gencode.v44.annotation.gtf.gz", GENCODE),
        ("hg38.knownGene.gtf", UCSC),
    ],
)
def test_every_form_gives_the_same_positions(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    positions = read_positions(path)
    assert positions["MINUS"] == Position("1", 100, 900, "-")
    assert positions["MINUS"].tss == 900
    assert positions["PLUS"] == Position("1", 500, 600, "+")
    assert positions["PLUS"].tss == 500
    assert positions.source == name
    # MINUS begins before PLUS on the chromosome, but is transcribed from its end.
    assert positions.in_order(["MINUS", "PLUS", "UNKNOWN"]) == ["PLUS", "MINUS"]
    assert find_positions([tmp_path]) == path


def test_order_and_places_that_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "gene_positions.tsv"
    path.write_text(TSV)
    positions = read_positions(path)
    assert positions.in_order(positions.by_symbol) == ["PLUS", "MINUS", "TWO", "TEN", "PAR", "EX"]
    assert positions["PAR"].chrom == "X"
    assert "ALT" not in positions
    assert "MT-ND1" not in positions


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.tsv", "gene\tchrom\n", "Expected the columns"),
        ("a.tsv", TSV.replace("500\t600", "x\t600"), "'x', '600', '+'"),
        ("a.tsv", TSV.replace("500\t600", "700\t600"), "'700', '600', '+'"),
        ("a.tsv", TSV.replace("600\t+", "600\t."), "'.'"),
        ("a.tsv", TSV.splitlines()[0] + "\n", "Received none"),
        ("a.gtf", "chr1\tonly three\tfields\n", "Expected 9 columns"),
        ("a.gtf.gz", "not gzip", "truncated or damaged"),
    ],
)
def test_refuses(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CohortError) as error:
        read_positions(tmp_path / name)
    assert said in str(error.value)


def test_find_positions(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="Received none"):
        find_positions([tmp_path])
    (tmp_path / "some.gtf").write_text(UCSC)
    (tmp_path / "gene_positions_a.tsv").write_text(TSV)
    assert find_positions([tmp_path]).name == "gene_positions_a.tsv"
    (tmp_path / "gene_positions_b.tsv").write_text(TSV)
    assert find_positions([tmp_path]).name == "gene_positions_a.tsv"  # the same content twice is no doubt
    (tmp_path / "gene_positions_b.tsv").write_text(TSV.replace("900", "901"))
    with pytest.raises(CohortError, match=r"gene_positions_a.*gene_positions_b"):
        find_positions([tmp_path])


def cohort(name: str, genes: tuple[str, ...], unit: Unit, values: list[list[float]]) -> Cohort:
    samples = [f"{name}{i}" for i in range(len(values))]
    table = clinical_table(
        tasks=TASKS,
        samples=samples,
        patients=[f"{name}:{s}" for s in samples],
        labels={},
        platforms=[""] * len(samples),
    )
    return Cohort(name, np.asarray(values, dtype=np.float32), genes, unit, table, table)


@pytest.fixture
def positions(tmp_path: Path) -> GenePositions:
    path = tmp_path / "gene_positions.tsv"
    path.write_text(TSV)
    return read_positions(path)


A = cohort("a", ("TWO", "MINUS", "ONLY_A", "PLUS", "NOWHERE"), Unit.FPKM, [[1, 2, 3, 4, 10], [5, 0, 0, 5, 0]])
B = cohort("b", ("PLUS", "NOWHERE", "MINUS", "TWO"), Unit.TPM, [[100, 7, 200, 300]])


def test_one_scale_one_order(positions: GenePositions) -> None:
    assembly = assemble([A, B], positions)
    assert assembly.genes.symbols == ("PLUS", "MINUS", "TWO")
    assert assembly.genes.chroms == ("1", "1", "2")
    assert assembly.genes.tss.tolist() == [500, 900, 1]
    first, second = assembly.cohorts
    assert {c.unit for c in assembly.cohorts} == {Unit.LOG2_TPM_1}
    assert {c.genes for c in assembly.cohorts} == {assembly.genes.symbols}
    # Scaled over all five genes of its file, then selected: 4, 2 and 1 of 20.
    np.testing.assert_allclose(first.expression[0], np.log2([200_001, 100_001, 50_001]), rtol=1e-6)
    np.testing.assert_allclose(first.expression[1], np.log2([500_001, 1, 500_001]), rtol=1e-6)
    np.testing.assert_allclose(second.expression[0], np.log2([101, 201, 301]), rtol=1e-6)
    assert assembly.dropped == {
        "not in every cohort": 1,
        "no position on chromosomes 1-22, X, Y": 1,
        "beyond the number of genes asked for": 0,
    }


def test_the_first_genes_in_genomic_order(positions: GenePositions) -> None:
    assembly = assemble([A, B], positions, n_genes=2)
    assert assembly.genes.symbols == ("PLUS", "MINUS")
    assert assembly.dropped["beyond the number of genes asked for"] == 1
    assert len(assemble([A, B], positions, n_genes=4).genes) == 3, "at most"
    with pytest.raises(CohortError, match="Expected at least 1 gene"):
        assemble([A, B], positions, n_genes=0)


@pytest.mark.parametrize("unit", [Unit.FPKM, Unit.TPM, Unit.LOG2_TPM_1])
def test_a_sample_without_expression_is_named(positions: GenePositions, unit: Unit) -> None:
    values = [[1, 0, 2]] * 70 + [[0, 0, 0], [3, 0, 0]]
    silent = cohort("c", ("TWO", "PLUS", "NOWHERE"), unit, values)
    with pytest.raises(CohortError, match=r"every sample of cohort c\. Received none in 'c70'"):
        assemble([silent], positions)


@pytest.mark.parametrize("unit", [Unit.FPKM, Unit.TPM, Unit.LOG2_TPM_1])
def test_a_sample_may_have_nothing_of_the_genes_that_are_selected(positions: GenePositions, unit: Unit) -> None:
    given = cohort("c", ("TWO", "PLUS", "NOWHERE"), unit, [[1, 3, 0], [0, 0, 2]])
    assert assemble([given], positions).cohorts[0].expression[1].tolist() == [0, 0]
    if not unit.is_fpkm:
        selected = given.select_genes(("TWO", "PLUS"))
        assert assemble([selected], positions).cohorts[0].expression[1].tolist() == [0, 0]


def test_what_cannot_be_assembled(positions: GenePositions) -> None:
    stranger = replace(B, genes=("W", "X", "Y", "Z"))
    with pytest.raises(CohortError, match=r"none in common: a has TWO, MINUS, ONLY_A; b has W, X, Y"):
        assemble([A, stranger], positions)
    with pytest.raises(CohortError, match="none of them"):
        assemble([stranger], positions)
    with pytest.raises(CohortError, match="different names"):
        assemble([A, A], positions)
    with pytest.raises(CohortError, match="different names"):
        assemble([], positions)
