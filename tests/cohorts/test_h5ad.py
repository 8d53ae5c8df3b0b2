"""Cohorts in AnnData files: what is read, and what is refused in one line."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from aio_tune.cohorts import Cohort, Unit, h5ad_file, read_folder
from aio_tune.cohorts.h5ad_file import open_h5ad
from aio_tune.cohorts.h5ad_positions import h5ad_entries
from aio_tune.cohorts.positions import Position
from aio_tune.errors import CohortError
from aio_tune.tasks import with_declared
from tests.cohorts.h5ad_files import ANNDATA_YAML, OBS, VAR, X, write_h5ad, write_h5ad_example

GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "h5ad").glob("*.h5ad"))
MINIMAL = "name: ours\nexpression: {unit: log2(TPM+1)}\n"


def read(folder: Path, description: str = ANNDATA_YAML) -> list[Cohort]:
    (folder / "anndata.yaml").write_text(description)
    return read_folder(folder)


def refused(folder: Path, description: str = MINIMAL) -> str:
    with pytest.raises(CohortError) as error:
        read(folder, description)
    message = str(error.value)
    assert message.startswith("Expected ") and "Received" in message
    assert "\n" not in message
    return message


# What is read ---------------------------------------------------------------------------------------------------------


def test_reads(tmp_path: Path) -> None:
    write_h5ad_example(tmp_path)
    (cohort,) = read_folder(tmp_path)
    assert (cohort.name, cohort.unit, cohort.genes) == ("ours", Unit.LOG2_TPM_1, ("AAA", "BBB", "CCC"))
    np.testing.assert_array_equal(cohort.expression, X)
    clinical = cohort.clinical
    assert clinical.index.tolist() == ["S1", "S2", "S3"]
    assert clinical["patient_id"].tolist() == ["ours:P1", "ours:P1", "ours:P2"]
    assert clinical["ki67"].fillna("-").tolist() == ["negative", "-", "positive"]
    assert clinical["nhg"].tolist() == ["G1", "G2", "G3"]
    assert clinical["survival_days"].fillna(-1).tolist() == [10, 20.5, -1]
    assert clinical["survival_event"].tolist() == [1, 0, 1]
    assert clinical["platform"].tolist() == ["one", "two", "one"]
    assert sorted(cohort.sources) == ["anndata.yaml", "ours.h5ad"]
    assert not cohort.simulated


def test_two_lines_describe_a_file(tmp_path: Path) -> None:
    write_h5ad(tmp_path / "any name.h5ad", obs={})
    (cohort,) = read(tmp_path, MINIMAL)
    assert cohort.clinical["patient_id"].tolist() == ["ours:S1", "ours:S2", "ours:S3"]
    assert cohort.clinical[["ki67", "nhg", "survival_days"]].isna().all(axis=None)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_what_other_releases_of_anndata_wrote_is_read(path: Path, tmp_path: Path) -> None:
    (tmp_path / path.name).write_bytes(path.read_bytes())
    description = ANNDATA_YAML.replace("Batch", "Old")
    (cohort,) = read(tmp_path, description)
    np.testing.assert_array_equal(cohort.expression, X)
    assert cohort.clinical["patient_id"].tolist() == ["ours:P1", "ours:P1", "ours:P2"]
    assert cohort.clinical["ki67"].fillna("-").tolist() == ["negative", "-", "positive"]
    assert cohort.clinical["nhg"].tolist() == ["G1", "G2", "G3"]
    assert cohort.clinical["survival_days"].fillna(-1).tolist() == [10, 20.5, -1]
    assert cohort.clinical["survival_event"].fillna(-1).tolist() == [1, 0, -1]
    assert cohort.clinical["platform"].tolist()[:2] == ["1", "0"]
    assert dict(h5ad_entries(tmp_path / path.name)) == {
        "AAA": Position("2", 10, 15, "-"),
        "BBB": Position("X", 20, 25, "+"),
    }

    (linear,) = read(tmp_path, "name: ours\nexpression: {unit: TPM, layer: tpm, symbols: gene_name}\n")
    assert (linear.unit, linear.genes) == (Unit.TPM, ("one", "two"))
    tpm = np.exp2(X) - 1
    np.testing.assert_allclose(linear.expression, np.stack([tpm[:, 0] + tpm[:, 2], tpm[:, 1]], axis=1), rtol=1e-6)


def test_there_are_files_of_three_releases() -> None:
    assert [path.stem for path in GOLDEN] == ["anndata_0.10.9_csc", "anndata_0.13.4_dense", "anndata_0.7.8_csr"]


def test_a_dense_matrix_of_anndata_0_7_is_read(tmp_path: Path) -> None:
    """It says of tables and sparse matrices what they are, but not of arrays."""
    (golden,) = [path for path in GOLDEN if "0.7" in path.stem]
    (tmp_path / "x.h5ad").write_bytes(golden.read_bytes())
    with h5py.File(tmp_path / "x.h5ad", "r+") as file:
        for name, values in (("X", X), ("layers/tpm", np.exp2(X) - 1)):
            del file[name]
            file[name] = values
    (cohort,) = read(tmp_path, ANNDATA_YAML.replace("Batch", "Old"))
    np.testing.assert_array_equal(cohort.expression, X)
    (linear,) = read(tmp_path, "name: ours\nexpression: {unit: TPM, layer: tpm}\n")
    np.testing.assert_allclose(linear.expression, np.exp2(X) - 1)


def test_genes_of_one_symbol_are_summed_in_linear_space(tmp_path: Path) -> None:
    write_h5ad(tmp_path / "x.h5ad", genes=["AAA", "BBB", "AAA"])
    (cohort,) = read(tmp_path, MINIMAL)
    assert cohort.genes == ("AAA", "BBB")
    expected = np.log2(np.exp2(X[:, 0].astype(float)) + np.exp2(X[:, 2].astype(float)) - 1)
    np.testing.assert_allclose(cohort.expression[:, 0], expected, rtol=1e-6)
    np.testing.assert_array_equal(cohort.expression[:, 1], X[:, 1])
    assert "1 gene row added" in cohort.notes[-1]


def test_genes_without_a_symbol_are_left_out(tmp_path: Path) -> None:
    write_h5ad(tmp_path / "x.h5ad", var={"gene_name": ["one", "", "two"]})
    (cohort,) = read(tmp_path, "name: ours\nexpression: {unit: log2(TPM+1), symbols: gene_name}\n")
    assert cohort.genes == ("one", "two")
    np.testing.assert_array_equal(cohort.expression, X[:, [0, 2]])


def test_a_column_tells_the_cohorts_of_one_file(tmp_path: Path) -> None:
    write_h5ad(tmp_path / "x.h5ad", obs=OBS | {"Patient": ["P1", "other:P1", "P2"]})
    description = "expression: {unit: log2(TPM+1)}\nclinical: {cohort: Batch, patient: Patient}\n"
    one, two = read(tmp_path, description)
    assert (one.name, two.name) == ("one", "two")
    assert one.clinical["patient_id"].to_dict() == {"S1": "one:P1", "S3": "one:P2"}
    assert two.clinical["patient_id"].to_dict() == {"S2": "other:P1"}, "an id with its cohort in it is left as it is"
    np.testing.assert_array_equal(one.expression, X[[0, 2]])
    np.testing.assert_array_equal(two.expression, X[[1]])


def test_a_patient_of_two_cohorts_is_one_person_if_the_id_says_so(tmp_path: Path) -> None:
    description = "expression: {unit: log2(TPM+1)}\nclinical: {cohort: Batch, patient: Patient}\n"
    write_h5ad(tmp_path / "x.h5ad")
    assert refused(tmp_path, description) == (
        "Expected each patient in one cohort of obs of x.h5ad. Received 'P1' in 'one' and in 'two'. "
        "Write STUDY:P1 in both if it is one person, one:P1 and two:P1 if not."
    )
    for ids in (["STUDY:P1", "STUDY:P1", "P2"], ["P1", "two:P1", "P2"]):
        write_h5ad(tmp_path / "x.h5ad", obs=OBS | {"Patient": ids})
        one, two = read(tmp_path, description)
        expected = [ids[0] if ":" in ids[0] else "one:P1", ids[1]]
        assert [*one.clinical["patient_id"][:1], *two.clinical["patient_id"]] == expected


@pytest.mark.parametrize("column", ["Size_mm", "size_mm", " SIZE_MM"])
def test_a_declared_task_finds_its_column_or_says_that_there_is_none(tmp_path: Path, column: str) -> None:
    write_h5ad(tmp_path / "x.h5ad", obs=OBS | {column: ["10", "NA", "30"]})
    declaration = "title: {0}\nclasses: [small, large]\nlabels: {{ours: {{key: {0}, above: 20}}}}\n"
    (tmp_path / "size.yaml").write_text("name: size\n" + declaration.format("Size_mm"))
    (tmp_path / "weight.yaml").write_text("name: weight\n" + declaration.format("Weight"))
    tasks = with_declared([tmp_path / "size.yaml", tmp_path / "weight.yaml"])
    (tmp_path / "anndata.yaml").write_text(ANNDATA_YAML)
    (cohort,) = read_folder(tmp_path, tasks)
    assert cohort.clinical["size"].fillna("-").tolist() == ["small", "-", "large"]
    assert cohort.clinical["weight"].isna().all()
    assert cohort.notes == ("Weight: no 'weight' in obs of x.h5ad, left missing.",)


def test_a_declared_task_that_may_mean_two_columns_is_refused(tmp_path: Path) -> None:
    write_h5ad(tmp_path / "x.h5ad", obs=OBS | {"Size": ["10", "NA", "30"], "SIZE": ["30", "NA", "10"]})
    text = "name: size\ntitle: Size\nclasses: [small, large]\nlabels: {ours: {key: size, above: 20}}\n"
    (tmp_path / "size.yaml").write_text(text)
    (tmp_path / "anndata.yaml").write_text(ANNDATA_YAML)
    with pytest.raises(CohortError, match=r"one column 'size', in any case, for size\. Received Size, SIZE\. Name the"):
        read_folder(tmp_path, with_declared([tmp_path / "size.yaml"]))


@settings(max_examples=40, deadline=None)
@given(
    x=hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int32, np.uint8]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=7),
        elements=st.integers(0, 15),
    ),
    how=st.sampled_from([np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array]),
    step=st.sampled_from([1, 40, 1 << 20]),
)
def test_dense_and_sparse_are_the_same_matrix(x: np.ndarray, how: Any, step: int) -> None:
    samples, genes = [f"S{i}" for i in range(x.shape[0])], [f"G{i}" for i in range(x.shape[1])]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(h5ad_file, "_BLOCK_BYTES", step)
        path = write_h5ad(
            Path(folder) / "x.h5ad", np.ones(x.shape), samples=samples, genes=genes, obs={}, var={},
            layers={"other": how(x)},
        )  # fmt: skip
        with open_h5ad(path) as file:
            values = file.matrix("other")
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, x.astype(np.float32))


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "description", "said"),
    [
        ({"x": X * np.float32([[1], [np.nan], [1]])}, MINIMAL, "nan for sample 'S2', gene 'AAA'"),
        ({"x": sparse.csc_matrix(X * np.inf ** (X > 4.5))}, MINIMAL, "inf for sample 'S3', gene 'BBB'"),
        ({"x": np.float64(X) * 1e300}, MINIMAL, "inf for sample 'S1', gene 'AAA'"),
        ({"x": -X}, MINIMAL, "never below 0"),
        ({"x": -X}, MINIMAL.replace("log2(TPM+1)", "TPM"), "never below 0"),
        ({"x": X * 1000}, MINIMAL, "these look linear"),
        ({"x": X > 1}, MINIMAL, "Expected numbers in X of x.h5ad. Received bool"),
        ({"x": X.astype(complex)}, MINIMAL, "complex"),
        ({"x": X[:, :2]}, MINIMAL, "Expected 3 samples x 3 genes in X of x.h5ad. Received (3, 2)"),
        ({"x": sparse.csr_matrix(X[:2])}, MINIMAL, "Received (2, 3)"),
        ({"x": X[0]}, MINIMAL, "Received (3,)"),
        ({"x": None, "layers": {"tpm": X}}, MINIMAL, "Received none; its layers: tpm."),
        ({"x": {"a": X}}, MINIMAL, "encoding 'dict'"),
        ({}, MINIMAL.replace("unit", "layer: tpm, unit"), "layer 'tpm' of x.h5ad. Received none; its layers: none."),
        ({}, MINIMAL.replace("unit", "symbols: name, unit"), "'name' in var of x.h5ad. Received gene_name"),
        ({"samples": ["S1", "S2", "S1"]}, MINIMAL, "each sample once, and named, in obs of x.h5ad. Received 'S1'"),
        ({"samples": ["S1", "", "S3"]}, MINIMAL, "Received ''"),
        ({"obs": OBS | {"Ki67": ["0", "7", "1"]}}, ANNDATA_YAML, "'7' for sample 'S2'"),
        ({"obs": OBS | {"Grade": [1.0, 2.5, np.nan]}}, ANNDATA_YAML, "'2.5' for sample 'S2'"),
        ({"obs": OBS | {"Patient": ["P1", "", "P2"]}}, ANNDATA_YAML, "Received none for 'S2'"),
        ({"obs": OBS | {"Patient": ["P1", "NA", "P2"]}}, ANNDATA_YAML, "obs of x.h5ad. Received none for 'S2'"),
        ({"obs": OBS | {"Days": [1.0, -2.0, 3.0]}}, ANNDATA_YAML, "'-2' for sample 'S2'"),
        ({"obs": OBS | {"Days": [1.0, np.inf, 3.0]}}, ANNDATA_YAML, "'inf' for sample 'S2'"),
        ({"obs": OBS | {"Dead": [0, 1, 2]}}, ANNDATA_YAML, "'2' for sample 'S3'"),
        ({"obs": OBS | {"Batch": ["one", "", "one"]}}, "expression: {unit: TPM}\nclinical: {cohort: Batch}", "'S2'"),
        (
            {"obs": OBS | {"Batch": ["one", "NA", "one"]}},
            "expression: {unit: TPM}\nclinical: {cohort: Batch}",
            "Expected a cohort for every sample of obs of x.h5ad in column 'Batch'. Received none for 'S2'",
        ),
        ({"obs": {}}, ANNDATA_YAML, "Expected a column 'Ki67' in obs of x.h5ad. Received none."),
        ({"uns": {"log1p": {"base": 10.0}}}, MINIMAL, "scanpy's log1p with base 10"),
        ({"uns": {"log1p": {}}}, MINIMAL, "scanpy's log1p with the natural logarithm"),
    ],
)
def test_refuses(tmp_path: Path, changes: dict[str, Any], description: str, said: str) -> None:
    write_h5ad(tmp_path / "x.h5ad", **changes)
    assert said in refused(tmp_path, description)


@pytest.mark.parametrize("word", ["nan", "None", "<NA>", "N/A", "Null"])
def test_what_programs_write_of_an_empty_cell_is_no_id(tmp_path: Path, word: str) -> None:
    write_h5ad(tmp_path / "x.h5ad", obs=OBS | {"Patient": [word, word, "P2"]})
    several = "expression: {unit: log2(TPM+1)}\nclinical: {cohort: Batch, patient: Patient}\n"
    for description in (ANNDATA_YAML, several):
        assert "a patient for every sample of obs of x.h5ad. Received none for 'S1'" in refused(tmp_path, description)
    write_h5ad(tmp_path / "x.h5ad", obs=OBS | {"Batch": ["one", word, "one"]})
    assert "a cohort for every sample of obs of x.h5ad in column 'Batch'" in refused(tmp_path, several)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("unit: log2(TPM+1)", "unit: CPM", "expression.unit"),
        ("unit: log2(TPM+1)", "units: TPM", "expression.unit"),
        ("name: ours", "name: [", "Expected YAML"),
        ("name: ours", "", "either a name or"),
        ("name: ours", "name: ours/b", "valid name in anndata.yaml. Received 'ours/b'"),
        ("name: ours", "name: a:b", "letters, digits, spaces, dots, _ and - alone"),
        ("clinical: {", "clinical: {cohort: Batch, ", "either a name or"),
        ("ki67:", "ki76:", "'ki76'"),
        ("positive}", "plus}", "'plus'"),
        ("column: Ki67", "column: ki67", "'ki67'"),
        ("patient: Patient", "patient: Who", "'Who'"),
        ("patient: Patient", "sample: Patient", "each sample once, and named, in obs of ours.h5ad. Received 'P1'"),
    ],
)
def test_refuses_descriptions(tmp_path: Path, old: str, new: str, said: str) -> None:
    write_h5ad_example(tmp_path)
    assert old in ANNDATA_YAML
    assert said in refused(tmp_path, ANNDATA_YAML.replace(old, new))


def test_refuses_names_of_cohorts_in_a_column(tmp_path: Path) -> None:
    write_h5ad(tmp_path / "ours.h5ad", obs={**OBS, "Batch": ["one", "two, 2020", "one"]})
    several = ANNDATA_YAML.replace("name: ours\n", "").replace("platform: Batch", "cohort: Batch")
    message = refused(tmp_path, several)
    assert "names of cohorts in obs of ours.h5ad in column 'Batch'. Received 'two, 2020'." in message
    assert "letters, digits, spaces, dots, _ and - alone" in message


def test_a_file_that_nobody_describes_is_refused(tmp_path: Path) -> None:
    write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(CohortError, match=r"anndata.yaml beside x.h5ad that names the unit .* Received none."):
        read_folder(tmp_path)


def test_two_files_in_one_folder_are_refused(tmp_path: Path) -> None:
    write_h5ad(tmp_path / "x.h5ad")
    write_h5ad(tmp_path / "y.h5ad")
    assert "Received x.h5ad, y.h5ad" in refused(tmp_path)


def test_a_logarithm_of_base_2_is_one(tmp_path: Path) -> None:
    write_h5ad(tmp_path / "x.h5ad", uns={"log1p": {"base": 2}})
    assert read(tmp_path, MINIMAL)


def test_columns_of_a_form_that_nobody_asks_for_stop_nobody(tmp_path: Path) -> None:
    path = write_h5ad_example(tmp_path) / "ours.h5ad"
    with h5py.File(path, "r+") as file:
        file["obs/Batch"].attrs["encoding-type"] = "of the future"
    assert "encoding 'of the future'" in refused(tmp_path, ANNDATA_YAML)
    assert read(tmp_path, ANNDATA_YAML.replace("platform: Batch, ", ""))


def test_tables_from_before_anndata_0_7_are_refused(tmp_path: Path) -> None:
    path = write_h5ad(tmp_path / "x.h5ad")
    with h5py.File(path, "r+") as file:
        del file["obs"]
        file["obs"] = np.array([(b"S1",), (b"S2",), (b"S3",)], dtype=[("index", "S2")])
    assert "obs in x.h5ad as anndata 0.7 and later write it. Received another form." in refused(tmp_path)


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    content = (write_h5ad_example(tmp_path) / "ours.h5ad").read_bytes()
    (tmp_path / "ours.h5ad").write_bytes(content[: int(share * len(content))])
    assert "ours.h5ad, which is truncated, damaged or of another kind" in refused(tmp_path, ANNDATA_YAML)


def test_a_sparse_index_out_of_the_matrix_is_refused(tmp_path: Path) -> None:
    path = write_h5ad(tmp_path / "x.h5ad", sparse.csr_matrix(X))
    with h5py.File(path, "r+") as file:
        file["X/indices"][0] = 1_000_000
    assert "x.h5ad, which is truncated, damaged" in refused(tmp_path)


def test_data_in_other_files_are_refused(tmp_path: Path) -> None:
    secret = write_h5ad(tmp_path / "elsewhere" / "secret.h5ad")
    linked = write_h5ad(tmp_path / "linked" / "x.h5ad", x=None)
    with h5py.File(linked, "r+") as file:
        file["X"] = h5py.ExternalLink(str(secret), "X")
    assert "Received X, kept in another file." in refused(linked.parent)
    virtual = write_h5ad(tmp_path / "virtual" / "x.h5ad", x=None)
    layout = h5py.VirtualLayout((3, 3), np.float32)
    layout[:] = h5py.VirtualSource(str(secret), "X", (3, 3))
    with h5py.File(virtual, "r+") as file:
        file.create_virtual_dataset("X", layout)
    assert "Received X, kept in another file." in refused(virtual.parent)


def test_a_small_file_of_huge_values_is_refused(tmp_path: Path) -> None:
    path = write_h5ad(tmp_path / "x.h5ad", x=None)
    with h5py.File(path, "r+") as file:
        file.create_dataset("X", (200_000, 200_000), np.float32, chunks=(1000, 1000), compression="gzip")
    assert "bytes of values in x.h5ad" in refused(tmp_path)


def test_a_small_sparse_matrix_that_is_huge_when_dense_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [str(i) for i in range(3000)]
    path = tmp_path / "x.h5ad"
    write_h5ad(path, sparse.csr_matrix((3000, 3000), dtype=np.float32), samples=many, genes=many, obs={}, var={})
    monkeypatch.setattr(h5ad_file, "MAX_SMALL", 1 << 20)
    monkeypatch.setattr(h5ad_file, "MAX_SWELL", 10)
    assert "Received 36,000,000." in refused(tmp_path)


# Positions ------------------------------------------------------------------------------------------------------------


def test_positions_by_transcription_start(tmp_path: Path) -> None:
    path = write_h5ad(tmp_path / "x.h5ad")
    assert list(h5ad_entries(path)) == [
        ("AAA", Position("2", 15, 15, "+")),
        ("BBB", Position("X", 20, 20, "+")),
        ("CCC", Position("1", 30, 30, "+")),
    ]


def test_positions_by_start_end_and_strand_and_the_described_symbols(tmp_path: Path) -> None:
    (tmp_path / "anndata.yaml").write_text("name: a\nexpression: {unit: TPM, symbols: gene_name}")
    place = {"chromosome": ["1", "", "chrM"], "start": [1.0, np.nan, 3], "end": [5, 6, 7], "strand": [-1, 1, 1]}
    path = write_h5ad(tmp_path / "x.h5ad", var={"gene_name": ["one", "two", "three"], **place})
    assert list(h5ad_entries(path)) == [("one", Position("1", 1, 5, "-"))]


@pytest.mark.parametrize(
    ("var", "said"),
    [
        ({}, "as columns of var of x.h5ad. Received none."),
        ({"chromosome": VAR["chromosome"], "start": [1, 2, 3]}, "Received chromosome, start."),
        ({"chromosome": VAR["chromosome"], "tss": [1, -2, 3]}, "Received -2 for 'BBB'"),
        ({"chromosome": VAR["chromosome"], "tss": [1, 2.5, 3]}, "Received 2.5 for 'BBB'"),
        (
            {"chromosome": VAR["chromosome"], "start": [1, 2, 3], "end": [2, 1, 3], "strand": ["+"] * 3},
            "Expected start end strand of a gene in var of x.h5ad. Received 2 1 + for 'BBB'.",
        ),
        ({"chromosome": VAR["chromosome"], "start": [1, 2, 3], "end": [9, 9, 9], "strand": ["+", ".", "+"]}, "2 9 ."),
    ],
)
def test_refuses_positions(tmp_path: Path, var: dict[str, Any], said: str) -> None:
    path = write_h5ad(tmp_path / "x.h5ad", var=var)
    with pytest.raises(CohortError) as error:
        list(h5ad_entries(path))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_anndata_is_imported_when_it_is_needed() -> None:
    code = (
        "import sys, aio_tune.cohorts, aio_tune.dataset.h5ad, aio_tune.cli.exporting; "
        "print([name for name in ('anndata', 'h5py', 'zarr') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
