"""Which trials are hopeless, by what all trials have reported at their rungs.

Optuna's rules, without its studies: its pruners look through every trial there ever was at every decision, which took
0.14 s a report after 100,000 trials and left a large cluster waiting. Here each rung keeps its values in order, so that
a decision costs the same after a hundred thousand trials as after a hundred. Decisions depend on nothing but what was
reported, and in which order, so that a resumed search makes the same ones.
"""

from abc import ABC, abstractmethod
from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Mapping

# Of the trials that reach a rung, one in so many goes on.
REDUCTION = 3
# Trials that must be complete before a trial is measured by them.
STARTUP = 3


class Pruner(ABC):
    """Judges trials.

    Guarantees of every implementation:
        - higher values are better, and the best trial at a rung is never stopped there;
        - nothing is drawn at random;
        - a decision's cost does not grow with the number of trials, but for moving a list's tail.
    """

    @abstractmethod
    def stops(self, reported: Mapping[int, float]) -> bool:
        """Whether a trial is hopeless; to be asked once at each rung but the last.

        Args:
            reported: its value at each rung so far, none of them NaN; the highest rung is the one that it is at.
        """

    def complete(self, reported: Mapping[int, float]) -> None:  # noqa: B027  (most need not know)
        """Take note of a trial that finished all folds, and of what it had reported at its rungs."""


class Nobody(Pruner):
    """Stops no trial."""

    def stops(self, reported: Mapping[int, float]) -> bool:
        return False


class Halving(Pruner):
    """Asynchronous successive halving (Li et al., MLSys 2020), as Optuna's ``SuccessiveHalvingPruner`` has it.

    A trial goes on if it is in the best third of those that have reached its rung so far; while these are fewer than
    three, if it is the best of them.
    """

    def __init__(self) -> None:
        self._at: defaultdict[int, list[float]] = defaultdict(list)

    def stops(self, reported: Mapping[int, float]) -> bool:
        rung = max(reported)
        values = self._at[rung]
        insort(values, reported[rung])
        return reported[rung] < values[-max(1, len(values) // REDUCTION)]


class Percentile(Pruner):
    """As Optuna's ``PercentilePruner``: by the best value that a trial has had, and complete trials' at the same rung.

    Args:
        kept: a trial goes on if it is among the best so many percent, 0 to 100.
    """

    def __init__(self, kept: float) -> None:
        self._share = 1 - kept / 100
        self._at: defaultdict[int, list[float]] = defaultdict(list)
        self._complete = 0

    def stops(self, reported: Mapping[int, float]) -> bool:
        values = self._at[max(reported)]
        if self._complete < STARTUP or not values:
            return False
        return max(reported.values()) < quantile(values, self._share)

    def complete(self, reported: Mapping[int, float]) -> None:
        self._complete += 1
        for rung, value in reported.items():
            insort(self._at[rung], value)


PRUNERS: Mapping[str, Callable[[], Pruner]] = {
    "halving": Halving,
    "median": lambda: Percentile(50),
    "percentile": lambda: Percentile(33),
    "none": Nobody,
}


def quantile(values: list[float], share: float) -> float:
    """Linear interpolation in values that are in order, as NumPy does it.

    Args:
        values: ascending, one at least.
        share: 0 to 1.
    """
    place = share * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    part = place - below
    gap = values[above] - values[below]
    # From the nearer side, so that the end of an interval is met exactly.
    return values[below] + gap * part if part < 0.5 else values[above] - gap * (1 - part)
