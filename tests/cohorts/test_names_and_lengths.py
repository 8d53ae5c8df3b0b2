"""Genes under other names, and counts that need the lengths of genes."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aio_tune.cohorts import GeneNames, Unit, assemble, find_names, read_folder, read_names, read_positions
from aio_tune.cohorts.lengths import read_lengths
from aio_tune.cohorts.names import rename_genes
from aio_tune.errors import CohortError
from tests.cohorts.conftest import COHORT_YAML, write_table_example

HGNC = (
    "hgnc_id\tsymbol\talias_symbol\tprev_symbol\tensembl_gene_id\n"
    'HGNC:1\tNEW1\t"AL1|BOTH"\tOLD1\tENSG00000000001\n'
    "HGNC:2\tNEW2\tBOTH\t\tENSG00000000002\n"
    "HGNC:3\tNEW3\tOLD1x|AL3\tOLD3|OLDER3\tENSG00000000003\n"
    "HGNC:4\tMT-CO2\tCOX2|COII\tMTCO2\t\n"
    "HGNC:5\tPTGS2\tCOX2|MTCO2|MT-CO2|MT-TP\tPGS\t\n"
    "HGNC:6\tMT-TP\t\tMTTP\t\n"
    "HGNC:7\tMTTP\tABL\t\t\n"
    "HGNC:8\tHALF1\tPGS\tWHOLE\t\n"
    "HGNC:9\tHALF2\t\tWHOLE\t\n"
)
GENES = ("NEW1", "NEW2", "OLD3", "AAA", "BBB", "PTGS2", "MTTP", "WHOLE")  # no mitochondrial gene has a position
POSITIONS = "symbol\tchrom\tstart\tend\tstrand\n" + "".join(
    f"{symbol}\t1\t{100 * i}\t{100 * i + 50}\t+\n" for i, symbol in enumerate(GENES)
)
GTF = "".join(
    f'1\tx\t{feature}\t{start}\t{end}\t.\t+\t.\tgene_id "{gene}"; gene_name "{name}";\n'
    for feature, start, end, gene, name in (
        ("gene", 1, 500, "ENSG00000000001.4", "NEW1"),
        ("exon", 1, 100, "ENSG00000000001.4", "NEW1"),
        ("exon", 51, 150, "ENSG00000000001.4", "NEW1"),  # 50 bases of it are the first exon's too
        ("exon", 401, 450, "ENSG00000000001.4", "NEW1"),
        ("gene", 600, 900, "ENSG00000000002.1", "NEW2"),
        ("exon", 601, 700, "ENSG00000000002.1", "NEW2"),
    )
)


@pytest.fixture
def names(tmp_path: Path) -> GeneNames:
    path = tmp_path / "hgnc_complete_set_2026.txt.gz"
    path.write_bytes(gzip.compress(HGNC.encode()))
    assert find_names([tmp_path]) == path
    return read_names(path)


@pytest.fixture
def positions(tmp_path: Path):
    (tmp_path / "gene_positions.tsv").write_text(POSITIONS)
    return read_positions(tmp_path / "gene_positions.tsv")


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("NEW1", "NEW1"),
        ("OLD1", "NEW1"),
        ("AL1", "NEW1"),
        ("ENSG00000000002.17", "NEW2"),
        ("ENSG00000000002", "NEW2"),
        ("NEW3", "OLD3"),  # the positions are the older ones
        ("AL3", "AL3"),  # NEW3 has no position, and an alias of an alias is not followed
        ("BOTH", "BOTH"),  # of two genes
        ("COX2", "COX2"),  # likewise, though one of them has no position
        ("COII", "COII"),
        ("MTCO2", "MTCO2"),  # a former symbol of the one, which no alias of another outdoes
        ("MT-CO2", "MT-CO2"),  # a symbol of today is nobody's alias
        ("PGS", "PTGS2"),  # a former symbol goes before the alias of another
        ("MT-TP", "MT-TP"),  # its former symbol is another gene's today
        ("HALF1", "HALF1"),  # two genes had this former symbol
        ("ENSG00000000009", "ENSG00000000009"),
        ("NOBODY", "NOBODY"),
    ],
)
def test_a_name_is_changed_only_without_doubt(names: GeneNames, positions, name: str, symbol: str) -> None:
    assert names.symbol_of(name, positions) == symbol


def test_ids_of_a_gtf_are_known_without_a_table(tmp_path: Path) -> None:
    (tmp_path / "g.gtf").write_text(GTF)
    positions = read_positions(tmp_path / "g.gtf")
    assert GeneNames().symbol_of("ENSG00000000001.9", positions) == "NEW1"
    assert positions["NEW1"].start == 1


def table_of(folder: Path, genes: str, yaml: str = COHORT_YAML) -> Path:
    """The example cohort with these two genes."""
    write_table_example(folder)
    text = (folder / "expression.tsv").read_text()
    first, second = genes.split()
    (folder / "expression.tsv").write_text(text.replace("AAA", first).replace("BBB", second))
    (folder / "cohort.yaml").write_text(yaml)
    return folder


def test_genes_that_get_one_name_are_added_in_linear_space(tmp_path: Path, names: GeneNames, positions) -> None:
    (cohort,) = read_folder(table_of(tmp_path, "OLD1 AL1"))
    before = cohort.expression.copy()
    renamed = rename_genes(cohort, names, positions)
    assert renamed.genes == ("NEW1",)
    linear = np.exp2(before.astype(np.float64)) - 1
    np.testing.assert_allclose(renamed.expression[:, 0], np.log2(linear.sum(axis=1) + 1), rtol=1e-6)
    assert renamed.notes[-1] == (
        "ours: 2 genes renamed by hgnc_complete_set_2026.txt.gz and gene_positions.tsv, 1 of them added to another of "
        "that symbol: OLD1 -> NEW1, AL1 -> NEW1."
    )
    assert rename_genes(renamed, names, positions) is renamed


def test_a_mitochondrial_gene_is_not_added_to_another(tmp_path: Path, names: GeneNames, positions) -> None:
    (cohort,) = read_folder(table_of(tmp_path, "COX2 PTGS2"))
    assembly = assemble([cohort], positions, names=names)
    assert assembly.genes.symbols == ("PTGS2",)
    np.testing.assert_array_equal(assembly.cohorts[0].expression[:, 0], cohort.expression[:, 1])
    assert assembly.dropped_genes["no position on chromosomes 1-22, X, Y"] == ("COX2",)


def test_of_many_renamed_genes_the_first_are_named(tmp_path: Path, positions) -> None:
    write_table_example(tmp_path)
    old = [f"X{i}" for i in range(len(GENES))]
    rows = "".join(f"{name}\t{i}\t2\t3\n" for i, name in enumerate(old))
    (tmp_path / "expression.tsv").write_text(f"gene\tS1\tS2\tS3\n{rows}")
    (cohort,) = read_folder(tmp_path)
    names = GeneNames(aliases={name: {gene} for name, gene in zip(old, GENES, strict=True)}, source="names.tsv")
    assert rename_genes(cohort, names, positions).notes[-1] == (
        "ours: 8 genes renamed by names.tsv and gene_positions.tsv: "
        "X0 -> NEW1, X1 -> NEW2, X2 -> OLD3, X3 -> AAA, X4 -> BBB, ...."
    )


def test_cohorts_of_different_years_share_more_genes(tmp_path: Path, names: GeneNames, positions) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    yaml = COHORT_YAML.replace("name: ours", "name: theirs")
    (ours,) = read_folder(table_of(tmp_path / "a", "OLD1 NEW2"))
    (theirs,) = read_folder(table_of(tmp_path / "b", "ENSG00000000001.2 BBB", yaml))
    with pytest.raises(CohortError, match="none in common"):
        assemble([ours, theirs], positions)
    assembly = assemble([ours, theirs], positions, names=names)
    assert assembly.genes.symbols == ("NEW1",)
    assert assembly.genes.aliases == "hgnc_complete_set_2026.txt.gz"
    assert assembly.dropped["not in every cohort"] == 2
    assert assembly.dropped_genes["not in every cohort"] == ("BBB", "NEW2")


def test_plain_tables_and_other_files(tmp_path: Path) -> None:
    path = tmp_path / "gene_aliases.tsv"
    path.write_text("alias\tsymbol\nX\tAAA\nX\tBBB\nY\tBBB\n\tAAA\n")
    assert read_names(path).aliases == {"X": {"AAA", "BBB"}, "Y": {"BBB"}}
    path.write_text("a\tb\n1\t2\n")
    with pytest.raises(CohortError, match="Received a, b"):
        read_names(path)
    with pytest.raises(CohortError, match="does not exist"):
        read_names(tmp_path / "none.tsv")
    (tmp_path / "gene_aliases_2.tsv").write_text("alias\tsymbol\n")
    with pytest.raises(CohortError, match="--aliases"):
        find_names([tmp_path])


# Counts ---------------------------------------------------------------------------------------------------------------


def test_lengths_of_exons_count_each_base_once(tmp_path: Path) -> None:
    path = tmp_path / "g.gtf.gz"
    path.write_bytes(gzip.compress(GTF.encode()))
    lengths = read_lengths(path)
    assert lengths == {
        **{"NEW1": 200.0, "ENSG00000000001.4": 200.0, "ENSG00000000001": 200.0},
        **{"NEW2": 100.0, "ENSG00000000002.1": 100.0, "ENSG00000000002": 100.0},
    }


def test_a_gene_on_two_chromosomes_is_as_long_as_on_the_first(tmp_path: Path) -> None:
    """The pseudo-autosomal genes of X and Y: reads are counted once, whatever the order of the file."""
    rows = "".join(
        f'{chrom}\tx\texon\t{start}\t{end}\t.\t+\t.\tgene_id "{gene}"; gene_name "{name}";\n'
        for chrom, start, end, gene, name in (
            ("chrY", 501, 600, "ENSG00000000001.4_PAR_Y", "CD99"),
            ("chrX", 1, 100, "ENSG00000000001.4", "CD99"),
            ("chrX", 201, 250, "ENSG00000000001.4", "CD99"),
            ("chr6_alt", 1, 500, "ENSG00000000002.1", "HLA"),
            ("chr6", 1, 70, "ENSG00000000002.1", "HLA"),
            ("chrM", 1, 30, "ENSG00000000003.1", "MT-ND1"),
        )
    )
    (tmp_path / "g.gtf").write_text(rows)
    lengths = read_lengths(tmp_path / "g.gtf")
    assert (lengths["CD99"], lengths["HLA"], lengths["MT-ND1"]) == (150, 70, 30)
    assert (lengths["ENSG00000000001.4"], lengths["ENSG00000000001.4_PAR_Y"]) == (150, 100)


def counts_cohort(folder: Path, lengths: str) -> Path:
    write_table_example(folder)
    (folder / "expression.tsv").write_text("gene\tS1\tS2\tS3\nAAA\t10\t0\t7\nBBB\t3000\t500\t0\nCCC\t60\t5\t0\n")
    (folder / "lengths.tsv").write_text(lengths)
    text = COHORT_YAML.replace("unit: log2(TPM+1)", "unit: counts, lengths: lengths.tsv")
    (folder / "cohort.yaml").write_text(text)
    return folder


def test_counts_become_tpm(tmp_path: Path) -> None:
    (cohort,) = read_folder(counts_cohort(tmp_path, "gene\tlength\nAAA\t1000\nBBB\t500\n"))
    assert (cohort.unit, cohort.genes) == (Unit.TPM, ("AAA", "BBB"))
    rates = np.array([[10 / 1000, 3000 / 500], [0, 500 / 500], [7 / 1000, 0]])
    np.testing.assert_allclose(cohort.expression, rates / rates.sum(axis=1, keepdims=True) * 1e6, rtol=1e-6)
    assert (
        "1 gene of expression.tsv without a length left out, with 1.8 % of the reads, by which all other TPM are too "
        "high if they are genes: CCC."
    ) in cohort.notes
    assert set(cohort.sources) == {"cohort.yaml", "expression.tsv", "clinical.csv", "lengths.tsv"}


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ("gene\tlength\nXXX\t1000\n", "Received none of any of them"),
        ("gene\tlength\nBBB\t500\nCCC\t1000\n", "Received none for 'S3'"),
        ("gene\tlength\nAAA\t500\n", "Received none for 2 genes with 99.5 % of the reads: BBB, CCC. Give lengths"),
        ("gene\tlength\nAAA\t0\n", "line 2. Received '0'"),
        ("gene\tlength\nAAA\n", "line 2. Received ''"),
        ("gene\tlength\nAAA\tlong\n", "Received 'long'"),
        ("gene\tbases\nAAA\t7\n", "one called length"),
    ],
)
def test_lengths_that_will_not_do(tmp_path: Path, lengths: str, said: str) -> None:
    with pytest.raises(CohortError) as error:
        read_folder(counts_cohort(tmp_path, lengths))
    assert said in str(error.value)


@pytest.mark.parametrize("lengths", ["lengths.tsv", "genes.gtf"])
@pytest.mark.parametrize("version", ["", ".4", ".17"])
def test_a_gene_of_another_release_has_its_length(tmp_path: Path, lengths: str, version: str) -> None:
    """Another version of its Ensembl id is the same gene; without its length, the other's TPM would be a million."""
    (tmp_path / "genes.gtf").write_text(GTF)
    yaml = COHORT_YAML.replace("unit: log2(TPM+1)", f"unit: counts, lengths: {lengths}")
    table_of(tmp_path, f"ENSG00000000001{version} ENSG00000000002.1", yaml)
    (tmp_path / "lengths.tsv").write_text("gene\tlength\nENSG00000000001.4\t200\nENSG00000000002.1\t100\n")
    text = (tmp_path / "expression.tsv").read_text()
    (tmp_path / "expression.tsv").write_text(text.replace("1.5\t0\t2", "1\t0\t20").replace("3\t4.25\t5", "30\t5\t5"))
    (cohort,) = read_folder(tmp_path)
    assert cohort.genes == (f"ENSG00000000001{version}", "ENSG00000000002.1")
    rates = np.array([[1 / 200, 30 / 100], [0, 5 / 100], [20 / 200, 5 / 100]])
    np.testing.assert_allclose(cohort.expression, rates / rates.sum(axis=1, keepdims=True) * 1e6, rtol=1e-6)
    assert not any("without a length" in note for note in cohort.notes)


