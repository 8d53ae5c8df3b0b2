"""Writes ``tests/golden/ensemble_v1`` and its probabilities: once per format version, never to make a test pass.

python -m tests.models.write_golden
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from aio_tune.models.ensemble import Ensemble, EnsembleSpec, Member, hash_patients
from aio_tune.training import FoldSpec, FoldTrainer
from aio_tune.training.fold import MODEL, PREPROCESSING
from tests.models.small import CLASSES, GENES, samples

FOLDER = Path(__file__).parents[1] / "golden" / "ensemble_v1"
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


def main() -> None:
    x, y = samples()
    rows = np.arange(len(y))
    with tempfile.TemporaryDirectory() as name:
        members = []
        for fold, params in enumerate((NETWORK, {**NETWORK, "scaling": "minmax", "layout": "1d"})):
            held_out = rows // 2 % 2 == fold
            trainer = FoldTrainer(params, x, y, FoldSpec(fold, rows[~held_out], rows[held_out]), CLASSES, seed=fold)
            trainer.train_to(12)
            folder = Path(name) / str(fold)
            trainer.export(folder)
            members.append(Member(fold, folder / MODEL, folder / PREPROCESSING))
        spec = EnsembleSpec(
            "ki67",
            CLASSES,
            GENE_NAMES,
            x.mean(axis=0),
            hash_patients(["golden:1"]),
            frozenset({"0" * 64}),
            {"search": "golden"},
        )
        Ensemble.save(FOLDER, members, spec)
    probabilities = Ensemble.load(FOLDER).predict(unseen()).fold_probabilities
    (FOLDER / "expected.json").write_text(json.dumps({"fold_probabilities": probabilities.tolist()}) + "\n")


if __name__ == "__main__":
    main()
