"""Genes expressed together become neighbours in the picture.

Each gene's training profile is z-scored, so that the distance of two genes is a function of their correlation; PCA
takes away noise and cost; t-SNE (van der Maaten & Hinton, J Mach Learn Res 9:2579, 2008) draws the genes as points in
the plane; and the points are moved onto the grid by bisection.
"""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from aio_tune.layout.base import Genes, Layout, LayoutMaker, Shape, place
from aio_tune.layout.grids import Square

COMPONENTS = 50
"""Principal components that t-SNE sees at most."""
PERPLEXITY = 20.0
"""Effective number of neighbours of a gene.

Both were compared on 300 real profiles of 10,000 genes, fitted on 240 of them, by the mean correlation of grid
neighbours in the other 60: .417, against .379 for (20, 10), .402 for (30, 15) and .416 for (50, 30).
"""
EXAGGERATED, ITERATIONS = 100, 150
"""Steps of t-SNE with neighbours drawn together 12 times as strongly, and after that.

On 136 real profiles of 9,866 genes, fitted on 108 of them, by the mean correlation of grid neighbours in the other 28
(one split, one seed) and the seconds of one core: .398 in 8.2 s, against .398 in 6.9 s for (60, 120), .390 in 3.7 s for
(50, 75), .397 in 14 s for (100, 250), .402 in 26 s for (125, 375) and .399 in 21 s for (250, 250); by the Barnes-Hut
method .396 in 17 s for the same steps, and .398 in 32 to 40 s with scikit-learn (250, 250), which was used before. In
other folds and for NHG it was the same within .003. Starting with some chance cost nothing: .437 with and .437 without,
means of three splits of all 275 patients and two seeds. Networks on both kinds of layout: docs/performance.md.
"""
INTERPOLATED = 3000
"""From so many genes on forces are interpolated on a grid (Linderman et al., Nat Methods 16:243, 2019); for fewer the
Barnes-Hut method (van der Maaten, J Mach Learn Res 15:3221, 2014) is quicker: seconds of one core for 30, 300, 1,000,
2,000 and 4,000 random profiles 3.4, 4.0, 4.0, 4.9 and 5.6 on the grid, 0.03, 0.3, 0.9, 2.1 and 5.5 without.
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
    version: ClassVar[int] = 4

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
        seed: of PCA's random projections and of where t-SNE starts.

    Returns:
        Shape (genes, 2); None where there is nothing to go by: fewer than ``MIN_GENES`` genes, or fewer than two
        directions in which they vary.
    """
    profiles = _z_scored(x_train).T
    components = min(COMPONENTS, *(side - 1 for side in profiles.shape))
    if len(profiles) < MIN_GENES or components < 2 or not profiles.any():
        return None

    # Late: models are used without scikit-learn and openTSNE.
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.initialization import jitter
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    with threadpool_limits(limits=1):
        reduced = PCA(components, svd_solver="randomized", random_state=seed).fit_transform(profiles)
        # Starting from the plane of most variance keeps far groups in their places (Kobak & Berens, Nat Commun
        # 10:5416, 2019); they advise this small spread. A hundredth of it is chance: genes that are alike start apart,
        # and what the seed changes does not hang on the last digits of the PCA, which are the machine's.
        start = reduced[:, :2] / max(float(reduced[:, 0].std()), np.finfo(np.float32).tiny) * 1e-4
        start = jitter(start, random_state=seed)
        near = PerplexityBasedNN(
            reduced, perplexity=min(PERPLEXITY, (len(profiles) - 1) / 3), method="exact", n_jobs=1, random_state=seed
        )
        method = "fft" if len(profiles) >= INTERPOLATED else "bh"
        points = TSNEEmbedding(start, near, negative_gradient_method=method, n_jobs=1, random_state=seed)
        points = points.optimize(EXAGGERATED, exaggeration=12, momentum=0.5).optimize(ITERATIONS, momentum=0.8)
        return np.asarray(points, dtype=np.float64)


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
