"""One clinical question."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

MISSING = -1


@dataclass(frozen=True)
class Label:
    """How a cohort writes the label of one task: in words, or as a number that limits divide.

    Attributes:
        task: the task's name.
        key: the characteristic or column, in lower case.
        classes: value as written, in lower case -> class name; empty where ``limits`` divide.
        invalid: values, in lower case, documented as wrong: read as missing and counted in the notes.
        lenient: unknown values are read as missing and counted instead of refused. Only for labels whose values
            are not documented.
        limits: ascending; the value is a number, of the first class up to the first limit, the limit included, and so
            on.
        names: class names in order, for ``limits``.
        percent: the number is one of 0 to 100, perhaps with a % sign.
    """

    task: str
    key: str
    classes: Mapping[str, str]
    invalid: frozenset[str] = frozenset()
    lenient: bool = False
    limits: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    percent: bool = False


@dataclass(frozen=True)
class Task:
    """One clinical question.

    Attributes:
        name: short name, also the name of the label column of a dataset.
        title: how tables and figures call it.
        classes: class names in order; for two classes the second one is the "positive" class.
        labels: series or cohort -> how it writes the label.
        of: the task whose classes this one regroups; empty if none.
        groups: class of that task -> class of this one; those left out are missing.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    labels: Mapping[str, Label] = field(default_factory=dict)
    of: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    @property
    def sha256(self) -> str:
        """Of everything that it says, hex: equal hashes give equal labels."""
        facts = json.dumps(asdict(self), sort_keys=True, default=sorted)
        return hashlib.sha256(facts.encode()).hexdigest()

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
