"""The price of a run's machines, from the environment."""

from __future__ import annotations

import math

from workloads.environment import PRICE, PlatformEnvironment
from workloads.errors import WorkloadError

SECONDS_PER_HOUR = 3600
DECIMALS = 2


def rounded(value: float) -> str:
    """Format a price or a time with two decimals, or as many more as three digits of a small one need."""
    leading = math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0
    whole, _, decimals = f"{value:.{max(DECIMALS, DECIMALS - leading)}f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(DECIMALS, '0')}" if decimals else whole


def price_per_hour(environment: PlatformEnvironment) -> float | None:
    """Return the price of the run's machines in US dollars per hour, or None; raise WorkloadError if invalid."""
    given = environment.price_usd_per_hour
    if given is None:
        return None
    try:
        price = float(given)
    except ValueError:
        price = math.nan
    if not 0 <= price < math.inf:
        raise WorkloadError(f"{PRICE} is {given!r}; it must be a number of dollars, 0 or more, or unset")
    return price
