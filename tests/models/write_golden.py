"""Writes ``tests/golden/ensemble_v1`` or ``_v2`` and its probabilities: once each, never to make a test pass.

python -m tests.models.write_golden 2
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from aio_tune.models.ensemble import Ensemble
from aio_tune.models.ensemble_files import EnsembleSpec, Member, hash_patients
from aio_tune.training import FoldSpec, FoldTrainer
from aio_tune.training.checkpoint import MODEL, PREPROCESSING
from tests.models.small import CLASSES, GENES, samples
from tests.models.small_omics import KINDS, omics_samples

FOLDER = Path(__file__).parents[1] / "golden" / "ensemble_v1"
FOLDER_2 = FOLDER.with_name("ensemble_v2")
GENE_NAMES = tuple(f"GENE{i}" for i in range(GENES))
NETWORK = {
    "filters": 1, "depth": 1, "embedding_width": 4, "fc_widths": [8, 4], "dropout": 0.0, "input_dropout": 0.0,
    "learning_rate": 1e-2, "batch_size": 8,
}  # fmt: skip


def unseen() -> pd.DataFrame:
    """Three samples; the second gene is missing, and the columns are in another order than the model's."""
    x, _ = samples(3, seed=8)
    frame = pd.DataFrame(x, columns=list(GENE_NAMES), index=["a", "b", "c"])
    return frame.drop(columns="GENE1")[[name for name in reversed(GENE_NAMES) if name != "GENE1"]]


def unseen_omics() -> pd.DataFrame:
    """Three samples: one without methylation, all without that of two genes; columns in another order."""
    x, _ = omics_samples(3, seed=8, missing=(1,))
    columns = [*GENE_NAMES, *(f"methylation:{name}" for name in GENE_NAMES)]
    frame = pd.DataFrame(x, columns=columns, index=["a", "b", "c"])
    return frame[list(reversed(columns))].drop(columns="methylation:GENE2")


def main(version: int) -> None:
    """Version 2 is of two kinds of omics."""
    folder_of_version = FOLDER if version == 1 else FOLDER_2
    x, y = samples() if version == 1 else omics_samples()
    kinds = KINDS[:version]
    rows = np.arange(len(y))
    with tempfile.TemporaryDirectory() as name:
        members = []
        for fold, params in enumerate((NETWORK, {**NETWORK, "scaling": "minmax", "layout": "1d"})):
            held_out = rows // 2 % 2 == fold
            spec_of_fold = FoldSpec(fold, rows[~held_out], rows[held_out])
            trainer = FoldTrainer(params, x, y, spec_of_fold, CLASSES, seed=fold, kinds=kinds)
            trainer.train_to(12)
            folder = Path(name) / str(fold)
            trainer.export(folder)
            members.append(Member(fold, folder / MODEL, folder / PREPROCESSING))
        spec = EnsembleSpec(
            "ki67",
            CLASSES,
            GENE_NAMES,
            x[:, :GENES].mean(axis=0),
            hash_patients(["golden:1"]),
            frozenset({"0" * 64}),
            {"search": "golden"},
            dict.fromkeys(kinds[1:], "beta"),
        )
        Ensemble.save(folder_of_version, members, spec)
    frame = unseen() if version == 1 else unseen_omics()
    probabilities = Ensemble.load(folder_of_version).predict(frame).fold_probabilities
    (folder_of_version / "expected.json").write_text(json.dumps({"fold_probabilities": probabilities.tolist()}) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
