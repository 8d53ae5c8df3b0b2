"""Training: K folds of one configuration, in lockstep, up to a given epoch. Knows neither Ray nor MLflow.

    settings   optimizer, batches, scaling, layout: what is searched and is not of the network
    program    a configuration's network, in which its folds take turns
    traced     the same, compiled, for all configurations that differ in numbers alone
    fold       one fold: its rows, fitted preprocessing, weights and epoch
    answers    labels as a network learns them
    checkpoint how far a fold is, on the disk
    shelf      pictures and networks that many configurations need alike
    lockstep   the folds of a configuration, up to the same epoch
    stacked    several folds as one program, for GPUs
    fused/     layers, penalties and optimizers in TensorFlow's own kernels
    backend    threads and GPUs of this process, set before the first use

Uses ``keras`` and ``keras.ops`` alone, but for ``backend`` and ``fused``; importing this package imports no Keras.
"""

from aio_tune.training.backend import configure_backend
from aio_tune.training.fold import FoldReport, FoldSpec, FoldTrainer
from aio_tune.training.lockstep import train_lockstep
from aio_tune.training.program import Program
from aio_tune.training.settings import TrainingParams, configuration, input_shape, known_parameters, split_params
from aio_tune.training.shelf import Shelf

__all__ = [
    "FoldReport",
    "FoldSpec",
    "FoldTrainer",
    "Program",
    "Shelf",
    "TrainingParams",
    "configuration",
    "configure_backend",
    "input_shape",
    "known_parameters",
    "split_params",
    "train_lockstep",
]
