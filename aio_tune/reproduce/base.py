"""What an item of the paper is, and how it can turn out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from aio_tune.cohorts.clinical import find_all


class Verdict(StrEnum):
    """How an item turned out."""

    PASS = "pass"  # noqa: S105  (no password)
    FAIL = "fail"
    NOT_POSSIBLE = "not possible"
    OTHER_WORK = "not the same work"


@dataclass(frozen=True)
class Item:
    """One number of the paper, or a few that belong together.

    Attributes:
        where: table or figure.
        what: which number.
        paper: as printed there.
        here: what came out, empty where nothing did.
        verdict: of the comparison.
        note: which file is missing, or what is different.
    """

    where: str
    what: str
    paper: str
    here: str
    verdict: Verdict
    note: str = ""


def compared(where: str, what: str, paper: str, here: str, note: str = "") -> Item:
    """An item that must be the same to the last printed digit."""
    return Item(where, what, paper, here, Verdict.PASS if paper == here else Verdict.FAIL, note)


def missing(where: str, what: str, paper: str, note: str) -> Item:
    """An item that these files do not allow."""
    return Item(where, what, paper, "", Verdict.NOT_POSSIBLE, note)


def holding(folders: Sequence[Path], pattern: str) -> list[Path]:
    """The folders, or folders in them, that hold a file of this pattern; by name."""
    places = [place for folder in folders for place in (folder, *sorted(folder.iterdir())) if place.is_dir()]
    return [place for place in places if find_all(place, pattern)]


def counts(found: Mapping[str, int], classes: Sequence[str]) -> str:
    """``"568 / 795 / 1,613"``."""
    return " / ".join(f"{found[name]:,}" for name in classes)
