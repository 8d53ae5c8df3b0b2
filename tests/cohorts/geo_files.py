"""Small GEO files, written inline by the tests."""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

GENES = ("AAA", "BBB", "CCC")


def expression_text(samples: Sequence[str], genes: Sequence[str] = GENES, delimiter: str = ",") -> str:
    """log2(FPKM+0.1) that differ between samples and genes; the last gene lies at the floor in the first sample."""
    lines = [delimiter.join(["", *samples])]
    for g, gene in enumerate(genes):
        cells = [-3.3219 if (g, s) == (len(genes) - 1, 0) else 1.5 * g + 0.25 * s + 0.1 for s in range(len(samples))]
        lines.append(delimiter.join([gene, *map(str, cells)]))
    return "\n".join(lines) + "\n"


def matrix_text(
    titles: Sequence[str],
    characteristics: Sequence[Sequence[str]],
    platform: str | None = "GPL11154",
    series_block: bool = True,
    quote: str = '"',
) -> str:
    """A series matrix; ``characteristics`` holds whole lines of ``key: value`` cells."""

    def line(field: str, cells: Sequence[str]) -> str:
        return "\t".join([field, *(f"{quote}{cell}{quote}" for cell in cells)])

    lines = [line("!Series_title", ["A series"]), ""] if series_block else []
    lines.append(line("!Sample_title", titles))
    lines += [line("!Sample_characteristics_ch1", cells) for cells in characteristics]
    if platform:
        lines.append(line("!Sample_platform_id", [platform] * len(titles)))
    lines += ["!series_matrix_table_begin", line('"ID_REF"', titles), "!series_matrix_table_end"]
    return "\n".join(lines) + "\n"


def rows(values: Mapping[str, Sequence[object]]) -> list[list[str]]:
    """Characteristics lines from key -> one value per sample."""
    return [[f"{key}: {value}" for value in cells] for key, cells in values.items()]


def write_gz(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode(), mtime=0))
    return path


def scan_b(
    folder: Path,
    titles: Sequence[str] = ("F1", "F2", "F3"),
    ki67: Sequence[object] = (0, 1, "NA"),
    nhg: Sequence[object] = ("G1", "G3", "NA"),
    platform: str = "GPL11154",
) -> Path:
    """The series matrix of one sequencer of GSE96058."""
    n = len(titles)
    values = {
        "er status": [1] * n,
        "ki67 status": ki67,
        "nhg": nhg,
        "overall survival days": [100 + i for i in range(n)],
        "overall survival event": [i % 2 for i in range(n)],
    }
    path = folder / f"GSE96058-{platform}_series_matrix.txt.gz"
    return write_gz(path, matrix_text(titles, rows(values), platform))


def scan_b_expression(folder: Path, text: str) -> Path:
    return write_gz(folder / "GSE96058_gene_expression_3_samples_transformed.csv.gz", text)
