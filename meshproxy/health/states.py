"""What is known of an endpoint."""

from __future__ import annotations

import enum
from typing import NamedTuple

import msgspec


class HealthStatus(enum.StrEnum):
    """`UNKNOWN` endpoints were not checked yet, or are not checked at all, and get traffic.

    (Envoy keeps a new endpoint out until its first check. Here that check comes at once, a
    connection that does not open is tried elsewhere, and a proxy that restarts serves at once.)
    """

    UNKNOWN = "Unknown"
    HEALTHY = "Healthy"
    UNHEALTHY = "Unhealthy"
    EJECTED = "Ejected"


class EndpointHealth(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint's health. Times are clock seconds.

    `since` is when `status` began, and `reason` why, empty where all is well. Results of checks in
    a row: `consecutive_successes` or `consecutive_failures`, one of which is 0. `ejected_until` is
    set while it is ejected, and `ejections` counts those that are not forgiven yet.
    """

    status: HealthStatus = HealthStatus.UNKNOWN
    reason: str = ""
    since: float = 0.0
    consecutive_successes: int = 0
    consecutive_failures: int = 0
    ejected_until: float | None = None
    ejections: int = 0

    @property
    def usable(self) -> bool:
        """Whether it gets traffic."""
        return self.status in (HealthStatus.UNKNOWN, HealthStatus.HEALTHY)


class Ejections(NamedTuple):
    """How often an endpoint was ever ejected (which only grows), and whether it is now."""

    times: int = 0
    is_ejected: bool = False


UNCHECKED = EndpointHealth()
