"""The clinical questions: which classes each has, in which order, and where cohorts write the answer.

    task       Task, Label
    declared   a YAML file -> Task; its docstring is the reference of the format
    names      what classes and cohorts may be called
    *.yaml     the questions that everybody has

A label is stored by its class name (``"positive"``, ``"G2"``), missing is ``None``/NA. Networks and metrics use
the class's index in ``Task.classes``; ``MISSING`` (-1) stands for a missing label.

A new question is one YAML file: here for everybody, or anywhere with ``aio-tune prepare --task FILE``.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from aio_tune.errors import CohortError
from aio_tune.tasks.declared import read_task
from aio_tune.tasks.task import MISSING, Label, Task

TASKS: dict[str, Task] = {
    name: read_task(Path(__file__).with_name(f"{name}.yaml")) for name in ("ki67", "nhg", "er", "pgr", "her2", "pam50")
}


def with_declared(files: Iterable[Path]) -> dict[str, Task]:
    """``TASKS``, and those that these files declare after them.

    Raises:
        CohortError: a file cannot be read, two are of one name, or one regroups a task that there is not.
    """
    tasks = dict(TASKS)
    for file in files:
        task = read_task(file)
        if task.name in tasks:
            raise CohortError(f"Expected a new name in {file}. Received {task.name!r}, which is a task already.")
        if task.of and (task.of not in tasks or tasks[task.of].of):
            plain = ", ".join(name for name, other in tasks.items() if not other.of)
            raise CohortError(f"Expected one of the tasks {plain} to regroup in {file}. Received {task.of!r}.")
        if task.of:
            check_groups(task, tasks[task.of], file.name)
        tasks[task.name] = task
    return tasks


def check_groups(task: Task, of: Task, where: str) -> None:
    """That a task regroups classes which the other has.

    Raises:
        CohortError: one of them is unknown.
    """
    unknown = [name for name in task.groups if name not in of.classes]
    if unknown:
        raise CohortError(
            f"Expected classes of {of.name}, {', '.join(of.classes)}, in {where}. Received {unknown[0]!r}."
        )


def labels_of(series: str, tasks: Mapping[str, Task]) -> tuple[Label, ...]:
    """How a series writes the labels of these tasks, as far as it has them."""
    return tuple(task.labels[series] for task in tasks.values() if series in task.labels)


__all__ = ["MISSING", "TASKS", "Label", "Task", "labels_of", "read_task", "with_declared"]
