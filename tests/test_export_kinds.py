"""Further kinds of omics as layers of AnnData files, and back."""

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata.io import read_elem, write_elem

from aio_tune.cohorts import OmicsUnit, read_folder
from aio_tune.dataset import AioDataset, open_dataset
from aio_tune.dataset.h5ad import export_h5ad
from tests.cohorts.h5ad_files import ANNDATA_YAML, OBS, write_h5ad
from tests.test_export import _with_plain_text, positions_of, prepare, refused

GOLDEN = Path(__file__).parent / "golden"
NAN = np.nan


@pytest.fixture
def dataset() -> AioDataset:
    return open_dataset(GOLDEN / "dataset_v2")


@pytest.fixture
def exported(dataset: AioDataset, tmp_path: Path) -> Path:
    return export_h5ad(dataset, tmp_path / "h5ad" / "all.h5ad")


def edit(path: Path, change: Callable[[h5py.File], None]) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def test_the_way_there_and_back_changes_nothing(dataset: AioDataset, exported: Path, tmp_path: Path) -> None:
    back = prepare(exported.parent, tmp_path / "back", positions_of(exported), tasks=dataset.tasks)
    assert back.kinds == dataset.kinds == ("expression", "copy_number", "methylation")
    assert back.manifest.kinds == dataset.manifest.kinds
    assert back.matrix().tobytes() == dataset.matrix().tobytes()
    pd.testing.assert_frame_equal(back.samples(), dataset.samples())


def test_the_golden_v2_export_reads_as_the_golden_dataset(dataset: AioDataset, tmp_path: Path) -> None:
    path = Path(shutil.copy(GOLDEN / "export_v2" / "dataset.h5ad", tmp_path))
    back = prepare(tmp_path, tmp_path / "back", positions_of(path))
    assert back.matrix().tobytes() == dataset.matrix().tobytes()


def test_samples_may_be_left_out_and_reordered(dataset: AioDataset, exported: Path, tmp_path: Path) -> None:
    chosen = [6, 3, 1]

    def choose(file: h5py.File) -> None:
        for name in ("X", "layers/methylation", "layers/copy_number"):
            write_elem(file, name, read_elem(file[name])[chosen])
        write_elem(file, "obs", _with_plain_text(read_elem(file["obs"]).iloc[chosen]))

    edit(exported, choose)
    back = prepare(exported.parent, tmp_path / "back", positions_of(exported))
    np.testing.assert_array_equal(back.matrix(), dataset.matrix()[[3, 1, 6]])


def test_a_layer_that_was_changed_is_refused(exported: Path) -> None:
    def change(file: h5py.File) -> None:
        file["layers/methylation"][2, 2] = 0.5

    edit(exported, change)
    assert refused(exported.parent).startswith(
        "Expected the exported values in layer 'methylation' of all.h5ad. Received others for sample 'F3'"
    )


def described(folder: Path, layer: np.ndarray, omics: str = "{methylation: {layer: beta, unit: beta}}", **more) -> Path:
    write_h5ad(folder / "ours.h5ad", layers={"beta": np.float32(layer)}, **more)
    (folder / "anndata.yaml").write_text(f"{ANNDATA_YAML}omics: {omics}\n")
    return folder


def test_a_layer_that_a_description_names(tmp_path: Path) -> None:
    (cohort,) = read_folder(described(tmp_path, [[0, NAN, 1], [NAN, NAN, NAN], [0.5, NAN, 0.25]]))
    assert cohort.omics["methylation"].unit is OmicsUnit.BETA
    np.testing.assert_array_equal(
        cohort.omics["methylation"].values, np.float32([[0, NAN, 1], [NAN, NAN, NAN], [0.5, NAN, 0.25]])
    )


def test_a_cohort_of_the_file_without_the_kind(tmp_path: Path) -> None:
    patients = {"Patient": ["P1", "P2", "P3"]}
    folder = described(tmp_path, [[0, 1, 1], [NAN, NAN, NAN], [0.5, 1, 0.25]], obs=OBS | patients)
    text = (folder / "anndata.yaml").read_text().replace("name: ours\n", "").replace("platform:", "cohort:")
    (folder / "anndata.yaml").write_text(text)
    one, two = read_folder(folder)
    assert (one.name, two.name) == ("one", "two")
    assert list(one.omics) == ["methylation"] and two.omics == {}


@pytest.mark.parametrize(
    ("layer", "omics", "said"),
    [
        ([[0, NAN, 1], [0, 0, 0], [1, 1, 1]], None, "whole samples or whole genes only"),
        ([[0, np.inf, 1], [0, 0, 0], [1, 1, 1]], None, "Received inf for sample 'S1', gene 'BBB'"),
        ([[0, 2, 1], [0, 0, 0], [1, 1, 1]], None, "beta values in layer 'beta' of ours.h5ad"),
        (np.full((3, 3), NAN), None, "not a single value"),
        (np.zeros((3, 3)), "{methylation: {layer: other, unit: beta}}", "as layer 'other'"),
        (np.zeros((3, 3)), "{methylation: {layer: beta, unit: M}}", "omics.methylation.unit"),
        (np.zeros((3, 3)), "{Methylation: {layer: beta, unit: beta}}", "small letters"),
    ],
)
def test_what_is_no_kind_is_refused(tmp_path: Path, layer, omics: str | None, said: str) -> None:
    folder = described(tmp_path, layer, *([omics] if omics else []))
    assert said in refused(folder)


def test_a_gene_twice_is_refused(tmp_path: Path) -> None:
    folder = described(tmp_path, np.zeros((3, 3)))
    text = (folder / "anndata.yaml").read_text().replace("log2(TPM+1)}", "log2(TPM+1), symbols: gene_name}")
    (folder / "anndata.yaml").write_text(text)
    assert "Received 'one' more than once" in refused(folder)
