"""The counts of a paper's Table 1: how many subjects of each class, and how many without a label."""

from collections.abc import Mapping

import pandas as pd

from aio_tune.tasks import Task


def table_one(clinical: pd.DataFrame, tasks: Mapping[str, Task]) -> dict[str, dict[str, int]]:
    """Counts by task and class.

    Args:
        clinical: a table such as ``Cohort.clinical`` (profiled samples) or ``Cohort.subjects`` (all subjects).
        tasks: the questions that are columns of it.

    Returns:
        Task name -> class name -> number of rows, classes in their order, then ``"missing"``. The counts of one task
        sum to the number of rows.
    """
    return {
        name: {
            **{label: int((clinical[name] == label).sum()) for label in task.classes},
            "missing": int(clinical[name].isna().sum()),
        }
        for name, task in tasks.items()
    }
