"""The ensemble: a trial's K fold networks with their preprocessing, as one folder that stands on its own.

Format v1::

    ensemble.json     task, classes, genes, unit, members and sha256 of every file, fill values, who was in training
    fold_0.keras      one network per fold
    fold_0.npz        its fitted preprocessing

Format v2 has further kinds of omics (``omics`` in the description: kind -> unit), whose channels the networks see
beside expression. An ensemble of expression alone is written as v1.

Nothing in it is a pickle. Every later version of aio_tune loads a v1 and a v2 folder. The networks see a gene that the
samples lack at its mean over the training patients; past a tenth of the genes the samples are refused. Of further kinds
anything may be missing, a whole kind too: the networks were shown patients without, and are told.

The samples of one call are one batch. That matters to a transductive harmoniser alone (see ``aio_tune.harmonise``): it
takes them for one whole cohort, and refuses fewer than it can learn a cohort from, such as a single patient.
"""

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aio_tune.errors import RegistryError
from aio_tune.harmonise import SINGLE_SAMPLE
from aio_tune.kinds import EXPRESSION
from aio_tune.models.safety import check_sha256, file_sha256, load_keras, plain_file
from aio_tune.preprocess import Preprocessor

if TYPE_CHECKING:
    import keras
    import pandas as pd

