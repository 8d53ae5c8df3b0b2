"""A task declared in a YAML file.

::

    name: luminal                   # column of the dataset, and of calls: lower-case letters, digits, underscores
    title: Luminal subtype          # for tables and figures
    classes: [other, luminal]       # in order; of two the second is the "positive" one; letters, digits, _ and -
    labels:                         # where each cohort writes it; cohorts not named here lack the label
      GSE96058:
        key: pam50 subtype          # a characteristic of the series matrix, a column of a clinical table; any case
        values:                     # class -> value or values as written, any case; left out: the names of the classes
          other: [basal, her2, normal]
          luminal: [luma, lumb]
        invalid: ["0"]              # values known to be wrong: missing, and counted in the notes
        lenient: false              # true: unknown values are missing and counted, instead of refused
      GSE81538:
        key: ki67 consensus
        above: 20                   # a number: up to 20 the first class, over it the second; K - 1 limits for K classes
        percent: true               # of 0 to 100; 0.2 for 20 % is refused

Or a regrouping of another task's classes, in every cohort that has it::

    name: high_grade
    title: High grade
    classes: [low, high]
    of: nhg
    values: {low: [G1, G2], high: G3}     # classes left out are missing

Of three classes or more none can be called low, high, mean or sd: ``auc_low`` is the lower end of an interval.

Missing is the empty cell, and NA. All samples of a patient are always in one fold: there is nothing to declare for
that.
"""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from aio_tune.declaration import read_declaration
from aio_tune.errors import CohortError
from aio_tune.tasks.names import ENDS, ClassName, like_an_end
from aio_tune.tasks.task import Label, Task

RESERVED = ("patient_id", "sample_id", "cohort", "platform", "survival_days", "survival_event", "profile_sha256")
"""Other columns of a dataset."""


def _listed(value: object) -> object:
    """One value as a list of one; numbers as they would stand in a file."""
    values = value if isinstance(value, list) else [value]
    return [str(one) if isinstance(one, int | float) and not isinstance(one, bool) else one for one in values]


Words = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
Numbers = Annotated[list[float], BeforeValidator(lambda value: value if isinstance(value, list) else [value])]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Source(_Part):
    key: str = Field(min_length=1)
    values: dict[str, Words] | None = None
    invalid: Words = []
    lenient: bool = False
    above: Numbers = []
    percent: bool = False


class _Declaration(_Part):
    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    title: str = Field(min_length=1)
    classes: list[ClassName] = Field(min_length=2)
    labels: dict[str, _Source] = {}
    of: str = ""
    values: dict[str, Words] = {}


def read_task(path: Path) -> Task:
    """Read a declaration.

    Raises:
        CohortError: the file cannot be read, or says something that contradicts itself; the field is named.
    """
    declared = read_declaration(path, _Declaration, "task")
    classes = tuple(declared.classes)
    if len(set(classes)) < len(classes):
        raise CohortError(f"Expected classes of different names in {path.name}. Received {', '.join(classes)}.")
    if clash := like_an_end(classes):
        raise CohortError(
            f"Expected no class whose metrics are named like another's interval or summary "
            f"({', '.join(f'_{end}' for end in ENDS)}) in {path.name}. Received {clash[0]!r}.",
            "Words joined by a hyphen will do, such as low-risk.",
        )
    if declared.name in RESERVED:
        raise CohortError(f"Expected a name of its own in {path.name}. Received {declared.name!r}, another column's.")
    if bool(declared.of) != bool(declared.values) or bool(declared.of) == bool(declared.labels):
        there = [name for name in ("labels", "of", "values") if getattr(declared, name)]
        raise CohortError(
            f"Expected either labels, or of with values, in {path.name}. Received {', '.join(there) or 'neither'}."
        )
    return Task(
        name=declared.name,
        title=declared.title,
        classes=classes,
        labels={cohort: _label(declared, cohort, path.name) for cohort in declared.labels},
        of=declared.of,
        groups=_turned(declared.values, classes, path.name, lower=False),
    )


def _label(declared: _Declaration, cohort: str, where: str) -> Label:
    source, classes = declared.labels[cohort], tuple(declared.classes)
    limits = tuple(source.above)
    if limits and (source.values is not None or source.lenient):
        raise CohortError(f"Expected values or above for {cohort} in {where}. Received both.")
    if limits and (len(limits) != len(classes) - 1 or list(limits) != sorted(set(limits))):
        raise CohortError(
            f"Expected {len(classes) - 1} ascending limit(s) between {len(classes)} classes for {cohort} in {where}. "
            f"Received {', '.join(f'{limit:g}' for limit in limits)}."
        )
    if source.percent and not limits:
        raise CohortError(f"Expected percent with above alone for {cohort} in {where}. Received no limit.")
    words = source.values if source.values is not None else {name: [name] for name in classes}
    return Label(
        task=declared.name,
        key=" ".join(source.key.lower().split()),
        classes={} if limits else _turned(words, classes, where, lower=True),
        invalid=frozenset(value.lower() for value in source.invalid),
        lenient=source.lenient,
        limits=limits,
        names=classes if limits else (),
        percent=source.percent,
    )


def _turned(values: dict[str, list[str]], classes: tuple[str, ...], where: str, *, lower: bool) -> dict[str, str]:
    """Class -> values, the other way round."""
    turned: dict[str, str] = {}
    for name, words in values.items():
        if name not in classes:
            raise CohortError(f"Expected one of the classes {', '.join(classes)} in {where}. Received {name!r}.")
        for word in words:
            key = word.lower() if lower else word
            if key in turned:
                raise CohortError(f"Expected each value once in {where}. Received {word!r} twice.")
            turned[key] = name
    return turned
