"""survival: figures and tables of calls, joined with clinical files."""

import json
from pathlib import Path

import pandas as pd
import pytest

from aio_tune.cohorts.gse96058 import read_subjects
from tests.cli.conftest import Run


@pytest.fixture
def matrix(geo: Path) -> Path:
    return next(geo.rglob("GSE96058*GPL11154*series_matrix*"))


@pytest.fixture
def calls(matrix: Path, tmp_path: Path) -> Path:
    """The model calls as the pathologists do, but for every fifth patient."""
    subjects = read_subjects(matrix.parent)["GSE96058"]
    called = subjects["ki67"].fillna("negative")
    called[::5] = called[::5].map({"negative": "positive", "positive": "negative"})
    table = pd.DataFrame({"sample_id": called.index, "call": called.to_numpy(), "p_negative": 0.5, "p_positive": 0.5})
    table.to_csv(tmp_path / "model.csv", index=False)
    return tmp_path / "model.csv"


def test_calls_beside_the_pathologists(aio: Run, matrix: Path, calls: Path, tmp_path: Path) -> None:
    words = ("survival", calls, "--clinical", matrix, "--by", "Ki67 status", "--out", tmp_path / "km")
    status, out, err = aio(*words)
    assert (status, err) == (0, "")
    assert "Overall survival, each on its own patients" in out
    assert "Overall survival, on the same patients" in out
    names = {file.name for file in (tmp_path / "km").iterdir()}
    figures = {"model.png", "Ki67_status.png", "model_same_patients.png", "Ki67_status_same_patients.png"}
    assert names == {*figures, "groups.csv", "tests.csv", "curves.csv"}
    tests = pd.read_csv(tmp_path / "km" / "tests.csv").set_index(["calls", "patients"])["n"]
    subjects = read_subjects(matrix.parent)["GSE96058"]
    assert tests["model", "each on its own patients"] == subjects["survival_days"].notna().sum()
    known = (subjects["ki67"].notna() & subjects["survival_days"].notna()).sum()
    assert tests["Ki67 status", "each on its own patients"] == known
    assert tests["model", "on the same patients"] == tests["Ki67 status", "on the same patients"] == known

    status, out, _ = aio(*words, "--json")
    facts = json.loads(out)["on the same patients"]
    assert [one["title"] for one in facts] == ["model", "Ki67 status"]
    assert [group["group"] for group in facts[0]["groups"]] == ["negative", "positive"]


def test_a_plain_table_with_columns_of_other_names(aio: Run, tmp_path: Path) -> None:
    table = {"id": list("abcd"), "t": [1, 2, 3, "NA"], "died": [1, 1, 0, 1], "arm": list("xyxy")}
    pd.DataFrame(table).to_csv(tmp_path / "c.tsv", sep="\t", index=False)
    words = ("survival", "--by", "arm", "--clinical", tmp_path / "c.tsv", "--out", tmp_path / "km")
    status, _, err = aio(*words)
    assert status == 1
    assert "Name the columns with --days and --event" in err
    assert not (tmp_path / "km").exists()
    status, out, err = aio(*words, "--days", "t", "--event", "died")
    assert (status, err) == (0, "")
    assert (tmp_path / "km" / "arm.png").stat().st_size > 1000
    assert "same patients" not in out


def test_replicates_are_one_patient(aio: Run, tmp_path: Path) -> None:
    table = {"sample_id": ["F1", "F1repl", "F2"], "days": [5, 5, 9], "event": [1, 1, 0], "arm": ["x", "y", "y"]}
    pd.DataFrame(table).to_csv(tmp_path / "c.csv", index=False)
    _, out, _ = aio("survival", "--by", "arm", "--clinical", tmp_path / "c.csv", "--out", tmp_path / "km", "--json")
    (facts,) = json.loads(out)["each on its own patients"]
    assert [(group["group"], group["n"]) for group in facts["groups"]] == [("x", 1), ("y", 1)]


