"""Metrics of TLS handshakes, with clients by listener, with endpoints by Service port."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.telemetry.exposition import labels, with_label
from meshproxy.telemetry.handshake_totals import DOWNSTREAM, SUCCESSES, UPSTREAM, HandshakeKey
from meshproxy.telemetry.metrics import LISTENER, PORT, Family, Metric, MetricsInput, Sample, listener_labels

METRICS: dict[str, Metric] = {
    "meshproxy_listener_tls_handshakes_total": Metric(
        "counter", "TLS handshakes with clients that succeeded, by kind.", (*LISTENER, "kind")
    ),
    "meshproxy_listener_tls_handshake_failures_total": Metric(
        "counter", "TLS handshakes with clients that failed, by reason.", (*LISTENER, "reason")
    ),
    "meshproxy_upstream_tls_handshakes_total": Metric(
        "counter", "TLS handshakes with endpoints that succeeded, by kind.", (*PORT, "kind")
    ),
    "meshproxy_upstream_tls_handshake_failures_total": Metric(
        "counter", "TLS handshakes with endpoints that failed, by reason.", (*PORT, "reason")
    ),
}


def families(metrics: MetricsInput) -> Iterator[Family]:
    """Everything in `METRICS`."""
    clients = {listener.name: listener_labels(listener) for listener in metrics.snapshot.listeners if listener.chains}
    endpoints = {
        cluster.name: labels(PORT, (*cluster.service.split("/", 1), cluster.port_name))
        for cluster in metrics.snapshot.clusters
        if cluster.tls is not None
    }
    for name, side, of in (("listener", DOWNSTREAM, clients), ("upstream", UPSTREAM, endpoints)):
        counts = {key: count for key, count in metrics.handshakes.items() if key.side == side}
        yield f"meshproxy_{name}_tls_handshakes_total", _series(counts, of, "kind", succeeded=True)
        yield f"meshproxy_{name}_tls_handshake_failures_total", _series(counts, of, "reason", succeeded=False)


def _series(
    counts: dict[HandshakeKey, int], label_texts: dict[str, str], label: str, *, succeeded: bool
) -> list[Sample]:
    """Both kinds of success are there from the beginning; variants of a cluster have the same text."""
    sums: dict[str, int] = {}
    for text in label_texts.values() if succeeded else ():
        sums.update({with_label(text, label, kind): 0 for kind in SUCCESSES})
    for key, count in counts.items():
        if key.name in label_texts and (key.outcome in SUCCESSES) is succeeded:
            text = with_label(label_texts[key.name], label, key.outcome)
            sums[text] = sums.get(text, 0) + count
    return list(sums.items())
