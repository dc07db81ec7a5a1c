"""Every count, as it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshproxy.admin.view import ProxyView
from meshproxy.snapshot.messages import RequestCounts
from meshproxy.telemetry.latency import BOUNDS
from meshproxy.telemetry.request_metrics import CODES


def document(view: ProxyView) -> dict[str, Any]:
    """By endpoint, listener, rule and caller; buckets of histograms are not cumulated, and `bounds` are in seconds."""
    return {
        "endpoints": [
            {"cluster": cluster, "endpoint": endpoint, **totals._asdict()}
            for (cluster, endpoint), totals in view.endpoint_totals().items()
        ],
        "callers": list(_callers(view)),
        "handshakes": [{**key._asdict(), "count": count} for key, count in view.handshakes().items()],
        "listeners": [{"listener": name, **each._asdict()} for name, each in view.listener_totals().items()],
        "bounds": BOUNDS,
        "rules": [{**key._asdict(), **_requests(counts)} for key, counts in view.rule_requests().items()],
        "endpointRequests": list(_endpoint_requests(view)),
        "flags": [
            {"listener": listener, "flag": flag, "requests": count}
            for (listener, flag), count in view.response_flags().items()
        ],
    }


def _callers(view: ProxyView) -> Iterator[dict[str, Any]]:
    for key, each in view.callers().items():
        connections = {name: getattr(each, name) for name in ("active", "connections", "failures", "sent", "received")}
        yield {**key._asdict(), **connections, **_requests(each.requests)}


def _endpoint_requests(view: ProxyView) -> Iterator[dict[str, Any]]:
    for (cluster, endpoint), counts in view.endpoint_requests().items():
        yield {"cluster": cluster, "endpoint": endpoint, "idle": counts.idle, **_requests(counts.requests)}


def _requests(counts: RequestCounts) -> dict[str, Any]:
    return {
        "statuses": dict(zip(CODES, counts.statuses, strict=True)),
        "latencies": counts.latencies,
        "seconds": counts.seconds,
        "retries": counts.retries,
    }
