"""Where a search's configurations come from."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Draw:
    """One drawn configuration.

    Attributes:
        params: parameter -> value.
        split: which split of the patients it is for.
        preset: whether the user asked for all of it: then it is tried or failed, never passed over.
        notes: what must be kept with it so that a rebuilt source goes on in the same way; JSON-like.
    """

    params: dict[str, Any]
    split: int = 0
    preset: bool = False
    notes: dict[str, Any] = field(default_factory=dict)


class Source(ABC):
    """Draws configurations and hears how they did.

    Guarantees of every implementation:
        - a new source that is told the same draws, reports and ends, in the same order, as an older one makes the
          same draws and the same judgements from then on;
        - nothing random but by the search's seed.
    """

    # Draws for one trial before the search gives up: the constraints then allow next to nothing.
    attempts = 200

    @property
    def may_redraw(self) -> bool:
        """Whether a draw may be left alone, neither kept nor refused, for another one."""
        return False

    @abstractmethod
    def draws(self, number: int) -> Iterator[Draw]:
        """Configurations for trial ``number``, one after the other until one is kept; none: all were drawn."""

    @abstractmethod
    def keep(self, number: int, draw: Draw) -> None:
        """The trial runs with this draw, of this source or of one before it."""

    @abstractmethod
    def refuse(self, number: int, draw: Draw) -> None:
        """The draw breaks a constraint; the trial gets another one."""

    @abstractmethod
    def report(self, number: int, rung: int, value: float) -> bool:
        """Hear a rung's value; returns whether the trial is hopeless."""

    @abstractmethod
    def end(self, number: int, state: str, values: tuple[float, ...], reached: tuple[int, float] | None = None) -> None:
        """The trial ended.

        Args:
            number: the trial's.
            state: COMPLETE, PRUNED or FAIL.
            values: of a COMPLETE trial, one per goal.
            reached: (rung, value) of a trial that shares another one's result, and so reported nothing itself.
        """
