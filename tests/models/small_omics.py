"""Small data of two kinds: what expression does not tell of the label, methylation does."""

import numpy as np
import numpy.typing as npt

from tests.models.small import GENES, samples

KINDS = ("expression", "methylation")


def omics_samples(
    n: int = 44, seed: int = 0, missing: tuple[int, ...] = (4, 7, 20, 33)
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """Expression that tells nothing and beta values that do, shape (n, 2 * GENES), read-only; labels.

    The patients ``missing`` have no methylation, and nobody has that of the last gene.
    """
    _, labels = samples(n, seed=seed)
    random = np.random.default_rng(seed + 1)
    expression = random.normal(4, 1, (n, GENES))
    methylation = random.normal(0.5, 0.1, (n, GENES))
    methylation[:, :6] += np.where(labels, 0.1, -0.1)[:, None]
    methylation = methylation.clip(0, 1)
    methylation[list(missing)] = np.nan
    methylation[:, -1] = np.nan
    x = np.concatenate([expression, methylation], axis=1).astype(np.float32)
    x.setflags(write=False)
    return x, labels
