"""Folds of cross-validation: stratified by class, never splitting a patient, comparable between runs by a digest."""

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aio_tune.errors import SearchError
from aio_tune.tasks import MISSING

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Folds:
    """K pairs of training and validation rows.

    Attributes:
        seed: what they were drawn with.
        train: per fold the training rows, int64, ascending, read-only.
        valid: per fold the validation rows, int64, ascending, read-only. Every row that is in a fold at all is in
            exactly one of them.
    """

    seed: int
    train: tuple[Rows, ...]
    valid: tuple[Rows, ...]

    def __post_init__(self) -> None:
        for rows in (*self.train, *self.valid):
            rows.setflags(write=False)

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Folds) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def k(self) -> int:
        """Number of folds."""
        return len(self.valid)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the seed and of every row index; equal digests mean the same folds of the same rows."""
        digest = hashlib.sha256(f"aio_tune folds 1, seed {self.seed}, k {self.k}\n".encode())
        for rows in (*self.train, *self.valid):
            digest.update(f"{rows.size}\n".encode())
            digest.update(rows.astype("<i8").tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write one ``.npz`` file: ``seed``, and ``train_<k>`` and ``valid_<k>`` per fold."""
        arrays = {f"train_{k}": rows for k, rows in enumerate(self.train)}
        arrays |= {f"valid_{k}": rows for k, rows in enumerate(self.valid)}
        with path.open("wb") as file:
            np.savez(file, seed=np.int64(self.seed), digest=np.array(self.digest), **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> "Folds":
        """Read what ``save`` wrote.

        Raises:
            SearchError: the file is missing, damaged or not one of folds.
        """
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                k = sum(name.startswith("valid_") for name in file.files)
                folds = cls(
                    seed=int(file["seed"]),
                    train=tuple(file[f"train_{i}"] for i in range(k)),
                    valid=tuple(file[f"valid_{i}"] for i in range(k)),
                )
                recorded = str(file["digest"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise SearchError(f"Expected a file of folds at {path}. Received: {error}.") from error
        if folds.digest != recorded:
            raise SearchError(f"Expected folds with digest {recorded[:12]} in {path}. Received {folds.digest[:12]}.")
        return folds


def make_folds(
    labels: npt.NDArray[np.integer],
    patients: Sequence[str] | npt.NDArray[np.str_],
    k: int,
    seed: int,
    classes: Sequence[str] = (),
) -> Folds:
    """Draw k folds.

    Rows whose label is missing are in no fold. All rows of a patient are on one side of every fold. The classes'
    shares are kept as closely as whole patients allow (scikit-learn's ``StratifiedGroupKFold``, shuffled). The order
    of the rows does not matter: reordered rows get the same folds.

    Args:
        labels: class indices, shape (n,), ``MISSING`` (-1) where the label is missing.
        patients: patient of each row, length n.
        k: number of folds, at least 2.
        seed: of the draw, 0 or more.
        classes: class names; each class must have patients. Without names these are the classes that are seen.

    Returns:
        Folds whose indices refer to the rows given, those with a missing label counted too.

    Raises:
        SearchError: k is below 2, there are not two classes, a class has fewer patients than k, be it none, or whole
            patients cannot be dealt so that every fold has every class on both sides.
        ValueError: the lengths differ.
    """
    if len(labels) != len(patients):
        raise ValueError(f"Expected one patient per label, {len(labels)}. Received {len(patients)}.")
    if k < 2:
        raise SearchError(f"Expected at least 2 folds. Received {k}.")
    rows = np.flatnonzero(labels != MISSING).astype(np.int64)
    y = np.asarray(labels)[rows]
    # Consecutive numbers in the order of the names, so that only equality and order of the names matter.
    _, groups = np.unique(np.asarray(patients, dtype=str)[rows], return_inverse=True)
    _check_classes(y, groups, k, classes)

    from sklearn.model_selection import StratifiedGroupKFold  # late: importing it takes a second

    splitter = StratifiedGroupKFold(n_splits=k, shuffle=True, random_state=seed)
    pairs = [(rows[train], rows[valid]) for train, valid in splitter.split(rows, y, groups)]
    _check_both_sides(pairs, labels, np.unique(y), classes)
    return Folds(seed=seed, train=tuple(train for train, _ in pairs), valid=tuple(valid for _, valid in pairs))


def _check_classes(y: npt.NDArray[np.integer], groups: npt.NDArray[np.intp], k: int, names: Sequence[str]) -> None:
    present = range(len(names)) if names else np.unique(y).tolist()
    if len(present) < 2:
        raise SearchError(
            f"Expected labels of at least two classes. Received {len(present)}.", "Choose another task or cohort."
        )
    for code in present:
        patients = np.unique(groups[y == code]).size
        if patients < k:
            raise SearchError(
                f"Expected at least {k} patients of class {_name(code, names)} for {k} folds. Received {patients}.",
                f"Use {patients} folds or fewer, or more samples."
                if patients >= 2
                else "Use more samples, or a task without this class.",
            )


def _check_both_sides(
    pairs: list[tuple[Rows, Rows]],
    labels: npt.NDArray[np.integer],
    present: npt.NDArray[np.integer],
    names: Sequence[str],
) -> None:
    """Enough patients per class is necessary, not sufficient: a patient may bring many samples of several classes."""
    for number, sides in enumerate(pairs):
        for side, rows in zip(("training", "validation"), sides, strict=True):
            missing = np.setdiff1d(present, labels[rows])
            if missing.size:
                raise SearchError(
                    f"Expected every class in the {side} rows of fold {number}. "
                    f"Received none of class {_name(int(missing[0]), names)}.",
                    "Too many samples belong to too few patients: use fewer folds or another seed.",
                )


def _name(code: int, names: Sequence[str]) -> str:
    return names[code] if names else str(code)
