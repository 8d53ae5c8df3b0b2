"""What a trial is asked, what it shares with the others, and what it tells."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aio_tune.dataset import StoredRows
from aio_tune.expression import Floats, Matrix
from aio_tune.kinds import EXPRESSION

if TYPE_CHECKING:
    import ray

# K pairs (training rows, validation rows) of one cross-validation.
Split = tuple[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], ...]


@dataclass(frozen=True)
class Assignment:
    """One trial to run.

    Attributes:
        trial: its number.
        params: the configuration.
        split: which of the context's splits it is cross-validated on.
    """

    trial: int
    params: dict[str, Any]
    split: int = 0


@dataclass(frozen=True)
class RungReport:
    """What one trial tells at one rung.

    Attributes:
        rung: from 0.
        folds: the folds in play.
        epoch: the epoch they were trained to.
        value: mean of the search's metric over these folds; None where it is undefined on one of them.
        seconds: training time since the rung before, summed over the folds.
        parameters: weights of one fold's network.
        fold_metrics: fold -> metric -> value, on that fold's validation rows.
        curves: fold -> curve -> one value per epoch, for the epochs after ``from_epoch``.
        from_epoch: epoch up to which the folds' curves were reported before (0 for a fold new at this rung).
        where: fold -> host and process that trained it.
    """

    rung: int
    folds: tuple[int, ...]
    epoch: int
    value: float | None
    seconds: float
    parameters: int
    fold_metrics: dict[str, dict[str, float]]
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    from_epoch: dict[str, int] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {**asdict(self), "folds": list(self.folds)}

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> "RungReport":
        return cls(**{**facts, "folds": tuple(facts["folds"])})


@dataclass(frozen=True)
class SharedMatrix:
    """Expression in Ray's object store: one copy per node, which its processes read without one of their own.

    Attributes:
        reference: to float32, shape (n, genes).
    """

    reference: "ray.ObjectRef[Floats]"

    def open(self) -> Matrix:
        """It, read-only."""
        import ray

        matrix: Floats = ray.get(self.reference)
        return matrix


@dataclass(frozen=True)
class TrialContext:
    """What all trials of a search share; small, but for the references to what lies in Ray's object store.

    Attributes:
        expression: float32 (n, genes), log2(TPM+1), held once per node: in memory, or on its disk.
        labels: int8 class indices, shape (n,).
        splits: K pairs (training rows, validation rows) for each way of splitting the patients; a search has one,
            a confirmation has one for each run.
        classes: class names.
        metric: the number that is reported.
        rungs: pairs (folds, epoch).
        seed: of weights, dropout and the order of batches; split s has seed + s.
        deterministic: bit-identical results on the same machine, at the price of speed.
        trials_folder: where each trial keeps its folder.
        layouts_folder: cache of fitted layouts.
        folds_in_parallel: workers of one trial.
        cpus_per_fold: CPUs and TensorFlow threads of one worker.
        gpus_per_fold: share of a GPU of one worker; 0 hides the GPUs from it.
        kinds: of omics that stand side by side in ``expression``.
        auxiliary: of each further task that is learnt along, class indices, -1 where missing, shape (n,), and how many
            classes.
        spares: fold workers that were started ahead, ``folds_in_parallel`` for each of the first trials, if any.
    """

    expression: SharedMatrix | StoredRows
    labels: npt.NDArray[np.int8]
    splits: tuple[Split, ...]
    classes: tuple[str, ...]
    metric: str
    rungs: tuple[tuple[int, int], ...]
    seed: int
    deterministic: bool
    trials_folder: Path
    layouts_folder: Path
    folds_in_parallel: int
    cpus_per_fold: int
    gpus_per_fold: float
    kinds: tuple[str, ...] = (EXPRESSION,)
    auxiliary: tuple[tuple[npt.NDArray[np.int8], int], ...] = ()
    spares: tuple[Any, ...] = ()

    def spares_of(self, slot: int) -> tuple[Any, ...]:
        """The workers started ahead for the first trial of a slot; none for later slots."""
        return self.spares[slot * self.folds_in_parallel : (slot + 1) * self.folds_in_parallel]