def test_calls_and_a_column_of_one_name_are_two_callers(aio: Run, tmp_path: Path) -> None:
    clinical = {"sample_id": list("abcd"), "days": [1, 2, 3, 4], "event": [1, 1, 0, 1], "nhg": list("xyxy")}
    pd.DataFrame(clinical).to_csv(tmp_path / "c.csv", index=False)
    # A column of another program's that is no probability of a class.
    calls = {"sample_id": list("abcd"), "call": list("xxyy"), "p_value": [0.1] * 4}
    pd.DataFrame(calls).to_csv(tmp_path / "nhg.csv", index=False)
    pd.DataFrame(calls).to_csv(tmp_path / "n-g.csv", index=False)
    pd.DataFrame(calls).to_csv(tmp_path / "n_g.csv", index=False)
    status, out, err = aio(
        "survival", *(tmp_path / f"{name}.csv" for name in ("nhg", "n-g", "n_g")), "--by", "nhg",
        "--clinical", tmp_path / "c.csv", "--out", tmp_path / "km", "--json",
    )  # fmt: skip
    assert (status, err) == (0, "")
    facts = json.loads(out)["on the same patients"]
    assert [one["title"] for one in facts] == ["nhg", "n-g", "n_g", "nhg (clinical)"]
    assert [group["group"] for one in facts for group in one["groups"]] == ["x", "y"] * 4
    figures = {file.name for file in (tmp_path / "km").glob("*_same_patients.png")}
    assert figures == {f"{name}_same_patients.png" for name in ("nhg", "n_g", "n_g_2", "nhg_clinical_")}
    assert set(pd.read_csv(tmp_path / "km" / "groups.csv")["hazard_ratio_against"].dropna()) == {"x"}


def test_a_damaged_parquet_file_is_told_in_one_line(aio: Run, tmp_path: Path) -> None:
    (tmp_path / "c.parquet").write_bytes(b"PAR1 and no more")
    words = ("survival", "--by", "arm", "--clinical", tmp_path / "c.parquet", "--out", tmp_path / "km")
    status, _, err = aio(*words)
    assert (status, len(err.splitlines())) == (1, 1)
    assert "Expected a clinical table in" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sample_id,days,event\na,1,2\n", "Expected 0 or 1 as 'event' in c.csv. Received '2' for sample 'a'"),
        ("sample_id,days,event\na,-1,1\n", "Expected a number of 0 or more as 'days'"),
        ("sample_id,days,event\na,x,1\n", "Received 'x' for sample 'a'"),
        ("sample_id,days,event\na,1,1\na,1,1\n", "Expected each sample once in c.csv. Received 'a'"),
        ("sample_id,days,event,patient_id\na,1,1,p\nb,2,1,p\n", "Expected one follow-up for each patient"),
        ("sample_id,days,event\nz,1,1\n", "Received none: samples such as 'a'"),
        ("", "Expected a clinical table"),
    ],
)
def test_clinical_tables_that_make_no_sense(aio: Run, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "c.csv").write_text(content)
    (tmp_path / "calls.csv").write_text("sample_id,call\na,x\nb,y\n")
    status, _, err = aio("survival", tmp_path / "calls.csv", "--clinical", tmp_path / "c.csv", "--out", tmp_path / "km")
    assert (status, len(err.splitlines())) == (1, 1)
    assert message in err
    assert not (tmp_path / "km").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sample,call\na,x\n", "Expected columns sample_id and call"),
        ("sample_id,call\n", "at least one row"),
        ("sample_id,call\na,x\na,y\n", "Received 'a' more than once"),
        ("", "Expected a table of calls"),
    ],
)
def test_calls_that_make_no_sense(aio: Run, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "c.csv").write_text("sample_id,days,event\na,1,1\n")
    (tmp_path / "calls.csv").write_text(content)
    status, _, err = aio("survival", tmp_path / "calls.csv", "--clinical", tmp_path / "c.csv", "--out", tmp_path / "km")
    assert (status, len(err.splitlines())) == (1, 1)
    assert message in err


def test_neither_calls_nor_columns(aio: Run, matrix: Path, tmp_path: Path) -> None:
    status, _, err = aio("survival", "--clinical", matrix, "--out", tmp_path / "km")
    assert status == 1
    assert "Expected tables of calls, or --by" in err
