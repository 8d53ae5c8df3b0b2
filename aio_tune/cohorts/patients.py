"""Who is who: ids of patients and cohorts, on which it hangs that no patient is on both sides of a split."""

from collections.abc import Mapping, Sequence

from aio_tune.cohorts.clinical import MISSING_WORDS
from aio_tune.errors import CohortError

NO_ID = MISSING_WORDS | {"nan", "none", "<na>", "n/a", "null"}
"""What is no id, in lower case. Beside the words for a missing label, what programs write of an empty cell: a label of
these words is refused as unknown, whereas an id would make one patient of all samples that have none."""


def with_cohort(patient: str, cohort: str) -> str:
    """A patient's id with the cohort's name before it; one that holds a colon names its cohort itself."""
    return patient if ":" in patient else f"{cohort}:{patient}"


def refuse_missing(ids: Sequence[str], samples: Sequence[str], what: str, where: str) -> None:
    """Refuse a column of ids with gaps: all samples without an id would pass for one patient, or one cohort.

    Args:
        ids: one per sample, as written.
        samples: their names, for the message.
        what: what the ids are of, likewise.
        where: the file's name, likewise.

    Raises:
        CohortError: a sample has none: its cell is one of ``NO_ID``, in any case.
    """
    for sample, one in zip(samples, ids, strict=True):
        if _is_no_id(one):
            raise CohortError(
                f"Expected a {what} for every sample of {where}. Received none for {sample!r}.",
                f"Name its {what}, or leave the sample out.",
            )


def refuse_in_two_cohorts(patients: Mapping[str, Sequence[str]], where: str) -> None:
    """Refuse an id of which nobody can tell whether it is one patient's or two patients'.

    Args:
        patients: cohort -> ids as written; one that holds a colon names its cohort itself.
        where: the file's name, for the message.

    Raises:
        CohortError: an id without a colon stands in two cohorts.
    """
    cohort_of: dict[str, str] = {}
    for cohort, ids in patients.items():
        for patient in ids:
            if ":" in patient or _is_no_id(patient):
                continue
            other = cohort_of.setdefault(patient, cohort)
            if other != cohort:
                raise CohortError(
                    f"Expected each patient in one cohort of {where}. "
                    f"Received {patient!r} in {other!r} and in {cohort!r}.",
                    f"Write STUDY:{patient} in both if it is one person, "
                    f"{other}:{patient} and {cohort}:{patient} if not.",
                )


def _is_no_id(one: str) -> bool:
    return one.strip().lower() in NO_ID
