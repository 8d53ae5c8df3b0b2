"""Datasets with further kinds of omics: format v2."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aio_tune.cohorts import Omics, OmicsUnit
from aio_tune.dataset import StoredRows, open_dataset, profile_hashes, write_dataset
from aio_tune.dataset.manifest import to_json
from aio_tune.dataset.shards import read_expression
from aio_tune.errors import DatasetError
from tests.test_dataset import GENES, assembly, cohort, edit_manifest
from tests.write_golden_dataset import copy_number, golden_assembly, methylation

GOLDEN = Path(__file__).parent / "golden"
N = len(GENES)


def with_kinds(plain, **values):
    units = {"methylation": OmicsUnit.BETA, "copy_number": OmicsUnit.LOG2_RATIO}
    return replace(plain, omics={name: Omics(np.float32(x), units[name]) for name, x in values.items()})


def beta(n, missing=(), seed=0):
    values = np.random.default_rng(seed).random((n, N), dtype=np.float32)
    values[list(missing)] = np.nan
    return values


@pytest.fixture
def made(tmp_path):
    first = with_kinds(cohort("First one", 5), methylation=beta(5, [2]))
    second = with_kinds(cohort("B", 4, seed=1), copy_number=beta(4, [0, 1]) - 0.5)
    return write_dataset(assembly(first, second), tmp_path / "data")


# There and back -------------------------------------------------------------------------------------------------------


def test_kinds_stand_side_by_side_and_are_nan_where_missing(made):
    dataset = open_dataset(made.path, verify=True)
    assert dataset.kinds == ("expression", "methylation", "copy_number")
    assert dataset.columns[: N + 1] == (*GENES, "methylation:GENE0") and len(dataset.columns) == 3 * N
    assert [(k.name, k.unit, k.profiles) for k in dataset.manifest.kinds] == [
        ("methylation", "beta", {"First one": 4, "B": 0}),
        ("copy_number", "log2 ratio", {"First one": 0, "B": 2}),
    ]
    matrix = dataset.matrix()
    assert matrix.shape == (9, 3 * N) and matrix.dtype == np.float32 and matrix.flags.c_contiguous
    none = np.full((5, N), np.nan, np.float32)
    np.testing.assert_array_equal(matrix[:5, N:], np.hstack([beta(5, [2]), none]))
    np.testing.assert_array_equal(matrix[5:, N:], np.hstack([none[:4], beta(4, [0, 1]) - np.float32(0.5)]))
    np.testing.assert_array_equal(matrix[:5, :N], cohort("First one", 5).expression)
    np.testing.assert_array_equal(dataset.matrix(["B"]), matrix[5:])
    np.testing.assert_array_equal(dataset.matrix(kinds=["copy_number"]), matrix[:, 2 * N :])
    np.testing.assert_array_equal(dataset.matrix(kinds=["methylation", "expression"])[:, N:], matrix[:, :N])
    assert dataset.samples()["profile_sha256"].tolist() == profile_hashes(matrix[:, :N])


def test_an_unknown_kind_is_named(made):
    with pytest.raises(DatasetError, match=r"expression, methylation, copy_number\. Received proteins"):
        made.matrix(kinds=["proteins"])
    with pytest.raises(DatasetError, match="Received none"):
        made.matrix(kinds=[])


def test_one_column_per_kind_in_each_shard(made):
    for shard in made.manifest.shards:
        schema = pq.read_schema(made.path / shard.path)
        assert schema.names[-3:] == ["expression", "omics_methylation", "omics_copy_number"]
        assert all(schema.field(name).type == pa.fixed_shape_tensor(pa.float32(), [N]) for name in schema.names[-3:])
    into = np.empty((5, N), np.float32)
    read_expression(made.path, made.manifest.shards[0], into)
    np.testing.assert_array_equal(into, cohort("First one", 5).expression)


@settings(max_examples=20, deadline=None)
@given(data=st.data(), sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_any_pattern_of_missing_patients_comes_back(data, sizes):
    cohorts = []
    for number, n in enumerate(sizes):
        kinds = {}
        for kind, shift in (("methylation", 0), ("copy_number", 0.5)):
            missing = data.draw(st.sets(st.integers(0, n - 1)))
            if len(missing) < n:
                kinds[kind] = beta(n, missing, number) - shift
        cohorts.append(with_kinds(cohort(f"{number}", n, seed=number), **kinds))
    with tempfile.TemporaryDirectory() as folder:
        dataset = write_dataset(assembly(*cohorts), Path(folder) / "data")
        matrix = dataset.matrix()
    assert dataset.manifest.format_version == (1 if not any(one.omics for one in cohorts) else 2)
    for i, kind in enumerate(dataset.kinds[1:], start=1):
        expected = [c.omics[kind].values if kind in c.omics else np.full((len(c.clinical), N), np.nan) for c in cohorts]
        np.testing.assert_array_equal(matrix[:, i * N : (i + 1) * N], np.concatenate(expected))


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [np.full((5, N), np.inf), np.zeros((4, N))])
def test_what_is_no_kind_is_not_written(tmp_path, values):
    with pytest.raises(DatasetError, match="Expected methylation of shape"):
        write_dataset(assembly(with_kinds(cohort("A", 5), methylation=values)), tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(format_version=1),
        lambda content: content.update(kinds=[]),
        lambda content: content["kinds"].append(content["kinds"][0]),
        lambda content: content["kinds"][0].update(name="expression"),
        lambda content: content["kinds"][0].update(name="a b"),
        lambda content: content["kinds"][0].update(unit="percent"),
        lambda content: content["kinds"][0]["profiles"].pop("B"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(made, change):
    edit_manifest(made.path, change, resign=True)
    with pytest.raises(DatasetError, match="complete manifest"):
        open_dataset(made.path)


def test_a_shard_without_a_kind_is_refused(made):
    edit_manifest(made.path, lambda content: content["kinds"][1].update(name="proteins"), resign=True)
    with pytest.raises(DatasetError, match="'omics_methylation', 'omics_proteins'"):
        open_dataset(made.path)


# The promise ----------------------------------------------------------------------------------------------------------


def test_the_golden_v2_dataset_opens_and_has_its_exact_values():
    dataset = open_dataset(GOLDEN / "dataset_v2", verify=True)
    assert dataset.fingerprint == "0c45e55e2615b80360973685602faeec621db6e1b3fba22d72413cb6e568c167"
    assert dataset.kinds == ("expression", "copy_number", "methylation")
    assert [(k.name, k.unit.value, k.profiles) for k in dataset.manifest.kinds] == [
        ("copy_number", "log2 ratio", {"GSE96058": 4, "Other cohort": 0}),
        ("methylation", "beta", {"GSE96058": 4, "Other cohort": 3}),
    ]
    np.testing.assert_array_equal(dataset.matrix(kinds=["copy_number"]), copy_number(range(8)))
    np.testing.assert_array_equal(dataset.matrix(kinds=["methylation"]), methylation(range(8)))
    v1 = open_dataset(GOLDEN / "dataset_v1")
    assert dataset.matrix(kinds=["expression"]).tobytes() == v1.matrix().tobytes()
    assert dataset.samples().equals(v1.samples())


def test_a_dataset_of_expression_alone_is_written_as_v1_byte_for_byte(tmp_path):
    """Shards may differ by the release of pyarrow; the manifest of the same content may not."""
    golden = open_dataset(GOLDEN / "dataset_v1")
    assert to_json(golden.manifest) == (GOLDEN / "dataset_v1" / "manifest.json").read_text()
    plain = replace(golden_assembly())
    plain.cohorts[:] = [replace(one, omics={}) for one in plain.cohorts]
    made = write_dataset(plain, tmp_path / "again", n_genes=24)
    for shard, before in zip(made.manifest.shards, golden.manifest.shards, strict=True):
        assert pq.read_table(made.path / shard.path).equals(pq.read_table(golden.path / before.path))
    content = json.loads((made.path / "manifest.json").read_text())
    assert content["format_version"] == 1 and "kinds" not in content


def test_rows_of_several_kinds_are_the_same_in_memory_and_on_the_disk(made, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = np.array([1, 2, 6, 8])
    stored = StoredRows.of(made, rows)
    assert stored.shape == (4, 3 * N) and stored.nbytes == 4 * 4 * 3 * N
    np.testing.assert_array_equal(stored.read(), made.matrix()[rows])
    np.testing.assert_array_equal(stored.open()[np.arange(4)], made.matrix()[rows])
