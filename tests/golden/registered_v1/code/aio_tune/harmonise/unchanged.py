"""No harmonising."""

from dataclasses import dataclass
from typing import ClassVar, Self

from aio_tune.expression import Floats, Matrix, Rows
from aio_tune.harmonise.base import Harmoniser


@dataclass(frozen=True, eq=False)
class Unchanged(Harmoniser):
    """Expression as it is, log2(TPM+1). The default, and what every model before this room existed does."""

    name: ClassVar[str] = "none"
    transductive: ClassVar[bool] = False

    @classmethod
    def fit(cls, x_train: Matrix | Rows) -> Self:
        return cls()

    def reference(self, x: Floats) -> Floats:
        return x
