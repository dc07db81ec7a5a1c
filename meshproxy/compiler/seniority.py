"""Which of two resources comes first: the Gateway API's order for routes that tie and Gateways that conflict."""

from __future__ import annotations

from datetime import UTC, datetime

from meshproxy.resources.meta import Resource


def seniority(resource: Resource) -> tuple[bool, float, str]:
    """A sort key: the oldest by `creationTimestamp`, then alphabetically by ``namespace/name``.

    A resource that never met an API server has no timestamp. It counts as younger than those that
    have one, and all such are of one age.
    """
    created = _seconds(resource.metadata.creation_timestamp)
    return created is None, created or 0.0, str(resource.key)


def _seconds(timestamp: str | None) -> float | None:
    """RFC 3339 to Unix time; what is no timestamp is as good as none."""
    if not timestamp:
        return None
    try:
        parsed = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
