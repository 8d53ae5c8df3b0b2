"""The clinical questions: which classes each has, in which order.

A label is stored by its class name (``"positive"``, ``"G2"``), missing is ``None``/NA. Networks and metrics use
the class's index in ``Task.classes``; ``MISSING`` (-1) stands for a missing label.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from aio_tune.errors import SpaceError

MISSING = -1


@dataclass(frozen=True)
class Task:
    """One clinical question.

    Attributes:
        name: short name, also the name of the label column of a dataset.
        title: how tables and figures call it.
        classes: class names in order; for two classes the second one is the "positive" class.
    """

    name: str
    title: str
    classes: tuple[str, ...]

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    def encode(self, labels: Iterable[object]) -> npt.NDArray[np.int8]:
        """Class names -> class indices, shape (n,), ``MISSING`` where the label is missing.

        Raises:
            ValueError: a label is neither missing nor one of ``classes``.
        """
        index = {name: i for i, name in enumerate(self.classes)}
        codes = []
        for label in labels:
            if pd.isna(label):  # type: ignore[call-overload]
                codes.append(MISSING)
            elif label in index:
                codes.append(index[str(label)])
            else:
                raise ValueError(f"Expected one of {self.classes} for {self.name}. Received {label!r}.")
        return np.asarray(codes, dtype=np.int8)


_NEGATIVE_POSITIVE = ("negative", "positive")

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("ki67", "Ki67 status", _NEGATIVE_POSITIVE),
        Task("nhg", "Nottingham histologic grade", ("G1", "G2", "G3")),
        Task("er", "Oestrogen receptor status", _NEGATIVE_POSITIVE),
        Task("pgr", "Progesterone receptor status", _NEGATIVE_POSITIVE),
        Task("her2", "HER2 status", _NEGATIVE_POSITIVE),
    )
}


def get_task(name: str) -> Task:
    """The task called ``name``.

    Raises:
        SpaceError: there is none of that name.
    """
    if name not in TASKS:
        raise SpaceError(f"Expected a task, one of {', '.join(TASKS)}. Received {name!r}.")
    return TASKS[name]
