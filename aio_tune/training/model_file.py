"""`.keras` files of one network with the weights of many folds, of which Keras writes the first.

It walks through all objects that a network is made of for each file, which takes most of some 26 ms of processor time.
Here the first file is kept in memory, and the others are copies of it with other numbers.
"""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras

WEIGHTS = "model.weights.h5"


class ModelFile:
    """What Keras writes for a network.

    Args:
        model: its variables are overwritten.
        path: of a file that Keras can write, ending in ``.keras``.

    Raises:
        RuntimeError: Keras did not write each weight once.
    """

    def __init__(self, model: "keras.Model", path: Path) -> None:
        import h5py

        # Filled with its own number each variable tells where in the file it is, whatever Keras calls that place.
        for number, variable in enumerate(model.variables):
            variable.assign(np.full(variable.shape, number, variable.dtype))
        model.save(path)
        with zipfile.ZipFile(path) as archive:
            self._parts = [(part, archive.read(part)) for part in archive.infolist()]
        self._number_of: dict[str, int] = {}

        def note(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                self._number_of[name] = int(np.asarray(item).flat[0])

        (weights,) = [content for part, content in self._parts if part.filename == WEIGHTS]
        with h5py.File(io.BytesIO(weights)) as file:
            file.visititems(note)
        # Random states of dropout are no weights; whether Keras writes these too does not matter.
        number_of = {id(variable): number for number, variable in enumerate(model.variables)}
        expected, found = {number_of[id(weight)] for weight in model.weights}, self._number_of.values()
        if len(set(found)) < len(found) or not expected <= set(found):
            raise RuntimeError(f"Expected each weight once in {path}, of {expected}. Received {self._number_of}.")

    def write(self, values: Sequence[npt.NDArray[Any]], path: Path) -> None:
        """Write the network with these values of its variables."""
        import h5py

        with zipfile.ZipFile(path, "w") as archive:
            for part, content in self._parts:
                if part.filename != WEIGHTS:
                    archive.writestr(part, content)
                    continue
                weights = io.BytesIO(content)
                with h5py.File(weights, "r+") as file:
                    for name, number in self._number_of.items():
                        file[name][...] = values[number]
                archive.writestr(part, weights.getbuffer())
