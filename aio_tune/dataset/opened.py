"""Reading a dataset folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aio_tune.cohorts.assemble import GeneTable
from aio_tune.dataset.manifest import Manifest, ShardEntry, read_manifest
from aio_tune.dataset.shards import check_shard, read_expression, read_samples, sample_columns, verify_shard
from aio_tune.errors import DatasetError
from aio_tune.tasks import Task

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class AioDataset:
    """An AIO dataset folder whose manifest and shard footers have been checked.

    ``samples``, ``matrix`` and ``ray_dataset`` take the cohorts to read, by name; None is all of them. Rows come
    cohort by cohort in the manifest's order, whatever the order of the names, and within a cohort in the order of its
    files, so rows of ``samples`` and ``matrix`` belong together.

    Attributes:
        path: the folder, absolute.
        manifest: what it holds.
        fingerprint: sha256 (hex) of the manifest, which holds the sha256 of every shard: equal fingerprints mean
            equal datasets.
    """

    path: Path
    manifest: Manifest
    fingerprint: str

    @property
    def genes(self) -> tuple[str, ...]:
        """Symbols in the order of the columns of expression, and of any other kind."""
        return self.manifest.genes.symbols

    @property
    def gene_table(self) -> GeneTable:
        """Symbols, chromosomes and transcription starts, in the order of ``genes``."""
        genes = self.manifest.genes
        tss = np.array(genes.tss, np.int64)
        files = (genes.source, genes.source_sha256, genes.aliases, genes.aliases_sha256)
        return GeneTable(genes.symbols, genes.chroms, tss, *files)

    @property
    def cohort_names(self) -> tuple[str, ...]:
        return tuple(cohort.name for cohort in self.manifest.cohorts)

    @property
    def unit(self) -> str:
        """What one value of expression means; the units of other kinds are in the manifest."""
        return self.manifest.unit

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of omics: expression, and then those that the manifest lists."""
        return self.manifest.kind_names

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """The questions whose labels it has, by name."""
        return {name: Task(name, entry.title, entry.classes) for name, entry in self.manifest.tasks.items()}

    def task(self, name: str) -> Task:
        """The question of this name.

        Raises:
            DatasetError: the dataset does not have its labels.
        """
        if name not in self.tasks:
            raise DatasetError(
                f"Expected a task of the dataset, one of {', '.join(self.tasks)}. Received {name!r}.",
                "Prepare it again, with --task FILE for a task of your own.",
            )
        return self.tasks[name]

    @property
    def columns(self) -> tuple[str, ...]:
        """What the columns of ``matrix`` are: the genes, and then ``methylation:TP53`` for every further kind."""
        return (*self.genes, *(f"{kind}:{gene}" for kind in self.kinds[1:] for gene in self.genes))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the cohorts' readers want the user told, each after its cohort's name."""
        return tuple(f"{cohort.name}: {note}" for cohort in self.manifest.cohorts for note in cohort.notes)

    def simulated(self, cohorts: Sequence[str] | None = None) -> bool:
        """Whether any of these cohorts was simulated.

        Raises:
            DatasetError: a cohort is not in the dataset.
        """
        chosen = self._chosen(cohorts)
        return any(cohort.simulated for cohort in self.manifest.cohorts if cohort.name in chosen)

    def samples(self, cohorts: Sequence[str] | None = None) -> "pd.DataFrame":
        """One row per sample, without its expression.

        Returns:
            Columns ``cohort``, ``sample_id``, ``patient_id``, one per task (class name or NaN), ``survival_days``,
            ``survival_event`` (float, NaN where missing), ``platform``, ``profile_sha256``; a plain range as index.

        Raises:
            DatasetError: a cohort is not in the dataset, or a shard cannot be read.
        """
        import pandas as pd

        tasks = tuple(self.manifest.tasks)
        frames = [read_samples(self.path, shard, tasks) for shard in self.shards(cohorts)]
        if not frames:
            return pd.DataFrame(columns=list(sample_columns(tasks)))
        return pd.concat(frames, ignore_index=True)

    def matrix(
        self, cohorts: Sequence[str] | None = None, kinds: Sequence[str] | None = None
    ) -> npt.NDArray[np.float32]:
        """Expression as log2(TPM+1) and beside it every further kind, C-contiguous, rows as in ``samples``.

        Takes 4 bytes per value, 64 KiB per sample and kind at 16,384 genes, and hardly more.

        Args:
            cohorts: which to read; None is all.
            kinds: which to read, in this order; None is all, in the order of ``kinds``.

        Returns:
            Shape (n_samples, n_kinds * n_genes), the kinds side by side; NaN where a kind was not measured, which
            expression always was.

        Raises:
            DatasetError: a cohort or a kind is not in the dataset, or a shard cannot be read.
        """
        kinds = self._chosen_kinds(kinds)
        shards = self.shards(cohorts)
        matrix = np.empty((sum(shard.rows for shard in shards), len(kinds) * len(self.genes)), np.float32)
        start = 0
        for shard in shards:
            read_expression(self.path, shard, matrix[start : start + shard.rows], kinds)
            start += shard.rows
        return matrix

    def ray_dataset(self, cohorts: Sequence[str] | None = None) -> Any:
        """A ``ray.data.Dataset`` that streams the shards; for a fold's rows alone see ``distributed.fold_dataset``.

        Same columns and rows as ``samples``, and ``expression``, shape (n_genes,) per row, and ``omics_<kind>``
        likewise for every further kind. Ray promises no order of blocks: go by ``cohort`` and ``sample_id``. On a
        cluster every node must see the folder under the same path.

        Raises:
            DatasetError: a cohort is not in the dataset, or none is asked for.
        """
        paths = [str(self.path / shard.path) for shard in self.shards(cohorts)]
        if not paths:
            raise DatasetError("Expected at least one cohort to stream. Received none.")
        import ray.data

        return ray.data.read_parquet(paths, partitioning=None)

    def verify(self) -> None:
        """Read every shard and compare its sha256 with the manifest's.

        Raises:
            DatasetError: a shard is not as it was written.
        """
        for shard in self.manifest.shards:
            verify_shard(self.path, shard)

    def _chosen(self, cohorts: Sequence[str] | None) -> frozenset[str]:
        chosen = frozenset(self.cohort_names if cohorts is None else cohorts)
        unknown = sorted(chosen - set(self.cohort_names))
        if unknown:
            raise DatasetError(
                f"Expected cohorts of the dataset, {', '.join(self.cohort_names)}. Received {', '.join(unknown)}."
            )
        return chosen

    def _chosen_kinds(self, kinds: Sequence[str] | None) -> tuple[str, ...]:
        chosen = self.kinds if kinds is None else tuple(kinds)
        unknown = [kind for kind in chosen if kind not in self.kinds]
        if unknown or not chosen:
            raise DatasetError(
                f"Expected kinds of omics of the dataset, {', '.join(self.kinds)}. "
                f"Received {', '.join(unknown) or 'none'}."
            )
        return chosen

    def shards(self, cohorts: Sequence[str] | None = None) -> list[ShardEntry]:
        """Shards in the order of the rows.

        Raises:
            DatasetError: a cohort is not in the dataset.
        """
        chosen = self._chosen(cohorts)
        return [
            shard
            for cohort in self.manifest.cohorts
            if cohort.name in chosen
            for shard in self.manifest.shards
            if shard.cohort == cohort.name
        ]


def open_dataset(path: Path, verify: bool = False) -> AioDataset:
    """Open a dataset folder.

    Always checks the manifest (format version, fingerprint, completeness) and each shard's presence, size, row count
    and columns; the values themselves are guarded by page checksums whenever they are read.

    Args:
        path: the folder.
        verify: also read every shard and compare its sha256.

    Raises:
        DatasetError: the folder is missing, damaged or of an unknown format version.
    """
    path = Path(path).resolve()
    dataset = AioDataset(path, *read_manifest(path))
    if verify:
        dataset.verify()  # first: of a damaged shard the footer may be what is damaged
    for shard in dataset.manifest.shards:
        check_shard(path, shard, dataset.manifest)
    return dataset
