"""`Proxy.spec.telemetry` → what workers trace, and what the supervisor exports."""

from __future__ import annotations

from meshproxy.resources import Proxy
from meshproxy.resources.telemetry import Telemetry
from meshproxy.snapshot.telemetry import OTLPSettings, Temporality
from meshproxy.snapshot.tracing import Propagation, Tracing

_VERSION_LABELS = ("app.kubernetes.io/version", "version")
"""As OpenTelemetry's operator, and Istio, read them."""


def tracing_of(proxy: Proxy) -> Tracing | None:
    """Contexts are passed on even where nothing is exported."""
    telemetry = proxy.spec.telemetry
    if telemetry is None or telemetry.tracing is None:
        return None
    tracing = telemetry.tracing
    return Tracing(
        sampling=tracing.sample_percent / 100 if telemetry.otlp is not None else 0.0,
        propagation=tuple(Propagation(each.value) for each in tracing.propagation),
        always_errors=tracing.always_errors and telemetry.otlp is not None,
        connections=tracing.connections and telemetry.otlp is not None,
        records=telemetry.otlp is not None,
    )


def otlp_of(proxy: Proxy, node_name: str) -> OTLPSettings | None:
    telemetry = proxy.spec.telemetry
    if telemetry is None or telemetry.otlp is None:
        return None
    metrics, logs, otlp = telemetry.metrics, telemetry.logs, telemetry.otlp
    return OTLPSettings(
        endpoint=otlp.endpoint,
        headers=otlp.headers,
        timeout=float(otlp.timeout),
        ca_file=otlp.ca_file or "",
        attributes=_attributes(proxy, telemetry, node_name),
        traces=telemetry.tracing is not None,
        metrics_interval=float(metrics.interval) if metrics is not None else None,
        temporality=Temporality(metrics.temporality.value) if metrics is not None else Temporality.CUMULATIVE,
        access_log=logs is not None and logs.access_log,
    )


def _attributes(proxy: Proxy, telemetry: Telemetry, node_name: str) -> dict[str, str]:
    """The resource, as OpenTelemetry's conventions have it; what is written goes before what is known.

    The service is the one that this proxy speaks for, and so is its version: that of a label, as with Pods.
    """
    workload, labels = proxy.metadata.name, proxy.metadata.labels
    known = {
        "service.name": telemetry.service_name or workload,
        "service.namespace": proxy.metadata.namespace,
        "service.instance.id": f"{proxy.metadata.namespace}/{workload}@{node_name}",
        "host.name": node_name,
        "meshproxy.workload": workload,
    }
    version = next((labels[each] for each in _VERSION_LABELS if each in labels), None)
    if version is not None:
        known["service.version"] = version
    return dict(sorted({**known, **telemetry.resource_attributes}.items()))
