"""The generic table and its description."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aio_tune.cohorts import Unit, read_folder
from aio_tune.errors import CohortError
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
        ("cohort.yaml", "expression.tsv", "../secret.tsv", "'../secret.tsv'"),
        ("cohort.yaml", "expression.tsv", "absent.tsv", "'absent.tsv'"),
        ("cohort.yaml", "ki67:", "ki76:", "'ki76'"),
        ("cohort.yaml", "positive}", "plus}", "'plus'"),
        ("cohort.yaml", "column: Ki67", "column: KI-67", "'KI-67'"),
        ("cohort.yaml", "sample: Sample", "sample: Id", "'Id'"),
        ("clinical.csv", "S3,P2,1", "S3,P2,7", "'7' for sample 'S3'"),
        ("clinical.csv", "S2,P1", "S1,P1", "'S1'"),
        ("clinical.csv", "S2,P1", "S2,", "Received none for 'S2'"),
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
