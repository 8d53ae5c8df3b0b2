"""Files -> `Cohort`: expression, clinical data and gene positions, read honestly or refused in one line.

read_folder(folder) -> [Cohort, ...]          formats.py: the list of the known cohorts, one file per format
read_positions(path) -> GenePositions         positions.py
read_text_table(path) -> TextTable            text_table.py: streams.py unpacks, blocks.py parses, growing.py gathers
assemble(cohorts, positions) -> Assembly      assemble.py: log2(TPM+1), shared genes, genomic order
simulate(folder)                              simulate.py: three cohorts in GEO's own formats
"""

from aio_tune.cohorts.assemble import Assembly, GeneTable, assemble
from aio_tune.cohorts.base import Cohort, CohortFormat
from aio_tune.cohorts.checks import check_cohort
from aio_tune.cohorts.formats import FORMATS, read_folder
from aio_tune.cohorts.names import GeneNames, find_names, read_names
from aio_tune.cohorts.omics import Omics, OmicsUnit
from aio_tune.cohorts.positions import GenePositions, find_positions, read_positions
from aio_tune.cohorts.simulate import simulate
from aio_tune.cohorts.table_one import table_one
from aio_tune.cohorts.units import Unit, to_common

__all__ = [
    "FORMATS",
    "Assembly",
    "Cohort",
    "CohortFormat",
    "GeneNames",
    "GenePositions",
    "GeneTable",
    "Omics",
    "OmicsUnit",
    "Unit",
    "assemble",
    "check_cohort",
    "find_names",
    "find_positions",
    "read_folder",
    "read_names",
    "read_positions",
    "simulate",
    "table_one",
    "to_common",
]
