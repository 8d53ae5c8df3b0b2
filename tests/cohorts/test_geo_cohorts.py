"""The three GEO cohorts: quirks written inline, and their malformed variants."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aio_tune.cohorts import read_folder, table_one
from aio_tune.cohorts.geo import read_series_matrix
from aio_tune.cohorts.gse163882 import group_patients
from aio_tune.errors import CohortError
from aio_tune.tasks import TASKS
from tests.cohorts.geo_files import GENES, expression_text, matrix_text, rows, scan_b, scan_b_expression, write_gz

TITLES = ("F1", "F2", "F3")


def refused(folder: Path) -> str:
    with pytest.raises(CohortError) as error:
        read_folder(folder)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("Expected ")
    assert "Received" in message
    return message


# --- series matrix ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("series_block", [True, False])
@pytest.mark.parametrize("quote", ['"', ""])
@pytest.mark.parametrize("write", [write_gz, lambda path, text: path.write_text(text)], ids=["gzip", "plain"])
def test_series_matrix_forms(tmp_path: Path, series_block: bool, quote: str, write: Callable[..., object]) -> None:
    path = tmp_path / "series_matrix.txt"
    write(path, matrix_text(["T1", "T2"], [["KI67  Status: 1", "ki67 status: NA"]], "GPL1", series_block, quote))
    matrix = read_series_matrix(path)
    assert [(s.title, s.platform, dict(s.characteristics)) for s in matrix.samples] == [
        ("T1", "GPL1", {"ki67 status": "1"}),
        ("T2", "GPL1", {"ki67 status": "NA"}),
    ]


def test_keys_are_read_cell_by_cell(tmp_path: Path) -> None:
    """A sample that lacks a characteristic makes its later ones move up one line."""
    lines = [["age: 50", "nhg: G2"], ["nhg: G1", "note: a: b"], ["free text", ""]]
    path = write_gz(tmp_path / "m.txt.gz", matrix_text(["T1", "T2"], lines))
    first, second = read_series_matrix(path).samples
    assert dict(first.characteristics) == {"age": "50", "nhg": "G1"}
    assert dict(second.characteristics) == {"nhg": "G2", "note": "a: b"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Received none"),
        (matrix_text(["T1", "T1"], [["a: 1", "a: 2"]]), "'T1' more than once"),
        (matrix_text(["T1", "T2"], [["a: 1"]]), "Received 1"),
        (matrix_text(["T1"], [["a: 1", "a: 2"]]), "Received 2"),
        (matrix_text(["T1"], [["a: 1"], ["A: 2"]]), "'1' and '2'"),
        (matrix_text(["", "T2"], [["a: 1", "a: 2"]]), "an empty one"),
    ],
)
def test_series_matrix_refuses(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CohortError) as error:
        read_series_matrix(write_gz(tmp_path / "m.txt.gz", text))
    assert said in str(error.value)


# --- GSE96058 --------------------------------------------------------------------------------------------------------


def test_gse96058_labels_and_survival(tmp_path: Path) -> None:
    scan_b(tmp_path)
    scan_b_expression(tmp_path, expression_text(TITLES))
    (cohort,) = read_folder(tmp_path)
    table = cohort.clinical
    assert cohort.name == "GSE96058"
    assert cohort.genes == GENES
    assert list(table["patient_id"]) == ["GSE96058:F1", "GSE96058:F2", "GSE96058:F3"]
    assert list(table["ki67"].fillna("-")) == ["negative", "positive", "-"]
    assert list(table["nhg"].fillna("-")) == ["G1", "G3", "-"]
    assert list(table["er"]) == ["positive"] * 3
    assert table["pgr"].isna().all()
    assert list(table["survival_days"]) == [100, 101, 102]
    assert list(table["survival_event"]) == [0, 1, 0]
    assert set(table["platform"]) == {"HiSeq 2000"}
    assert any("'pgr status'" in note for note in cohort.notes)
    np.testing.assert_allclose(cohort.expression[:, 1], [1.6, 1.85, 2.1], rtol=1e-6)


def test_gse96058_one_sample_per_patient_and_two_cohorts(tmp_path: Path) -> None:
    """F1 twice on the HiSeq; F2 on the NextSeq with its replicate on the HiSeq; F4 on the NextSeq alone, twice."""
    scan_b(tmp_path, ("F1repl", "F1", "F2repl"))
    scan_b(tmp_path, ("F2", "F4", "F4repl"), ("NA", 0, 0), ("G2", "G2", "G2"), platform="GPL18573")
    scan_b_expression(tmp_path, expression_text(["F4repl", "F2", "F1", "F1repl", "F4", "F2repl"]))
    hiseq, nextseq = read_folder(tmp_path)
    assert (hiseq.name, nextseq.name) == ("GSE96058", "GSE96058-NextSeq")
    assert set(hiseq.clinical.index) == {"F1", "F2repl"}
    assert list(nextseq.clinical.index) == ["F4"]
    assert list(nextseq.clinical["platform"]) == ["NextSeq 500"]
    # The rows of the matrix belong to the rows of the table: gene AAA is 0.1 + 0.25 x the column's number in the file.
    np.testing.assert_allclose(hiseq.expression[list(hiseq.clinical.index).index("F1"), 0], 0.1 + 0.25 * 2)
    np.testing.assert_allclose(nextseq.expression[0, 0], 0.1 + 0.25 * 4)


def test_gse96058_prefers_the_column_that_has_a_profile(tmp_path: Path) -> None:
    scan_b(tmp_path, ("F1", "F1repl", "F2"))
    scan_b_expression(tmp_path, expression_text(["F1repl", "F2"]))
    (cohort,) = read_folder(tmp_path)
    assert set(cohort.clinical.index) == {"F1repl", "F2"}
    assert len(cohort.subjects) == 2


def test_gse96058_titles_without_profile_are_counted(tmp_path: Path) -> None:
    scan_b(tmp_path)
    scan_b_expression(tmp_path, expression_text(["F3"]))
    (cohort,) = read_folder(tmp_path)
    assert len(cohort.subjects) == 3
    assert list(cohort.clinical.index) == ["F3"]
    assert any(note.startswith("2 of 3 titles of the clinical table have no profile") for note in cohort.notes)
    assert table_one(cohort.subjects, TASKS)["ki67"] == {"negative": 1, "positive": 1, "missing": 1}
    assert table_one(cohort.clinical, TASKS)["ki67"] == {"negative": 0, "positive": 0, "missing": 1}


@pytest.mark.parametrize(("strangers", "fine"), [(1, True), (2, False)])
def test_gse96058_profiles_without_clinical_row(tmp_path: Path, strangers: int, fine: bool) -> None:
    """One in ten is a note, more is an error."""
    known = [f"F{i}" for i in range(1, 11 - strangers)]
    scan_b(tmp_path, known, [1] * len(known), ["G1"] * len(known))
    scan_b_expression(tmp_path, expression_text([*known, *(f"F{90 + i}" for i in range(strangers))]))
    if fine:
        (cohort,) = read_folder(tmp_path)
        assert any("1 profile of 10 left out" in note and "F90" in note for note in cohort.notes)
    else:
        assert "2 of 10 profiles, such as F90, F91" in refused(tmp_path)


@pytest.mark.parametrize("platform", ["NextSeq only", "no platform line"])
def test_gse96058_one_sequencer_alone(tmp_path: Path, platform: str) -> None:
    if platform == "NextSeq only":
        scan_b(tmp_path, platform="GPL18573")
    else:
        lines = rows({"instrument model": ["NextSeq 500"] * 3, "ki67 status": [1, 0, "NA"]})
        write_gz(tmp_path / "GSE96058_series_matrix.txt.gz", matrix_text(TITLES, lines, None, series_block=False))
    scan_b_expression(tmp_path, expression_text(TITLES))
    assert [cohort.name for cohort in read_folder(tmp_path)] == ["GSE96058-NextSeq"]


def test_gse96058_duplicate_symbols_are_summed_as_fpkm(tmp_path: Path) -> None:
    scan_b(tmp_path)
    a, b = np.log2(3 + 0.1), np.log2(5 + 0.1)
    scan_b_expression(tmp_path, f",F1,F2,F3\nAAA,{a},{a},1\nBBB,2,1,0.5\nAAA,{b},{a},-3.3219\n")
    (cohort,) = read_folder(tmp_path)
    assert cohort.genes == ("AAA", "BBB")
    np.testing.assert_allclose(cohort.expression[:2, 0], np.log2([8.1, 6.1]), rtol=1e-6)
    np.testing.assert_allclose(cohort.expression[2, 0], 1.0, atol=1e-4)
    assert any("1 gene row added" in note for note in cohort.notes)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"ki67": (0, 7, "NA")}, "Received '7' for sample 'F2'"),
        ({"nhg": ("G1", "G4", "NA")}, "Received 'G4' for sample 'F2'"),
        ({"ki67": (0, 1, "unknown")}, "Received 'unknown' for sample 'F3'"),
    ],
)
def test_gse96058_unknown_labels(tmp_path: Path, labels: dict[str, tuple[object, ...]], said: str) -> None:
    scan_b(tmp_path, **labels)  # type: ignore[arg-type]
    scan_b_expression(tmp_path, expression_text(TITLES))
    assert said in refused(tmp_path)


@pytest.mark.parametrize("word", ["", "NA", "na"])
def test_gse96058_missing_words(tmp_path: Path, word: str) -> None:
    scan_b(tmp_path, ki67=(0, 1, word))
    scan_b_expression(tmp_path, expression_text(TITLES))
    assert read_folder(tmp_path)[0].clinical["ki67"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (",F1,F2,F3\nAAA,1,abc,3\n", "'abc' in row 'AAA', column 'F2'"),
        (",F1,F1,F3\nAAA,1,2,3\n", "'F1' more than once"),
        (",X1,X2,X3\nAAA,1,2,3\n", "Received none: profiles such as 'X1', clinical rows such as 'F1'"),
        (",F1,F2,F3\nAAA,1,2,3000.5\n", "up to 3000.5: these look linear"),
        (",F1,F2,F3\nAAA,1,2,-9.5\n", "down to -9.5"),
        (",F1,F2,F3\nAAA,1,1,1\n", "the same value, 1, everywhere"),
        (",F1,F2,F3\n,1,2,1\n", "a symbol for every gene"),
        (",F1,F2,F3\nAAA,1,2\n", "Received 3 in row 'AAA'"),
        (",F1,F2,F3\n", "header only"),
        ("", "is empty"),
    ],
)
def test_gse96058_bad_expression(tmp_path: Path, text: str, said: str) -> None:
    scan_b(tmp_path)
    scan_b_expression(tmp_path, text)
    assert said in refused(tmp_path)


def test_gse96058_titles_and_files_it_cannot_place(tmp_path: Path) -> None:
    scan_b_expression(tmp_path, expression_text(TITLES))
    assert "series matrix" in refused(tmp_path)
    scan_b(tmp_path, ("F1", "F2", "G3"))
    assert "'G3'" in refused(tmp_path)
    scan_b(tmp_path)
    write_gz(tmp_path / "GSE96058_gene_expression_other_transformed.csv.gz", expression_text(TITLES))
    assert "GSE96058_gene_expression_other_transformed.csv.gz" in refused(tmp_path)


def test_gse96058_a_title_in_both_matrices(tmp_path: Path) -> None:
    scan_b(tmp_path)
    scan_b(tmp_path, platform="GPL18573")
    scan_b_expression(tmp_path, expression_text(TITLES))
    assert "'F1' twice" in refused(tmp_path)


@pytest.mark.parametrize(("days", "event", "said"), [("-5", "0", "'-5'"), ("x", "0", "'x'"), ("5", "2", "'2'")])
def test_gse96058_survival_that_cannot_be(tmp_path: Path, days: str, event: str, said: str) -> None:
    values = {"ki67 status": [1], "overall survival days": [days], "overall survival event": [event]}
    write_gz(tmp_path / "GSE96058-GPL11154_series_matrix.txt.gz", matrix_text(["F1"], rows(values)))
    scan_b_expression(tmp_path, expression_text(["F1"]))
    assert f"Received {said} for sample 'F1'" in refused(tmp_path)


# --- GSE81538 --------------------------------------------------------------------------------------------------------


def gse81538(folder: Path, ki67: list[object], nhg: list[object]) -> None:
    titles = [f"T{i + 1}" for i in range(len(ki67))]
    values = {"Ki67 Consensus": ki67, "NHG consensus": nhg, "ER consensus": [90] * len(ki67)}
    write_gz(folder / "GSE81538_series_matrix.txt.gz", matrix_text(titles, rows(values)))
    write_gz(folder / "GSE81538_gene_expression_405_transformed.csv.gz", expression_text(titles))


def test_gse81538_over_twenty_percent_is_positive(tmp_path: Path) -> None:
    gse81538(tmp_path, [20, 20.5, "NA", 0, 100], [1, 2, 3, "NA", 3])
    (cohort,) = read_folder(tmp_path)
    assert list(cohort.clinical["ki67"].fillna("-")) == ["negative", "positive", "-", "negative", "positive"]
    assert list(cohort.clinical["nhg"].fillna("-")) == ["G1", "G2", "G3", "-", "G3"]
    assert cohort.clinical["er"].isna().all()
    assert any("er consensus" in note for note in cohort.notes)
    assert cohort.clinical["survival_days"].isna().all()


@pytest.mark.parametrize(
    ("ki67", "nhg", "said"),
    [
        ([101, 5], [1, 2], "'101' for sample 'T1'"),
        ([5, "high"], [1, 2], "'high' for sample 'T2'"),
        ([5, 6], [0, 2], "'0' for sample 'T1'"),
        ([0.1, 0.9] * 10, [1, 2] * 10, "these look like fractions"),
    ],
)
def test_gse81538_refuses(tmp_path: Path, ki67: list[object], nhg: list[object], said: str) -> None:
    gse81538(tmp_path, ki67, nhg)
    assert said in refused(tmp_path)


# --- GSE163882 -------------------------------------------------------------------------------------------------------

TPM = {"ENSG01.1": [10.5, 0, 3], "ENSG02.4": [1, 2, 3], "ENSG03.1": [7, 0.5, 9], "ENSG04.2": [1, 1, 90]}
SYMBOLS = ["AAA", "BBB", "AAA", ""]


def gse163882(folder: Path, grades: list[object], annotation_at: int = 4, symbols: list[str] = SYMBOLS) -> None:
    titles = ["BA100: S18-1", "BA200: S18-2 / S18-9", "BA300: s18-9"]
    values = {
        "tumor grage": grades,
        "estrogen receptor status": ["P", "N", "NA"],
        "her2 receptor status": ["P", "N", "equivocal"],
    }
    write_gz(folder / "GSE163882_series_matrix.txt.gz", matrix_text(titles, rows(values)))
    table = [["", "BA300", "BA100", "BA200"], *([key, *map(str, cells)] for key, cells in TPM.items())]
    for line, cell in zip(table, ["annotation", *symbols], strict=True):
        line.insert(annotation_at, cell)
    text = "\n".join(",".join(line) for line in table) + "\n"
    write_gz(folder / "GSE163882_all.data.tpms_222Samples.csv.gz", text)


@pytest.mark.parametrize("annotation_at", [0, 1, 2, 4])
def test_gse163882_symbols_by_name_and_summed(tmp_path: Path, annotation_at: int) -> None:
    gse163882(tmp_path, [1, 0, 3], annotation_at)
    (cohort,) = read_folder(tmp_path)
    assert cohort.genes == ("AAA", "BBB")
    assert list(cohort.clinical.index) == ["BA100", "BA200", "BA300"]
    np.testing.assert_allclose(cohort.expression, [[0.5, 2], [12, 3], [17.5, 1]])
    assert list(cohort.clinical["nhg"].fillna("-")) == ["G1", "-", "G3"]
    assert list(cohort.clinical["er"].fillna("-")) == ["positive", "negative", "-"]
    assert list(cohort.clinical["her2"].fillna("-")) == ["positive", "negative", "-"]
    assert list(cohort.clinical["patient_id"]) == ["GSE163882:BA100", "GSE163882:BA200", "GSE163882:BA200"]
    for said in ("'0' of 'tumor grage'", "1 sample grouped", "1 gene row without a symbol", "1 gene row added"):
        assert any(said in note for note in cohort.notes), said


def test_gse163882_refuses(tmp_path: Path) -> None:
    gse163882(tmp_path, [1, 4, 3])
    assert "'4' for sample 'BA200'" in refused(tmp_path)
    gse163882(tmp_path, [1, 2, 3], symbols=["", "", "NA", ""])
    assert "gene symbols" in refused(tmp_path)
    text = gzip.decompress((tmp_path / "GSE163882_all.data.tpms_222Samples.csv.gz").read_bytes()).decode()
    write_gz(tmp_path / "GSE163882_all.data.tpms_222Samples.csv.gz", text.replace("annotation", "symbol"))
    assert "column 'annotation'" in refused(tmp_path)


def test_patients_share_an_accession_number() -> None:
    samples = ["a", "b", "c", "d", "e", "f"]
    specimens = ["S1", "S2, S3", "s3;S4", "", "biopsy", "biopsy"]
    assert group_patients(samples, specimens) == ["a", "b", "b", "d", "e", "f"]
    # A chain joins, whichever way round it is written; a label of many samples is a description.
    assert group_patients(samples[:3], ["S2", "S1", "S1/S2"]) == ["a", "a", "a"]
    assert group_patients(samples, ["site 2"] * 6) == samples


# --- folders ---------------------------------------------------------------------------------------------------------


def test_folders_without_a_cohort(tmp_path: Path) -> None:
    assert "GSE96058" in refused(tmp_path)
    assert "not a folder" in refused(tmp_path / "nowhere")
