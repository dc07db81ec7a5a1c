"""What a metric is, and what all of them are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import msgspec

from meshproxy.snapshot.messages import RequestCounts
from meshproxy.snapshot.model import Listener, Snapshot
from meshproxy.telemetry import exposition
from meshproxy.telemetry.dns import DNSReport
from meshproxy.telemetry.exemplars import Exemplar, RuleOfListener
from meshproxy.telemetry.handshake_totals import HandshakeKey
from meshproxy.telemetry.request_totals import DecisionKey, EndpointRequests, FlagKey, RuleKey
from meshproxy.telemetry.totals import EndpointKey, EndpointTotals, ListenerTotals

ENDPOINT = ("namespace", "service", "port", "endpoint", "workload")
PORT = ("namespace", "service", "port")
LISTENER = ("namespace", "service", "port", "address", "protocol")


class Metric(NamedTuple):
    """A histogram's series have the suffixes ``_bucket`` (with the label ``le`` besides), ``_sum`` and ``_count``."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...]


Sample = tuple[str, float]
"""(what follows the metric's name: label text, after a histogram's suffix; value)."""
Family = tuple[str, Iterable[Sample]]
"""(name of the metric, its series)."""


class SourceMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """`stale` is in seconds, 0 while the source is well; `counts` are by kind."""

    name: str
    up: bool
    counts: Mapping[str, int] = {}
    held: int = 0
    stale: int = 0
    errors: int = 0


class IdentityMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """How the source of the identity does."""

    source: str
    up: bool
    changes: int = 0
    failures: int = 0


class MetricsInput(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is rendered, as plain values.

    `unusable` holds the endpoints that must not be used; `ejections` of endpoints with outlier detection how often they
    were ejected, and whether they are now. `access_log` is (lines written, lines dropped); `expirations` says by a
    certificate's kind, name, issuer and serial number when it expires, in seconds since 1970, and whether that is soon;
    `exports` has (sent, dropped, waiting) by signal. `rejected` is whether the last configuration was refused.
    """

    snapshot: Snapshot
    endpoints: Mapping[EndpointKey, EndpointTotals]
    listeners: Mapping[str, ListenerTotals]
    rules: Mapping[RuleKey, RequestCounts]
    endpoint_requests: Mapping[EndpointKey, EndpointRequests]
    flags: Mapping[FlagKey, int]
    ejections: Mapping[EndpointKey, tuple[int, bool]]
    access_log: tuple[int, int]
    unusable: frozenset[EndpointKey]
    unbound: frozenset[str]
    worker_states: tuple[str, ...]
    worker_restarts: int
    shortages: int
    rejections: int
    rejected: bool
    last_good: str
    sources: tuple[SourceMetrics, ...]
    handshakes: Mapping[HandshakeKey, int] = {}
    identity: IdentityMetrics | None = None
    expirations: Mapping[tuple[str, str, str, str], tuple[int, bool]] = {}
    dns: DNSReport | None = None
    decisions: Mapping[DecisionKey, int] = {}
    exports: Mapping[str, tuple[int, int, int]] = {}
    exemplars: Mapping[RuleOfListener, Mapping[int, Exemplar]] = {}


def listener_labels(listener: Listener) -> str:
    """The label text of a listener's series."""
    namespace, _, service = listener.service.partition("/")
    values = (namespace, service, listener.port_name, str(listener.address), listener.transport.value)
    return exposition.labels(LISTENER, values)
