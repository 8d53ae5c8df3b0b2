"""The generic table and its description."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from aio_tune.cohorts import Unit, read_folder
from aio_tune.errors import CohortError
from aio_tune.tasks import with_declared
from tests.cohorts.conftest import COHORT_YAML, write_table_example

EXPRESSION = np.float32([[1.5, 3], [0, 4.25], [2, 5]])


def _rows(folder: Path) -> str:
    return "expression.tsv, genes_in: rows"


def _columns(folder: Path) -> str:
    (folder / "e.csv").write_text("sample,AAA,BBB\nS1,1.5,3\nS2,0,4.25\nS3,2,5\n")
    return "e.csv, genes_in: columns"


def _parquet_rows(folder: Path) -> str:
    pd.DataFrame({"gene": ["AAA", "BBB"], "S1": [1.5, 3], "S2": [0, 4.25], "S3": [2, 5]}).to_parquet(
        folder / "e.parquet"
    )
    return "e.parquet, genes_in: rows"


def _parquet_columns(folder: Path) -> str:
    pd.DataFrame({"sample": ["S1", "S2", "S3"], "AAA": [1.5, 0, 2], "BBB": [3, 4.25, 5]}).to_parquet(
        folder / "e.parquet"
    )
    return "e.parquet, genes_in: columns"


@pytest.mark.parametrize("write", [_rows, _columns, _parquet_rows, _parquet_columns])
def test_reads(tmp_path: Path, write: Callable[[Path], str]) -> None:
    write_table_example(tmp_path)
    text = COHORT_YAML.replace("expression.tsv, genes_in: rows", write(tmp_path))
    (tmp_path / "cohort.yaml").write_text(text)
    (cohort,) = read_folder(tmp_path)
    assert (cohort.name, cohort.unit, cohort.genes) == ("ours", Unit.LOG2_TPM_1, ("AAA", "BBB"))
    np.testing.assert_array_equal(cohort.expression, EXPRESSION)
    assert list(cohort.clinical.index) == ["S1", "S2", "S3"]
    assert list(cohort.subjects.index) == ["S1", "S2", "S3", "S4"]
    assert list(cohort.clinical["patient_id"]) == ["ours:P1", "ours:P1", "ours:P2"]
    assert list(cohort.clinical["ki67"].fillna("-")) == ["negative", "-", "positive"]
    assert cohort.clinical["survival_days"].isna().tolist() == [False, False, True]
    assert "1 of 4 titles of the clinical table have no profile." in cohort.notes


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("cohort.yaml", "unit: log2(TPM+1)", "unit: CPM", "expression.unit"),
        ("cohort.yaml", "genes_in: rows", "genes_inn: rows", "genes_in"),
        ("cohort.yaml", "name: ours", "name: [", "Expected YAML"),
        ("cohort.yaml", "name: ours", "name: ours (2020)", "valid name in cohort.yaml. Received 'ours (2020)'"),
        ("cohort.yaml", "name: ours", "name: ours+theirs", "letters, digits, spaces, dots, _ and - alone"),
        ("cohort.yaml", "expression.tsv", "../secret.tsv", "'../secret.tsv'"),
        ("cohort.yaml", "expression.tsv", "absent.tsv", "'absent.tsv'"),
        ("cohort.yaml", "ki67:", "ki76:", "'ki76'"),
        ("cohort.yaml", "positive}", "plus}", "'plus'"),
        ("cohort.yaml", "column: Ki67", "column: KI-67", "'KI-67'"),
        ("cohort.yaml", "sample: Sample", "sample: Id", "'Id'"),
        ("clinical.csv", "S3,P2,1", "S3,P2,7", "'7' for sample 'S3'"),
        ("clinical.csv", "S2,P1", "S1,P1", "'S1'"),
        ("clinical.csv", "S2,P1", "S2,", "Received none for 'S2'"),
        ("clinical.csv", "S2,P1", "S2, na", "Expected a patient for every sample of clinical.csv. Received none for"),
        ("clinical.csv", "S2,P1", 'S2,"P1', "in the row that begins in line 3 (unexpected end of data)"),
        ("clinical.csv", "S2,P1", 'S2,"P"1', "in the row that begins in line 3 (',' expected after '\"')"),
        ("clinical.csv", "S4,P3,1,30,0", "S4,P3,1,30", "Received 4 in row 5"),
        ("clinical.csv", "10,1", "10,5", "'5' for sample 'S1'"),
        ("expression.tsv", "4.25", "?", "'?' in row 'BBB', column 'S2'"),
        ("expression.tsv", "4.25", "-4.25", "never below 0"),
        ("expression.tsv", "4.25", "4250", "these look linear"),
    ],
)
def test_refuses(tmp_path: Path, file: str, old: str, new: str, said: str) -> None:
    write_table_example(tmp_path)
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new))
    with pytest.raises(CohortError) as error:
        read_folder(tmp_path)
    message = str(error.value)
    assert said in message
    assert "\n" not in message
    assert "Received" in message


@pytest.mark.parametrize("word", ["nan", "None", "<NA>", "N/A", "NULL"])
def test_what_programs_write_of_an_empty_cell_is_no_patient(tmp_path: Path, word: str) -> None:
    write_table_example(tmp_path)
    text = (tmp_path / "clinical.csv").read_text()
    (tmp_path / "clinical.csv").write_text(text.replace("S2,P1", f"S2,{word}"))
    with pytest.raises(CohortError, match=r"a patient for every sample of clinical\.csv\. Received none for 'S2'"):
        read_folder(tmp_path)


@pytest.mark.parametrize("length", [1, 100_000])
def test_a_quote_that_nobody_closes_takes_no_rows_along(tmp_path: Path, length: int) -> None:
    """Neither when they fit into the last cell, nor when they are more than the csv module takes for one."""
    write_table_example(tmp_path)
    head, *rows = (tmp_path / "clinical.csv").read_text().splitlines()
    lines = [f"{head},Remark", *(f"{row},{'x' * length}" for row in rows)]
    lines[3] = lines[3].replace(",x", ',"x')
    (tmp_path / "clinical.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(CohortError, match=r"clinical\.csv\. .* begins in line 4 .* a quote that is not closed"):
        read_folder(tmp_path)


def test_quoted_cells_of_several_lines_are_read(tmp_path: Path) -> None:
    write_table_example(tmp_path)
    text = (tmp_path / "clinical.csv").read_text().replace("S2,P1,NA", '"S2","P1","\r\nNA"')
    (tmp_path / "clinical.csv").write_text("\n" + text.replace("S3,", "\nS3,"), newline="")
    (cohort,) = read_folder(tmp_path)
    assert list(cohort.subjects.index) == ["S1", "S2", "S3", "S4"]
    assert list(cohort.clinical["ki67"].fillna("-")) == ["negative", "-", "positive"]


def test_one_person_in_two_folders_is_one_patient_if_the_id_says_so(tmp_path: Path) -> None:
    patients = []
    for name in ("A", "B"):
        folder = write_table_example(tmp_path / name)
        (folder / "cohort.yaml").write_text(COHORT_YAML.replace("name: ours", f"name: {name}"))
        text = (folder / "clinical.csv").read_text()
        (folder / "clinical.csv").write_text(text.replace("P1", "STUDY:P1"))
        (cohort,) = read_folder(folder)
        patients.append(cohort.clinical["patient_id"].tolist())
    assert patients == [["STUDY:P1", "STUDY:P1", "A:P2"], ["STUDY:P1", "STUDY:P1", "B:P2"]]


# Genes in columns -----------------------------------------------------------------------------------------------------

COLUMNS = np.float32([[1.5, 3, 2], [0, 4.25, 1], [2, 5, 0]])


def write_columns(folder: Path, file: str, samples: list[str], genes: list[str]) -> None:
    """The example cohort with samples in rows, its expression of these names."""
    write_table_example(folder)
    if file.endswith(".csv"):
        rows = [f"{sample},{','.join(map(str, values))}" for sample, values in zip(samples, COLUMNS, strict=True)]
        (folder / file).write_text("\n".join([f"sample,{','.join(genes)}", *rows]) + "\n")
    else:
        columns = [pa.array(samples), *(pa.array(values) for values in COLUMNS.T)]
        parquet.write_table(pa.Table.from_arrays(columns, ["sample", *genes]), folder / file)
    text = COHORT_YAML.replace("expression.tsv, genes_in: rows", f"{file}, genes_in: columns")
    (folder / "cohort.yaml").write_text(text)


@pytest.mark.parametrize("file", ["e.csv", "e.parquet"])
def test_a_symbol_twice_is_added_in_linear_space(tmp_path: Path, file: str) -> None:
    write_columns(tmp_path, file, ["S1", "S2", "S3"], ["AAA", "BBB", "AAA"])
    (cohort,) = read_folder(tmp_path)
    assert cohort.genes == ("AAA", "BBB")
    both = np.exp2(COLUMNS[:, 0].astype(float)) + np.exp2(COLUMNS[:, 2].astype(float))
    np.testing.assert_allclose(cohort.expression[:, 0], np.log2(both - 1), rtol=1e-6)
    np.testing.assert_array_equal(cohort.expression[:, 1], COLUMNS[:, 1])
    assert "ours: 1 gene row added, in linear space, to another of the same symbol." in cohort.notes


@pytest.mark.parametrize("file", ["e.csv", "e.parquet"])
def test_a_sample_twice_is_refused_whichever_way_the_table_lies(tmp_path: Path, file: str) -> None:
    write_columns(tmp_path, file, ["S1", "S2", "S1"], ["AAA", "BBB", "AAA"])
    said = f"Expected each sample once in {file}. Received {{}} more than once."
    for genes_in, name in (("columns", "'S1'"), ("rows", "'AAA'")):
        text = (tmp_path / "cohort.yaml").read_text().replace("genes_in: columns", f"genes_in: {genes_in}")
        (tmp_path / "cohort.yaml").write_text(text)
        with pytest.raises(CohortError) as error:
            read_folder(tmp_path)
        assert str(error.value) == said.format(name)


# Tasks that name the cohort -------------------------------------------------------------------------------------------


def test_a_declared_task_finds_its_column_or_says_that_there_is_none(tmp_path: Path) -> None:
    write_table_example(tmp_path)
    head, *rows = (tmp_path / "clinical.csv").read_text().splitlines()
    lines = [f"{head},Tumour  Size", *(f"{row},{size}" for row, size in zip(rows, ("7", "30", "NA", "1"), strict=True))]
    (tmp_path / "clinical.csv").write_text("\n".join(lines))
    declaration = "title: {0}\nclasses: [small, large]\nlabels: {{ours: {{key: {1}, above: 20}}}}\n"
    (tmp_path / "size.yaml").write_text("name: size\n" + declaration.format("Size", "TUMOUR size"))
    (tmp_path / "weight.yaml").write_text("name: weight\n" + declaration.format("Weight", "Weight"))
    tasks = with_declared([tmp_path / "size.yaml", tmp_path / "weight.yaml"])
    (cohort,) = read_folder(tmp_path, tasks)
    assert cohort.clinical["size"].fillna("-").tolist() == ["small", "large", "-"]
    assert cohort.clinical["weight"].isna().all()
    assert "Weight: no 'weight' in clinical.csv, left missing." in cohort.notes
    assert not any(note.startswith("Size") for note in cohort.notes)
