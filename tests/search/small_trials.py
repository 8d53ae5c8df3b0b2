"""Trials that train for some tenths of a second."""

from pathlib import Path
from typing import Any

import numpy as np

from aio_tune.trial import SharedMatrix, TrialContext


def context_of(folder: Path, **changes: Any) -> TrialContext:
    """64 rows of noise, two classes, two folds; needs a Ray."""
    import ray

    rows = np.arange(64)
    expression = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    halves = tuple((rows[rows % 2 != fold], rows[rows % 2 == fold]) for fold in (0, 1))
    return TrialContext(
        **{
            "expression": SharedMatrix(ray.put(expression)),
            "labels": (rows // 2 % 2).astype(np.int8),
            "splits": (halves,),
            "classes": ("negative", "positive"),
            "metric": "auc",
            "rungs": ((2, 1),),
            "seed": 0,
            "deterministic": False,
            "trials_folder": folder / "trials",
            "layouts_folder": folder / "layouts",
            "folds_in_parallel": 1,
            "cpus_per_fold": 1,
            "gpus_per_fold": 0.0,
            **changes,
        }
    )


PARAMS = {"branches": "embedding", "embedding_width": 4, "fc_widths": [4]}
