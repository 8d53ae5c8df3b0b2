"""A dataset as one AnnData file, for scanpy and everything else that reads ``.h5ad``.

What is where in the file is written down in ``aio_tune.cohorts.exported``, which is what reads it back. Elements are
written by anndata's own ``write_elem``, with text as plain strings and categories: every anndata since 0.8 reads them.
"""

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aio_tune.cohorts.exported import FORMAT, KEY, kind_hashes, kind_sha256
from aio_tune.dataset.opened import AioDataset
from aio_tune.dataset.replacing import new_file
from aio_tune.errors import DatasetError
from aio_tune.kinds import EXPRESSION

if TYPE_CHECKING:
    import pandas as pd

SUFFIX = ".h5ad"


def check_export_target(path: Path, force: bool = False) -> None:
    """Refuse a file that must not be written; worth calling before long work.

    Raises:
        DatasetError: the name does not end in ``.h5ad``, there is a file and ``force`` is False, or it is no file.
    """
    if path.suffix != SUFFIX:
        raise DatasetError(f"Expected a file name that ends in {SUFFIX}. Received {path.name}.")
    if path.exists() and not path.is_file():
        raise DatasetError(f"Expected a new file at {path}. Received something else of that name.")
    if path.exists() and not force:
        raise DatasetError(
            f"Expected a new file at {path}. Received one that is there already.",
            "Choose another name, or replace it with --force.",
        )


def export_h5ad(dataset: AioDataset, path: Path, *, force: bool = False) -> Path:
    """Write a dataset as an AnnData file, whose elements ``aio_tune.cohorts.exported`` describes.

    Samples are called by their ids, and where two cohorts share one by ``cohort:id``. The file appears under its name
    only when it is whole and on the disk. The same dataset gives the same file, byte for byte, as long as anndata and
    h5py are the same. Takes the matrix in memory twice, 8 bytes per value.

    Args:
        dataset: what to export; rows and genes keep their order.
        path: the file to make, ``.h5ad``; its parents are made too.
        force: replace a file that is there.

    Returns:
        The file's absolute path.

    Raises:
        DatasetError: there is a file at ``path``, a shard cannot be read, or the disk refused.
    """
    path = Path(path).resolve()
    check_export_target(path, force)
    image = _image(dataset)
    try:
        with new_file(path, lambda: check_export_target(path, force)) as partial:
            partial.write_bytes(image.getbuffer())
    except OSError as error:
        raise DatasetError(
            f"Expected to write {path}. Received: {error.strerror or error}.",
            "Make room or choose another folder; nothing was left behind.",
        ) from error
    return path


def _image(dataset: AioDataset) -> io.BytesIO:
    """The bytes of the file. Not written to the disk by HDF5 itself, which a full disk makes crash when it closes."""
    import h5py
    import pandas as pd
    from anndata.io import write_elem

    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file.attrs["encoding-type"] = "anndata"
        file.attrs["encoding-version"] = "0.1.0"
        write_elem(file, "X", dataset.matrix(kinds=(EXPRESSION,)))
        obs = _obs(dataset)
        for kind in dataset.kinds[1:]:
            values = dataset.matrix(kinds=(kind,))
            write_elem(file, f"layers/{kind}", values)
            obs[kind_sha256(kind)] = pd.Series(_plain(kind_hashes(values)), index=obs.index, dtype=object)
        write_elem(file, "obs", obs)
        write_elem(file, "var", _var(dataset))
        write_elem(file, "uns", {KEY: _facts(dataset)})
        for name in ("layers", "obsm", "obsp", "varm", "varp"):
            if name not in file:
                write_elem(file, name, {})
    return image


def _obs(dataset: AioDataset) -> "pd.DataFrame":
    """One row per sample."""
    import pandas as pd

    samples = dataset.samples()
    names = samples["sample_id"]
    if names.duplicated().any():
        names = samples["cohort"] + ":" + names
    obs = pd.DataFrame(index=_plain(names))
    for column in samples.columns:
        values = samples[column]
        if column in dataset.manifest.tasks:
            obs[column] = _categories(values, dataset.manifest.tasks[column].classes)
        elif column == "cohort":
            obs[column] = _categories(values, dataset.cohort_names)
        elif column == "platform":
            obs[column] = _categories(values, sorted(values.dropna().unique()))
        elif values.dtype.kind == "f":
            obs[column] = values.to_numpy(np.float64)
        else:
            obs[column] = pd.Series(_plain(values), index=obs.index, dtype=object)
    return obs


def _var(dataset: AioDataset) -> "pd.DataFrame":
    """One row per gene."""
    import pandas as pd

    genes = dataset.gene_table
    var = pd.DataFrame(index=_plain(genes.symbols))
    var["chromosome"] = _categories(genes.chroms, tuple(dict.fromkeys(genes.chroms)))
    var["tss"] = genes.tss
    return var


def _facts(dataset: AioDataset) -> dict[str, object]:
    """What the file says of itself."""
    provenance = dataset.manifest.facts()
    del provenance["shards"]
    for in_var in ("symbols", "chroms", "tss"):
        del provenance["genes"][in_var]
    return {
        "format": FORMAT,
        "format_version": dataset.manifest.format_version,
        "unit": dataset.unit,
        "fingerprint": dataset.fingerprint,
        "provenance": json.dumps(provenance, indent=1, allow_nan=False),
    }


def _plain(texts: Any) -> "pd.Index":
    """Text as Python's own strings: pandas' string columns are stored in a way that older releases do not read."""
    import pandas as pd

    return pd.Index(np.array(list(texts), dtype=object), dtype=object)


def _categories(values: Any, categories: Any) -> "pd.Categorical":
    import pandas as pd

    codes = pd.Index(categories, dtype="str").get_indexer(pd.Index(list(values), dtype="str"))
    return pd.Categorical.from_codes(codes, categories=_plain(categories))
