"""What every network guarantees."""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from aio_tune.errors import TrialError

if TYPE_CHECKING:
    import keras


HEAD = ("severity", "calls")
"""Names of the layers of a head, the first one first; a network has the last of them at least."""


class Params(BaseModel):
    """Parameters with units, ranges and defaults; a misspelt one is refused, not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, params: Mapping[str, Any]) -> Self:
        """The parameters as this class.

        Raises:
            TrialError: one is unknown or out of range; in one line.
        """
        try:
            return cls(**params)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            if first["type"] == "extra_forbidden":
                near = difflib.get_close_matches(name, cls.model_fields, n=1)
                hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(sorted(cls.model_fields))}."
                raise TrialError(f"Expected a known parameter. Received {name!r}.", hint) from None
            raise TrialError(f"Parameter {name}: {first['msg']}. Received {first['input']!r}.") from None


class Network(ABC):
    """One architecture.

    Guarantees of every implementation:
        - ``count_parameters`` needs no Keras and tells what ``build(...).count_params()`` would;
        - ``build`` with the same arguments gives the same initial weights;
        - whatever is random has a seed of its own, all of them from ``Seeds`` in one order, so that ``redrawn`` gives
          the initial weights of any seed;
        - the output is (n, n_classes) float32, rows sum to 1, for two classes too;
        - the layers of its head have the names of ``HEAD``, and no others have;
        - what cannot be built is refused with ``TrialError`` before anything costs time.
    """

    name: str
    params: type[Params]

    @abstractmethod
    def build(
        self, params: Mapping[str, Any], input_shape: tuple[int, ...], n_classes: int, seed: int
    ) -> "keras.Model":
        """A new network, not compiled."""

    @abstractmethod
    def count_parameters(self, params: Params, input_shape: tuple[int, ...], n_classes: int) -> int:
        """Weights of the network, those that are not trained included, without building it.

        Raises:
            TrialError: it cannot be built.
        """
