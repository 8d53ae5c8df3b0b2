"""Writing a dataset folder: whole or not at all."""

import re
from pathlib import Path

import numpy as np

from aio_tune.cohorts.ahead import ahead
from aio_tune.cohorts.assemble import Assembly
from aio_tune.cohorts.base import Cohort
from aio_tune.cohorts.omics import OmicsUnit
from aio_tune.cohorts.progress import tell
from aio_tune.cohorts.table_one import table_one
from aio_tune.cohorts.units import Unit
from aio_tune.dataset.manifest import (
    MANIFEST,
    CohortEntry,
    GeneEntries,
    KindEntry,
    Manifest,
    ShardEntry,
    TableOneEntry,
    TaskEntry,
    release,
    to_json,
)
from aio_tune.dataset.opened import AioDataset, open_dataset
from aio_tune.dataset.replacing import check_target, new_folder, sync
from aio_tune.dataset.shards import ROWS_PER_SHARD, write_shard
from aio_tune.errors import DatasetError
from aio_tune.files import sha256_of


def write_dataset(
    assembly: Assembly,
    out: Path,
    *,
    n_genes: int | None = None,
    overwrite: bool = False,
) -> AioDataset:
    """Write an assembly of cohorts as a dataset folder: of format v1, or of v2 if it has kinds beside expression.

    The folder appears under its name only when it is whole and on the disk: it is written beside it, synced, then
    renamed. An interrupted writing leaves nothing, or, after a kill, a hidden ``.<name>.*.partial`` folder that the
    next writing to the same name removes.

    Args:
        assembly: cohorts on log2(TPM+1) with the same genes, in genomic order.
        out: the folder to make; its parents are made too.
        n_genes: how many genes were asked for at most, recorded for ``unchanged``; None is all.
        overwrite: replace a dataset that is there; anything else that is there is never touched.

    Returns:
        The dataset as opened from the disk.

    Raises:
        DatasetError: there is something at ``out``, the assembly is not what it must be, or the disk refused.
    """
    out = Path(out).resolve()
    check_target(out, overwrite)
    _check_assembly(assembly)
    prefixes = _file_prefixes([cohort.name for cohort in assembly.cohorts])
    kinds = assembly.kinds
    try:
        with new_folder(out, overwrite) as folder:
            (folder / "shards").mkdir()
            shards = _write_shards(folder, assembly.cohorts, prefixes, tuple(kinds))
            manifest = Manifest(
                format_version=2 if kinds else 1,
                package_version=release(),
                unit=Unit.LOG2_TPM_1.value,
                requested_genes=n_genes,
                genes=GeneEntries(
                    symbols=tuple(assembly.genes.symbols),
                    chroms=tuple(assembly.genes.chroms),
                    tss=tuple(int(position) for position in assembly.genes.tss),
                    source=assembly.genes.source,
                    source_sha256=assembly.genes.source_sha256,
                    aliases=assembly.genes.aliases,
                    aliases_sha256=assembly.genes.aliases_sha256,
                ),
                kinds=tuple(_kind_entry(kind, unit, assembly.cohorts) for kind, unit in kinds.items()),
                tasks={
                    name: TaskEntry(title=task.title, classes=task.classes, sha256=task.sha256)
                    for name, task in assembly.tasks.items()
                },
                cohorts=tuple(_cohort_entry(cohort) for cohort in assembly.cohorts),
                dropped=dict(assembly.dropped),
                dropped_genes={reason: genes for reason, genes in assembly.dropped_genes.items() if genes},
                shards=tuple(shards),
            )
            (folder / MANIFEST).write_text(to_json(manifest), "utf-8")
            sync(folder / MANIFEST, folder / "shards", folder)
    except OSError as error:
        raise DatasetError(
            f"Expected to write the dataset {out}. Received: {error.strerror or error}.",
            "Make room or choose another folder; nothing was left behind.",
        ) from error
    return open_dataset(out)


