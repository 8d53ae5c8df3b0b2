"""Threads, GPUs and determinism of this process: beside ``fused`` the one that knows which backend Keras has."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

from aio_tune.errors import TrialError

Made = TypeVar("Made")


def configure_backend(threads: int, gpu_share: float = 0.0, deterministic: bool = False) -> None:
    """Set up the backend of this process. Call it once, before anything is built.

    With another backend than TensorFlow it sets nothing: JAX and PyTorch take threads and devices from their own
    environment variables.

    Args:
        threads: CPU threads for one operation, at least 1. Operations run one after the other.
        gpu_share: share of a GPU this process may use; 0 hides all GPUs from it. A share is not enforced, but memory
            is taken only as needed, so that several processes fit on one GPU.
        deterministic: bit-identical results on the same machine, at the price of speed.

    Raises:
        TrialError: TensorFlow was in use before, with other settings; or a GPU is asked for and none is in sight.
    """
    # TensorFlow's start-up notes go to stderr and speak of drivers that a CPU machine does not have.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow uses oneDNN of its own accord only on processors with VNNI or AMX instructions. On others its own
    # kernels took three times as long for a convolution, and eight times for the gradient of a max-pooling.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with _standard_error_held_back():
        import keras

        if keras.backend.backend() != "tensorflow":
            return
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        if gpu_share:
            for gpu in gpus:
                tf.config.experimental.set_memory_growth(gpu, True)
        else:
            tf.config.set_visible_devices([], "GPU")
    except RuntimeError as error:
        raise TrialError(f"Expected to set up TensorFlow before its first use. Received: {error}.") from error
    if gpu_share and not gpus:
        raise TrialError(
            f"Expected a GPU, of which {gpu_share:g} is asked for. Received none.",
            "Install the gpu extra, or ask for none.",
        )
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def can_stack() -> bool:
    """Whether Keras' training step is a function of its state here, so that several folds can be one program."""
    import keras

    return keras.backend.backend() == "jax"


def fused_kernels() -> ModuleType | None:
    """The module ``aio_tune.training.fused`` where its kernels are; None with another backend than TensorFlow."""
    import keras

    return import_module("aio_tune.training.fused") if keras.backend.backend() == "tensorflow" else None


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as one compiled program, traced anew for other shapes; ``can_stack`` must hold."""
    import jax

    return jax.jit(function)


@contextlib.contextmanager
def _standard_error_held_back() -> Iterator[None]:
    """Keep what is written to standard error to itself, unless what is done fails.

    TensorFlow's libraries write of missing GPU drivers there while they are loaded, before any setting of theirs is
    read, and where JAX was loaded first also while they look for GPUs; a user of a CPU machine would take it for a
    fault.
    """
    with tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        original = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(original, held.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)


def apart(make: Callable[[], Made]) -> Made:
    """What ``make`` builds, built in a thread of its own.

    Keras keeps a graph and names of all that a thread has built, for as long as that thread lives. To clear them for
    the whole process also clears what TensorFlow has prepared of every function, which takes 0.3 s to prepare again.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(make).result()
