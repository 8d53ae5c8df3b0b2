"""The table of calls, and ``calls.csv``: one row per sample.

    sample_id, call, p_<class>, p_<class>, ...

``call`` is a class name, or empty where there is no call; further columns may follow.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aio_tune.errors import EvaluationError
from aio_tune.files import written_whole
from aio_tune.metrics import call_classes

if TYPE_CHECKING:
    import pandas as pd


def calls_table(
    sample_ids: Sequence[str] | npt.NDArray[np.str_], probabilities: npt.NDArray[np.floating], classes: Sequence[str]
) -> "pd.DataFrame":
    """Calls as ``calls.csv`` has them.

    Args:
        sample_ids: length n.
        probabilities: shape (n, n_classes).
        classes: class names in the order of the columns.

    Returns:
        Columns ``sample_id``, ``call`` (class name) and one ``p_<class>`` per class, float64.
    """
    import pandas as pd

    if probabilities.shape != (len(sample_ids), len(classes)):
        raise ValueError(f"Expected probabilities {(len(sample_ids), len(classes))}. Received {probabilities.shape}.")
    table = pd.DataFrame({"sample_id": pd.Series(list(sample_ids), dtype="str")})
    table["call"] = pd.Series([classes[i] for i in call_classes(probabilities)], dtype="str")
    for i, name in enumerate(classes):
        table[f"p_{name}"] = probabilities[:, i].astype(np.float64)
    return table


def read_calls(path: Path) -> "tuple[pd.DataFrame, tuple[str, ...]]":
    """A table of calls, and its classes in order (see ``calls_table``).

    Any CSV with columns ``sample_id`` and ``call`` will do; where it has no probability of some class that is called,
    the classes are those that are called, sorted.

    Raises:
        EvaluationError: it cannot be read, has no such columns or rows, or a sample twice.
    """
    import pandas as pd

    try:
        calls = pd.read_csv(
            path, dtype={"sample_id": "str", "call": "str"}, keep_default_na=False, na_values=["", "NA"]
        )
    except (OSError, ValueError) as error:
        raise EvaluationError(f"Expected a table of calls in {path}. Received: {error}.") from error
    missing = [name for name in ("sample_id", "call") if name not in calls]
    if missing or calls.empty:
        raise EvaluationError(
            f"Expected columns sample_id and call, and at least one row, in {path}. "
            f"Received {len(calls)} rows of {', '.join(map(str, calls.columns[:5]))}.",
            "`aio-tune predict` writes such a table.",
        )
    if calls["sample_id"].duplicated().any():
        twice = calls.loc[calls["sample_id"].duplicated(), "sample_id"].iloc[0]
        raise EvaluationError(f"Expected each sample once in {path}. Received {twice!r} more than once.")
    classes = tuple(name.removeprefix("p_") for name in calls.columns if name.startswith("p_"))
    called = sorted(calls["call"].dropna().unique())
    # Tables of other programs have columns such as p_value.
    return calls, classes if classes and set(called) <= set(classes) else tuple(called)


def write_calls(calls: "pd.DataFrame", path: Path) -> None:
    """Write a table of calls as CSV, whole or not at all; probabilities with six decimals.

    Raises:
        EvaluationError: the file cannot be written.
    """
    try:
        with written_whole(path) as file:
            calls.to_csv(file, index=False, float_format="%.6f", lineterminator="\n")
    except OSError as error:
        raise EvaluationError(f"Expected to write the calls to {path}. Received: {error}.") from error