def _write_shards(folder: Path, cohorts: list[Cohort], prefixes: list[str], kinds: tuple[str, ...]) -> list[ShardEntry]:
    """Every cohort by ranges of samples, in order; a few shards at a time."""
    ranges = [
        (cohort, f"shards/{prefix}-{number:05d}.parquet", slice(start, start + ROWS_PER_SHARD))
        for cohort, prefix in zip(cohorts, prefixes, strict=True)
        for number, start in enumerate(range(0, len(cohort.clinical), ROWS_PER_SHARD))
    ]
    shards = []
    for shard in ahead(lambda one: _write_range(folder, kinds, *one), ranges):
        shards.append(shard)
        tell("writing the dataset", len(shards), len(ranges))
    return shards


def _write_range(folder: Path, kinds: tuple[str, ...], cohort: Cohort, name: str, rows: slice) -> ShardEntry:
    path = folder / name
    clinical = cohort.clinical.iloc[rows]
    expression = cohort.expression[rows]
    write_shard(
        path,
        cohort.name,
        clinical,
        expression,
        tuple(cohort.tasks),
        {
            kind: cohort.omics[kind].values[rows] if kind in cohort.omics else np.full_like(expression, np.nan)
            for kind in kinds
        },
    )
    sync(path)
    return ShardEntry(
        path=name, cohort=cohort.name, rows=len(clinical), bytes=path.stat().st_size, sha256=sha256_of(path)
    )


def _cohort_entry(cohort: Cohort) -> CohortEntry:
    return CohortEntry(
        name=cohort.name,
        samples=len(cohort.clinical),
        subjects=len(cohort.subjects),
        simulated=cohort.simulated,
        sources=dict(cohort.sources),
        notes=cohort.notes,
        table_one=TableOneEntry(
            subjects=table_one(cohort.subjects, cohort.tasks), profiled=table_one(cohort.clinical, cohort.tasks)
        ),
    )


def _kind_entry(kind: str, unit: OmicsUnit, cohorts: list[Cohort]) -> KindEntry:
    counts = {c.name: int(c.omics[kind].patients.sum()) if kind in c.omics else 0 for c in cohorts}
    return KindEntry(name=kind, unit=unit, profiles=counts)


def _check_assembly(assembly: Assembly) -> None:
    symbols = tuple(assembly.genes.symbols)
    if not assembly.cohorts:
        raise DatasetError("Expected at least one cohort to write. Received none.")
    for cohort in assembly.cohorts:
        if cohort.unit is not Unit.LOG2_TPM_1:
            raise DatasetError(f"Expected cohort {cohort.name} in {Unit.LOG2_TPM_1}. Received {cohort.unit}.")
        if cohort.genes != symbols:
            raise DatasetError(
                f"Expected the assembly's {len(symbols)} genes in cohort {cohort.name}. Received others."
            )
        shape = (len(cohort.clinical), len(symbols))
        if cohort.expression.shape != shape or min(shape) == 0:
            raise DatasetError(
                f"Expected expression of shape {shape}, not empty, in cohort {cohort.name}. "
                f"Received {cohort.expression.shape}."
            )
        if not all(bool(np.isfinite(row).all()) for row in cohort.expression):  # row by row: no second matrix
            raise DatasetError(f"Expected finite expression in cohort {cohort.name}. Received NaN or infinity.")
        for kind, one in cohort.omics.items():
            if one.values.shape != shape or np.isinf(one.values).any():
                raise DatasetError(
                    f"Expected {kind} of shape {shape}, numbers or NaN, in cohort {cohort.name}. "
                    f"Received {one.values.shape}{', and infinity' if np.isinf(one.values).any() else ''}."
                )
        if not cohort.clinical.index.is_unique:
            raise DatasetError(f"Expected each sample of cohort {cohort.name} once. Received one more than once.")


def _file_prefixes(names: list[str]) -> list[str]:
    """A file name per cohort, different even where the file system does not tell capitals from small letters."""
    prefixes = [re.sub(r"[^A-Za-z0-9_-]+", "_", name) for name in names]
    if len({prefix.lower() for prefix in prefixes}) != len(names) or "" in prefixes:
        raise DatasetError(
            f"Expected cohort names that differ in letters and digits. Received {', '.join(names)}.",
            "Rename one of the cohorts.",
        )
    return prefixes
