"""Datasets as AnnData files, and back."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad
from anndata.io import read_elem, write_elem
from hypothesis import given, settings
from hypothesis import strategies as st

from aio_tune.cli.exporting import export
from aio_tune.cohorts import (
    GenePositions,
    assemble,
    find_positions,
    read_folder,
    read_positions,
    simulate,
)
from aio_tune.cohorts.h5ad_positions import h5ad_entries
from aio_tune.dataset import AioDataset, open_dataset, profile_hashes, write_dataset
from aio_tune.dataset.h5ad import export_h5ad
from aio_tune.errors import CohortError, DatasetError
from aio_tune.tasks import TASKS, Task

GOLDEN = Path(__file__).parent / "golden"
COLUMNS = ["cohort", "sample_id", "patient_id", "ki67", "nhg", "er", "pgr", "her2", "survival_days", "survival_event"]


def prepare(
    folder: Path, out: Path, positions: GenePositions, genes: int = 100, tasks: Mapping[str, Task] = TASKS
) -> AioDataset:
    return write_dataset(assemble(read_folder(folder, tasks), positions, genes), out, n_genes=genes)


def positions_of(path: Path) -> GenePositions:
    return GenePositions(dict(h5ad_entries(path)), path.name, "0" * 64)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> AioDataset:
    """Four simulated cohorts, two of them of one series."""
    folder = simulate(tmp_path_factory.mktemp("export") / "geo", samples=(60, 30, 40), genes=128, seed=3)
    return prepare(folder, folder.parent / "dataset", read_positions(find_positions([folder])))


@pytest.fixture
def exported(dataset: AioDataset, tmp_path: Path) -> Path:
    return export_h5ad(dataset, tmp_path / "h5ad" / "all.h5ad")


def refused(folder: Path) -> str:
    with pytest.raises(CohortError) as error:
        read_folder(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


# There and back -------------------------------------------------------------------------------------------------------


def test_the_way_there_and_back_changes_nothing(dataset: AioDataset, exported: Path, tmp_path: Path) -> None:
    back = prepare(exported.parent, tmp_path / "back", positions_of(exported))
    assert back.cohort_names == dataset.cohort_names == ("GSE96058", "GSE96058-NextSeq", "GSE81538", "GSE163882")
    assert back.genes == dataset.genes
    assert back.gene_table.chroms == dataset.gene_table.chroms
    np.testing.assert_array_equal(back.gene_table.tss, dataset.gene_table.tss)
    assert back.matrix().tobytes() == dataset.matrix().tobytes()
    pd.testing.assert_frame_equal(back.samples(), dataset.samples())
    for before, after in zip(dataset.manifest.cohorts, back.manifest.cohorts, strict=True):
        assert after.simulated
        assert after.notes[: len(before.notes)] == before.notes
        assert after.table_one.profiled == before.table_one.profiled
        assert list(after.sources) == ["all.h5ad"]
    again = export_h5ad(back, tmp_path / "again" / "x.h5ad")
    third = prepare(again.parent, tmp_path / "third", positions_of(again))
    assert third.matrix().tobytes() == dataset.matrix().tobytes()


def test_a_sample_with_nothing_of_the_genes_kept_comes_back(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "cohort.yaml").write_text(
        "name: A\nexpression: {file: e.tsv, genes_in: rows, unit: TPM}\n"
        "clinical: {file: c.tsv, sample: id}\nlabels: {}\n"
    )
    (tmp_path / "a" / "e.tsv").write_text("gene\tS1\tS2\nAAA\t7\t0\nBBB\t1\t0\nCCC\t2\t9\n")
    (tmp_path / "a" / "c.tsv").write_text("id\tx\nS1\t1\nS2\t1\n")
    (tmp_path / "p.tsv").write_text("symbol\tchrom\tstart\tend\tstrand\nAAA\t1\t1\t2\t+\nBBB\t1\t5\t6\t+\n")
    dataset = prepare(tmp_path / "a", tmp_path / "dataset", read_positions(tmp_path / "p.tsv"))
    assert dataset.matrix()[1].tolist() == [0, 0]
    path = export_h5ad(dataset, tmp_path / "b" / "x.h5ad")
    back = prepare(path.parent, tmp_path / "back", positions_of(path))
    assert back.matrix().tobytes() == dataset.matrix().tobytes()


@settings(max_examples=15, deadline=None)
@given(rows=st.permutations(range(8)), left_out=st.integers(0, 6))
def test_samples_may_be_left_out_and_reordered(rows: list[int], left_out: int) -> None:
    """What a scanpy user does first: ``adata[rows].copy().write_h5ad(...)``."""
    dataset = open_dataset(GOLDEN / "dataset_v1")
    chosen = rows[left_out:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(GOLDEN / "export_v1" / "dataset.h5ad", folder))
        with h5py.File(path, "r+") as file:
            x, obs = read_elem(file["X"]), read_elem(file["obs"])
            write_elem(file, "X", x[chosen])
            write_elem(file, "obs", _with_plain_text(obs.iloc[chosen]))
        cohorts = read_folder(Path(folder))
    samples = dataset.samples().iloc[chosen]
    kept = [name for name in dataset.cohort_names if (samples["cohort"] == name).any()]
    assert [cohort.name for cohort in cohorts] == kept
    for cohort in cohorts:
        expected = samples[samples["cohort"] == cohort.name]
        assert cohort.clinical.index.tolist() == expected["sample_id"].tolist()
        assert cohort.clinical["patient_id"].tolist() == expected["patient_id"].tolist()
        assert profile_hashes(cohort.expression) == expected["profile_sha256"].tolist()
        assert any("left in the file" in note for note in cohort.notes) == (
            len(expected) < next(entry.samples for entry in dataset.manifest.cohorts if entry.name == cohort.name)
        )


def _with_plain_text(table: pd.DataFrame) -> pd.DataFrame:
    """What anndata 0.12 needs with pandas 3 before it writes a table."""
    out = pd.DataFrame(index=pd.Index(table.index.to_numpy(object), dtype=object))
    for name in table:
        column = table[name]
        if column.dtype == "category":
            categories = pd.Index(column.cat.categories.to_numpy(object), dtype=object)
            out[name] = pd.Categorical.from_codes(column.cat.codes, categories=categories)
        elif column.dtype.kind == "f":
            out[name] = column.to_numpy()
        else:
            out[name] = pd.Series(column.to_numpy(object), out.index, dtype=object)
    return out


# The file -------------------------------------------------------------------------------------------------------------


def test_anndata_reads_the_file(dataset: AioDataset, exported: Path) -> None:
    data = read_h5ad(exported)
    samples = dataset.samples()
    np.testing.assert_array_equal(data.X, dataset.matrix())
    assert data.X.dtype == np.float32
    assert data.obs_names.tolist() == samples["sample_id"].tolist()
    assert data.obs.columns.tolist() == samples.columns.tolist()
    assert data.obs["cohort"].cat.categories.tolist() == list(dataset.cohort_names)
    assert data.obs["nhg"].cat.categories.tolist() == ["G1", "G2", "G3"]
    for column in COLUMNS[3:8]:
        assert data.obs[column].astype("str").fillna("-").tolist() == samples[column].fillna("-").tolist()
    for column in ("survival_days", "survival_event"):
        np.testing.assert_array_equal(data.obs[column], samples[column])
    assert tuple(data.var_names) == dataset.genes
    assert tuple(data.var["chromosome"]) == dataset.gene_table.chroms
    np.testing.assert_array_equal(data.var["tss"], dataset.gene_table.tss)
    said = data.uns["aio_tune"]
    assert (said["unit"], said["format_version"], said["fingerprint"]) == ("log2(TPM+1)", 1, dataset.fingerprint)
    provenance = json.loads(said["provenance"])
    assert provenance["cohorts"] == dataset.manifest.model_dump(mode="json")["cohorts"]
    assert "shards" not in provenance and "symbols" not in provenance["genes"]


def test_the_file_holds_nothing_that_anndata_0_8_did_not_know(exported: Path) -> None:
    kinds: set[tuple[str, str]] = set()
    with h5py.File(exported) as file:
        file.visititems(
            lambda _, item: kinds.add((item.attrs["encoding-type"], item.attrs["encoding-version"]))  # type: ignore[func-returns-value]
        )
    assert kinds == {
        *(("array", "0.2.0"), ("string-array", "0.2.0"), ("categorical", "0.2.0"), ("dataframe", "0.2.0")),
        *(("dict", "0.1.0"), ("string", "0.2.0"), ("numeric-scalar", "0.2.0")),
    }


def test_samples_of_one_name_are_told_apart_by_their_cohorts(dataset: AioDataset, tmp_path: Path) -> None:
    positions = GenePositions(positions_of(export_h5ad(dataset, tmp_path / "a" / "x.h5ad")).by_symbol, "x", "0" * 64)
    first, *_ = read_folder(tmp_path / "a")
    second = replace(first, name="other", clinical=first.clinical.copy())
    both = write_dataset(assemble([first, second], positions), tmp_path / "both")
    path = export_h5ad(both, tmp_path / "b" / "x.h5ad")
    assert read_h5ad(path).obs_names[0] == f"GSE96058:{first.clinical.index[0]}"
    assert prepare(path.parent, tmp_path / "back", positions).samples().equals(both.samples())


def test_the_same_dataset_gives_the_same_bytes(dataset: AioDataset, exported: Path, tmp_path: Path) -> None:
    assert export_h5ad(dataset, tmp_path / "again.h5ad").read_bytes() == exported.read_bytes()


# What is refused ------------------------------------------------------------------------------------------------------


def test_a_file_that_is_there_is_kept_unless_forced(dataset: AioDataset, tmp_path: Path) -> None:
    path = tmp_path / "x.h5ad"
    path.write_text("mine")
    with pytest.raises(DatasetError, match=r"--force"):
        export_h5ad(dataset, path)
    assert path.read_text() == "mine"
    export_h5ad(dataset, path, force=True)
    assert read_h5ad(path).n_vars == len(dataset.genes)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.h5ad"]


@pytest.mark.parametrize("name", ["x.h5", "x", "folder.h5ad"])
def test_targets_that_are_no_h5ad_file(dataset: AioDataset, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.h5ad").mkdir()
    with pytest.raises(DatasetError, match=r"^Expected .* Received"):
        export_h5ad(dataset, tmp_path / name, force=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.h5ad"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()])
def test_a_failure_leaves_nothing(
    dataset: AioDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(path: Path, content: memoryview) -> None:
        with path.open("wb") as file:
            file.write(content[:1000])
        raise error

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(DatasetError if isinstance(error, OSError) else KeyboardInterrupt) as told:
        export_h5ad(dataset, tmp_path / "x.h5ad")
    assert list(tmp_path.iterdir()) == []
    if isinstance(error, OSError):
        assert "Received: No space left on device." in str(told.value)


def _change_values(file: h5py.File) -> None:
    file["X"][3, 5] += 0.25


def _swap_genes(file: h5py.File) -> None:
    values = file["X"][:]
    file["X"][:] = values[:, ::-1]


def _later_version(file: h5py.File) -> None:
    write_elem(file, "uns/aio_tune/format_version", 3)


def _other_unit(file: h5py.File) -> None:
    write_elem(file, "uns/aio_tune/unit", "TPM")


def _no_provenance(file: h5py.File) -> None:
    write_elem(file, "uns/aio_tune/provenance", "{}")


def _other_cohort(file: h5py.File) -> None:
    categories = file["obs/cohort/categories"][:]
    categories[0] = b"renamed"
    file["obs/cohort/categories"][:] = categories


def _other_label(file: h5py.File) -> None:
    categories = file["obs/ki67/categories"][:]
    categories[1] = b"maybe"
    file["obs/ki67/categories"][:] = categories


def _another_programs_key(file: h5py.File) -> None:
    write_elem(file, "uns/aio_tune", {"format": "mine"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_change_values, "genes or values were changed since"),
        (_swap_genes, "genes or values were changed since"),
        (_later_version, "Expected format version 2 or before in uns['aio_tune'] of all.h5ad. Received 3."),
        (_other_unit, "Received 'TPM'"),
        (_no_provenance, "Received at cohorts: Field required"),
        (_other_cohort, "Received 'renamed'"),
        (_other_label, "Received 'maybe' for sample"),
        (_another_programs_key, "Expected an anndata.yaml beside all.h5ad"),
    ],
)
def test_exported_files_that_were_changed(exported: Path, change: Callable[[h5py.File], None], said: str) -> None:
    with h5py.File(exported, "r+") as file:
        change(file)
    assert said in refused(exported.parent)


def test_a_description_takes_over_a_changed_file_which_stays_simulated(dataset: AioDataset, exported: Path) -> None:
    with h5py.File(exported, "r+") as file:
        _change_values(file)
    (exported.parent / "anndata.yaml").write_text(
        "expression: {unit: log2(TPM+1)}\nclinical: {cohort: cohort, patient: patient_id}\n"
        "labels: {ki67: {column: ki67, classes: {negative: negative, positive: positive}}}\n"
    )
    cohorts = read_folder(exported.parent)
    assert {cohort.name for cohort in cohorts} == set(dataset.cohort_names)
    assert all(cohort.simulated for cohort in cohorts)
    assert sum(len(cohort.clinical) for cohort in cohorts) == len(dataset.samples())
    assert set().union(*(cohort.clinical["patient_id"] for cohort in cohorts)) == set(dataset.samples()["patient_id"])


# The command ----------------------------------------------------------------------------------------------------------


def test_the_command(dataset: AioDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(dataset.path, tmp_path / "new" / "x.h5ad")
    told = capsys.readouterr().out
    assert "x 100 genes, log2(TPM+1), cohorts GSE96058 (simulated), " in told
    assert (tmp_path / "new" / "x.h5ad").is_file()
    with pytest.raises(DatasetError, match="--force"):
        export(dataset.path, tmp_path / "new" / "x.h5ad")
    export(dataset.path, tmp_path / "new" / "x.h5ad", force=True)
    with pytest.raises(DatasetError, match="nowhere"):
        export(tmp_path / "nowhere", tmp_path / "y.h5ad")


# The promise ----------------------------------------------------------------------------------------------------------


def test_the_golden_v1_export_is_read_with_its_exact_values(tmp_path: Path) -> None:
    shutil.copy(GOLDEN / "export_v1" / "dataset.h5ad", tmp_path)
    first, second = read_folder(tmp_path)
    assert (first.name, second.name) == ("GSE96058", "Other cohort")
    i, j = np.indices((8, 24))
    expected = ((7 * i + 3 * j) % 64 / 4).astype(np.float32)
    np.testing.assert_array_equal(np.concatenate([first.expression, second.expression]), expected)
    assert first.genes == second.genes == tuple(f"GENE{i:02d}" for i in range(24))
    assert first.clinical.index.tolist() == ["F1", "F2", "F3", "F4", "F5repl"]
    assert second.clinical.index.tolist() == ["T 1", "T 2", "T 3"]
    assert second.clinical["patient_id"].tolist() == ["Other:1", "Other:1", "Other:2"]
    assert first.clinical["ki67"].fillna("-").tolist() == ["negative", "positive", "-", "-", "positive"]
    assert second.clinical["nhg"].fillna("-").tolist() == ["G1", "-", "G2"]
    assert first.clinical["survival_days"].fillna(-1).tolist() == [100.0, 2367.0, 1.5, 0.0, -1]
    assert first.clinical["survival_event"].fillna(-1).tolist() == [0.0, 1.0, 1.0, 0.0, -1]
    assert first.clinical["platform"].tolist() == ["HiSeq 2000"] * 5
    assert (first.simulated, second.simulated) == (False, True)
    assert first.notes == (
        "1 title has no profile.",
        "GSE96058: 1 subject without a profile left out by the export.",
        "PAM50 subtype: no 'pam50 subtype' in obs of dataset.h5ad, left missing.",
    )
    assert second.notes == ("Made up for a test.",)
    places = dict(h5ad_entries(tmp_path / "dataset.h5ad"))
    assert [(place.chrom, place.tss) for place in places.values()] == [
        ("1" if j < 12 else "2" if j < 20 else "X", 1000 + 250 * j) for j in range(24)
    ]
