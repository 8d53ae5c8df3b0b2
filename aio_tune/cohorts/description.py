"""Description files: small YAML files beside a cohort's data that say what the data cannot say of themselves."""

from collections.abc import Collection, Mapping
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
    """What a description says of labels, and what the tasks say of this cohort beside it, as far as it is there.

    Args:
        columns: task -> its column.
        cohort: its name.
        there: the columns that the file has.
        tasks: the questions that there are, by name.
        where: name of the description, for messages.

    Raises:
        CohortError: a task or a class is unknown.
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
    return out + [label for label in labels_of(cohort, tasks) if label.task not in columns and label.key in there]
