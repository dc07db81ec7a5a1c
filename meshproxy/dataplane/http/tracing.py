"""Which requests are recorded as spans, and what their upstreams are told (OpenTelemetry's terms).

A worker knows nothing of OpenTelemetry: it keeps a `TraceRecord` of a traced request, and the supervisor makes spans
of it. A request that is not recorded costs a field line; one whose caller has decided so passes as it is.
"""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING, Final

from meshproxy.dataplane.http.header_edits import without
from meshproxy.protocols.trace_context import FIELDS, TraceParent, extract, field_lines
from meshproxy.snapshot.messages import TraceRecord, TriedEndpoint
from meshproxy.snapshot.tracing import Propagation, Tracing

if TYPE_CHECKING:
    from meshproxy.dataplane.cluster import Cluster
    from meshproxy.dataplane.http.attempt import Attempt
    from meshproxy.dataplane.http.exchange import Exchange
    from meshproxy.protocols.http1.request import RequestHead

MAX_HEAD = 4096
"""Bytes of a head that are kept; of a longer one it is the first line, and `_KEPT`."""
MAX_FIELD = 512
"""Bytes of one of these."""
_KEPT = (b"host:", b"user-agent:", b"tracestate:")
_POOL = 2048
"""Random bytes drawn at once, for ids of 8 and 16."""
_IS_OURS: Final = re.compile(rb"[0-9a-f]{16}(?!0{16})[0-9a-f]{16}")
"""A request id that can be a trace id, and half of it a span id: a trusted proxy may have sent anything."""
_BEGINNINGS = {b"traceparent": b"\r\ntrace"}
"""What is looked for in a head: a ``tracestate`` without a ``traceparent`` must not be passed on, either."""
_ONLY_W3C = (Propagation.W3C,)
_NO_PARENT: Final = TraceParent(b"", b"", None)


class Tracer:
    """Begins the traces of one worker."""

    __slots__ = (
        "_all_fields", "_at", "_bytes", "_connections", "_fields", "_is_w3c", "_names", "_pool", "_random", "_ways",
        "always_errors", "records", "sampling",
    )  # fmt: skip

    def __init__(self, config: Tracing, random: Random) -> None:
        self.sampling = config.sampling
        self.always_errors = config.always_errors
        self.records = config.records
        self._connections = config.connections
        self._ways = config.propagation
        self._is_w3c = self._ways == _ONLY_W3C
        names = tuple(name for way in self._ways for name in FIELDS[way])
        self._fields = without(*names)
        self._all_fields = without(*names, b"tracestate")
        self._names = tuple(dict.fromkeys(_BEGINNINGS.get(name, b"\r\n" + name + b":") for name in names))
        self._random = random.random
        self._bytes = random.randbytes
        self._pool = b""
        self._at = 0

    def begin(self, exchange: Exchange, share: float | None) -> bytes:
        """Give a request its trace, if it is to have one; otherwise the field lines that say so to its upstream.

        `share` is the rule's own, if it has one.
        """
        if share is None:
            share = self.sampling
        parent = self._parent_of(exchange.head)
        if parent is not None:
            trace_id, parent_id, sampled = parent
            trace = Trace(self, trace_id, parent_id, self.chance(share) if sampled is None else sampled, True)
        elif self.chance(share):
            trace = Trace(self, b"", b"", True, False)
        else:
            return self._unsampled(exchange)
        exchange.trace = trace
        exchange.trace_id = trace.trace_id
        return b""

    def _unsampled(self, exchange: Exchange) -> bytes:
        """A request's own id will do, and half of it for the span's: `late` knows both, should the request fail."""
        trace_id = exchange.request_id
        if exchange.client.facts.is_trusted and not _IS_OURS.fullmatch(trace_id):
            trace_id = self.new_trace_id()
        exchange.trace_id = trace_id
        if self._is_w3c:
            return b"".join((b"\r\ntraceparent: 00-", trace_id, b"-", trace_id[16:], b"-00"))
        return b"\r\n" + field_lines(self._ways, trace_id, trace_id[16:], False)[:-2]

    def _parent_of(self, head: RequestHead) -> TraceParent | None:
        """What a request says of its caller; None where it says nothing at all."""
        raw = head.raw.lower()
        for name in self._names:
            if name in raw:
                return extract(head, self._ways) or _NO_PARENT
        return None

    def wants_connection(self, *, failed: bool) -> bool:
        """Whether a connection that is over is recorded."""
        return self._connections and ((failed and self.always_errors) or self.chance(self.sampling))

    def late(self, exchange: Exchange, attempt: Attempt) -> Trace:
        """The trace of a request that was not to be recorded, and has failed: the one that its upstreams were told of.

        Of several tries it has the last, which was `attempt`.
        """
        trace = Trace(self, exchange.trace_id, b"", False, False)
        trace.span_id = exchange.trace_id[16:]
        if exchange.attempts:
            attempt.tell_try(trace)
            trace.try_ended(attempt.status, attempt.flag, exchange.client.now())
        return trace

    def new_trace_id(self) -> bytes:
        return self._new_digits(32)

    def new_id(self) -> bytes:
        return self._new_digits(16)

    def _new_digits(self, count: int) -> bytes:
        at, end = self._at, self._at + count
        if end > len(self._pool):
            self._pool = self._bytes(_POOL).hex().encode()
            at, end = 0, count
        self._at = end
        return self._pool[at:end]

    def chance(self, share: float) -> bool:
        return share >= 1 or self._random() < share

    @property
    def converts(self) -> bool:
        """Whether upstreams are told in more ways than callers need to speak."""
        return len(self._ways) > 1

    def tell(self, head: bytes, trace: Trace, span_id: bytes) -> bytes:
        """`head` with what it says of traces replaced by what is so. Without a valid parent its state is nobody's."""
        if trace.replaces:
            head = (self._fields if trace.parent_id else self._all_fields).sub(b"", head)
        if self._is_w3c:
            end = b"-01\r\n\r\n" if trace.sampled else b"-00\r\n\r\n"
            return b"".join((head[:-2], b"traceparent: 00-", trace.trace_id, b"-", span_id, end))
        return head[:-2] + field_lines(self._ways, trace.trace_id, span_id, trace.sampled) + b"\r\n"


