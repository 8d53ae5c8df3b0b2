"""What a cohort is, and what every reader of one guarantees."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from aio_tune.cohorts.omics import Omics
from aio_tune.cohorts.units import Unit
from aio_tune.tasks import TASKS, Task


@dataclass(frozen=True)
class Cohort:
    """Expression, clinical data and further kinds of omics of the subjects of one cohort.

    Attributes:
        name: e.g. ``"GSE96058"``.
        expression: float32, shape (n_samples, n_genes), log2 scale, no NaN.
        genes: gene symbols, unique, length n_genes.
        unit: what one value of ``expression`` means.
        clinical: one row per profiled sample, in the order of ``expression``; the index is the sample id (unique).
            Columns: ``patient_id`` (``"GSE96058:F8"``: the series, then the patient), one string column per task
            (class name or missing), ``survival_days`` (float, missing is NaN), ``survival_event`` (float 0/1, NaN),
            ``platform`` (string).
        subjects: the same columns for *all* subjects of the clinical table, with or without a profile.
        sources: file name -> sha256 of every file read.
        notes: what a user must be told (counts of titles without profile, replicates dropped, labels left out).
        simulated: True when the files say that they were simulated.
        tasks: the questions whose labels are in these tables, by name.
        omics: further kinds by name, e.g. ``"methylation"``, each of the same samples and genes as ``expression``.
        selected: True when measured genes were left out, so that a sample may have nothing of those that are left.
    """

    name: str
    expression: npt.NDArray[np.float32]
    genes: tuple[str, ...]
    unit: Unit
    clinical: pd.DataFrame
    subjects: pd.DataFrame
    sources: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    simulated: bool = False
    omics: dict[str, Omics] = field(default_factory=dict)
    tasks: Mapping[str, Task] = field(default_factory=lambda: TASKS)
    selected: bool = False

    def select_genes(self, genes: tuple[str, ...]) -> "Cohort":
        """The same cohort with these genes only, in this order."""
        column = {gene: i for i, gene in enumerate(self.genes)}
        take = np.asarray([column[gene] for gene in genes], dtype=np.intp)
        omics = {kind: one.select_genes(take) for kind, one in self.omics.items()}
        expression = np.ascontiguousarray(self.expression[:, take])
        return replace(self, expression=expression, genes=genes, omics=omics, selected=True)


class CohortFormat(ABC):
    """One way in which cohorts lie in a folder.

    Guarantees of every implementation:
        - ``claims`` looks at file names only and is cheap;
        - ``read`` returns at least one cohort with at least one sample, or raises ``CohortError`` naming the file,
          what was expected and what came; it never guesses;
        - what ``read`` returns has passed ``aio_tune.cohorts.checks.check_cohort``.
    """

    name: str

    @abstractmethod
    def claims(self, folder: Path) -> bool:
        """Whether this folder holds a cohort of this format."""

    @abstractmethod
    def read(self, folder: Path, tasks: Mapping[str, Task] = TASKS) -> list[Cohort]:
        """The cohorts of this folder; a series may give several (GSE96058: one per sequencer).

        Args:
            folder: one that it claims.
            tasks: the questions to look for labels of, by name.
        """
