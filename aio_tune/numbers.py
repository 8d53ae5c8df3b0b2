"""Numbers as the field writes them."""

import math

DAYS_PER_YEAR = 365.25


def number(value: float | None) -> str:
    """Three decimals, a dash where there is no number."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def mean_sd(value: tuple[float | None, float | None] | None) -> str:
    """``.821 ± .023``, as the field writes it."""
    if value is None or value[0] is None or math.isnan(value[0]):
        return "-"
    mean, sd = value
    return number(mean) if sd is None or math.isnan(sd) else f"{number(mean)} ± {number(sd)}"


def interval(value: tuple[float, float, float]) -> str:
    """``.821 [.790, .850]``: value, lower and upper bound."""
    return f"{number(value[0])} [{number(value[1])}, {number(value[2])}]"


def p_value(p: float) -> str:
    """``0.0142``, ``3.1e-05``, a dash where there is none."""
    return "-" if math.isnan(p) else f"{p:.4f}" if p >= 0.001 else f"{p:.1e}"


def years(days: float) -> str:
    """A median survival, in years; infinite where half did not die."""
    return f"{days / DAYS_PER_YEAR:.1f} years" if math.isfinite(days) else "not reached"


def duration(seconds: float) -> str:
    """``2m10s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
