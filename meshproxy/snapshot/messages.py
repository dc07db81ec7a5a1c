"""What crosses the socket between the supervisor and a worker.

One `SOCK_SEQPACKET` packet carries one message, MessagePack-encoded, and `PutListeners`
the listeners' descriptors beside it. A configuration travels as `Begin`, then what
changed in parts small enough to decode without a pause, then `Commit`, which the worker
answers with `Ack` or `Nack` (xDS's delta protocol in miniature).
"""

from __future__ import annotations

import msgspec

from meshproxy.snapshot.authorization import Authorization
from meshproxy.snapshot.model import Cluster, Endpoint, Listener, ProxySettings
from meshproxy.snapshot.routes import VirtualHost
from meshproxy.snapshot.tls import TLSMaterial


class Message(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The base of every message."""


# -- supervisor to worker ------------------------------------------------------------


class Begin(Message, frozen=True):
    """A configuration follows. With `reset`, what it does not mention is to go."""

    version: str
    settings: ProxySettings
    reset: bool = False


class PutListeners(Message, frozen=True):
    """New or changed listeners; as many descriptors come with the packet, in this order."""

    listeners: tuple[Listener, ...]


class PutClusters(Message, frozen=True):
    clusters: tuple[Cluster, ...]


class PutEndpoints(Message, frozen=True):
    """New or changed endpoints of a cluster."""

    cluster: str
    endpoints: tuple[Endpoint, ...]


class PutRoutes(Message, frozen=True):
    """A part of a new or changed route table.

    A table that changed is sent whole: the parts of one configuration follow each other, and what a
    virtual host of the same name brings is added to its rules.
    """

    table: str
    virtual_hosts: tuple[VirtualHost, ...]


class PutAuthorization(Message, frozen=True):
    """A new or changed authorization, or a part of it: rules of a part are added to those that came before."""

    authorization: Authorization


class Remove(Message, frozen=True):
    """Listeners, clusters, route tables and authorizations that are gone, by name."""

    listeners: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    route_tables: tuple[str, ...] = ()
    authorizations: tuple[str, ...] = ()


class RemoveEndpoints(Message, frozen=True):
    cluster: str
    ids: tuple[str, ...]


class Commit(Message, frozen=True):
    version: str


class HealthChanges(Message, frozen=True):
    """Endpoints that may (True) or may not (False) be used now: (cluster, endpoint id, usable)."""

    changes: tuple[tuple[str, str, bool], ...]


class AffinityEntries(Message, frozen=True):
    """Clients that are bound to an endpoint: (cluster, client IP, endpoint id, seconds left)."""

    entries: tuple[tuple[str, str, str, float], ...]


class PutMaterials(Message, frozen=True):
    """Keys, certificates and roots, new or changed. It is in force at once, whatever configuration is on its way."""

    materials: tuple[TLSMaterial, ...]


class KeepMaterials(Message, frozen=True):
    """The names of all materials there are; others are to be forgotten."""

    names: tuple[str, ...]


class Drain(Message, frozen=True):
    """Stop accepting, finish what is open for at most `timeout` seconds, then exit."""

    timeout: float


# -- worker to supervisor ------------------------------------------------------------


class Hello(Message, frozen=True):
    pid: int


class Ack(Message, frozen=True):
    version: str


class Nack(Message, frozen=True):
    version: str
    reason: str


class EndpointStats(msgspec.Struct, frozen=True, array_like=True):
    """Cumulative counts of one endpoint since the worker started; `active` is a gauge.

    Bytes are payload: `sent` to the endpoint, `received` from it. For UDP, connections are
    sessions. `connect_failures` includes `connect_timeouts`.
    """

    cluster: str
    endpoint: str
    active: int
    connections: int
    connect_failures: int
    connect_timeouts: int
    sent: int
    received: int


class ListenerStats(msgspec.Struct, frozen=True, array_like=True):
    """Cumulative counts of one listener since the worker started; `active` is a gauge.

    `refused`: no endpoint could be used. `denied`: the source is not allowed. `overflowed`:
    the connection limit and its queue were full. `malformed`: no valid PROXY header. `dropped`:
    datagrams of open sessions that a socket had no room for or that were too large.
    """

    listener: str
    active: int
    accepted: int
    refused: int
    denied: int
    overflowed: int
    malformed: int
    dropped: int = 0


class RequestCounts(msgspec.Struct, frozen=True, array_like=True):
    """Cumulative counts of HTTP requests.

    `statuses`: how many ended without a response, then with a status of 1xx (101), 2xx, 3xx, 4xx, 5xx. `latencies`:
    how many took at most each of `telemetry.latency.BOUNDS`, not cumulated, the last one those that took longer;
    `seconds` is their sum, from the request's first byte to the response's last. `retries` were tries beyond the first.
    """

    statuses: tuple[int, int, int, int, int, int] = (0, 0, 0, 0, 0, 0)
    latencies: tuple[int, ...] = ()
    seconds: float = 0.0
    retries: int = 0


class RouteStats(msgspec.Struct, frozen=True, array_like=True):
    """What one rule of a route table did since the worker started, by backend.

    `table` is empty for HTTP without a route; `rule` is then the listener's cluster. Where no rule matched, `rule` is
    empty. `backend` is its `routes.Backend.name`, or empty for what the proxy answered before it chose one.
    """

    table: str
    rule: str
    backend: str
    requests: RequestCounts


class EndpointRequestStats(msgspec.Struct, frozen=True, array_like=True):
    """Requests that one endpoint was sent, each try counted.

    `idle` (pooled connections) is a gauge; latencies are from a try's beginning to the end of its response.
    """

    cluster: str
    endpoint: str
    idle: int
    requests: RequestCounts


class HandshakeStats(msgspec.Struct, frozen=True, array_like=True):
    """How many handshakes had an outcome since the worker started.

    `side` is ``downstream``, then `name` is a listener's, or ``upstream``, then it is a cluster's. `outcome` is
    ``full``, ``resumed``, or why it failed.
    """

    side: str
    name: str
    outcome: str
    count: int


OTHER_CALLERS = ""
"""`CallerStats.caller` of all those together that are too many to be known each."""


class CallerStats(msgspec.Struct, frozen=True, array_like=True):
    """What one caller did with one Service since the worker knows it; `active` is a gauge.

    `caller` is its SPIFFE id; or ``URI=…``, ``DNS=…`` or ``Subject=…`` of another certificate; or its address.
    `service` is the listener's, `cluster` whom it was led to, empty for nobody. Connections are those that are no HTTP,
    or sessions of datagrams; `failures` are those that nobody took, or that were refused; bytes are as in
    `EndpointStats`. With `known` False it is forgotten, and when it comes again its counts begin anew.
    """

    caller: str
    service: str
    cluster: str
    active: int = 0
    connections: int = 0
    failures: int = 0
    sent: int = 0
    received: int = 0
    requests: RequestCounts = RequestCounts()
    known: bool = True


class DurationStats(msgspec.Struct, frozen=True, array_like=True):
    """How long requests of a listener's rule (empty for none) took, by `method` and `status`, since the worker started.

    `buckets` are those of `telemetry.semantics.DURATION_BOUNDS`, and one beyond. `status` 0 is no response.
    """

    listener: str
    rule: str
    method: str
    scheme: str
    status: int
    buckets: tuple[int, ...]
    seconds: float


class RequestDurations(Message, frozen=True):
    """What changed of them since the last report, in parts of bounded size."""

    durations: tuple[DurationStats, ...]


class TLSStats(Message, frozen=True):
    """What changed of TLS since the last report, in parts of bounded size."""

    handshakes: tuple[HandshakeStats, ...]


DENIED, AUDITED = "denied", "audited"
"""Of `DecisionCount.decision`."""


class DecisionCount(msgspec.Struct, frozen=True, array_like=True):
    """How many calls `policy` refused (`decision` is `DENIED`), or would have (`AUDITED`).

    Cumulative, since the worker started. `authorization` names what they were judged by; `policy` is
    ``no policy`` where none allowed them.
    """

    authorization: str
    policy: str
    decision: str
    count: int


class RequestStats(Message, frozen=True):
    """What changed of HTTP since the last report, in parts of bounded size.

    `flags` counts, for each (listener, response flag), the requests that ended so (see `base.response_flags`).
    """

    routes: tuple[RouteStats, ...] = ()
    endpoints: tuple[EndpointRequestStats, ...] = ()
    flags: tuple[tuple[str, str, int], ...] = ()
    decisions: tuple[DecisionCount, ...] = ()


class AccessRecord(msgspec.Struct, frozen=True, array_like=True):
    """One finished request, as the access log has it.

    `started` is Unix time. `client` is the address that forwarding headers may have told, `peer` the connection's.
    `target` is what the client asked for, `sent` and `received` are bytes of bodies to and from the client;
    `status` 0 is no response; `flags` are Envoy's, joined by commas, empty for none. `upstream_seconds` is the
    time from the last try to its response's head, -1 without one. `fields` are the request's, by lower-case name,
    as far as `AccessLog.fields` asks for them. `scheme` is the connection's, or what a trusted proxy says it was.
    `trace_id`, hexadecimal, is the trace that the request belongs to, where traces are known of; `sampled` says that
    it is recorded.
    """

    started: float
    seconds: float
    listener: str
    rule: str
    cluster: str
    endpoint: str
    client: str
    peer: str
    method: str
    host: str
    target: str
    version: str
    status: int
    flags: str
    detail: str
    received: int
    sent: int
    attempts: int
    upstream_seconds: float
    request_id: str
    fields: dict[str, str]
    scheme: str = "http"
    trace_id: str = ""
    sampled: bool = False


class TriedEndpoint(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One try of a traced request: a client span. Times are the worker's clock's.

    `port` is the one that was connected to, a mesh port maybe. `status` 0 is no response, and `flag` says why there is
    none, where that is known.
    """

    span_id: bytes
    endpoint: str
    started: float
    ended: float
    status: int
    port: int = 0
    flag: str = ""


class TraceRecord(msgspec.Struct, frozen=True, array_like=True):
    """A traced request: a server span, and a client span for each of `tries`; a connection, where `head` is empty.

    Ids are hexadecimal; `parent_id` is empty where the trace begins here. Times are the worker's clock's, to which
    `wall` is added for Unix time. `head` is the request's as it came, `sent_head` as the endpoint saw it, where that
    has another target or host. `upstream_scheme` is that of the cluster: TLS within the mesh is nothing that a URL
    says. The rest is as in `AccessRecord`.
    """

    trace_id: bytes
    parent_id: bytes
    wall: float
    started: float
    seconds: float
    head: bytes
    status: int
    flags: str
    detail: str
    listener: str
    rule: str
    cluster: str
    client: str
    peer: str
    received: int
    sent: int
    request_id: bytes
    tries: tuple[TriedEndpoint, ...]
    peer_port: int = 0
    scheme: str = "http"
    upstream_scheme: str = "http"
    sent_head: bytes = b""


class TraceRecords(Message, frozen=True):
    """Traces to be exported, oldest first; `dropped` more were not kept since the last message."""

    records: tuple[TraceRecord, ...]
    dropped: int = 0


class AccessRecords(Message, frozen=True):
    """Requests to be logged, oldest first; `dropped` more were not kept since the last message."""

    records: tuple[AccessRecord, ...]
    dropped: int = 0


class EncodedTraceRecords(Message, frozen=True, tag="TraceRecords"):
    """`TraceRecords` as a worker has them."""

    records: msgspec.Raw
    dropped: int = 0


class EncodedAccessRecords(Message, frozen=True, tag="AccessRecords"):
    """`AccessRecords` as a worker has them."""

    records: msgspec.Raw
    dropped: int = 0


class RecentRecords(Message, frozen=True):
    """Some finished requests for people to look at, oldest first: a few between two messages, logged or not."""

    records: tuple[AccessRecord, ...]


class Stats(Message, frozen=True):
    """What changed since the last report, in parts of bounded size."""

    listeners: tuple[ListenerStats, ...]
    endpoints: tuple[EndpointStats, ...]
    accept_errors: int = 0
    callers: tuple[CallerStats, ...] = ()


class EndpointFailing(Message, frozen=True):
    """`failures` of what `reason` says came from an endpoint in a row, as many as its outlier detection allows."""

    cluster: str
    endpoint: str
    failures: int
    reason: str


class AffinityLearned(Message, frozen=True):
    """Clients that this worker bound to an endpoint: entries as in `AffinityEntries`."""

    entries: tuple[tuple[str, str, str, float], ...]


class Drained(Message, frozen=True):
    """Everything is finished; `cut` connections were still open when the time was up."""

    cut: int


ToWorker = (
    Begin
    | PutListeners
    | PutClusters
    | PutEndpoints
    | PutRoutes
    | PutAuthorization
    | Remove
    | RemoveEndpoints
    | Commit
    | HealthChanges
    | AffinityEntries
    | PutMaterials
    | KeepMaterials
    | Drain
)
ToSupervisor = (
    Hello
    | Ack
    | Nack
    | Stats
    | RequestStats
    | TLSStats
    | RequestDurations
    | AccessRecords
    | RecentRecords
    | TraceRecords
    | EndpointFailing
    | AffinityLearned
    | Drained
)

encode = msgspec.msgpack.Encoder().encode
decode_to_worker = msgspec.msgpack.Decoder(ToWorker).decode
decode_to_supervisor = msgspec.msgpack.Decoder(ToSupervisor).decode
