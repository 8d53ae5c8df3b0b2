"""Values of Keras' variables, past Keras' own checks and copies: some 50 for each fold at each rung."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def read_values(variables: Sequence[Any]) -> list[npt.NDArray[Any]]:
    """Copies."""
    # Of a scalar TensorFlow gives a number.
    return [np.asarray(variable.value.numpy()) for variable in variables]


def write_values(variables: Sequence[Any], values: Sequence[npt.NDArray[Any]]) -> None:
    """Give each variable its value, an array of its shape and type."""
    for variable, value in zip(variables, values, strict=True):
        variable.value.assign(value, read_value=False)
