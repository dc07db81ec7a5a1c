"""What people are told about health."""

from __future__ import annotations

from meshproxy.base.durations import format_duration
from meshproxy.base.events import Event, EventType
from meshproxy.health.states import EndpointHealth, HealthStatus
from meshproxy.snapshot.model import Cluster, Endpoint


def about_endpoint(cluster: Cluster, endpoint: Endpoint, before: EndpointHealth, after: EndpointHealth) -> Event | None:
    """The event for a change of status; None where it is no news, as when a first check passes."""
    named = endpoint.name not in ("", endpoint.id)
    who = f"endpoint {endpoint.name} ({endpoint.id})" if named else f"endpoint {endpoint.id}"
    match before.status, after.status:
        case _, HealthStatus.UNHEALTHY:
            return _warning(cluster, "EndpointUnhealthy", f"{who} became unhealthy: {after.reason}")
        case _, HealthStatus.EJECTED:
            seconds = format_duration(round((after.ejected_until or after.since) - after.since, 3))
            return _warning(cluster, "EndpointEjected", f"{who} is ejected for {seconds}: {after.reason}")
        case HealthStatus.EJECTED, _:
            return _normal(cluster, "EndpointReturned", f"{who} returned: its ejection is over")
        case HealthStatus.UNHEALTHY, HealthStatus.HEALTHY:
            return _normal(cluster, "EndpointHealthy", f"{who} became healthy")
        case HealthStatus.UNHEALTHY, HealthStatus.UNKNOWN:
            return _normal(cluster, "EndpointUnchecked", f"{who} is no longer checked, and used again")
        case _:
            return None


def none_usable(cluster: Cluster) -> Event:
    """Every endpoint of `cluster` is unhealthy or ejected."""
    what = "all of them are used" if cluster.use_all_when_none_healthy else "connections are refused"
    return _warning(cluster, "NoHealthyEndpoints", f"no endpoint of port {cluster.port_name} is healthy: {what}")


def usable_again(cluster: Cluster) -> Event:
    """`cluster` has an endpoint that may be used, after it had none."""
    return _normal(cluster, "HealthyEndpoints", f"port {cluster.port_name} has a healthy endpoint again")


def _warning(cluster: Cluster, reason: str, message: str) -> Event:
    return Event(type=EventType.WARNING, reason=reason, subject=_subject(cluster), message=message)


def _normal(cluster: Cluster, reason: str, message: str) -> Event:
    return Event(type=EventType.NORMAL, reason=reason, subject=_subject(cluster), message=message)


def _subject(cluster: Cluster) -> str:
    return f"Service/{cluster.service.removeprefix('default/')}"
