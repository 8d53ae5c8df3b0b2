"""GEO series matrices: what GEO says about each sample of a series.

A series matrix is tab separated, one line per field, one cell per sample. Lines used here:

    !Sample_title                 "F1"  "F2"  ...
    !Sample_platform_id           "GPL11154"  "GPL11154"  ...
    !Sample_characteristics_ch1   "ki67 status: 1"  "ki67 status: NA"  ...   (many lines)

A characteristic's key stands in every cell, not in the line: a sample that lacks one makes all its later cells move up,
so keys are read cell by cell. Source of the format: https://www.ncbi.nlm.nih.gov/geo/info/soft.html
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aio_tune.cohorts.text_table import open_text
from aio_tune.errors import CohortError
from aio_tune.files import sha256_of


@dataclass(frozen=True)
class GeoSample:
    """One sample of a series.

    Attributes:
        title: ``!Sample_title``, unique within the series.
        platform: ``!Sample_platform_id``, or ``!Series_platform_id`` where samples have none, or ``""``.
        characteristics: key (lower case) -> value as written; keys that the sample lacks are absent.
    """

    title: str
    platform: str
    characteristics: Mapping[str, str]


@dataclass(frozen=True)
class SeriesMatrix:
    """The samples of one series matrix file.

    Attributes:
        name: the file's name.
        sha256: hex digest of the file.
        samples: in the order of the file.
    """

    name: str
    sha256: str
    samples: tuple[GeoSample, ...]


def read_series_matrix(path: Path) -> SeriesMatrix:
    """Reads what a series matrix says about its samples; expression rows, where there are any, are passed over.

    Raises:
        CohortError: truncated or empty file, no titles, a line with another number of cells than there are samples,
            a title twice, two values for one key of one sample.
    """
    lines: dict[str, list[list[str]]] = {}
    # Names of people and places come in any encoding; the fields used here are ASCII.
    with open_text(path, errors="replace") as file:
        in_table = False
        for line in file:  # to the end, even when nothing more is wanted: only so is a truncated gzip seen
            if line.lower().startswith("!series_matrix_table_begin"):
                in_table = True
            elif not in_table and line.startswith("!"):
                field, *cells = next(csv.reader([line.rstrip("\r\n")], delimiter="\t"))
                lines.setdefault(field.strip().lower(), []).append([cell.strip() for cell in cells])
    titles = _cells(lines, "!sample_title", path)
    if titles is None:
        raise CohortError(f"Expected a line !Sample_title in {path.name}. Received none.", "Is it a GEO series matrix?")
    while titles and not titles[-1]:  # a tab at the end of the line
        titles.pop()
    if "" in titles or not titles:
        raise CohortError(f"Expected a title for every sample of {path.name}. Received an empty one.")
    if len(set(titles)) < len(titles):
        twice = next(title for i, title in enumerate(titles) if title in titles[:i])
        raise CohortError(f"Expected each sample once in {path.name}. Received {twice!r} more than once.")
    platforms = _cells(lines, "!sample_platform_id", path, len(titles))
    if platforms is None:
        series = _cells(lines, "!series_platform_id", path)
        platforms = [series[0] if series and len(set(filter(None, series))) == 1 else ""] * len(titles)
    characteristics = _characteristics(lines, titles, path)
    samples = tuple(map(GeoSample, titles, platforms, characteristics))
    return SeriesMatrix(path.name, sha256_of(path), samples)


def _cells(lines: dict[str, list[list[str]]], field: str, path: Path, width: int | None = None) -> list[str] | None:
    """The cells of the first line of this field, None where there is none."""
    if field not in lines:
        return None
    cells = list(lines[field][0])
    return cells if width is None else _fit(cells, width, field, path)


def _fit(cells: list[str], width: int, field: str, path: Path) -> list[str]:
    """Refuses a line with too few or too many cells: which sample each belongs to would be a guess."""
    if len(cells) < width or any(cells[width:]):
        raise CohortError(
            f"Expected {width} cells, one per sample, in the line {field} of {path.name}. Received {len(cells)}.",
            "The file is damaged or was edited; download it again.",
        )
    return cells[:width]


def _characteristics(lines: dict[str, list[list[str]]], titles: list[str], path: Path) -> list[dict[str, str]]:
    """One dictionary per sample."""
    out: list[dict[str, str]] = [{} for _ in titles]
    for field, rows in lines.items():
        if not field.startswith("!sample_characteristics"):
            continue
        for row in rows:
            for title, known, cell in zip(titles, out, _fit(row, len(titles), field, path), strict=True):
                key, colon, value = cell.partition(":")
                key, value = " ".join(key.lower().split()), value.strip()
                if not colon:  # an empty cell, or free text without a key
                    continue
                if known.setdefault(key, value) != value:
                    raise CohortError(
                        f"Expected one value of {key!r} for sample {title!r} of {path.name}. "
                        f"Received {known[key]!r} and {value!r}."
                    )
    return out
