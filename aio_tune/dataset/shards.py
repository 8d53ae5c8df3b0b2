"""Shards: Parquet files of up to 512 samples of one cohort."""

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aio_tune.dataset.manifest import Manifest, ShardEntry
from aio_tune.errors import DatasetError
from aio_tune.expression import profile_hashes
from aio_tune.files import sha256_of
from aio_tune.kinds import EXPRESSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

ROWS_PER_SHARD = 512
"""32 MiB at 16,384 genes: small enough to stream, large enough that a cohort is a handful of files."""

PIECE = 64
"""Rows unpacked at once when expression is read."""

_BUFFER = 1 << 20


def sample_columns(tasks: Sequence[str]) -> tuple[str, ...]:
    """Every column of a shard but those of kinds of omics, in order."""
    return (
        *("cohort", "sample_id", "patient_id"),
        *tasks,
        *("survival_days", "survival_event", "platform", "profile_sha256"),
    )


def kind_column(kind: str) -> str:
    """The column that holds a kind of omics."""
    return kind if kind == EXPRESSION else f"omics_{kind}"


def write_shard(
    path: Path,
    cohort: str,
    clinical: "pd.DataFrame",
    expression: npt.NDArray[np.float32],
    tasks: Sequence[str],
    kinds: Mapping[str, npt.NDArray[np.float32]],
) -> None:
    """Write one shard.

    Args:
        path: the file to write.
        cohort: name of the samples' cohort.
        clinical: rows of ``Cohort.clinical``, the index being the sample id.
        expression: their profiles, shape (len(clinical), n_genes).
        tasks: label columns to keep.
        kinds: further kinds of omics of these samples, each of the shape of ``expression``, NaN where not measured.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "cohort": pa.array([cohort] * len(clinical), pa.string()),
        "sample_id": pa.array(list(clinical.index), pa.string()),
        "profile_sha256": pa.array(profile_hashes(expression), pa.string()),
    }
    for name in ("patient_id", *tasks, "platform"):
        columns[name] = pa.array(clinical[name], pa.string(), from_pandas=True)
    for name in ("survival_days", "survival_event"):
        columns[name] = pa.array(clinical[name], pa.float64(), from_pandas=True)
    names = sample_columns(tasks)
    tensors = [
        pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(values, np.float32))
        for values in (expression, *kinds.values())
    ]
    table = pa.table(
        [columns[name] for name in names] + tensors, names=[*names, *map(kind_column, (EXPRESSION, *kinds))]
    )
    pq.write_table(
        table,
        path,
        compression="zstd",
        use_dictionary=list(names),  # expression values hardly repeat
        write_page_checksum=True,  # so that damage is noticed by whoever reads the values, not only on request
        row_group_size=ROWS_PER_SHARD,
    )


def check_shard(folder: Path, shard: ShardEntry, manifest: Manifest) -> None:
    """Presence, size, row count and columns of one shard, from its footer alone.

    Raises:
        DatasetError: one of them is not as the manifest says.
    """
    import pyarrow.parquet as pq

    path = _present(folder, shard)
    with _damage_named(path):
        size = path.stat().st_size
        if size != shard.bytes:
            raise DatasetError(f"Expected {shard.bytes} bytes in {path}. Received {size}.", _AGAIN)
        with pq.ParquetFile(path) as file:
            rows, schema = file.metadata.num_rows, file.schema_arrow
    if rows != shard.rows:
        raise DatasetError(f"Expected {shard.rows} rows in {path}. Received {rows}.", _AGAIN)
    kinds = [kind_column(kind) for kind in manifest.kind_names]
    expected = [*sample_columns(tuple(manifest.tasks)), *kinds]
    if schema.names != expected:
        raise DatasetError(f"Expected columns {expected} in {path}. Received {schema.names}.", _AGAIN)
    for column in kinds:
        _check_tensors(schema.field(column).type, len(manifest.genes.symbols), path)


def verify_shard(folder: Path, shard: ShardEntry) -> None:
    """Compare the sha256 of a shard's bytes with the manifest's.

    Raises:
        DatasetError: they differ, or the file cannot be read.
    """
    path = _present(folder, shard)
    with _damage_named(path):
        actual = sha256_of(path)
    if actual != shard.sha256:
        raise DatasetError(
            f"Expected sha256 {shard.sha256[:12]} of {path}. Received {actual[:12]}: the shard is damaged.", _AGAIN
        )


def read_samples(folder: Path, shard: ShardEntry, tasks: Sequence[str]) -> "pd.DataFrame":
    """The rows of one shard without their expression; missing text and numbers are NaN.

    Raises:
        DatasetError: the shard is missing or damaged.
    """
    return _read(_present(folder, shard), shard, list(sample_columns(tasks))).to_pandas()


def read_expression(
    folder: Path, shard: ShardEntry, into: npt.NDArray[np.float32], kinds: Sequence[str] = (EXPRESSION,)
) -> None:
    """Copy the expression of one shard, or several kinds of omics, into ``into``.

    Args:
        folder: of the dataset.
        shard: one of its shards.
        into: shape (shard.rows, n_kinds * n_genes); the kinds come to stand side by side.
        kinds: which, in this order.

    Raises:
        DatasetError: the shard is missing or damaged.
    """
    for start, values in expression_pieces(folder, shard, into.shape[1] // len(kinds), kinds):
        into[start : start + len(values)] = values


def expression_pieces(
    folder: Path, shard: ShardEntry, n_genes: int, kinds: Sequence[str] = (EXPRESSION,)
) -> "Iterator[tuple[int, npt.NDArray[np.float32]]]":
    """The expression of one shard, or several kinds of omics, by ``PIECE`` rows.

    Gives the first row's number in the shard, and the rows, shape (rows, n_kinds * n_genes), kinds side by side.
    Never more than a piece is unpacked, which is also three times as fast as a shard at once.

    Raises:
        DatasetError: the shard is missing or damaged.
    """
    import pyarrow.parquet as pq

    path = _present(folder, shard)
    columns = [kind_column(kind) for kind in kinds]
    start = 0
    with (
        _damage_named(path),
        pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False, buffer_size=_BUFFER) as file,
    ):
        for batch in file.iter_batches(batch_size=PIECE, columns=columns, use_threads=False):
            for name in columns:
                _check_tensors(batch.column(name).type, n_genes, path)
            parts = [batch.column(name).to_numpy_ndarray() for name in columns]
            yield start, parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
            start += len(batch)
    if start != shard.rows:
        raise DatasetError(f"Expected {shard.rows} rows in {path}. Received {start}.", _AGAIN)


def _present(folder: Path, shard: ShardEntry) -> Path:
    path = folder / shard.path
    if not path.is_file():
        raise DatasetError(f"Expected shard {path}. Received nothing: it is missing.", _AGAIN)
    return path


def _read(path: Path, shard: ShardEntry, columns: list[str]) -> Any:
    import pyarrow.parquet as pq

    with _damage_named(path):
        table = pq.read_table(path, columns=columns, page_checksum_verification=True, partitioning=None)
    if table.num_rows != shard.rows:
        raise DatasetError(f"Expected {shard.rows} rows in {path}. Received {table.num_rows}.", _AGAIN)
    return table


def _check_tensors(received: Any, n_genes: int, path: Path) -> None:
    import pyarrow as pa

    if received != pa.fixed_shape_tensor(pa.float32(), [n_genes]):
        raise DatasetError(f"Expected {n_genes} float32 values per sample in {path}. Received {received}.", _AGAIN)


@contextmanager
def _damage_named(path: Path) -> "Iterator[None]":
    """Turn what reading a damaged file raises into one line that names the file."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise DatasetError(f"Expected a readable shard at {path}. Received: {reason}.", _AGAIN) from error


_AGAIN = "Copy it again, or prepare the dataset again."
