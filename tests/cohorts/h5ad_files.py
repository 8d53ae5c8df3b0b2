"""Small AnnData files for the tests, written element by element as any release of anndata would."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem

X = np.float32([[1.5, 0, 3], [0, 4.25, 0], [2, 5, 0.5]])
OBS = {
    "Patient": ["P1", "P1", "P2"],
    "Batch": ["one", "two", "one"],
    "Ki67": ["0", "NA", "1"],
    "Grade": [1, 2, 3],
    "Days": [10.0, 20.5, np.nan],
    "Dead": [True, False, True],
}
VAR = {"gene_name": ["one", "two", "one"], "chromosome": ["chr2", "chrX", "chr1"], "tss": [15, 20, 30]}
ANNDATA_YAML = """\
name: ours
expression: {unit: log2(TPM+1)}
clinical: {patient: Patient, platform: Batch, survival_days: Days, survival_event: Dead}
labels:
  ki67: {column: Ki67, classes: {"0": negative, "1": positive}}
  nhg: {column: Grade, classes: {"1": G1, "2": G2, "3": G3}}
"""


def frame(names: list[str], columns: Mapping[str, Any]) -> pd.DataFrame:
    """A table with its text as Python's strings, which every release of anndata writes."""
    table = pd.DataFrame(index=pd.Index(np.array(names, dtype=object), dtype=object))
    for name, cells in columns.items():
        values = np.asarray(cells)
        table[name] = (
            pd.Series(values.astype(object), table.index, dtype=object) if values.dtype.kind == "U" else values
        )
    return table


def write_h5ad(
    path: Path,
    x: Any = X,
    *,
    samples: list[str] | None = None,
    genes: list[str] | None = None,
    obs: Mapping[str, Any] = OBS,
    var: Mapping[str, Any] = VAR,
    layers: Mapping[str, Any] | None = None,
    uns: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a file; ``x`` of None leaves ``X`` out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["encoding-type"] = "anndata"
        file.attrs["encoding-version"] = "0.1.0"
        if x is not None:
            write_elem(file, "X", x)
        write_elem(file, "obs", frame(samples or ["S1", "S2", "S3"], obs))
        write_elem(file, "var", frame(genes or ["AAA", "BBB", "CCC"], var))
        write_elem(file, "layers", dict(layers or {}))
        write_elem(file, "uns", dict(uns or {}))
    return path


def write_h5ad_example(folder: Path) -> Path:
    """A folder with a file and its description."""
    write_h5ad(folder / "ours.h5ad")
    (folder / "anndata.yaml").write_text(ANNDATA_YAML)
    return folder
