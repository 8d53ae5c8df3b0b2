"""Further kinds of omics: ``omics.yaml`` and the files that it names."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aio_tune.cohorts import Cohort, OmicsUnit, assemble, check_cohort, read_folder, read_positions
from aio_tune.cohorts.omics import Omics
from aio_tune.errors import CohortError
from tests.cohorts.conftest import write_table_example
from tests.cohorts.h5ad_files import write_h5ad_example

NAN = np.nan
OMICS_YAML = """\
methylation: {file: methylation.csv, genes_in: rows, unit: beta}
copy_number: {file: cn.tsv.gz, genes_in: columns, unit: log2 ratio}
"""
METHYLATION = "gene,S3,S1\nBBB,0.25,1\nZZZ,0.5,0.5\n"
COPY_NUMBER = "sample\tAAA\tBBB\nS2\t-0.5\t1.25\nstranger\t0\t0\n"


def write_omics(folder: Path) -> Path:
    (folder / "omics.yaml").write_text(OMICS_YAML)
    (folder / "methylation.csv").write_text(METHYLATION)
    (folder / "cn.tsv.gz").write_bytes(gzip.compress(COPY_NUMBER.encode()))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_omics(write_table_example(tmp_path))


def positions(folder: Path) -> Path:
    path = folder / "positions.tsv"
    path.write_text("symbol\tchrom\tstart\tend\tstrand\nAAA\tchr2\t5\t9\t+\nBBB\tchr1\t5\t9\t+\n")
    return path


def test_kinds_are_matched_by_sample_and_symbol(folder: Path) -> None:
    (cohort,) = read_folder(folder)
    assert list(cohort.omics) == ["methylation", "copy_number"]
    methylation, copy_number = cohort.omics.values()
    assert (methylation.unit, copy_number.unit) == (OmicsUnit.BETA, OmicsUnit.LOG2_RATIO)
    np.testing.assert_array_equal(methylation.values, np.float32([[NAN, 1], [NAN, NAN], [NAN, 0.25]]))
    np.testing.assert_array_equal(copy_number.values, np.float32([[NAN, NAN], [-0.5, 1.25], [NAN, NAN]]))
    assert methylation.patients.tolist() == [True, False, True]
    assert {"omics.yaml", "methylation.csv", "cn.tsv.gz"} < set(cohort.sources)
    assert cohort.notes[-3:] == (
        "ours: 1 sample of 3 without methylation.",
        "ours: 2 samples of 3 without copy_number.",
        "1 sample of cn.tsv.gz in no cohort, left out.",
    )


def test_parquet_is_read(folder: Path) -> None:
    pd.DataFrame({"gene": ["AAA"], "S2": [0.75]}).to_parquet(folder / "methylation.parquet")
    (folder / "omics.yaml").write_text("m: {file: methylation.parquet, genes_in: rows, unit: beta}")
    (cohort,) = read_folder(folder)
    np.testing.assert_array_equal(cohort.omics["m"].values, np.float32([[NAN, NAN], [0.75, NAN], [NAN, NAN]]))


def test_they_go_with_any_format(tmp_path: Path) -> None:
    (cohort,) = read_folder(write_omics(write_h5ad_example(tmp_path)))
    np.testing.assert_array_equal(
        cohort.omics["methylation"].values, np.float32([[NAN, 1, NAN], [NAN, NAN, NAN], [NAN, 0.25, NAN]])
    )


def test_without_the_description_nothing_is_read(folder: Path) -> None:
    (folder / "omics.yaml").unlink()
    (cohort,) = read_folder(folder)
    assert cohort.omics == {} and "methylation.csv" not in cohort.sources


def test_the_assembly_selects_genes_and_counts_those_that_a_kind_lacks(folder: Path) -> None:
    assembly = assemble(read_folder(folder), read_positions(positions(folder)), in_place=True)
    (cohort,) = assembly.cohorts
    assert cohort.genes == ("BBB", "AAA")
    assert assembly.kinds == {"methylation": OmicsUnit.BETA, "copy_number": OmicsUnit.LOG2_RATIO}
    np.testing.assert_array_equal(cohort.omics["methylation"].values, np.float32([[1, NAN], [NAN, NAN], [0.25, NAN]]))
    assert cohort.notes[-1] == "ours: 1 gene of 2 without methylation."
    np.testing.assert_array_equal(
        cohort.select_genes(("AAA",)).omics["copy_number"].values, np.float32([[NAN], [-0.5], [NAN]])
    )


def test_cohorts_must_agree_on_a_unit(folder: Path, tmp_path: Path) -> None:
    other = write_omics(write_table_example(tmp_path / "other"))
    (other / "cohort.yaml").write_text((other / "cohort.yaml").read_text().replace("name: ours", "name: theirs"))
    text = (other / "omics.yaml").read_text().replace("beta", "log2 ratio")
    (other / "omics.yaml").write_text(text)
    (other / "methylation.csv").write_text("gene,S1\nAAA,-1\n")
    cohorts = [*read_folder(folder), *read_folder(other)]
    with pytest.raises(
        CohortError, match=r"methylation of all cohorts in one unit\. Received beta in ours, log2 ratio"
    ):
        assemble(cohorts, read_positions(positions(folder)))


def replace_in(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "omics.yaml").write_text("{}"), "at least one kind"),
        (lambda folder: (folder / "omics.yaml").write_text(""), "valid description in omics.yaml"),
        (lambda folder: (folder / "omics.yaml").write_text("- a"), "valid description in omics.yaml"),
        (lambda folder: (folder / "omics.yaml").write_text("a: ["), "YAML"),
        (replace_in("omics.yaml", "unit: beta", "unit: percent"), "methylation.unit"),
        (replace_in("omics.yaml", "unit: beta", "unit: beta, layer: x"), "methylation.layer"),
        (replace_in("omics.yaml", "methylation: ", "DNA methylation: "), "small letters.*'DNA methylation'"),
        (replace_in("omics.yaml", "methylation: ", "expression: "), "beside expression.*'expression'"),
        (replace_in("omics.yaml", "methylation.csv", "../methylation.csv"), "named in omics.yaml"),
        (replace_in("omics.yaml", "methylation.csv", "nowhere.csv"), "'nowhere.csv', named in omics.yaml"),
        (replace_in("methylation.csv", "S3,S1", "X3,X1"), "Received none of theirs, but X3, X1: ours has S1, S2, S3"),
        (replace_in("omics.yaml", "methylation.csv, genes_in: rows", "methylation.csv, genes_in: columns"), "samples"),
        (replace_in("methylation.csv", "ZZZ", "BBB"), "each gene once in methylation.csv. Received 'BBB'"),
        (replace_in("methylation.csv", "BBB", "YYY"), "gene symbols of the cohorts in methylation.csv"),
        (replace_in("methylation.csv", "S3,S1", "S1,S1"), "each sample once"),
        (replace_in("methylation.csv", "0.25", ""), "BBB"),
        (replace_in("methylation.csv", "0.25", "NA"), "BBB"),
        (replace_in("methylation.csv", "0.25", "25"), "beta values in methylation.csv. Received values from 0.5 to 25"),
        (replace_in("methylation.csv", "0.25", "-2.5"), "turn M values"),
        (replace_in("omics.yaml", "unit: beta", "unit: log2 ratio"), "these look like copies"),
        (lambda folder: (folder / "cn.tsv.gz").write_bytes(gzip.compress(b"s\tAAA\nS1\t-900\n")), "these look linear"),
        (lambda folder: (folder / "cn.tsv.gz").write_bytes(gzip.compress(b"s\tAAA\nS1\t-9\n")[:-9]), "truncated"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_honestly_is_refused_in_one_line(
    folder: Path, change: Callable[[Path], None], said: str
) -> None:
    change(folder)
    with pytest.raises(CohortError, match=said) as caught:
        read_folder(folder)
    assert "\n" not in str(caught.value)


def test_a_sample_of_two_cohorts_is_refused(folder: Path) -> None:
    write_h5ad_example(folder)  # its samples are S1 to S3, too
    with pytest.raises(CohortError, match="'S3', which is in ours and ours"):
        read_folder(folder)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.float32([[0, NAN], [1, 1], [1, 1]]), "whole samples or whole genes only.*'S1', gene 'BBB'"),
        (np.float32([[0, 1]]), "shape"),
        (np.zeros((3, 2)), "float32"),
        (np.full((3, 2), NAN, np.float32), "not a single value"),
        (np.full((3, 2), 2, np.float32), "within 0 and 1"),
    ],
)
def test_a_cohort_promises_whole_rows_and_columns(folder: Path, values: np.ndarray, said: str) -> None:
    (folder / "omics.yaml").unlink()
    (cohort,) = read_folder(folder)
    fields = {**vars(cohort), "omics": {"methylation": Omics(values, OmicsUnit.BETA)}}
    with pytest.raises(CohortError, match=said):
        check_cohort(Cohort(**fields))
