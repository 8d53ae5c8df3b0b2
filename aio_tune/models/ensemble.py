"""The ensemble: a trial's K fold networks with their preprocessing, as one folder that stands on its own.

Format v1::

    ensemble.json     task, classes, genes, unit, members and sha256 of every file, fill values, who was in training
    fold_0.keras      one network per fold
    fold_0.npz        its fitted preprocessing

Format v2 has further kinds of omics (``omics`` in the description: kind -> unit), whose channels the networks see
beside expression. An ensemble of expression alone is written as v1.

The description may hold a ``calibration``; readers of either version pass over what they do not know.

Nothing in it is a pickle. Every later version of aio_tune loads a v1 and a v2 folder. The networks see a gene that the
samples lack at its mean over the training patients; past a tenth of the genes the samples are refused. Of further kinds
anything may be missing, a whole kind too: the networks were shown patients without, and are told.

The samples of one call are one batch. That matters to a transductive harmoniser alone (see ``aio_tune.harmonise``): it
takes them for one whole cohort, and refuses fewer than it can learn a cohort from, such as a single patient.
"""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aio_tune.calibration import Calibration
from aio_tune.errors import RegistryError
from aio_tune.harmonise import SINGLE_SAMPLE
from aio_tune.kinds import EXPRESSION
from aio_tune.models.ensemble_files import (
    DESCRIPTION,
    MOST_MISSING,
    Description,
    EnsembleSpec,
    Member,
    checked_file,
    copy_member,
    describe,
    read_description,
)
from aio_tune.models.safety import load_keras
from aio_tune.preprocess import Preprocessor

if TYPE_CHECKING:
    import keras
    import pandas as pd

OMICS_BETA = "beta"
"""The unit whose values are within 0 and 1; as in ``aio_tune.cohorts.OmicsUnit``, which does not travel with models."""
ROWS_AT_ONCE = 256
"""Samples drawn and predicted at a time, so that no more than these are pictures at once."""


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
    def calibration(self) -> Calibration | None:
        return self.spec.calibration

    @property
    def training_patients(self) -> frozenset[str]:
        return self.spec.training_patients

    @property
    def training_profiles(self) -> frozenset[str]:
        return self.spec.training_profiles

    @property
    def members(self) -> "tuple[tuple[keras.Model, Preprocessor], ...]":
        """Each fold's network and its preprocessing."""
        return self._members

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
            text = describe(spec, [copy_member(member, unfinished) for member in members]).model_dump_json(indent=1)
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
        description = read_description(folder)
        members = []
        for member in description.members:
            model_file, preprocessing_file = (
                checked_file(folder, file, verify) for file in (member.model, member.preprocessing)
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
        x, missing = self.arrange(frame)
        folds = self.predict_matrix(x)
        return Prediction(folds.mean(axis=0), folds, missing)

    def arrange(self, frame: "pd.DataFrame") -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
        """Samples as the ensemble's own columns, for ``predict_matrix``, and the genes that they lack.

        Args:
            frame: as for ``predict``.

        Raises:
            RegistryError: as ``predict``, whatever the number of samples.
        """
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
        return (np.concatenate([x, *parts], axis=1) if parts else x), missing

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


def _check_fit(model: "keras.Model", preprocessor: Preprocessor, description: Description, path: Path) -> None:
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


def _to_numpy(tensor: Any) -> npt.NDArray[np.float32]:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(tensor), dtype=np.float32)
