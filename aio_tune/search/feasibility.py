"""Which configurations can work at all, found out before they cost anything, and which are the same."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aio_tune.errors import TrialError
from aio_tune.harmonise import HARMONISERS
from aio_tune.kinds import EXPRESSION, choose
from aio_tune.models import DEFAULT_NETWORK, NETWORKS
from aio_tune.search_space import SearchSpec
from aio_tune.training import configuration, input_shape, split_params


class Feasibility:
    """Judges configurations of one search.

    Args:
        spec: the search space; its ``exclude`` and ``max_parameters`` are constraints.
        n_genes: of the dataset.
        n_classes: of the task.
        in_memory: whether the training rows fit into the memory budget.
        kinds: of omics that the dataset has.
    """

    def __init__(
        self,
        spec: SearchSpec,
        n_genes: int,
        n_classes: int,
        in_memory: bool = True,
        kinds: Sequence[str] = (EXPRESSION,),
    ) -> None:
        self._spec = spec
        self._kinds = kinds
        self._in_memory = in_memory
        self._n_genes = n_genes
        self._n_classes = n_classes

    def refusal(self, params: Mapping[str, Any]) -> str:
        """Why a configuration is not worth trying, in one line; empty if it is."""
        if rule := self._spec.excluded(params):
            return f"excluded: {rule}"
        try:
            training, network = split_params(params)
            shape = input_shape(params, self._n_genes, self._kinds)
            parameters = NETWORKS[DEFAULT_NETWORK].count_parameters(network, shape, self._n_classes)
        except TrialError as error:
            return str(error)
        if not self._in_memory and HARMONISERS[training.harmoniser].transductive:
            return (
                f"harmoniser {training.harmoniser} needs all rows of a fold in memory, and they are over the memory "
                "budget: raise resources.memory_budget, or use a single-sample harmoniser"
            )
        limit = self._spec.max_parameters
        if limit is not None and parameters > limit:
            return f"a network of {parameters:,} parameters, more than max_parameters of {limit:,}"
        return ""

    def identity(self, params: Mapping[str, Any]) -> str:
        """Equal for configurations that mean the same: one that leaves out a default, and one that spells it out."""
        try:
            whole = configuration(params)
            return json.dumps({**whole, "omics": choose(whole["omics"], self._kinds)}, sort_keys=True)
        except TrialError:
            return json.dumps(params, sort_keys=True)
