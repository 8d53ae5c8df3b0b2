"""The known cohorts. A new one is one new file and one line in `FORMATS`."""

from collections.abc import Mapping
from pathlib import Path

from aio_tune.cohorts.base import Cohort, CohortFormat
from aio_tune.cohorts.gse81538 import GSE81538
from aio_tune.cohorts.gse96058 import GSE96058
from aio_tune.cohorts.gse163882 import GSE163882
from aio_tune.cohorts.h5ad import AnnDataFile
from aio_tune.cohorts.omics_files import attach_omics
from aio_tune.cohorts.table import GenericTable
from aio_tune.errors import CohortError
from aio_tune.tasks import TASKS, Task

FORMATS: tuple[CohortFormat, ...] = (
    GSE96058(),
    GSE81538(),
    GSE163882(),
    GenericTable(),
    AnnDataFile(),
)


def read_folder(folder: Path, tasks: Mapping[str, Task] = TASKS) -> list[Cohort]:
    """Every cohort that the folder holds, in the order of `FORMATS`, with the further omics of its ``omics.yaml``.

    Args:
        folder: where the files are.
        tasks: the questions to look for labels of, by name.

    Raises:
        CohortError: there is no such folder, no known cohort in it, or a cohort that cannot be read honestly.
    """
    if not folder.is_dir():
        raise CohortError(f"Expected a folder of cohort files. Received {folder}, which is not a folder.")
    claimed = [known for known in FORMATS if known.claims(folder)]
    if not claimed:
        names = ", ".join(known.name for known in FORMATS)
        raise CohortError(
            f"Expected the files of a known cohort ({names}) in {folder}. Received none.",
            "Keep GEO's file names, or describe a table of your own in a cohort.yaml beside it.",
        )
    return attach_omics(folder, [cohort for known in claimed for cohort in known.read(folder, tasks)])
