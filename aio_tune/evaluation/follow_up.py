"""How long patients lived: from a series matrix or any table, joined with calls.

Everything is by patient: a tumour that was sequenced twice is one death, not two.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aio_tune.cohorts.clinical import without_missing_words
from aio_tune.cohorts.geo import read_series_matrix
from aio_tune.cohorts.text_table import open_text
from aio_tune.errors import CohortError, EvaluationError

if TYPE_CHECKING:
    import pandas as pd

DAYS = ("survival_days", "overall survival days", "days")
EVENT = ("survival_event", "overall survival event", "event")
"""Columns that are taken for days and event if the user names none; the first that is there."""

_REPLICATE = re.compile(r"(?P<patient>.+?)repl\d*")
"""GSE96058 calls the second sequencing of the tumour F8 ``F8repl``."""


@dataclass(frozen=True, eq=False)
class Clinical:
    """What is known of patients.

    Attributes:
        table: by sample id; text as written (lower-case column names), missing as None, with ``days`` and ``event``
            as numbers and ``patient``.
        source: name of the file, for messages.
    """

    table: "pd.DataFrame"
    source: str

    @property
    def follow_up(self) -> "pd.DataFrame":
        """``days`` and ``event`` by patient."""
        return self.table[["patient", "days", "event"]].drop_duplicates("patient").set_index("patient")

    def groups(self, column: str) -> "pd.Series[str]":
        """The value of a column for each patient, e.g. the pathologists' calls.

        Raises:
            EvaluationError: there is no such column.
        """
        name = " ".join(column.lower().split())
        if name not in self.table:
            raise EvaluationError(
                f"Expected a column of {self.source}, one of {', '.join(self.table.columns)}. Received {column!r}."
            )
        return _by_patient(self.table[name], self.table["patient"])

    def join(self, calls: "pd.DataFrame", name: str) -> "tuple[pd.Series[str], int]":
        """The call of each patient, and how many samples of the calls the clinical table does not know.

        Args:
            calls: columns ``sample_id`` and ``call``.
            name: of the calls, for messages.

        Raises:
            EvaluationError: none of the samples is in the clinical table.
        """
        import pandas as pd

        known = calls[calls["sample_id"].isin(self.table.index)]
        if known.empty:
            raise EvaluationError(
                f"Expected samples of {name} in {self.source}, such as {self.table.index[0]!r}. "
                f"Received none: samples such as {calls['sample_id'].iloc[0]!r}."
            )
        called = pd.Series(known["call"].to_numpy(), index=pd.Index(known["sample_id"]))
        return _by_patient(called, self.table["patient"].loc[called.index]), len(calls) - len(known)


def read_clinical(paths: Sequence[Path], *, days: str = "", event: str = "", patient: str = "") -> Clinical:
    """Read what is known of patients from one file or several of the same form.

    Args:
        paths: GEO series matrices, or tables (CSV, TSV, Parquet; plain or gzip) with sample ids in the column
            ``sample_id``, else in the first.
        days: column with days from diagnosis to death or last contact; default: one of ``DAYS``.
        event: column with 1 for a death and 0 for last seen alive; default: one of ``EVENT``.
        patient: column with the patient, where samples share one. Default: ``patient_id`` where there is one, else the
            sample id, of a replicate in GSE96058's style (``F8repl``) without its ending.

    Raises:
        CohortError: a file cannot be read, a sample is there twice, or days and event are no such numbers.
        EvaluationError: a column is missing, or one patient has two different follow-ups.
    """
    import pandas as pd

    source = " and ".join(path.name for path in paths)
    table = without_missing_words(pd.concat([_read(path) for path in paths]))
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()][0]
        raise CohortError(f"Expected each sample once in {source}. Received {twice!r} more than once.")
    found_days, found_event = _column(table, days, DAYS, source), _column(table, event, EVENT, source)
    patients = _patients(table, patient, source)
    table["days"] = _numbers(table[found_days], found_days, source)
    table["event"] = _numbers(table[found_event], found_event, source, (0.0, 1.0))
    table["patient"] = patients
    _check_one_follow_up(table, source)
    return Clinical(table, source)


def _read(path: Path) -> "pd.DataFrame":
    """Text by sample id, columns in lower case."""
    import pandas as pd

    if path.suffix == ".parquet":
        try:
            table = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise CohortError(f"Expected a clinical table in {path}. Received: {error}.") from error
    else:
        with open_text(path, errors="replace") as file:
            first = file.readline()
        if first.startswith("!"):
            samples = read_series_matrix(path).samples
            rows: list[Mapping[str, str]] = [
                {"platform": sample.platform, **sample.characteristics} for sample in samples
            ]
            return pd.DataFrame(rows, index=pd.Index([sample.title for sample in samples], name="sample_id"))
        try:
            table = pd.read_csv(path, sep="\t" if "\t" in first else ",", dtype="str", keep_default_na=False)
        except ValueError as error:
            raise CohortError(f"Expected a clinical table in {path}. Received: {error}.") from error
    table.columns = pd.Index([" ".join(str(name).lower().split()) for name in table.columns])
    index = "sample_id" if "sample_id" in table else table.columns[0]
    table = table.set_index(index)
    table.index = table.index.astype("str").rename("sample_id")
    return table


def _column(table: "pd.DataFrame", asked: str, usual: Sequence[str], source: str) -> str:
    names = [" ".join(asked.lower().split())] if asked else list(usual)
    for name in names:
        if name in table:
            return name
    raise EvaluationError(
        f"Expected a column {' or '.join(names)} in {source}. Received {', '.join(map(str, table.columns[:12]))}.",
        "Name the columns with --days and --event.",
    )


def _patients(table: "pd.DataFrame", asked: str, source: str) -> "pd.Series[str]":
    import pandas as pd

    if asked or "patient_id" in table:
        return table[_column(table, asked or "patient_id", (), source)].astype("str")
    names = [match["patient"] if (match := _REPLICATE.fullmatch(sample)) else sample for sample in table.index]
    return pd.Series(names, index=table.index, dtype="str")


def _numbers(column: "pd.Series[str]", name: str, source: str, allowed: Sequence[float] = ()) -> "pd.Series[float]":
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce")
    wrong = numbers.isna() & column.notna() | (numbers < 0)
    if allowed:
        wrong |= numbers.notna() & ~numbers.isin(list(allowed))
    if wrong.any():
        sample = column.index[wrong.to_numpy()][0]
        what = " or ".join(f"{value:g}" for value in allowed) or "a number of 0 or more"
        raise CohortError(
            f"Expected {what} as {name!r} in {source}. Received {column.loc[sample]!r} for sample {sample!r}."
        )
    return numbers.astype("float64")


def _check_one_follow_up(table: "pd.DataFrame", source: str) -> None:
    distinct = table[["patient", "days", "event"]].drop_duplicates()
    if distinct["patient"].duplicated().any():
        patient = distinct.loc[distinct["patient"].duplicated(), "patient"].iloc[0]
        raise EvaluationError(
            f"Expected one follow-up for each patient of {source}. Received different ones of {patient!r}."
        )


def _by_patient(values: "pd.Series[str]", patients: "pd.Series[str]") -> "pd.Series[str]":
    """One value for each patient: that of the sample that is named like the patient, else of the first."""
    import pandas as pd

    primary = (values.index != patients.to_numpy()).astype(int)
    table = pd.DataFrame({"value": values.to_numpy(), "patient": patients.to_numpy(), "further": primary})
    table = table.dropna(subset="value").sort_values("further", kind="stable").drop_duplicates("patient")
    return pd.Series(table["value"].to_numpy(), index=pd.Index(table["patient"]), dtype="str")
