"""What a dataset exported to ``.h5ad`` says of itself, so that it can be read without a description.

The file is plain AnnData (``aio_tune.dataset.h5ad`` writes it)::

    X     float32, log2(TPM+1), samples x genes
    obs   cohort, sample_id, patient_id, one column per task, survival_days, survival_event, platform, profile_sha256
    var   chromosome, tss (transcription start in bases)
    uns   aio_tune: format, format_version, unit, fingerprint (of the dataset), provenance (the manifest without genes
          and shards, as JSON)

A dataset with further kinds of omics gives format version 2, with one layer per kind, NaN where it was not measured,
and in obs one column ``omics_<kind>_sha256`` of each sample's values in it, empty where all are missing.

The promise, as for datasets: every later version reads every v1 and v2 file; ``tests/golden/export_v1`` and
``export_v2`` hold one each.
"""

import hashlib
from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aio_tune.cohorts.clinical import plural
from aio_tune.cohorts.h5ad_file import H5adFile
from aio_tune.cohorts.omics import KIND_PATTERN, OmicsUnit
from aio_tune.cohorts.units import Unit
from aio_tune.errors import CohortError
from aio_tune.expression import profile_hashes

KEY: Final = "aio_tune"
FORMAT: Final = "aio-dataset-h5ad"
FORMAT_VERSION: Final = 2
UNIT: Final = Unit.LOG2_TPM_1


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class CohortFacts(_Facts):
    """What the dataset's manifest said of one cohort."""

    name: str
    samples: int
    subjects: int
    simulated: bool
    notes: tuple[str, ...]


class KindFacts(_Facts):
    """A kind of omics beside expression."""

    name: str = Field(pattern=KIND_PATTERN)
    unit: OmicsUnit


class Provenance(_Facts):
    """What the dataset's manifest said of all cohorts, and of further kinds of omics, in their order."""

    cohorts: tuple[CohortFacts, ...]
    kinds: tuple[KindFacts, ...] = ()

    def in_order(self, names: list[str], where: str) -> list[str]:
        """The names, in the order of the dataset.

        Raises:
            CohortError: the dataset had no cohort of that name.
        """
        known = [cohort.name for cohort in self.cohorts]
        strangers = [name for name in names if name not in known]
        if strangers:
            raise CohortError(
                f"Expected the cohorts {', '.join(known)}, those of the exported dataset, in {where}. "
                f"Received {strangers[0]!r}."
            )
        return [name for name in known if name in names]

    def notes(self, name: str, samples: int) -> tuple[str, ...]:
        """What a user must be told of a cohort of which this many samples are in the file."""
        facts = self._of(name)
        notes = facts.notes
        if facts.subjects > facts.samples:
            away = plural(facts.subjects - facts.samples, "subject")
            notes += (f"{name}: {away} without a profile left out by the export.",)
        if facts.samples > samples:
            notes += (f"{name}: {samples:,} of {plural(facts.samples, 'exported sample')} left in the file.",)
        return notes

    def simulated(self, name: str) -> bool:
        """Whether the cohort was simulated; of a cohort with another name, whether any was."""
        names = [cohort.name for cohort in self.cohorts]
        return self._of(name).simulated if name in names else any(cohort.simulated for cohort in self.cohorts)

    def _of(self, name: str) -> CohortFacts:
        return next(cohort for cohort in self.cohorts if cohort.name == name)


def read_provenance(file: H5adFile) -> Provenance | None:
    """What an exported file says of itself; None for any other file.

    Raises:
        CohortError: it says so in a way that this release does not know.
    """
    said = file.uns(KEY)
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        return None
    where = f"uns[{KEY!r}] of {file.path.name}"
    version = said.get("format_version")
    if version not in range(1, FORMAT_VERSION + 1):
        raise CohortError(
            f"Expected format version {FORMAT_VERSION} or before in {where}. Received {version}.",
            "It was written by a later release: use that one.",
        )
    if said.get("unit") != UNIT:
        raise CohortError(f"Expected the unit {UNIT.value} in {where}. Received {said.get('unit')!r}.")
    try:
        return Provenance.model_validate_json(str(said.get("provenance")))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "provenance"
        raise CohortError(f"Expected a whole provenance in {where}. Received at {field}: {first['msg']}.") from error


def check_profiles(file: H5adFile, values: npt.NDArray[np.float32]) -> None:
    """Refuse values that are no longer those that were exported, for then nobody knows their unit.

    Args:
        file: an exported file, samples left out or in another order allowed.
        values: its ``X``.

    Raises:
        CohortError: a profile is not the one whose sha256 is in obs.
    """
    expected = file.column("obs", "profile_sha256")
    for sample, digest, received in zip(file.names("obs"), expected, profile_hashes(values), strict=True):
        if received != digest:
            raise _changed(file.where(None), sample)


def kind_sha256(kind: str) -> str:
    """The column of obs with the sha256 of a further kind."""
    return f"omics_{kind}_sha256"


def kind_hashes(values: npt.NDArray[np.float32]) -> list[str]:
    """SHA-256 (hex) of each row as little-endian float32, every NaN being the same; empty for a row of NaN alone."""
    hashes = []
    for row in values:
        missing = np.isnan(row)
        plain = np.where(missing, np.float32(np.nan), row + np.float32(0)).astype("<f4")
        hashes.append("" if missing.all() else hashlib.sha256(plain.tobytes()).hexdigest())
    return hashes


def check_kind(file: H5adFile, kind: str, values: npt.NDArray[np.float32]) -> None:
    """Refuse values of a further kind that are no longer those that were exported, as ``check_profiles``.

    Raises:
        CohortError: a sample's values are not those whose sha256 is in obs.
    """
    expected = file.column("obs", kind_sha256(kind))
    for sample, digest, received in zip(file.names("obs"), expected, kind_hashes(values), strict=True):
        if received != digest:
            raise _changed(file.where(kind), sample)


def _changed(where: str, sample: str) -> CohortError:
    return CohortError(
        f"Expected the exported values in {where}. Received others for sample {sample!r}: genes or values were changed "
        f"since.",
        "Describe the file in an anndata.yaml beside it, with the unit that its values have now.",
    )
