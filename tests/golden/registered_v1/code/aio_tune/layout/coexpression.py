"""Genes expressed together become neighbours in the picture.

Each gene's training profile is z-scored, so that the distance of two genes is a function of their correlation; PCA
takes away noise and cost; t-SNE (van der Maaten & Hinton, J Mach Learn Res 9:2579, 2008; Barnes-Hut, ibid. 15:3221,
2014) draws the genes as points in the plane; and the points are moved onto the grid by bisection.
"""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from aio_tune.layout.base import Genes, Layout, LayoutMaker, Shape, place
from aio_tune.layout.grids import Square

COMPONENTS = 50
"""Principal components that t-SNE sees at most."""
PERPLEXITY = 20.0
"""Effective number of neighbours of a gene."""
ANGLE = 0.8
"""Barnes-Hut's trade of accuracy for speed, 0.2 to 0.8 by scikit-learn's advice."""
ITERATIONS = 500
"""Steps of t-SNE.

These four were compared on 300 real profiles of 10,000 genes, fitted on 240 of them, by the mean correlation of grid
neighbours in the other 60 (one split, one seed) and the seconds of one core: .417 in 38 s, against .379 in 30 s for
(20, 10, 0.8, 400), .402 in 35 s for (30, 15, 0.8, 500), .416 in 79 s for (50, 30, 0.5, 500) and .061 for the shuffled
layout.
"""
MIN_GENES = 5
"""With fewer genes there is nothing to arrange, and t-SNE has no neighbours to look at."""

Points = npt.NDArray[np.float64]


class Coexpression(LayoutMaker):
    """The square of ``square``, with genes placed by co-expression in the training rows.

    Deterministic for given rows, seed, library versions and kind of machine: everything runs in one thread, since
    sums over several threads are added in an order that changes from run to run, and t-SNE magnifies it.
    Genes without variance in the training rows are alike to t-SNE and come to lie together.
    """

    name = "coexpression"
    fitted: ClassVar[bool] = True

    def shape(self, n_genes: int) -> Shape:
        return Square().shape(n_genes)

    def make(self, x_train: Genes, seed: int) -> Layout:
        n_genes = x_train.shape[1]
        shape = self.shape(n_genes)
        points = embed(x_train, seed)
        if points is None:
            return place(self.name, shape, np.arange(n_genes))
        return place(self.name, shape, to_grid(points, shape[1]))


def embed(x_train: Genes, seed: int) -> Points | None:
    """Place genes in the plane by the correlation of their profiles.

    Args:
        x_train: expression, shape (n, genes).
        seed: of PCA's random projections and of t-SNE.

    Returns:
        Shape (genes, 2); None where there is nothing to go by: fewer than ``MIN_GENES`` genes, or fewer than two
        directions in which they vary.
    """
    profiles = _z_scored(x_train).T
    components = min(COMPONENTS, *(side - 1 for side in profiles.shape))
    if len(profiles) < MIN_GENES or components < 2 or not profiles.any():
        return None

    from sklearn.decomposition import PCA  # late: models are used without scikit-learn
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    with threadpool_limits(limits=1):
        reduced = PCA(components, svd_solver="randomized", random_state=seed).fit_transform(profiles)
        # Starting from the plane of most variance keeps far groups in their places (Kobak & Berens, Nat Commun
        # 10:5416, 2019); they advise this small spread.
        start = reduced[:, :2] / max(float(reduced[:, 0].std()), np.finfo(np.float32).tiny) * 1e-4
        perplexity = min(PERPLEXITY, (len(profiles) - 1) / 3)
        tsne: Any = TSNE(
            perplexity=perplexity,
            angle=ANGLE,
            max_iter=ITERATIONS,
            init=start.astype(np.float32),
            random_state=seed,
        )
        return np.asarray(tsne.fit_transform(reduced), dtype=np.float64)


def to_grid(points: Points, width: int) -> npt.NDArray[np.intp]:
    """Move points onto the first cells of a grid, one point per cell, keeping neighbours together.

    The cells are halved across their longer side, the points are sorted along the same side and dealt in the same
    numbers, and so on with each half: at every scale the points of a region stay within a region.

    Args:
        points: shape (n, 2).
        width: cells in a row of the grid.

    Returns:
        Point index of each of the first n cells in C order, shape (n,).
    """
    n = len(points)
    cells = np.column_stack(np.divmod(np.arange(n), width))
    result = np.empty(n, dtype=np.intp)
    waiting = [(np.arange(n), np.arange(n))]  # pairs of cells and the points dealt to them
    while waiting:
        region, members = waiting.pop()
        if region.size == 1:
            result[region] = members
            continue
        corners = cells[region]
        axis = int(np.argmax(np.ptp(corners, axis=0)))
        middle = (corners[:, axis].min() + corners[:, axis].max()) / 2
        lower = corners[:, axis] <= middle
        ranked = members[np.argsort(points[members, axis], kind="stable")]
        cut = int(lower.sum())
        waiting.append((region[lower], ranked[:cut]))
        waiting.append((region[~lower], ranked[cut:]))
    return result


def _z_scored(x: Genes) -> npt.NDArray[np.float32]:
    """Mean 0 and sd 1 per gene (column); 0 for genes that do not vary."""
    centred = x - x.mean(axis=0, dtype=np.float64).astype(np.float32)
    sd = centred.std(axis=0, dtype=np.float64).astype(np.float32)
    flat = sd <= 1e-6 * (1 + np.abs(x).max(axis=0))  # what rounding leaves of a constant
    centred /= np.where(flat, np.float32(1), sd)
    centred[:, flat] = 0
    return centred
