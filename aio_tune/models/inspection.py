"""Whether an ensemble folder is whole, and of the genes and layouts that it was registered with; loads no network."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aio_tune.models.ensemble_files import Description, checked_file, read_description
from aio_tune.preprocess import Preprocessor

GENES_TAG, LAYOUTS_TAG, FOLDS_TAG = "aio.genes", "aio.layouts", "aio.folds"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: in words.
        value: a number that goes with it: of files, genes or folds.
        passed: whether it is as it should be.
    """

    what: str
    value: float
    passed: bool


def fingerprints(folder: Path) -> dict[str, str]:
    """Tags for a version: sha256 (hex) of the genes in order, and of every fold's layout.

    Raises:
        RegistryError: it is not an ensemble folder, or damaged.
    """
    description = read_description(folder)
    return {GENES_TAG: _of_genes(description), LAYOUTS_TAG: _of_layouts(folder, description)}


def inspect_ensemble(folder: Path, tags: Mapping[str, str]) -> list[Finding]:
    """Look at an ensemble folder before its version is promoted.

    Args:
        folder: the folder.
        tags: of the registered version; what an earlier release did not write there is not compared.

    Raises:
        RegistryError: it is not an ensemble folder, a file is missing, a link, or not of its recorded sha256.
    """
    description = read_description(folder)
    files = [
        checked_file(folder, file, True)
        for member in description.members
        for file in (member.model, member.preprocessing)
    ]
    findings = [Finding("every file of its recorded sha256", len(files), True)]
    folds = len({member.fold for member in description.members})
    expected = int(tags[FOLDS_TAG]) if FOLDS_TAG in tags else len(description.members)
    findings.append(Finding(f"all {expected} folds", folds, folds == expected == len(description.members)))
    if GENES_TAG in tags:
        same = _of_genes(description) == tags[GENES_TAG]
        findings.append(Finding("genes as registered", len(description.genes), same))
    if LAYOUTS_TAG in tags:
        same = _of_layouts(folder, description) == tags[LAYOUTS_TAG]
        findings.append(Finding("layouts as registered", folds, same))
    return findings


def _of_genes(description: Description) -> str:
    return hashlib.sha256("\n".join(description.genes).encode()).hexdigest()


def _of_layouts(folder: Path, description: Description) -> str:
    digest = hashlib.sha256()
    for member in description.members:
        layout = Preprocessor.load(checked_file(folder, member.preprocessing, True)).layout
        digest.update(f"{member.fold} {layout.name} {layout.shape}\n".encode() + layout.order.astype("<i4").tobytes())
    return digest.hexdigest()
