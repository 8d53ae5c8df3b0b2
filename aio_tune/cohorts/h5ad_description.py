"""What the columns and layers of an AnnData file mean: ``anndata.yaml``.

A file that ``aio-tune export`` wrote says itself what it holds. Any other is described by an ``anndata.yaml`` beside
it, in the words of ``cohort.yaml``; as formats are told apart by the names of files, it has a name of its own:

name: our_cohort
expression:
  unit: TPM                    # or FPKM, log2(TPM+1), log2(FPKM+0.1), counts
  lengths: length              # for counts alone: a column of var, gene lengths in bases
  layer: tpm                   # optional; without it X
  symbols: gene_name           # optional, a column of var; without it the names of var
clinical:                      # all optional, columns of obs
  cohort: batch                # instead of name, where the file holds several cohorts
  sample: sample_id            # without it the names of obs
  patient: patient_id          # without it every sample is a patient of its own
  platform: sequencer
  survival_days: days
  survival_event: dead         # 0/1, or false/true
labels:                        # optional; task: column of obs, and what its values mean; NA and empty are missing
  ki67: {column: Ki67, classes: {"0": negative, "1": positive}}
omics:                         # optional; further kinds, each a layer; NaN in all genes of a sample that has none
  methylation: {layer: methylation, unit: beta}       # beta, 0 to 1, or log2 ratio

A patient id that holds a colon names its cohort already (``GSE96058:F8``) and is taken as it is. Values of obs count as
the text that one sees: true is 1, whole numbers have no decimals.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from aio_tune.cohorts.description import LabelColumn, read_description
from aio_tune.cohorts.lengths import COUNTS
from aio_tune.cohorts.omics import OmicsUnit
from aio_tune.cohorts.units import Unit

DESCRIPTION = "anndata.yaml"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Expression(_Model):
    """Where expression is, and in what unit."""

    unit: Unit | Literal["counts"]
    layer: str | None = None
    symbols: str | None = None
    lengths: str | None = None

    @model_validator(mode="after")
    def _lengths_of_counts(self) -> Self:
        if (self.unit == COUNTS) != (self.lengths is not None):
            raise ValueError("lengths, a column of var, with unit: counts and with no other unit")
        return self

    @property
    def becomes(self) -> Unit:
        """The unit of what is read."""
        return Unit(self.unit) if self.lengths is None else Unit.TPM


class Clinical(_Model):
    """Columns of obs."""

    cohort: str | None = None
    sample: str | None = None
    patient: str | None = None
    platform: str | None = None
    survival_days: str | None = None
    survival_event: str | None = None


class OmicsLayer(_Model):
    """A layer that holds a further kind of omics."""

    layer: str
    unit: OmicsUnit


class Description(_Model):
    """What an ``anndata.yaml`` says."""

    name: str = ""
    expression: Expression
    clinical: Clinical = Clinical()
    labels: dict[str, LabelColumn] = {}
    omics: dict[str, OmicsLayer] = {}

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
    return read_description(path, Description) if path.is_file() else None
