"""What a method of attribution is handed, and what it gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aio_tune.evaluation.attribution.backend import Floats
from aio_tune.preprocess import Preprocessor

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, eq=False)
class Sight:
    """What one network sees of some samples.

    Attributes:
        model: pictures (n, *shape) -> probabilities (n, n_classes).
        preprocessor: fitted with it.
        pictures: of the samples, float32, shape (n, *shape).
        baseline: what each is compared with, likewise; see ``pixels.baseline``.
    """

    model: "keras.Model"
    preprocessor: Preprocessor
    pictures: Floats
    baseline: Floats


@dataclass(frozen=True, eq=False)
class Attribution:
    """What each pixel contributes to the log-odds of some classes.

    Attributes:
        pixels: shape (len(classes), n, *shape), in units of log-odds (Grad-CAM: of no unit, 0 or more).
        completeness: of integrated gradients, ``|sum of pixels - (f(x) - f(baseline))| / |f(x) - f(baseline)|``, shape
            (len(classes), n), 0 is exact; None for methods that promise no sum.
        signed: whether a pixel may also speak against a class. Where not, the method says where a network looks, and
            not what for.
    """

    pixels: Floats
    completeness: npt.NDArray[np.float64] | None = None
    signed: bool = True


Attribute = Callable[[Sight, Sequence[int]], Attribution]
"""A method: attributes the log-odds of these classes, by index."""
