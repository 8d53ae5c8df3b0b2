"""Writes ``tests/golden/h5ad``: the same small cohort as different releases of anndata leave it.

Run with a Python that has that release, not with the project's own: python write_golden_h5ad.py FOLDER KIND

    anndata_0.7.8_csr.h5ad      Python 3.8, tables as before 0.8
    anndata_0.10.9_csc.h5ad     Python 3.10
    anndata_0.13.4_dense.h5ad   Python 3.13 with pandas 3, nullable strings, numbers and truth values
"""

import sys
import warnings

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

warnings.simplefilter("ignore")
KINDS = {"dense": np.asarray, "csr": sparse.csr_matrix, "csc": sparse.csc_matrix}
folder, kind = sys.argv[1:]
release = anndata.__version__
x = np.asarray([[1.5, 0, 3], [0, 4.25, 0], [2, 5, 0.5]], dtype="float32")
obs = pd.DataFrame(
    {
        "Patient": ["P1", "P1", "P2"],
        "Ki67": pd.Categorical(["0", None, "1"]),
        "Grade": [1, 2, 3],
        "Days": [10, 20.5, np.nan],
        "Dead": [1.0, 0.0, np.nan],
        "Old": [True, False, True],
    },
    index=["S1", "S2", "S3"],
)
var = pd.DataFrame(
    {
        "gene_name": ["one", "two", "one"],
        "chromosome": ["chr2", "chrX", "chrM"],
        "start": [10, 20, 30],
        "end": [15, 25, 35],
        "strand": pd.Categorical(["-", "+", "+"]),
    },
    index=["AAA", "BBB", "CCC"],
)
if kind == "dense":
    obs["Dead"] = pd.array([1, 0, None], dtype="Int64")
    obs["Old"] = pd.array([True, False, None], dtype="boolean")
    obs["Patient"] = pd.array(["P1", "P1", "P2"], dtype="string")
    anndata.settings.allow_write_nullable_strings = True
data = anndata.AnnData(X=KINDS[kind](x), obs=obs, var=var, layers={"tpm": KINDS[kind](np.exp2(x) - 1)})
data.uns["written by"] = "a test"
data.write_h5ad(f"{folder}/anndata_{release}_{kind}.h5ad")
