"""Which requests are recorded as spans, and what their upstreams are told (OpenTelemetry's terms).

A worker knows nothing of OpenTelemetry: it keeps a `TraceRecord` for each traced request, and the supervisor makes
spans of them. A request that is not to be recorded, and that says so itself, passes as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from meshproxy.dataplane.http.header_edits import without
from meshproxy.protocols.trace_context import FIELDS, TraceParent, extract, field_lines
from meshproxy.snapshot.messages import AccessRecord, TraceRecord, TriedEndpoint
from meshproxy.snapshot.tracing import Tracing

if TYPE_CHECKING:
    from meshproxy.protocols.http1.request import RequestHead

MAX_STATE = 512
"""Characters of a ``tracestate`` that are kept (Trace Context §3.3.1.5)."""
_NO_PARENT = TraceParent(b"", b"", None)


class Tracer:
    """Begins the traces of one worker."""

    __slots__ = ("_bits", "_names", "_random", "always_errors", "connections", "fields", "sampling", "ways")

    def __init__(self, config: Tracing, random: Random) -> None:
        self.sampling = config.sampling
        self.always_errors = config.always_errors
        self.ways = config.propagation
        self._names = tuple(name for way in self.ways for name in FIELDS[way])
        self.fields = without(*self._names)
        self.connections = config.connections
        self._bits: Callable[[int], int] = random.getrandbits
        self._random = random.random

    def begin(self, head: RequestHead) -> Trace:
        """The trace that a request belongs to: its caller's, or a new one."""
        said = any(head.header(name) is not None for name in self._names)
        parent = (extract(head, self.ways) if said else None) or _NO_PARENT
        trace = Trace(self, parent, said)
        if parent.sampled is None:
            trace.decide(self.sampling)
        return trace

    def new_trace_id(self) -> bytes:
        return b"%032x" % (self._bits(127) + 1)

    def new_id(self) -> bytes:
        return b"%016x" % (self._bits(63) + 1)

    def chance(self, share: float) -> bool:
        return share >= 1 or self._random() < share


class _Try:
    """One try: a client span that is not over."""

    __slots__ = ("ended", "endpoint", "span_id", "started", "status")

    def __init__(self, span_id: bytes, endpoint: str, started: float) -> None:
        self.span_id = span_id
        self.endpoint = endpoint
        self.started = self.ended = started
        self.status = 0


class Trace:
    """One request's; `said` tells that it has fields of a trace, valid or not.

    `sampled` says that it is recorded whatever comes of it.
    """

    __slots__ = ("_parent", "_said", "_tracer", "_tries", "sampled", "span_id", "trace_id")

    def __init__(self, tracer: Tracer, parent: TraceParent, said: bool) -> None:
        self._tracer = tracer
        self._said = said
        self._parent = parent
        self.trace_id = parent.trace_id or tracer.new_trace_id()
        self.span_id = b""
        """Of the request itself; it has one from when it is recorded."""
        self._tries: list[_Try] = []
        self.sampled = bool(parent.sampled)

    def decide(self, share: float) -> None:
        """Record it with this chance, where the caller has left that open."""
        if self._parent.sampled is None:
            self.sampled = self._tracer.chance(share)

    # -- tries ---------------------------------------------------------------------------

    def try_began(self, endpoint: str, now: float) -> None:
        """Of a request that is recorded only if it fails, the last one will do."""
        if not self.sampled:
            self._tries.clear()
        self._tries.append(_Try(self._tracer.new_id(), endpoint, now))

    def try_ended(self, status: int, now: float) -> None:
        last = self._tries[-1]
        last.status = status
        last.ended = now

    def tell(self, head: bytes) -> bytes:
        """`head` with the last try as the parent of what its upstream does."""
        if self._parent.span_id and not self.sampled:
            return head  # nothing of ours comes between the caller and the upstream
        if self._said:
            head = self._tracer.fields.sub(b"", head)
        span_id = self._tries[-1].span_id if self._tries else self._tracer.new_id()
        return head[:-2] + field_lines(self._tracer.ways, self.trace_id, span_id, self.sampled) + b"\r\n"

    # -- the end -------------------------------------------------------------------------

    def is_wanted(self, status: int, flags: str) -> bool:
        """Whether it is recorded, now that it is known how it ended."""
        wanted = self.sampled or (self._tracer.always_errors and (status >= 500 or bool(flags)))
        if wanted:
            self.span_id = self._tracer.new_id()
        return wanted

    def record(self, request: AccessRecord, head: RequestHead, wall: float) -> TraceRecord:
        """`wall` is Unix time minus the reactor's clock."""
        state = head.header(b"tracestate") or b""
        return TraceRecord(
            parent_id=self._parent.span_id.decode(),
            state=state[:MAX_STATE].decode("latin-1"),
            request=request,
            tries=tuple(
                TriedEndpoint(
                    each.span_id.decode(), each.endpoint, wall + each.started, each.ended - each.started, each.status
                )
                for each in self._tries
            ),
        )
