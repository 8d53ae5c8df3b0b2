"""Networks and data small enough to be built in a moment."""

from typing import Any

import numpy as np
import numpy.typing as npt

GENES = 24  # drawn as 5 x 5 pixels, one of them padding
CLASSES = ("negative", "positive")

TINY: dict[str, Any] = {
    "filters": 2,
    "depth": 1,
    "embedding_width": 4,
    "fc_widths": (6, 5, 4, 3),
    "learning_rate": 1e-2,
    "batch_size": 8,
}


def samples(n: int = 44, n_classes: int = 2, seed: int = 0) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """Expression, shape (n, GENES), log2(TPM+1), read-only, and labels that the first genes tell."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    x = random.normal(4, 1, (n, GENES))
    x[:, :6] += 2 * labels[:, None]
    x = x.astype(np.float32)
    x.setflags(write=False)
    return x, labels.astype(np.int8)
