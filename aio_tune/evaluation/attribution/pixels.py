"""Pixels <-> columns, and the baseline: the picture that stands for "nothing known of this patient".

A picture's channels are those of expression, and then for every further kind its values and its mask; see
``aio_tune.channels``. A mask says whether something was measured and is no quantity, so it has no column.
"""

import numpy as np
import numpy.typing as npt

from aio_tune.evaluation.attribution.backend import Floats
from aio_tune.preprocess import Preprocessor


def value_channels(preprocessor: Preprocessor) -> list[slice]:
    """Channels of the values of each kind, in the order of ``preprocessor.kinds``."""
    width = preprocessor.layout.shape[-1]
    starts = [0] + [(2 * i - 1) * width for i in range(1, len(preprocessor.kinds))]
    return [slice(start, start + width) for start in starts]


def to_columns(preprocessor: Preprocessor, pixels: npt.NDArray[np.floating]) -> Floats:
    """Values by pixel -> values by column, exactly: each column is one pixel in one channel.

    Masks and padding are dropped.

    Args:
        preprocessor: holds the layout.
        pixels: shape (n, *preprocessor.shape).

    Returns:
        float32, shape (n, n_kinds * n_genes), columns as the preprocessor's.

    Raises:
        ValueError: the pictures have another shape.
    """
    if pixels.shape[1:] != preprocessor.shape:
        raise ValueError(f"Expected shape (n, {', '.join(map(str, preprocessor.shape))}). Received {pixels.shape}.")
    parts = [preprocessor.layout.to_genes(pixels[..., channels]) for channels in value_channels(preprocessor)]
    return np.concatenate(parts, axis=1)


def baseline(preprocessor: Preprocessor, gene_means: Floats, pictures: Floats) -> Floats:
    """The picture of the mean training profile, one per sample.

    Of further kinds the ensemble keeps no means: their values are 0, which stands for "not measured" and is the
    training mean under z-scores. The mask is the sample's own, so that only values make a difference.

    Args:
        preprocessor: that of the network.
        gene_means: mean expression of the training patients, log2(TPM+1), shape (n_genes,). It goes through the
            preprocessing as a training row does: a transductive harmoniser leaves those as they are.
        pictures: what the network sees of the samples, shape (n, *preprocessor.shape).

    Returns:
        float32, the shape of ``pictures``.
    """
    unknown = np.full(preprocessor.layout.n_genes * (len(preprocessor.kinds) - 1), np.nan, np.float32)
    row = np.concatenate([np.asarray(gene_means, np.float32), unknown])
    drawn = np.repeat(preprocessor.transform_training(row[None]), len(pictures), axis=0)
    for channels in value_channels(preprocessor)[1:]:
        width = channels.stop - channels.start
        mask = slice(channels.stop, channels.stop + width)
        drawn[..., mask] = pictures[..., mask]
    return drawn
