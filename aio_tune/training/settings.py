"""What is searched and is not of the network: harmoniser, scaling, layout, optimizer, batches."""

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from aio_tune.channels import picture_shape
from aio_tune.errors import TrialError
from aio_tune.harmonise import HARMONISERS
from aio_tune.kinds import ALL, EXPRESSION, choose, read_choice
from aio_tune.layout import Shape, grid_shape
from aio_tune.models import DEFAULT_NETWORK, NETWORKS
from aio_tune.models.base import Params
from aio_tune.scaling import SCALINGS

if TYPE_CHECKING:
    import keras


class TrainingParams(Params):
    """Parameters of the training and of what comes before the network."""

    omics: str = Field(
        ALL, description="kinds that are drawn: all of the dataset, or names as in expression+methylation"
    )
    harmoniser: str = Field(
        "none", description="how cohorts are made comparable, before scaling; see aio_tune.harmonise.HARMONISERS"
    )
    scaling: str = Field("zscore", description="how expression becomes brightness; see aio_tune.scaling.SCALINGS")
    layout: str = Field("square", description="which gene is which pixel; see aio_tune.layout.LAYOUTS")
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = Field("adam", description="sgd has Nesterov momentum")
    learning_rate: float = Field(3e-4, gt=0, le=1, description="constant over the training")
    epsilon: float = Field(1e-7, gt=0, le=1, description="of the optimizer; sgd has none")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd and rmsprop")
    weight_decay: float = Field(0.0, ge=0, le=1, description="decoupled, of adamw")
    batch_size: int = Field(16, ge=2, le=4096, description="patients, about: all batches are of one size")
    class_weight: Literal["none", "balanced"] = Field("none", description="balanced: inverse to class frequency")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of each label spread over all classes")
    auxiliary_weight: float = Field(
        0.0, ge=0, le=10, description="of each auxiliary task's loss, where its label is known, beside the task's own 1"
    )

    @field_validator("scaling")
    @classmethod
    def _known_scaling(cls, name: str) -> str:
        if name not in SCALINGS:
            raise ValueError(f"Expected one of {', '.join(SCALINGS)}")
        return name

    @field_validator("omics")
    @classmethod
    def _known_omics(cls, omics: str) -> str:
        read_choice(omics)  # whether the data have them is not known here
        return omics

    @field_validator("harmoniser")
    @classmethod
    def _known_harmoniser(cls, name: str) -> str:
        if name not in HARMONISERS:
            raise ValueError(f"Expected one of {', '.join(HARMONISERS)}")
        return name

    def make_optimizer(self) -> "keras.Optimizer":
        """A new optimizer."""
        import keras

        rate = self.learning_rate
        if self.optimizer == "adam":
            return keras.optimizers.Adam(rate, epsilon=self.epsilon)
        if self.optimizer == "adamw":
            return keras.optimizers.AdamW(rate, epsilon=self.epsilon, weight_decay=self.weight_decay)
        if self.optimizer == "rmsprop":
            return keras.optimizers.RMSprop(rate, epsilon=self.epsilon, momentum=self.momentum)
        return keras.optimizers.SGD(rate, momentum=self.momentum, nesterov=self.momentum > 0)


def known_parameters() -> tuple[str, ...]:
    """Every name that a configuration may have."""
    return (*TrainingParams.model_fields, *NETWORKS[DEFAULT_NETWORK].params.model_fields)


def split_params(params: Mapping[str, Any]) -> tuple[TrainingParams, Params]:
    """A configuration -> what is for the training, and what is for the network; defaults filled in.

    Raises:
        TrialError: a name is unknown or a value is out of range.
    """
    known = known_parameters()
    for name in params:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(sorted(known))}."
            raise TrialError(f"Expected a known parameter. Received {name!r}.", hint)
    training = {name: value for name, value in params.items() if name in TrainingParams.model_fields}
    network = {name: value for name, value in params.items() if name not in training}
    return TrainingParams.parse(training), NETWORKS[DEFAULT_NETWORK].params.parse(network)


def configuration(params: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters with defaults filled in, as JSON values: equal for configurations that mean the same.

    Raises:
        TrialError: as ``split_params``.
    """
    training, network = split_params(params)
    return training.model_dump(mode="json") | network.model_dump(mode="json")


def input_shape(params: Mapping[str, Any], n_genes: int, kinds: Sequence[str] = (EXPRESSION,)) -> Shape:
    """Shape of the pictures that a configuration asks for, known before anything is fitted.

    Args:
        params: the configuration.
        n_genes: of the data.
        kinds: of omics that the data have.

    Raises:
        TrialError: a parameter is unknown or out of range, the genes do not fit into the layout's size, or the data
            do not have a kind.
    """
    chosen = split_params(params)[0]
    return picture_shape(grid_shape(chosen.layout, n_genes), len(choose(chosen.omics, kinds)))
