"""The AIO dataset on disk: cohorts on one scale, with one list of genes in one order.

Format v1 is a folder::

    manifest.json                  what the folder holds; see ``aio_tune.dataset.manifest.Manifest``
    shards/GSE96058-00000.parquet  up to 512 rows, one per sample
    shards/GSE96058-00001.parquet
    shards/GSE81538-00000.parquet

Columns of a shard: ``cohort``, ``sample_id``, ``patient_id``, one text column per task of the manifest (class name or
null), ``survival_days`` and ``survival_event`` (float64 or null), ``platform``, ``profile_sha256``, and
``expression``: the sample's log2(TPM+1) values in the manifest's gene order, float32, one fixed-size tensor
(``arrow.fixed_shape_tensor``) per row. A profile's sha256 is that of those values as little-endian float32.

Format v2 is v1 with further kinds of omics: ``kinds`` in the manifest (name, unit, how many samples of each cohort have
it) and, behind ``expression``, one column ``omics_<kind>`` for each in that order, of the same type and genes. What was
not measured is NaN: the whole row of a sample, or a gene in all rows of a cohort. A dataset of expression alone is
written as v1, byte for byte as before there was v2. A profile's sha256 is that of its expression in both.

Only what does not depend on which samples are in training is stored: scaling is fitted later, fold by fold.

The promise: every later version of aio_tune opens every v1 and v2 folder; ``tests/golden/dataset_v1`` and
``dataset_v2`` are two, kept for good.
The other way round, a folder of a later format version is refused with a line that says so. The manifest carries its
own sha256 (``fingerprint``) and that of each shard: an edited manifest is always refused, and an edited shard at the
latest by ``open_dataset(..., verify=True)``. Accidental damage of the values is noticed whenever they are read.
"""

from aio_tune.dataset.again import unchanged
from aio_tune.dataset.manifest import (
    FORMAT_VERSION,
    CohortEntry,
    GeneEntries,
    KindEntry,
    Manifest,
    ShardEntry,
    TableOneEntry,
    TaskEntry,
)
from aio_tune.dataset.opened import AioDataset, open_dataset
from aio_tune.dataset.replacing import check_target
from aio_tune.dataset.shards import ROWS_PER_SHARD
from aio_tune.dataset.stored import StoredRows, forget_unused
from aio_tune.dataset.writing import write_dataset
from aio_tune.expression import profile_hashes

__all__ = [
    "FORMAT_VERSION",
    "ROWS_PER_SHARD",
    "AioDataset",
    "CohortEntry",
    "GeneEntries",
    "KindEntry",
    "Manifest",
    "ShardEntry",
    "StoredRows",
    "TableOneEntry",
    "TaskEntry",
    "check_target",
    "forget_unused",
    "open_dataset",
    "profile_hashes",
    "unchanged",
    "write_dataset",
]
