"""Layers, penalties and optimizers in few kernels, and an epoch in one call, for Keras' TensorFlow backend alone.

    layers      batch normalisation, dropout, the penalty
    optimizers  Adam, AdamW, RMSprop
    swap        a network and an optimizer of Keras -> the same ones in these kernels
    dials       numbers that a traced step reads from variables
    epoch       an epoch, and prediction, in one call
    values      of variables, read and written

Keras 3 writes them out of elementary operations, which run through memory again and again: of a step of the default
network at 64 x 64 x 4 on one core, batch normalisation took a third and Adam an eighth; of one of the embedding alone
RMSprop, dropout of the genes and the penalty two thirds. TensorFlow has kernels that give the same within rounding, of
dropout the same in distribution. Variables and their order stay those of the layers and optimizers replaced, so a
fold's state and the model that is saved are what they would be without.
"""

from aio_tune.training.fused.dials import dials, take_out
from aio_tune.training.fused.epoch import epoch_function, predict_function
from aio_tune.training.fused.layers import FusedBatchNormalization, FusedDropout, FusedL2
from aio_tune.training.fused.optimizers import FusedAdam, FusedAdamW, FusedRMSprop
from aio_tune.training.fused.swap import with_fused_layers, with_fused_update
from aio_tune.training.fused.values import read_values, write_values

__all__ = [
    "FusedAdam",
    "FusedAdamW",
    "FusedBatchNormalization",
    "FusedDropout",
    "FusedL2",
    "FusedRMSprop",
    "dials",
    "epoch_function",
    "predict_function",
    "read_values",
    "take_out",
    "with_fused_layers",
    "with_fused_update",
    "write_values",
]
