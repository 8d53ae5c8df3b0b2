"""What a baseline is, and how one is cross-validated."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from aio_tune.errors import EvaluationError
from aio_tune.expression import Matrix, Rows, as_rows
from aio_tune.folds import Folds
from aio_tune.metrics import evaluate_calls

Expression = npt.NDArray[np.float32]
Labels = npt.NDArray[np.integer]
Probabilities = npt.NDArray[np.float64]


class Baseline(ABC):
    """Something plain that is fitted on the same training rows as a network and judged on the same validation rows.

    Guarantees of every implementation:
        - ``fit`` sees training rows alone, changes nothing, and has no setting that could be tuned on the others;
        - the same rows and seed give the same baseline;
        - rows that are over the memory budget are read in pieces;
        - ``predict`` gives finite probabilities, rows summing to 1, and 0 for a class that training did not have.
    """

    name: ClassVar[str]
    key: ClassVar[str]  # the same in names of columns

    @classmethod
    @abstractmethod
    def fit(cls, x: Expression | Rows, y: Labels, classes: Sequence[str], seed: int) -> Self:
        """Fit on training rows.

        Args:
            x: log2(TPM+1), shape (n, n_columns), NaN where another kind of omics was not measured.
            y: class indices, shape (n,), none missing.
            classes: class names.
            seed: of whatever is random.

        Raises:
            EvaluationError: the rows cannot teach it anything, e.g. because they are all of one class.
        """

    @abstractmethod
    def predict(self, x: Expression | Rows) -> Probabilities:
        """Class probabilities, shape (n, n_classes), of samples (n, n_columns), columns as in training."""


def cross_validate(
    baseline: type[Baseline], x: Matrix, y: Labels, folds: Folds, classes: Sequence[str], seed: int
) -> list[dict[str, float]]:
    """A baseline's metrics on the validation rows of each fold, fitted on its training rows alone.

    Args:
        baseline: which.
        x: log2(TPM+1), shape (n, n_columns); rows as the folds number them.
        y: class indices, shape (n,).
        folds: the same as the network's.
        classes: class names.
        seed: see ``Baseline.fit``.

    Returns:
        ``evaluate_calls`` per fold.
    """
    return [
        evaluate_calls(y[valid], baseline.fit(some(x, train), y[train], classes, seed).predict(some(x, valid)), classes)
        for train, valid in zip(folds.train, folds.valid, strict=True)
    ]


def some(x: Matrix, rows: npt.NDArray[np.integer]) -> Expression | Rows:
    """Some rows: a copy of them if they are in memory."""
    return x[rows] if isinstance(x, np.ndarray) else Rows(x, rows)


def check_training(x: Expression | Rows, y: Labels) -> npt.NDArray[np.integer]:
    """The class indices that training has, ascending.

    Raises:
        EvaluationError: the rows hold fewer than two classes, or no column varies among them.
    """
    codes = np.unique(y)
    if codes.size < 2:
        raise EvaluationError(
            f"Expected training rows of at least two classes for the baseline. Received {codes.size}."
        )
    if all(((piece == x[:1]) | np.isnan(piece)).all() for piece in as_rows(x).pieces()):
        raise EvaluationError("Expected genes that vary among the training rows for the baseline. Received none.")
    return codes


def spread(seen: Probabilities, codes: npt.NDArray[np.integer], n_classes: int) -> Probabilities:
    """Probabilities of the classes that training had, as those of all classes; shape (n, n_classes)."""
    probabilities = np.zeros((len(seen), n_classes))
    probabilities[:, codes] = seen
    return probabilities
