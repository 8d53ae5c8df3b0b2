"""From what a file says of its samples to the clinical table of a cohort, and the join with the profiles."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from aio_tune.errors import CohortError
from aio_tune.tasks import Label, Task

MISSING_WORDS = frozenset({"", "na"})
"""What stands for a missing value, in lower case: GEO's literal NA, or nothing."""

MAX_WITHOUT_CLINICAL = 0.10
"""Share of profiles that may lack a clinical row; with more, the two files do not belong together."""

FEWEST_FRACTIONS = 20
"""So many numbers, none over 1, are fractions and no percentages."""


def clinical_columns(tasks: Iterable[str]) -> tuple[str, ...]:
    """Columns of ``Cohort.clinical`` and ``Cohort.subjects``, in order."""
    return ("patient_id", *tasks, "survival_days", "survival_event", "platform")


def is_missing(value: str) -> bool:
    """Whether the value stands for "not known"."""
    return value.strip().lower() in MISSING_WORDS


def without_missing_words(table: pd.DataFrame) -> pd.DataFrame:
    """The same table of text with None for everything that stands for "not known"."""
    unknown = table.map(lambda value: is_missing(str(value))) | table.isna()
    return table.mask(unknown, None)


def read_labels(
    label: Label, title: str, samples: Sequence[str], records: Sequence[Mapping[str, str]], where: str
) -> tuple[list[str | None], list[str]]:
    """The class name of every sample, None where missing, and notes for the user.

    Args:
        label: how the label is written.
        title: how the task is called.
        samples: sample ids, for messages.
        records: what is known of each sample, by lower-case key.
        where: the file's name, for messages.

    Raises:
        CohortError: a value is neither missing nor one that the label knows; sample and value are named.
    """
    if not any(label.key in record for record in records):
        return [None] * len(records), [f"{title}: no {label.key!r} in {where}, left missing."]
    if label.limits:
        return _divided(label, title, samples, records, where)
    out: list[str | None] = []
    left_out: Counter[str] = Counter()
    for sample, record in zip(samples, records, strict=True):
        value = record.get(label.key, "").strip()
        word = value.lower()
        if is_missing(word):
            out.append(None)
        elif word in label.classes:
            out.append(label.classes[word])
        elif word in label.invalid or label.lenient:
            out.append(None)
            left_out[value] += 1
        else:
            known = ", ".join([*label.classes, "NA"])
            raise CohortError(
                f"Expected one of {known} as {label.key!r} in {where}. Received {value!r} for sample {sample!r}."
            )
    return out, _left_missing(label, title, left_out)


def read_all_labels(
    labels: Iterable[Label], tasks: Mapping[str, Task], samples: Sequence[str],
    records: Sequence[Mapping[str, str]], where: str,
) -> tuple[dict[str, list[str | None]], list[str]]:  # fmt: skip
    """``read_labels`` of each: task -> class names, and all notes."""
    found: dict[str, list[str | None]] = {}
    notes: list[str] = []
    for label in labels:
        found[label.task], more = read_labels(label, tasks[label.task].title, samples, records, where)
        notes += more
    return found, notes


def _left_missing(label: Label, title: str, left_out: Mapping[str, int]) -> list[str]:
    """A note on each value that is not valid, and stands in so many samples."""
    return [
        f"{title}: value {value!r} of {label.key!r} is not valid, left missing in {plural(n, 'sample')}."
        for value, n in sorted(left_out.items())
    ]


def _divided(
    label: Label, title: str, samples: Sequence[str], records: Sequence[Mapping[str, str]], where: str
) -> tuple[list[str | None], list[str]]:
    """Classes of numbers that limits divide, and notes."""
    values = [record.get(label.key, "").strip() for record in records]
    left_out = Counter(value for value in values if _is_invalid(value, label))
    numbers = [
        float("nan") if value in left_out else _measured(value, label, sample, where)
        for sample, value in zip(samples, values, strict=True)
    ]
    known = [number for number in numbers if not math.isnan(number)]
    if label.percent and len(known) >= FEWEST_FRACTIONS and 0 < max(known) <= 1:
        raise CohortError(
            f"Expected percentages as {label.key!r} in {where}. Received nothing over {max(known):g}: "
            "these look like fractions or a status."
        )
    classes = [None if math.isnan(number) else label.names[bisect_left(label.limits, number)] for number in numbers]
    return classes, _left_missing(label, title, left_out)


def _is_invalid(value: str, label: Label) -> bool:
    """Whether a number is declared as wrong, however it is written: 999 bars 999.0 too."""
    if is_missing(value):
        return False
    number = _number(value, label)
    return value.lower() in label.invalid or any(number == _number(word, label) for word in label.invalid)


def _measured(value: str, label: Label, sample: str, where: str) -> float:
    """A number, within 0 to 100 if it is a percentage, NaN where missing."""
    if is_missing(value):
        return float("nan")
    number = _number(value, label)
    if not math.isfinite(number) or (label.percent and not 0 <= number <= 100):
        expected = "a percentage of 0 to 100" if label.percent else "a number"
        raise CohortError(f"Expected {expected} as {label.key!r} in {where}. Received {value!r} for sample {sample!r}.")
    return number


