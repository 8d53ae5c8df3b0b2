"""What the columns and layers of an AnnData file mean: ``anndata.yaml``.

A file that ``aio-tune export`` wrote says itself what it holds. Any other is described by an ``anndata.yaml`` beside
it, in the words of ``cohort.yaml``; as formats are told apart by the names of files, it has a name of its own:

name: our_cohort               # letters, digits, spaces, dots, _ and -
expression:
  unit: TPM                    # or FPKM, log2(TPM+1), log2(FPKM+0.1), counts
  lengths: length              # for counts alone: a column of var, gene lengths in bases
  layer: tpm                   # optional; without it X
  symbols: gene_name           # optional, a column of var; without it the names of var
clinical:                      # all optional, columns of obs
  cohort: batch                # instead of name, where the file holds several cohorts; named likewise
  sample: sample_id            # without it the names of obs
  patient: patient_id          # without it every sample is a patient of its own
  platform: sequencer
  survival_days: days
  survival_event: dead         # 0/1, or false/true
labels:                        # optional; task: column of obs, and what its values mean; NA and empty are missing
  ki67: {column: Ki67, classes: {"0": negative, "1": positive}}
omics:                         # optional; further kinds, each a layer; NaN in all genes of a sample that has none
  methylation: {layer: methylation, unit: beta}       # beta, 0 to 1, or log2 ratio

A patient id that holds a colon names its cohort already (``GSE96058:F8``) and is taken as it is; one without, in two
cohorts of the file, is refused, for it may be one person. Values of obs count as the text that one sees: true is 1,
whole numbers have no decimals. Where a task declared with ``--task`` names a column, case and spaces do not matter.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from aio_tune.cohorts.description import LabelColumn, Measured, Model
from aio_tune.cohorts.omics import OmicsUnit
from aio_tune.declaration import read_declaration
from aio_tune.errors import CohortError
from aio_tune.tasks.names import CohortName, check_cohort

DESCRIPTION = "anndata.yaml"


class Expression(Measured):
    """Where expression is, and in what unit."""

    lengths_are = "a column of var"
    layer: str | None = None
    symbols: str | None = None


class Clinical(Model):
    """Columns of obs."""

    cohort: str | None = None
    sample: str | None = None
    patient: str | None = None
    platform: str | None = None
    survival_days: str | None = None
    survival_event: str | None = None


class OmicsLayer(Model):
    """A layer that holds a further kind of omics."""

    layer: str
    unit: OmicsUnit


class Description(Model):
    """What an ``anndata.yaml`` says."""

    name: CohortName = ""
    expression: Expression
    clinical: Clinical = Clinical()
    labels: dict[str, LabelColumn] = Field(default={})
    omics: dict[str, OmicsLayer] = Field(default={})

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if bool(self.name) == (self.clinical.cohort is not None):
            raise ValueError("either a name or, under clinical, a column of obs that names the cohort of each sample")
        return self


def find_description(folder: Path) -> Description | None:
    """The description in a folder; None where there is none.

    Raises:
        CohortError: it is not a valid one.
    """
    path = folder / DESCRIPTION
    return read_declaration(path, Description, "description") if path.is_file() else None


def check_cohort_names(names: Iterable[str], where: str) -> None:
    """Refuse a column of obs that names cohorts as a description could not.

    Args:
        names: of the cohorts.
        where: they stand, for the message.

    Raises:
        CohortError: says which characters a name may have.
    """
    for name in names:
        try:
            check_cohort(name)
        except ValueError as error:
            raise CohortError(
                f"Expected names of cohorts in {where}. Received {name!r}.", f"A name is of {error}."
            ) from error