FORMAT_VERSION = 2
DESCRIPTION = "ensemble.json"
OMICS_BETA = "beta"
"""The unit whose values are within 0 and 1; as in ``aio_tune.cohorts.OmicsUnit``, which does not travel with models."""
MOST_MISSING = 0.10
"""Largest share of the genes that may be missing."""
ROWS_AT_ONCE = 256
"""Samples drawn and predicted at a time, so that no more than these are pictures at once."""


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
    """

    task: str
    classes: tuple[str, ...]
    genes: tuple[str, ...]
    gene_means: npt.NDArray[np.float32]
    training_patients: frozenset[str]
    training_profiles: frozenset[str]
    origin: dict[str, Any] = field(default_factory=dict)
    omics: dict[str, str] = field(default_factory=dict)


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


@dataclass(frozen=True)
class Prediction:
    """What an ensemble says of n samples.

    Attributes:
        probabilities: mean over the folds, float32, shape (n, n_classes), rows sum to 1.
        fold_probabilities: float32, shape (n_folds, n, n_classes).
        missing_genes: genes of the ensemble that the samples lack.
    """

    probabilities: npt.NDArray[np.float32]
    fold_probabilities: npt.NDArray[np.float32]
    missing_genes: tuple[str, ...]

    def only(self, rows: npt.NDArray[np.bool_]) -> "Prediction":
        """What it says of some of the samples; ``rows`` has shape (n,)."""
        return Prediction(self.probabilities[rows], self.fold_probabilities[:, rows], self.missing_genes)


class Ensemble:
    """K networks whose probabilities are averaged. Made by ``load``."""

    def __init__(self, spec: EnsembleSpec, members: "Sequence[tuple[keras.Model, Preprocessor]]") -> None:
        self.spec = spec
        self._members = tuple(members)

    @property
    def task(self) -> str:
        return self.spec.task

    @property
    def classes(self) -> tuple[str, ...]:
        return self.spec.classes

    @property
    def genes(self) -> tuple[str, ...]:
        return self.spec.genes

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of omics that it looks at, expression first."""
        return (EXPRESSION, *self.spec.omics)

    @property
    def omics(self) -> dict[str, str]:
        """Further kinds that it looks at -> their units."""
        return self.spec.omics

    @property
    def training_patients(self) -> frozenset[str]:
        return self.spec.training_patients

    @property
    def training_profiles(self) -> frozenset[str]:
        return self.spec.training_profiles

    @property
    def harmonisers(self) -> tuple[str, ...]:
        """Name of each fold's harmoniser, a key of ``aio_tune.harmonise.HARMONISERS``."""
        return tuple(preprocessor.harmoniser.name for _, preprocessor in self._members)

    @property
    def least_batch(self) -> int:
        """Fewest samples of a call: more than 0 only if a harmoniser is transductive."""
        return max((preprocessor.least_batch for _, preprocessor in self._members), default=0)

    @staticmethod
    def save(folder: Path, members: Sequence[Member], spec: EnsembleSpec) -> None:
        """Write an ensemble folder, whole or not at all; an ensemble that is there is replaced.

        Args:
            folder: where to.
            members: at least one fold's files; they are copied.
            spec: the rest.

        Raises:
            RegistryError: ``folder`` is something else than an ensemble, or the spec contradicts itself.
        """
        if folder.exists() and not (folder / DESCRIPTION).is_file():
            raise RegistryError(f"Expected a new folder, or an ensemble to replace. Received {folder}.")
        unfinished = folder.with_name(folder.name + ".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            text = _describe(spec, [_copy(member, unfinished) for member in members]).model_dump_json(indent=1)
            (unfinished / DESCRIPTION).write_text(text + "\n", "utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    @classmethod
    def load(cls, folder: Path, verify: bool = True) -> "Ensemble":
        """Open an ensemble folder.

        Args:
            folder: the folder.
            verify: compare every file's sha256 with the recorded one. What the files hold is looked at either way.

        Raises:
            RegistryError: it is not an ensemble folder, of a later format, damaged, or holds what ours do not.
        """
        description = _read_description(folder)
        members = []
        for member in description.members:
            model_file, preprocessing_file = (
                _checked(folder, file, verify) for file in (member.model, member.preprocessing)
            )
            model, preprocessor = load_keras(model_file), Preprocessor.load(preprocessing_file)
            _check_fit(model, preprocessor, description, model_file)
            members.append((model, preprocessor))
        return cls(description.spec(), members)

    def predict(self, frame: "pd.DataFrame") -> Prediction:
        """Call samples.

        Args:
            frame: one row per sample, one column per gene symbol, log2(TPM+1), and for every further kind columns
                such as ``methylation:TP53``, in the unit of training, NaN or no column where it was not measured.
                Columns in any order, others are ignored. All samples of one cohort if ``least_batch`` is more than 0.

        Raises:
            RegistryError: over a tenth of the genes are missing, a column stands there twice, a value is not a finite
                number or contradicts its unit, or there are fewer samples than ``least_batch``.
        """
        self._check_batch(len(frame))
        columns = frame.columns.astype(str)
        known = {*self.genes, *kind_columns(self.spec.omics, self.genes)}
        twice = sorted(set(columns[columns.duplicated()]) & known)
        if twice:
            raise RegistryError(f"Expected each gene once. Received {', '.join(twice[:3])} more than once.")
        position = {gene: i for i, gene in enumerate(columns)}
        missing = tuple(gene for gene in self.genes if gene not in position)
        if len(missing) > MOST_MISSING * len(self.genes):
            raise RegistryError(
                f"Expected at most {MOST_MISSING:.0%} of the {len(self.genes):,} genes to be missing. "
                f"Received samples without {len(missing):,} of them ({', '.join(missing[:3])}, ...).",
                "Are the columns gene symbols?",
            )
        here = [i for i, gene in enumerate(self.genes) if gene in position]
        x = np.tile(self.spec.gene_means, (len(frame), 1))
        try:
            x[:, here] = frame.iloc[:, [position[self.genes[i]] for i in here]].to_numpy(dtype=np.float32)
        except (ValueError, TypeError) as error:
            raise RegistryError(f"Expected a number for every gene. Received: {error}.") from error
        if not np.isfinite(x).all():
            row, gene = np.argwhere(~np.isfinite(x))[0]
            raise RegistryError(
                f"Expected finite numbers. Received {x[row, gene]} for {self.genes[gene]} of {frame.index[row]!r}.",
                "Leave out a gene that is not known.",
            )
        parts = [self._omics(frame, kind, position) for kind in self.spec.omics]
        folds = self.predict_matrix(np.concatenate([x, *parts], axis=1) if parts else x)
        return Prediction(folds.mean(axis=0), folds, missing)

    def predict_matrix(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Each fold's probabilities.

        Args:
            x: float32, shape (n, n_kinds * n_genes), genes in the order of ``genes``, kinds in that of ``kinds``,
                log2(TPM+1) and the units of training, NaN where a kind was not measured; rows as for ``predict``.

        Returns:
            float32, shape (n_folds, n, n_classes).

        Raises:
            RegistryError: there are fewer samples than ``least_batch``.
        """
        self._check_batch(len(x))
        folds = np.empty((len(self._members), len(x), len(self.classes)), dtype=np.float32)
        for fold, (model, preprocessor) in enumerate(self._members):
            harmonised = preprocessor.harmonise(x)  # all at once, since the rows may be a batch
            for start in range(0, len(x), ROWS_AT_ONCE):
                rows = slice(start, start + ROWS_AT_ONCE)
                # Called, not `predict`: that would compile a program per network, which costs more than it saves.
                folds[fold, rows] = _to_numpy(model(preprocessor.draw(harmonised[rows]), training=False))
        return folds

    def _omics(self, frame: "pd.DataFrame", kind: str, position: dict[str, int]) -> npt.NDArray[np.float32]:
        """A further kind of the samples, shape (n, n_genes), NaN where it was not measured."""
        names = kind_columns((kind,), self.genes)
        here = [i for i, name in enumerate(names) if name in position]
        x = np.full((len(frame), len(self.genes)), np.nan, np.float32)
        try:
            x[:, here] = frame.iloc[:, [position[names[i]] for i in here]].to_numpy(dtype=np.float32)
        except (ValueError, TypeError) as error:
            raise RegistryError(f"Expected a number or nothing for {kind} of every gene. Received: {error}.") from error
        unit = self.spec.omics[kind]
        wrong = np.isinf(x) | ((x < 0) | (x > 1) if unit == OMICS_BETA else False)
        if wrong.any():
            row, gene = np.argwhere(wrong)[0]
            raise RegistryError(
                f"Expected {unit} values of {kind}. "
                f"Received {x[row, gene]} for {self.genes[gene]} of {frame.index[row]!r}.",
                "Leave out what is not known.",
            )
        return x

    def _check_batch(self, n: int) -> None:
        if n < self.least_batch:
            names = ", ".join(dict.fromkeys(self.harmonisers))
            raise RegistryError(
                f"Expected a whole cohort, at least {self.least_batch} samples: the model's harmoniser ({names}) "
                f"compares each with the others. Received {n}.",
                f"Call the cohort's samples together, or use a model whose harmoniser is one of "
                f"{', '.join(SINGLE_SAMPLE)}.",
            )


def kind_columns(kinds: Iterable[str], genes: Sequence[str]) -> list[str]:
    """What the columns of further kinds are called where genes are columns: ``methylation:TP53``."""
    return [f"{kind}:{gene}" for kind in kinds for gene in genes]


def hash_patients(patients: Iterable[str]) -> frozenset[str]:
    """SHA-256 (hex) of each patient id: enough to recognise a patient, not to read the id back."""
    return frozenset(hashlib.sha256(patient.encode()).hexdigest() for patient in patients)


class _Record(BaseModel):
    # Unknown keys are let pass: a later version of this format may say more.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class _File(_Record):
    file: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class _MemberFiles(_Record):
    fold: int = Field(ge=0)
    model: _File
    preprocessing: _File


class _Description(_Record):
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
    members: tuple[_MemberFiles, ...] = Field(min_length=1)
    training_patients_sha256: tuple[str, ...]
    training_profiles_sha256: tuple[str, ...]
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
        )


def _describe(spec: EnsembleSpec, members: Sequence[_MemberFiles]) -> _Description:
    if len(set(spec.genes)) != len(spec.genes) or spec.gene_means.shape != (len(spec.genes),):
        raise RegistryError(
            f"Expected unique genes and one mean for each. "
            f"Received {len(set(spec.genes))} different of {len(spec.genes)} genes, means {spec.gene_means.shape}."
        )
    try:
        return _Description(
            format_version=2 if spec.omics else 1,
            task=spec.task,
            classes=spec.classes,
            genes=spec.genes,
            omics=spec.omics,
            gene_means=tuple(spec.gene_means.astype(np.float32).tolist()),
            members=tuple(members),
            training_patients_sha256=tuple(sorted(spec.training_patients)),
            training_profiles_sha256=tuple(sorted(spec.training_profiles)),
            origin=spec.origin,
        )
    except ValidationError as error:
        raise RegistryError(f"Expected a whole description of an ensemble. Received: {_first(error)}") from None


def _copy(member: Member, folder: Path) -> _MemberFiles:
    files = {}
    for kind, source, suffix in (("model", member.model, "keras"), ("preprocessing", member.preprocessing, "npz")):
        name = f"fold_{member.fold}.{suffix}"
        shutil.copyfile(source, folder / name)
        files[kind] = _File(file=name, sha256=file_sha256(folder / name))
    return _MemberFiles(fold=member.fold, **files)


def _checked(folder: Path, file: _File, verify: bool) -> Path:
    path = plain_file(folder, file.file)
    if verify:
        check_sha256(path, file.sha256)
    return path


def _check_fit(model: "keras.Model", preprocessor: Preprocessor, description: _Description, path: Path) -> None:
    kinds = (EXPRESSION, *description.omics)
    if preprocessor.kinds != kinds:
        raise RegistryError(
            f"Expected {path} to look at {', '.join(kinds)}. "
            f"Received one that looks at {', '.join(preprocessor.kinds)}."
        )
    expected = (None, *preprocessor.shape), (None, len(description.classes)), len(description.genes)
    received = tuple(model.input_shape), tuple(model.output_shape), preprocessor.layout.n_genes
    if expected != received:
        raise RegistryError(
            f"Expected {path} to go from pictures {expected[0]} of {expected[2]} genes to {expected[1]}. "
            f"Received {received[0]} of {received[2]} genes to {received[1]}."
        )


def _read_description(folder: Path) -> _Description:
    try:
        text = plain_file(folder, DESCRIPTION).read_text("utf-8")
        description = _Description.model_validate_json(text)
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


def _to_numpy(tensor: Any) -> npt.NDArray[np.float32]:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(tensor), dtype=np.float32)
