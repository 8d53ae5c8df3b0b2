"""Occlusion (Zeiler and Fergus, ECCV 2014; arXiv:1311.2901): what a call loses with a block of genes at the baseline.

It needs no gradient and no step size, so it is a check of the other two; and it is the only one of the three that takes
away instead of extrapolating. In a layout where a block's genes belong together it shows what they do together.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from math import ceil

import numpy as np

from aio_tune.evaluation.attribution.base import Attribution, Sight
from aio_tune.evaluation.attribution.pixels import value_channels
from aio_tune.evaluation.attribution.scores import score_of, values_of

MOST_PIXELS = 1 << 22
"""Pixels that go through the network for a sample and kind, so that the cost is bounded whatever the picture's size:
256 blocks of a picture of 128 x 128, each gene by itself in one of 32 x 32."""


def occlusion(sight: Sight, classes: Sequence[int], *, most_blocks: int | None = None) -> Attribution:
    """What the log-odds lose when a block is set to the baseline, divided equally among its genes.

    Blocks are squares of pixels (stretches in 1-D) and as many channels of one kind, the smallest that make at most
    ``most_blocks`` (by default as many as ``MOST_PIXELS`` allows). With as many blocks as genes, each is by itself.
    See ``base.Attribute``.
    """
    score = score_of(sight.model)
    chosen = list(classes)
    whole = values_of(score, sight.pictures)[:, chosen]
    pixels = np.zeros((len(chosen), *sight.pictures.shape), np.float32)
    genes = sight.preprocessor.layout.mask
    for area in areas(genes.shape, most_blocks or max(1, MOST_PIXELS // sight.pictures[0].size)):
        n_genes = int(genes[area].sum())
        if not n_genes:
            continue
        for channels in value_channels(sight.preprocessor):
            within = slice(channels.start + area[-1].start, min(channels.start + area[-1].stop, channels.stop))
            block = (slice(None), *area[:-1], within)
            occluded = sight.pictures.copy()
            occluded[block] = sight.baseline[block]
            loss = (whole - values_of(score, occluded)[:, chosen]) / n_genes
            pixels[(slice(None), *block)] = loss.T.reshape(*loss.T.shape, *[1] * genes.ndim) * genes[area]
    return Attribution(pixels)


def areas(sides: tuple[int, ...], most_blocks: int) -> Iterator[tuple[slice, ...]]:
    """Blocks that cover a picture of these sides, each pixel once."""
    side = 1
    while np.prod([ceil(length / side) for length in sides]) > most_blocks:
        side += 1
    return product(*[[slice(start, start + side) for start in range(0, length, side)] for length in sides])
