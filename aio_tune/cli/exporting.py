"""The command that hands a dataset to other tools: export."""

from pathlib import Path
from typing import Annotated

import typer

from aio_tune.cli.console import command_line, say


def export(
    dataset_path: Annotated[Path, typer.Argument(metavar="DATASET", help="An AIO dataset.")],
    to: Annotated[Path, typer.Option("--to", metavar="FILE.h5ad", help="The AnnData file to make.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a dataset as one AnnData file (.h5ad), for scanpy and other tools.

    In a folder of its own, `prepare` reads the file back, bit for bit.

    Example: aio-tune export dataset --to h5ad/dataset.h5ad
    """
    from aio_tune.dataset import open_dataset
    from aio_tune.dataset.h5ad import check_export_target, export_h5ad

    check_export_target(to, force)
    dataset = open_dataset(dataset_path)
    export_h5ad(dataset, to, force=force)
    cohorts = dataset.manifest.cohorts
    names = ", ".join(f"{cohort.name}{' (simulated)' if cohort.simulated else ''}" for cohort in cohorts)
    profiles = sum(cohort.samples for cohort in cohorts)
    say(f"{to}: {profiles:,} profiles x {len(dataset.genes):,} genes, {dataset.unit}, cohorts {names}.")
    script = f'import anndata; print(anndata.read_h5ad("{to}"))'
    say(f"Next: {command_line('python', '-c', script)}")
