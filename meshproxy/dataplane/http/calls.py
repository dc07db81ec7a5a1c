"""Requests, counted by who sent them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshproxy.dataplane.callers import name_of

if TYPE_CHECKING:
    from meshproxy.dataplane.cluster import Cluster
    from meshproxy.dataplane.http.downstream import Downstream


def count_request(client: Downstream, cluster: Cluster | None, status: int, seconds: float) -> None:
    """Count a request of `client` that went to `cluster`, or no further than here; `status` 0 is no response."""
    frontend, counters = client.frontend, client.counters
    name = cluster.name if cluster is not None else frontend.cluster
    if counters is None or not counters.is_kept or counters.cluster != name:
        facts = client.facts
        counters = frontend.context.callers.of(name_of(facts.address, facts.tls), frontend.service, name)
        client.counters = counters
    counters.request_ended(status, seconds)
