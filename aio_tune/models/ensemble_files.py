"""The files of an ensemble folder, and ``ensemble.json``, which says what is in them; see ``ensemble``."""

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aio_tune.calibration import Calibration
from aio_tune.errors import RegistryError
from aio_tune.files import sha256_of
from aio_tune.models.safety import check_sha256, plain_file

FORMAT_VERSION = 2
DESCRIPTION = "ensemble.json"
MOST_MISSING = 0.10
"""Largest share of the genes that may be missing."""


@dataclass(frozen=True)
class EnsembleSpec:
    """What the networks cannot say of themselves.

    Attributes:
        task: name of the clinical question.
        classes: class names, in the order of the networks' outputs.
        genes: gene symbols, unique, in the order of the preprocessing's columns.
        gene_means: mean over the training patients, log2(TPM+1), shape (n_genes,); stands in for a missing gene.
        training_patients: sha256 (hex) of every patient id in training; see ``hash_patients``.
        training_profiles: sha256 (hex) of every profile in training, as in a dataset's ``profile_sha256``.
        origin: where it comes from (search, trial, dataset fingerprint, metrics), JSON values, for people.
        omics: kinds beside expression, in the order of the preprocessing's columns -> unit, of ``OmicsUnit``.
        calibration: fitted on the out-of-fold calls of the same trial, each of one fold's network; None if unknown.
    """

    task: str
    classes: tuple[str, ...]
    genes: tuple[str, ...]
    gene_means: npt.NDArray[np.float32]
    training_patients: frozenset[str]
    training_profiles: frozenset[str]
    origin: dict[str, Any] = field(default_factory=dict)
    omics: dict[str, str] = field(default_factory=dict)
    calibration: Calibration | None = None


@dataclass(frozen=True)
class Member:
    """One fold's files, as a finished fold leaves them.

    Attributes:
        fold: its number.
        model: ``.keras`` file.
        preprocessing: ``.npz`` file, as written by ``Preprocessor.save``.
    """

    fold: int
    model: Path
    preprocessing: Path


def hash_patients(patients: Iterable[str]) -> frozenset[str]:
    """SHA-256 (hex) of each patient id: enough to recognise a patient, not to read the id back."""
    return frozenset(hashlib.sha256(patient.encode()).hexdigest() for patient in patients)


class _Record(BaseModel):
    # Unknown keys are let pass: a later version of this format may say more.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class RecordedFile(_Record):
    """A file of the folder, and its sha256 (hex)."""

    file: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class MemberFiles(_Record):
    """The files of one fold."""

    fold: int = Field(ge=0)
    model: RecordedFile
    preprocessing: RecordedFile


class Description(_Record):
    """``ensemble.json``."""

    format: Literal["aio-ensemble"] = "aio-ensemble"
    format_version: Literal[1, 2] = 1
    task: str
    classes: tuple[str, ...] = Field(min_length=2)
    unit: Literal["log2(TPM+1)"] = "log2(TPM+1)"
    genes: tuple[str, ...] = Field(min_length=1)
    omics: dict[str, str] = Field(default={}, exclude_if=lambda omics: not omics)
    gene_means: tuple[float, ...]
    missing_genes: str = f"training mean, up to {MOST_MISSING:.0%} of the genes"
    members: tuple[MemberFiles, ...] = Field(min_length=1)
    training_patients_sha256: tuple[str, ...]
    training_profiles_sha256: tuple[str, ...]
    calibration: Calibration | None = Field(default=None, exclude_if=lambda calibration: calibration is None)
    origin: dict[str, Any]

    @model_validator(mode="after")
    def _version_says_whether_there_are_kinds(self) -> Self:
        if (self.format_version == 1) != (not self.omics):
            raise ValueError(f"format version {self.format_version} with {len(self.omics)} kinds beside expression")
        return self

    def spec(self) -> EnsembleSpec:
        return EnsembleSpec(
            task=self.task,
            classes=self.classes,
            genes=self.genes,
            gene_means=np.asarray(self.gene_means, dtype=np.float32),
            training_patients=frozenset(self.training_patients_sha256),
            training_profiles=frozenset(self.training_profiles_sha256),
            origin=self.origin,
            omics=self.omics,
            calibration=self.calibration,
        )


def describe(spec: EnsembleSpec, members: Sequence[MemberFiles]) -> Description:
    """What ``ensemble.json`` is to say.

    Raises:
        RegistryError: genes, means or members contradict one another.
    """
    if len(set(spec.genes)) != len(spec.genes) or spec.gene_means.shape != (len(spec.genes),):
        raise RegistryError(
            f"Expected unique genes and one mean for each. "
            f"Received {len(set(spec.genes))} different of {len(spec.genes)} genes, means {spec.gene_means.shape}."
        )
    try:
        return Description(
            format_version=2 if spec.omics else 1,
            task=spec.task,
            classes=spec.classes,
            genes=spec.genes,
            omics=spec.omics,
            gene_means=tuple(spec.gene_means.astype(np.float32).tolist()),
            members=tuple(members),
            training_patients_sha256=tuple(sorted(spec.training_patients)),
            training_profiles_sha256=tuple(sorted(spec.training_profiles)),
            calibration=spec.calibration,
            origin=spec.origin,
        )
    except ValidationError as error:
        raise RegistryError(f"Expected a whole description of an ensemble. Received: {_first(error)}") from None


def copy_member(member: Member, folder: Path) -> MemberFiles:
    """Put a fold's files into the folder, under names of their own."""
    files = {}
    for kind, source, suffix in (("model", member.model, "keras"), ("preprocessing", member.preprocessing, "npz")):
        name = f"fold_{member.fold}.{suffix}"
        shutil.copyfile(source, folder / name)
        files[kind] = RecordedFile(file=name, sha256=sha256_of(folder / name))
    return MemberFiles(fold=member.fold, **files)


def checked_file(folder: Path, file: RecordedFile, verify: bool) -> Path:
    """The path of a recorded file.

    Raises:
        RegistryError: it is missing, a link, outside the folder, or, if asked for, not of the recorded sha256.
    """
    path = plain_file(folder, file.file)
    if verify:
        check_sha256(path, file.sha256)
    return path


def read_description(folder: Path) -> Description:
    """What ``ensemble.json`` says.

    Raises:
        RegistryError: it is missing, damaged, or of a later format.
    """
    try:
        text = plain_file(folder, DESCRIPTION).read_text("utf-8")
        description = Description.model_validate_json(text)
    except ValidationError as error:
        raise RegistryError(
            f"Expected a description of an ensemble of format version {FORMAT_VERSION} or before in "
            f"{folder / DESCRIPTION}. "
            f"Received: {_first(error)}",
            "If a newer aio_tune wrote it, update this one.",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryError(f"Expected to read {folder / DESCRIPTION}. Received: {error}.") from error
    if len(description.gene_means) != len(description.genes) or len(set(description.genes)) != len(description.genes):
        raise RegistryError(f"Expected unique genes and one mean for each in {folder / DESCRIPTION}.")
    return description


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}."
