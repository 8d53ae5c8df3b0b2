"""Wrote ``tests/golden/dataset_v2``, once; kept to show what is in it. Format v2 is promised: do not run it again."""

from pathlib import Path

import numpy as np

from aio_tune.cohorts import Assembly, Cohort, Omics, OmicsUnit, Unit
from aio_tune.dataset import AioDataset, open_dataset, write_dataset

GOLDEN = Path(__file__).parent / "golden"


def methylation(rows: range) -> np.ndarray:
    """Beta values: no sample 1, no gene 4 in the first cohort (rows 0 to 4), no gene 3 in the second."""
    i, j = np.meshgrid(rows, range(24), indexing="ij")
    values = ((5 * i + j) % 64 / 64).astype(np.float32)
    values[(i == 1) | ((i < 5) & (j == 4)) | ((i >= 5) & (j == 3))] = np.nan
    return values


def copy_number(rows: range) -> np.ndarray:
    """log2 ratios: of the first cohort alone, without its first sample."""
    i, j = np.meshgrid(rows, range(24), indexing="ij")
    values = (((3 * i + 5 * j) % 32 - 16) / 8).astype(np.float32)
    values[(i == 0) | (i >= 5)] = np.nan
    return values


def golden_assembly() -> Assembly:
    """The cohorts of ``dataset_v1`` with two kinds beside expression."""
    v1 = open_dataset(GOLDEN / "dataset_v1")
    return Assembly([_cohort(v1, 0, range(5)), _cohort(v1, 1, range(5, 8))], v1.gene_table, v1.manifest.dropped)


def _cohort(v1: AioDataset, number: int, rows: range) -> Cohort:
    entry = v1.manifest.cohorts[number]
    clinical = v1.samples([entry.name]).set_index("sample_id").drop(columns=["cohort", "profile_sha256"])
    omics = {"methylation": Omics(methylation(rows), OmicsUnit.BETA)}
    if number == 0:
        omics = {"copy_number": Omics(copy_number(rows), OmicsUnit.LOG2_RATIO)} | omics
    return Cohort(
        name=entry.name,
        expression=v1.matrix([entry.name]),
        genes=v1.genes,
        unit=Unit.LOG2_TPM_1,
        clinical=clinical,
        subjects=clinical,
        sources=entry.sources,
        notes=entry.notes,
        simulated=entry.simulated,
        omics=omics,
        tasks=v1.tasks,
    )


if __name__ == "__main__":
    write_dataset(golden_assembly(), GOLDEN / "dataset_v2", n_genes=24)
