"""What classes and cohorts may be called: their names go into columns, metrics, tags and gates.

MLflow's keys of metrics and tags are of letters, digits, spaces and ``/_.-:``, 250 at most. A colon divides a cohort
from a gate's metric (``GSE81538:auc_G3>=0.75``) and from its patient (``GSE96058:F8``), and in a tag the last dot
divides a cohort from the metric, so that only cohorts may have dots.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import AfterValidator

# With the longest metric's name around both, a key stays within MLflow's 250.
_CLASS: Final = re.compile(r"\w(?:[\w -]{0,62}[\w-])?")
_COHORT: Final = re.compile(r"\w(?:[\w. -]{0,62}[\w-])?")
_MISSING: Final = frozenset({"na", "n/a", "nan", "none", "null"})
ENDS: Final = ("low", "high", "mean", "sd")
"""What the names of a metric's interval, mean and deviation end in: ``auc_low``, ``cv_auc_mean``."""


def check_class(name: str) -> str:
    """The name itself, of a class.

    Raises:
        ValueError: says what a name may be.
    """
    # A table of calls is read by many programs, to which these mean that there is no call.
    if not _CLASS.fullmatch(name) or name.lower() in _MISSING:
        raise ValueError("letters, digits, spaces, _ and - alone, 64 of them at most, and no word for missing")
    return name


def check_cohort(name: str) -> str:
    """The name itself, of a cohort.

    Raises:
        ValueError: says what a name may be.
    """
    if not _COHORT.fullmatch(name):
        raise ValueError("letters, digits, spaces, dots, _ and - alone, 64 of them at most")
    return name


ClassName = Annotated[str, AfterValidator(check_class)]
CohortName = Annotated[str, AfterValidator(check_cohort)]


def like_an_end(classes: Sequence[str]) -> list[str]:
    """The classes whose metrics (``auc_<class>``) would have the name of another metric's end, in any case.

    None of two classes, which have no metrics of their own.
    """
    if len(classes) == 2:
        return []
    taken = {*ENDS, *(f"{name.lower()}_{end}" for name in classes for end in ENDS)}
    return [name for name in classes if name.lower() in taken]
