"""Whatever the order of genes and samples in a file, a patient's picture is the same."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aio_tune.cohorts import GenePositions, assemble, read_folder
from aio_tune.cohorts.positions import Position
from aio_tune.dataset import AioDataset, open_dataset, write_dataset
from aio_tune.preprocess import Preprocessor
from tests.cohorts.conftest import COHORT_YAML

GENES = [f"G{i}" for i in range(9)]
SAMPLES = [f"S{i}" for i in range(6)]
VALUES = np.random.default_rng(0).gamma(2, 2, (9, 6)).astype(np.float32)
POSITIONS = GenePositions(
    {gene: Position("1" if i % 2 else "X", 100 * i, 100 * i + 50, "+-"[i % 2]) for i, gene in enumerate(GENES)}, "p", ""
)


def prepared(folder: Path, genes: list[int], samples: list[int], unit: str) -> AioDataset:
    """The dataset of the same numbers, rows and columns in this order."""
    (folder / "cohort.yaml").write_text(COHORT_YAML.replace("log2(TPM+1)", unit))
    rows = [[GENES[g], *(repr(float(VALUES[g, s])) for s in samples)] for g in genes]
    lines = [["gene", *(SAMPLES[s] for s in samples)], *rows]
    (folder / "expression.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
    clinical = [f"S{i},P{i},{i % 2},1,0\n" for i in range(6)]
    (folder / "clinical.csv").write_text("Sample,Patient,Ki67,Days,Dead\n" + "".join(clinical))
    return write_dataset(assemble(read_folder(folder), POSITIONS), folder / "dataset")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, AioDataset]:
    made = {}
    for unit in ("log2(TPM+1)", "FPKM"):
        folder = tmp_path_factory.mktemp("plain")
        prepared(folder, list(range(9)), list(range(6)), unit)
        made[unit] = open_dataset(folder / "dataset")
    return made


@pytest.mark.parametrize("unit", ["log2(TPM+1)", "FPKM"])
@settings(max_examples=25, deadline=None)
@given(genes=st.permutations(range(9)), samples=st.permutations(range(6)))
def test_the_same_picture_for_the_same_patient(
    plain: dict[str, AioDataset], unit: str, genes: list[int], samples: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset = prepared(Path(folder), genes, samples, unit)
        assert dataset.genes == plain[unit].genes
        given_rows = {name: row for row, name in enumerate(dataset.samples()["sample_id"])}
        rows = [given_rows[name] for name in plain[unit].samples()["sample_id"]]
        x, expected = dataset.matrix()[rows], plain[unit].matrix()
    if unit == "FPKM":  # a sum over the genes in another order
        np.testing.assert_allclose(x, expected, rtol=1e-6)
        return
    assert x.tobytes() == expected.tobytes()
    for layout in ("square", "stacked", "1d", "shuffled", "coexpression"):
        pictures = [Preprocessor.fit("zscore", layout, values, 0).transform(values) for values in (x, expected)]
        assert pictures[0].tobytes() == pictures[1].tobytes(), layout
