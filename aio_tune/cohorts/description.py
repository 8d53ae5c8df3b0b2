"""Description files: small YAML files beside a cohort's data that say what the data cannot say of themselves."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from aio_tune.cohorts.lengths import COUNTS
from aio_tune.cohorts.units import Unit
from aio_tune.errors import CohortError
from aio_tune.tasks import Label, Task, labels_of


class Model(BaseModel):
    """A part of a description: what it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Measured(Model):
    """The unit of a file's expression.

    Attributes:
        unit: of the values; counts become TPM by the genes' lengths.
        lengths: where these are, with counts alone.
    """

    lengths_are: ClassVar[str]
    unit: Unit | Literal["counts"]
    lengths: str | None = None

    @model_validator(mode="after")
    def _lengths_of_counts(self) -> Self:
        if (self.unit == COUNTS) != (self.lengths is not None):
            raise ValueError(f"lengths, {self.lengths_are}, with unit: counts and with no other unit")
        return self

    @property
    def becomes(self) -> Unit:
        """The unit of what is read."""
        return Unit(self.unit) if self.lengths is None else Unit.TPM


class LabelColumn(Model):
    """A column that holds labels, and what its values mean."""

    column: str
    classes: dict[str, str]


def read_label_columns(
    columns: Mapping[str, LabelColumn], cohort: str, there: Collection[str], tasks: Mapping[str, Task], where: str
) -> list[Label]:
    """What a description says of labels, and what the tasks say of this cohort beside it.

    Args:
        columns: task -> its column.
        cohort: its name.
        there: the columns that the file has, as it writes them.
        tasks: the questions that there are, by name.
        where: name of the description, for messages.

    Returns:
        Labels whose keys are columns as the file writes them. Of a task that names this cohort for a column that is not
        there, the key is the task's: ``read_labels`` has a note on that.

    Raises:
        CohortError: a task or a class is unknown, or several columns are what a task may mean.
    """
    out = []
    for task, label in columns.items():
        if task not in tasks:
            raise CohortError(
                f"Expected labels of {', '.join(tasks)} in {where}. Received {task!r}.",
                "Declare further tasks with --task FILE.",
            )
        unknown = sorted(set(label.classes.values()) - set(tasks[task].classes))
        if unknown:
            raise CohortError(
                f"Expected the classes {', '.join(tasks[task].classes)} for {task} in {where}. Received {unknown[0]!r}."
            )
        out.append(Label(task, label.column, {value.lower(): name for value, name in label.classes.items()}))
    declared = [label for label in labels_of(cohort, tasks) if label.task not in columns]
    return out + [replace(label, key=_as_written(label, there, where)) for label in declared]


def _as_written(label: Label, there: Collection[str], where: str) -> str:
    """The column that a task's key means, in any case and with any spaces; the key itself where there is none."""
    found = [name for name in there if " ".join(name.lower().split()) == label.key]
    if label.key in found or not found:
        return label.key
    if len(found) > 1:
        raise CohortError(
            f"Expected one column {label.key!r}, in any case, for {label.task}. Received {', '.join(found)}.",
            f"Name the one that is meant under labels in {where}.",
        )
    return found[0]