class Trace:
    """One request's. `parent_id` is its caller's span, empty where there is none.

    `sampled` says that it is recorded whatever comes of it, `replaces` that it has fields of a trace already, valid or
    not. `span_id` is that of the try at hand, or of the first one to come.
    """

    __slots__ = (
        "_endpoint", "_port", "_sent", "_started", "_tracer", "_tries", "parent_id", "replaces", "sampled", "span_id",
        "trace_id",
    )  # fmt: skip

    def __init__(self, tracer: Tracer, trace_id: bytes, parent_id: bytes, sampled: bool, replaces: bool) -> None:
        self._tracer = tracer
        self.trace_id = trace_id or tracer.new_trace_id()
        self.parent_id = parent_id
        self.sampled = sampled
        self.replaces = replaces
        self.span_id = tracer.new_id()
        self._sent = b""
        self._tries: tuple[TriedEndpoint, ...] = ()
        self._endpoint = ""
        self._port = 0
        self._started = 0.0

    def try_began(self, endpoint: str, port: int, now: float) -> None:
        if self._endpoint:
            self.span_id = self._tracer.new_id()
        self._endpoint = endpoint
        self._port = port
        self._started = now

    def try_ended(self, status: int, flag: str, now: float) -> None:
        self._tries += (TriedEndpoint(self.span_id, self._endpoint, self._started, now, status, self._port, flag),)

    def tell(self, head: bytes, rewritten: bool) -> bytes:
        """`head` with the try at hand as the parent of what its upstream does."""
        if rewritten:
            self._sent = head
        tracer = self._tracer
        if self.parent_id and not (self.sampled and tracer.records):  # no span of ours comes between the two
            return tracer.tell(head, self, self.parent_id) if tracer.converts else head
        return tracer.tell(head, self, self.span_id)

    def record(self, exchange: Exchange, seconds: float) -> TraceRecord:
        """What is kept of a request that is over after `seconds`."""
        head, client, rule, cluster = exchange.head, exchange.client, exchange.rule, exchange.cluster
        frontend = client.frontend
        return TraceRecord(
            self.trace_id, self.parent_id, frontend.context.wall, exchange.started, seconds, _bounded(head.raw),
            exchange.status, exchange.flags, exchange.detail, frontend.name, rule.name if rule is not None else "",
            cluster.name if cluster is not None else "", exchange.client_address, client.facts.address,
            exchange.body.size, exchange.sent, exchange.request_id, self._tries, client.peer_port,
            client.facts.scheme_of(head), _scheme_of(cluster), _bounded(self._sent),
        )  # fmt: skip


def _scheme_of(cluster: Cluster | None) -> str:
    tls = cluster.tls if cluster is not None else None
    return "https" if tls is not None and not tls.settings.mesh else "http"


def _bounded(head: bytes) -> bytes:
    """`head`, or of a long one what a span is made of: the first line, and the fields that are short."""
    if len(head) <= MAX_HEAD:
        return head
    line, end, fields = head.partition(b"\r\n")
    if len(line) > MAX_HEAD:
        method, target, version = line.split(b" ")
        line = b"%b %b %b" % (method, target[: MAX_HEAD - 64], version)
    kept = [each for each in fields.split(b"\r\n") if each.lower().startswith(_KEPT) and len(each) <= MAX_FIELD]
    return end.join((line, *kept, b"", b""))
