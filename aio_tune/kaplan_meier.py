"""A survival curve: what evaluation estimates, figures draw and tables hold."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class KaplanMeier:
    """A step at every time at which somebody died or was last seen.

    Attributes:
        days: ascending, from 0, shape (steps,).
        survival: share that lives longer than ``days``, 0..1, not increasing, shape (steps,).
        low: lower bound of its 95 % interval (Kalbfleisch and Prentice's log-log form of Greenwood's), shape (steps,).
        high: upper bound.
        at_risk: patients who are neither dead nor lost to follow-up just before ``days``, shape (steps,).
        censored: days at which patients were last seen alive, ascending, one for each.
    """

    days: Floats
    survival: Floats
    low: Floats
    high: Floats
    at_risk: npt.NDArray[np.int64]
    censored: Floats

    def at(self, days: Floats) -> Floats:
        """The curve's height at some days, shape of ``days``."""
        return self.survival[np.searchsorted(self.days, days, side="right") - 1]

    def count_at(self, day: float) -> int:
        """Patients neither dead nor lost to follow-up just before a day."""
        later = np.flatnonzero(self.days >= day)
        return int(self.at_risk[later[0]]) if later.size else 0

    def table(self) -> "pd.DataFrame":
        """One row for each step; columns ``days``, ``survival``, ``low``, ``high``, ``at_risk``."""
        import pandas as pd

        return pd.DataFrame({name: getattr(self, name) for name in ("days", "survival", "low", "high", "at_risk")})
