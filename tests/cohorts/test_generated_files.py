"""The files that benchmarks/prepare.py makes are what it says they are."""

import gzip
import re
from pathlib import Path

import numpy as np

from aio_tune.cohorts import find_positions, read_folder, read_positions
from benchmarks.prepare import EXPRESSION, FLOOR, generate, titles


def test_generated_files_are_a_series_with_full_precision_text(tmp_path: Path) -> None:
    size = generate(tmp_path, genes=210, samples=69)
    text = gzip.decompress((tmp_path / EXPRESSION).read_bytes()).decode()
    assert len(text) == size
    lines = text.splitlines()
    assert len(lines) == 211
    assert lines[0].split(",")[1:] == titles(69)
    cells = [line.split(",")[1:] for line in lines[1:]]
    assert {len(row) for row in cells} == {69}
    flat = [cell for row in cells for cell in row]
    assert all(re.fullmatch(r"-?\d+\.\d+(e-\d+)?", cell) for cell in flat)
    assert np.mean([len(cell.lstrip("-0.").replace(".", "")) >= 14 for cell in flat]) > 0.95
    assert 0.15 < flat.count(f"{FLOOR:.15g}") / len(flat) < 0.25

    hiseq, nextseq = read_folder(tmp_path)
    assert len(hiseq.subjects) + len(nextseq.subjects) == 69 - sum("repl" in title for title in titles(69))
    position = titles(69).index(hiseq.clinical.index[3])
    np.testing.assert_array_equal(hiseq.expression[3], np.float32([float(row[position]) for row in cells]))
    assert all(gene in read_positions(find_positions([tmp_path])) for gene in hiseq.genes)