def test_counts_without_lengths_and_lengths_without_counts(tmp_path: Path) -> None:
    counts_cohort(tmp_path, "gene\tlength\nAAA\t7\n")
    for unit in ("unit: counts", "unit: TPM, lengths: lengths.tsv"):
        (tmp_path / "cohort.yaml").write_text(COHORT_YAML.replace("unit: log2(TPM+1)", unit))
        with pytest.raises(CohortError, match="with unit: counts and with no other unit"):
            read_folder(tmp_path)


def test_counts_in_an_anndata_file(tmp_path: Path) -> None:
    import h5py
    from anndata.io import write_elem

    counts = np.float32([[100, 300, 6], [0, 50, 5]])
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_elem(file, "X", counts)
        write_elem(file, "obs", pd.DataFrame(index=pd.Index(["S1", "S2"], dtype=object)))
        var = pd.DataFrame({"length": [1000.0, 500.0, np.nan]}, index=pd.Index(["AAA", "BBB", "CCC"], dtype=object))
        write_elem(file, "var", var)
    (tmp_path / "anndata.yaml").write_text("name: ours\nexpression: {unit: counts, lengths: length}\n")
    (cohort,) = read_folder(tmp_path)
    assert (cohort.unit, cohort.genes) == (Unit.TPM, ("AAA", "BBB"))
    rates = counts[:, :2] / [1000, 500]
    np.testing.assert_allclose(cohort.expression, rates / rates.sum(axis=1, keepdims=True) * 1e6, rtol=1e-6)
    assert cohort.notes[0].startswith("1 gene of X of x.h5ad without a length left out, with 2.4 % of the reads")
    assert cohort.notes[0].endswith(": CCC.")
