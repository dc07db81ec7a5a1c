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
    from meshproxy.dataplane.http.exchange import Exchange
    from meshproxy.protocols.http1.request import RequestHead

MAX_HEAD = 4096
"""Bytes of a head that are kept; of a longer one it is the first line and the host."""
_POOL = 2048
"""Random bytes drawn at once, for ids of 8 and 16."""
_IS_OURS: Final = re.compile(rb"[0-9a-f]{16}(?!0{16})[0-9a-f]{16}")
"""A request id that can be a trace id, and half of it a span id: a trusted proxy may have sent anything."""
_ONLY_W3C = (Propagation.W3C,)
_NO_PARENT: Final = TraceParent(b"", b"", None)


class Tracer:
    """Begins the traces of one worker."""

    __slots__ = (
        "_at", "_bytes", "_connections", "_fields", "_is_w3c", "_names", "_pool", "_random", "_ways", "always_errors",
        "sampling",
    )  # fmt: skip

    def __init__(self, config: Tracing, random: Random) -> None:
        self.sampling = config.sampling
        self.always_errors = config.always_errors
        self._connections = config.connections
        self._ways = config.propagation
        self._is_w3c = self._ways == _ONLY_W3C
        names = tuple(name for way in self._ways for name in FIELDS[way])
        self._fields = without(*names)
        self._names = tuple(b"\r\n" + name + b":" for name in names)
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
            exchange.trace = Trace(self, trace_id, parent_id, self.chance(share) if sampled is None else sampled, True)
        elif self.chance(share):
            exchange.trace = Trace(self, b"", b"", True, False)
        else:
            return self._unsampled(exchange)
        return b""

    def _unsampled(self, exchange: Exchange) -> bytes:
        """Nobody looks for these ids: a request's own will do."""
        trace_id = exchange.request_id
        if exchange.client.facts.is_trusted and not _IS_OURS.fullmatch(trace_id):
            trace_id = self.new_trace_id()
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

    def wants_connection(self) -> bool:
        """Whether a connection that is over is recorded."""
        return self._connections and self.chance(self.sampling)

    def late(self, exchange: Exchange) -> Trace:
        """The trace of a request that was not to be recorded, and has failed."""
        trace = Trace(self, b"", b"", False, False)
        if exchange.attempts:
            trace.try_began(exchange.endpoint, exchange.started)
            trace.try_ended(exchange.status, exchange.client.now())
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

    def tell(self, head: bytes, trace: Trace) -> bytes:
        """`head` with what it says of traces replaced by what is so."""
        if trace.replaces:
            head = self._fields.sub(b"", head)
        if self._is_w3c:
            end = b"-01\r\n\r\n" if trace.sampled else b"-00\r\n\r\n"
            return b"".join((head[:-2], b"traceparent: 00-", trace.trace_id, b"-", trace.span_id, end))
        return head[:-2] + field_lines(self._ways, trace.trace_id, trace.span_id, trace.sampled) + b"\r\n"


class Trace:
    """One request's. `parent_id` is its caller's span, empty where there is none.

    `sampled` says that it is recorded whatever comes of it, `replaces` that it has fields of a trace already, valid or
    not. `span_id` is that of the try at hand.
    """

    __slots__ = (
        "_endpoint", "_started", "_tracer", "_tries", "parent_id", "replaces", "sampled", "span_id", "trace_id",
    )  # fmt: skip

    def __init__(self, tracer: Tracer, trace_id: bytes, parent_id: bytes, sampled: bool, replaces: bool) -> None:
        self._tracer = tracer
        self.trace_id = trace_id or tracer.new_trace_id()
        self.parent_id = parent_id
        self.sampled = sampled
        self.replaces = replaces
        self.span_id = b""
        self._tries: tuple[TriedEndpoint, ...] = ()
        self._endpoint = ""
        self._started = 0.0

    def try_began(self, endpoint: str, now: float) -> None:
        self.span_id = self._tracer.new_id()
        self._endpoint = endpoint
        self._started = now

    def try_ended(self, status: int, now: float) -> None:
        self._tries += (TriedEndpoint(self.span_id, self._endpoint, self._started, now, status),)

    def tell(self, head: bytes) -> bytes:
        """`head` with the try at hand as the parent of what its upstream does."""
        if self.parent_id and not self.sampled:
            return head  # nothing of ours comes between the caller and the upstream
        return self._tracer.tell(head, self)

    def record(self, exchange: Exchange, seconds: float) -> TraceRecord:
        """What is kept of a request that is over after `seconds`."""
        head, client, rule, cluster = exchange.head, exchange.client, exchange.rule, exchange.cluster
        frontend = client.frontend
        raw = head.raw
        if len(raw) > MAX_HEAD:
            raw = b"%b %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (head.method, head.path[:MAX_HEAD], head.authority)
        return TraceRecord(
            self.trace_id, self.parent_id, frontend.context.wall, exchange.started, seconds, raw, exchange.status,
            exchange.flags, exchange.detail, frontend.name, rule.name if rule is not None else "",
            cluster.config.name if cluster is not None else "", exchange.client_address, client.facts.address,
            exchange.body.size, exchange.sent, exchange.request_id, self._tries,
            client.facts.scheme,
        )  # fmt: skip
