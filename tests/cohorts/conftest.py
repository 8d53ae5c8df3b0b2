"""A simulation shared by the tests of this room, and an example folder of every format."""

from pathlib import Path

import pytest

from aio_tune.cohorts import simulate
from tests.cohorts.h5ad_files import write_h5ad_example

COHORT_YAML = """\
name: ours
expression: {file: expression.tsv, genes_in: rows, unit: log2(TPM+1)}
clinical: {file: clinical.csv, sample: Sample, patient: Patient, survival_days: Days, survival_event: Dead}
labels:
  ki67: {column: Ki67, classes: {"0": negative, "1": positive}}
"""


def write_table_example(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cohort.yaml").write_text(COHORT_YAML)
    (folder / "expression.tsv").write_text("gene\tS1\tS2\tS3\nAAA\t1.5\t0\t2\nBBB\t3\t4.25\t5\n")
    (folder / "clinical.csv").write_text(
        "Sample,Patient,Ki67,Days,Dead\nS1,P1,0,10,1\nS2,P1,NA,20,0\nS3,P2,1,NA,NA\nS4,P3,1,30,0\n"
    )
    return folder


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulation of the three GEO cohorts; tests only read it."""
    return simulate(tmp_path_factory.mktemp("simulated"), samples=(60, 40, 50), genes=128, seed=7)


@pytest.fixture(scope="session")
def example_folders(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders that between them hold an example of every format."""
    return [
        simulated,
        write_table_example(tmp_path_factory.mktemp("table")),
        write_h5ad_example(tmp_path_factory.mktemp("h5ad")),
    ]