def _number(value: str, label: Label) -> float:
    """NaN where the value is no number."""
    try:
        return float(value.strip().removesuffix("%") if label.percent else value)
    except ValueError:
        return float("nan")


def read_number(record: Mapping[str, str], key: str, sample: str, where: str) -> float:
    """A number that is not negative, NaN where missing.

    Raises:
        CohortError: the value is something else; sample and value are named.
    """
    value = record.get(key, "")
    if is_missing(value):
        return float("nan")
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise CohortError(
            f"Expected a number of 0 or more as {key!r} in {where}. Received {value!r} for sample {sample!r}."
        )
    return number


def read_event(record: Mapping[str, str], key: str, sample: str, where: str) -> float:
    """1 for an event, 0 for a censored observation, NaN where missing.

    Raises:
        CohortError: the value is something else; sample and value are named.
    """
    event = read_number(record, key, sample, where)
    if not math.isnan(event) and event not in (0.0, 1.0):
        raise CohortError(f"Expected 0, 1 or NA as {key!r} in {where}. Received {record[key]!r} for sample {sample!r}.")
    return event


def clinical_table(
    *,
    samples: Sequence[str],
    patients: Sequence[str],
    tasks: Mapping[str, Task],
    labels: Mapping[str, Sequence[str | None]],
    platforms: Sequence[str],
    survival_days: Sequence[float] | None = None,
    survival_event: Sequence[float] | None = None,
) -> pd.DataFrame:
    """A table of `clinical_columns`, one row per sample; tasks not in ``labels`` are missing throughout.

    A task that regroups another one follows that one's labels.
    """
    n = len(samples)
    labels = dict(labels)
    for task in tasks.values():
        if task.of and task.of in labels:
            labels[task.name] = [None if label is None else task.groups.get(label) for label in labels[task.of]]
    data: dict[str, pd.Series] = {"patient_id": pd.Series(list(patients), dtype="str")}
    for name in tasks:
        data[name] = pd.Series(list(labels.get(name, [None] * n)), dtype="str")
    data["survival_days"] = pd.Series([float("nan")] * n if survival_days is None else survival_days, dtype="float64")
    data["survival_event"] = pd.Series(
        [float("nan")] * n if survival_event is None else survival_event, dtype="float64"
    )
    data["platform"] = pd.Series(list(platforms), dtype="str")
    table = pd.DataFrame(data, columns=list(clinical_columns(tasks)))
    table.index = pd.Index(list(samples), dtype="str", name="sample_id")
    return table


def match_profiles(profiles: Sequence[str], titles: Collection[str], where: str) -> tuple[list[str], list[str]]:
    """The profiles that have a clinical row, in the order of the profiles, and notes for the user.

    Args:
        profiles: sample names of the expression file.
        titles: sample names of the clinical tables.
        where: the files' names, for messages.

    Raises:
        CohortError: no sample is on both sides, or over 10 % of the profiles have no clinical row.
    """
    known = set(titles)
    matched = [name for name in profiles if name in known]
    strangers = [name for name in profiles if name not in known]
    if not matched:
        raise CohortError(
            f"Expected samples in both {where}. "
            f"Received none: profiles such as {profiles[0]!r}, clinical rows such as {next(iter(titles), '')!r}."
        )
    if len(strangers) > MAX_WITHOUT_CLINICAL * len(profiles):
        raise CohortError(
            f"Expected a clinical row for nearly every profile in {where}. "
            f"Received none for {len(strangers):,} of {len(profiles):,} profiles, such as {some(strangers)}.",
            "Put the clinical table of every platform of the series into the folder.",
        )
    notes = []
    if strangers:
        n = len(strangers)
        notes.append(
            f"{plural(n, 'profile')} of {len(profiles):,} left out for want of a clinical row: {some(strangers)}."
        )
    lost = len(known) - len(matched)
    if lost:
        notes.append(f"{lost:,} of {len(known):,} titles of the clinical table have no profile.")
    return matched, notes


def find_one(folder: Path, pattern: str, what: str) -> Path:
    """The one file of this pattern in the folder.

    Raises:
        CohortError: there is none, or more than one.
    """
    found = find_all(folder, pattern)
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise CohortError(f"Expected one {what} ({pattern}) in {folder}. Received {names}.")
    return found[0]


def find_all(folder: Path, pattern: str) -> list[Path]:
    """The files of this pattern in the folder, by name; a download in progress is not one of them."""
    return sorted(path for path in folder.glob(pattern) if path.is_file() and path.suffix not in (".part", ".tmp"))


def plural(n: int, noun: str) -> str:
    """``"1 sample"``, ``"1,200 samples"``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def some(names: Sequence[str], most: int = 5) -> str:
    """The first few names, and whether there are more."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
