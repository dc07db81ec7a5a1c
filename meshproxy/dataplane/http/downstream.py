"""A client's HTTP connection: requests off it, one after the other."""

from __future__ import annotations

import enum
import logging
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from meshproxy.aio.timer_wheel import Timer
from meshproxy.authorization.caller import Caller
from meshproxy.base.addresses import SocketAddress
from meshproxy.dataplane.callers import CallerCounters
from meshproxy.dataplane.http import access
from meshproxy.dataplane.http.calls import count_request
from meshproxy.dataplane.http.deadline import Deadline
from meshproxy.dataplane.http.exchange import Exchange
from meshproxy.dataplane.http.forwarding import ClientFacts
from meshproxy.dataplane.http.frontend import Frontend
from meshproxy.dataplane.http.limits import would_be_forbidden
from meshproxy.dataplane.http.local_replies import local_reply
from meshproxy.dataplane.http.outbox import Outbox
from meshproxy.dataplane.http.tunnel import Tunnel
from meshproxy.dataplane.http.upstream_connection import Bytes, UpstreamConnection
from meshproxy.dataplane.upstream import Upstream
from meshproxy.protocols import proxy_protocol
from meshproxy.protocols.http1.chunked import ChunkedReader
from meshproxy.protocols.http1.errors import MalformedBody, MalformedRequest
from meshproxy.protocols.http1.request import CHUNKED, RequestHead, check_beginning, parse_request

if TYPE_CHECKING:
    from meshproxy.dataplane.listener import Accepting
    from meshproxy.dataplane.stream import Stream
    from meshproxy.dataplane.tls.peer import TLSFacts

FIRST_BYTES: Final = 16384
"""Bytes read while a request is awaited."""
BODY_BYTES: Final = 131072
"""Bytes of a body read at once."""
MAX_HELD: Final = 65536
"""Bytes of further requests that are read while one is answered."""
HALF_CLOSED_GRACE = 1.0
"""Seconds that a request goes on for once its client said that it sends no more. Most who say so are gone (a timeout,
Ctrl-C), and their request is to be given up as HAProxy and Envoy do; a few have just closed one half of the connection
and wait (RFC 9112 §9.6)."""
DRAIN_GRACE = 0.5
"""Seconds for one more request once we drain: who asks without a pause is to be told, and not to be cut off."""
LINGER = 2.0
"""Seconds in which what a client still sends is thrown away, so that no reset overtakes the last answer (§9.6)."""
_log = logging.getLogger(__name__)
_RESET = struct.pack("ii", 1, 0)


class _State(enum.Enum):
    IDLE = enum.auto()
    """Between requests, or in the middle of a head."""
    BODY = enum.auto()
    """A request is under way, and its body is not complete."""
    ANSWERING = enum.auto()
    """A request is under way, and here as a whole."""
    LINGERING = enum.auto()
    TUNNEL = enum.auto()
    CLOSED = enum.auto()


class Downstream:
    """Owns a client's socket and its exchange. `picked` is where its first request goes, if that was decided before.

    Once closed it is free by its reference count, and so is what hangs on it: `gc.freeze` (see `runtime.worker`) makes
    what is open at a change of the configuration the collector's no longer.
    """

    __slots__ = (
        "_caller", "_chunks", "_client", "_ended", "_exchange", "_input", "_listener", "_outbox", "_paused",
        "_processing", "_reactor", "_receive", "_remaining", "_requests", "_socket", "_state", "_tunnel", "closing",
        "counters", "deadline", "facts", "frontend",
    )  # fmt: skip

    __deletable__ = ("_exchange",)  # mypyc's

    facts: ClientFacts
    frontend: Frontend

    def __init__(
        self,
        listener: Accepting,
        sock: Stream,
        client: tuple[str, int],
        first: bytes,
        *,
        picked: Upstream | None = None,
        tls: TLSFacts | None = None,
    ) -> None:
        reactor = listener.reactor
        self._listener = listener
        self.frontend = listener.frontend
        self._reactor = reactor
        self._socket = sock
        self._receive = sock.recv
        self.facts = self.frontend.facts(client[0], tls)
        self._client = client
        self._caller = Caller(listener.principal_of(client, tls), client[0])
        self.counters: CallerCounters | None = None
        self.deadline = Deadline(reactor, self._time_is_up)
        self._outbox = Outbox(reactor, sock, self._drained, self._client_gone)
        self._exchange = Exchange(self)
        self._exchange.preference.reserved = picked
        self._state = _State.IDLE
        self._input = first
        """What was read and not taken yet."""
        self._remaining = 0
        self._requests = 0
        self._chunks: ChunkedReader | None = None
        self._tunnel: Tunnel | None = None
        self._paused = self._processing = self._ended = False
        self.closing = False

    @property
    def peer_port(self) -> int:
        """The port at the other end, which `facts.address` is the address of."""
        return self._client[1]

    def start(self) -> None:
        """Begin with an accepted client, of whom `first` was read already."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.deadline.set(self.now() + self.frontend.config.idle_timeout)
        self._reactor.add_reader(self._socket, self._readable)
        if self._input:
            self._process()

    # -- reading -------------------------------------------------------------------------

    def _readable(self) -> None:
        state = self._state
        try:
            data = self._receive(BODY_BYTES if state is _State.BODY else FIRST_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._client_gone()
            return
        if not data:
            self._client_ended()
        elif state is _State.IDLE:
            self._input = self._input + data if self._input else data
            self._process()
        elif state is _State.BODY:
            self._take_body(data)
        elif state is _State.ANSWERING:
            self._input += data
            if len(self._input) > MAX_HELD:
                self._pause()

    def _process(self) -> None:
        """Take one request after the other off what was read, until one has to wait.

        It waits for the last response to be sent, too: who asks and never reads shall not fill our memory.
        """
        self._processing = True
        outbox = self._outbox
        while self._input and self._state is _State.IDLE and outbox.is_empty:
            if not self._take_request():
                break
        self._processing = False
        if self._state is _State.IDLE:
            self._wait_for_request()

    def _wait_for_request(self) -> None:
        """Nothing more can be taken off what was read."""
        is_held = bool(self._input) and not self._outbox.is_empty
        if self._ended and not is_held:
            self._linger()
        elif is_held and len(self._input) > MAX_HELD:
            self._pause()

    def _take_request(self) -> bool:
        data = self._input
        if data[0] == 13:  # RFC 9112 §2.2: an empty line before a request is passed over
            while data[:2] == b"\r\n":
                data = data[2:]
            self._input = data
            if data == b"\r":
                data = b""
        end = data.find(b"\r\n\r\n") + 4
        if self.frontend is not self._listener.frontend:  # it may have changed since the last request
            self.frontend = self._listener.frontend
            self.facts = self.frontend.facts(self.facts.address, self.facts.tls)
        config = self.frontend.config
        if end < 4:
            self._await_rest_of_head(data)
            return False
        try:
            if end > config.max_header_bytes:
                raise _too_large(data, config.max_header_bytes)
            if data.count(b"\n", 0, end) - 2 > config.max_headers:
                raise MalformedRequest(431, f"more than {config.max_headers} fields")
            head = parse_request(data[:end])
        except MalformedRequest as error:
            self._refuse(error)
            return False
        self._begin(head, data, end)
        return True

    def _begin(self, head: RequestHead, data: bytes, end: int) -> None:
        config = self.frontend.config
        self._requests += 1
        self.closing = (
            not head.keep_alive
            or self._listener.draining
            or (config.max_requests_per_connection is not None and self._requests >= config.max_requests_per_connection)
        )
        length = head.length
        if not length:
            self._input = data[end:]
            self._state = _State.ANSWERING
            self._exchange.start(head, b"", True, self._reactor.time)
            return
        rest = data[end:]
        if length == CHUNKED:
            self._chunks = ChunkedReader()
            try:
                used = self._chunks.feed(rest)
            except MalformedBody as error:
                self._refuse(MalformedRequest(400, str(error)))
                return
            complete = self._chunks.done
        else:
            used = min(length, len(rest))
            self._remaining = length - used
            complete = not self._remaining
        self._input = rest[used:]
        self._state = _State.ANSWERING if complete else _State.BODY
        self._exchange.start(head, rest[:used], complete, self._reactor.time)

    def _take_body(self, data: bytes) -> None:
        if self._chunks is not None:
            try:
                used = self._chunks.feed(data)
            except MalformedBody as error:
                self._body_malformed(str(error))
                return
            complete = self._chunks.done
        else:
            used = min(self._remaining, len(data))
            self._remaining -= used
            complete = not self._remaining
        if complete:
            self._state = _State.ANSWERING
            self._chunks = None
            self._input = data[used:]
            data = data[:used]
        self._exchange.request_body(data, complete)

    # -- what is wrong with a request ----------------------------------------------------

    def _await_rest_of_head(self, data: bytes) -> None:
        config = self.frontend.config
        try:
            check_beginning(data)
            if len(data) > config.max_header_bytes:
                raise _too_large(data, config.max_header_bytes)
        except MalformedRequest as error:
            self._refuse(error)
            return
        if self._remaining >= 0:  # the first piece of this head
            self._remaining = -1
            self.deadline.set(self.now() + config.header_timeout)

    def _refuse(self, error: MalformedRequest) -> None:
        """Answer what cannot be read; where the next request would begin nobody knows."""
        frontend = self.frontend
        frontend.unmatched.count(error.status, 0.0)
        flag = "PL" if error.status in (413, 414, 431) else "DPE"
        frontend.context.count_flags(frontend.name, flag)
        count_request(self, None, error.status, 0.0)
        access.record_refusal(self, error.status, flag, error.message)
        self._input = b""
        self._state = _State.ANSWERING
        self.write(local_reply(error.status, text=error.message if error.status in (400, 417) else "", close=True))
        self._linger()

    def _body_malformed(self, why: str) -> None:
        self._state = _State.ANSWERING
        self._exchange.body_malformed(why)

    # -- what the exchange asks for ------------------------------------------------------

    def now(self) -> float:
        return self._reactor.time

    def wall(self) -> float:
        """Unix time."""
        return self.frontend.context.wall + self._reactor.time

    @property
    def here(self) -> tuple[str, int]:
        """The scheme and the port that a client uses."""
        return self.facts.scheme, self.frontend.port

    def schedule(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` after `delay` seconds, `now` being up to date."""

        def call() -> None:
            self._reactor.look_at_clock()
            self._guard(callback)

        return self._reactor.wheel.schedule(delay, call)

    def caller(self, address: str) -> Caller:
        """Whom this client calls as; `address` is its own, or what a trusted proxy says of it."""
        if self._caller.ip != address:
            self._caller = Caller(self._caller.principal, address)
        return self._caller

    def proxy_header(self, version: int) -> bytes:
        """What tells an upstream of this connection (HAProxy's PROXY protocol)."""
        destination = SocketAddress(*self._socket.getsockname()[:2])
        return proxy_protocol.encode(version, SocketAddress(*self._client), destination)

    def write(self, data: Bytes) -> bool:
        return self._outbox.write(data)

    def _drained(self) -> None:
        if self._state is _State.LINGERING:
            self._shut_down()
        elif self._state is _State.IDLE:
            self._await_request()
            self._process()
        elif self._exchange.active:
            self._exchange.client_drained()

    def pause_body(self) -> None:
        if self._state is _State.BODY:
            self._pause()

    def resume_body(self) -> None:
        if self._state is _State.BODY:
            self._resume()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._reactor.remove_reader(self._socket)

    def _resume(self) -> None:
        if self._paused and not self._ended:
            self._paused = False
            self._reactor.add_reader(self._socket, self._readable)

    def exchange_done(self) -> None:
        if self._state is _State.CLOSED:
            return
        if self.closing:
            self._linger()
            return
        self._state = _State.IDLE
        self._remaining = 0
        self._chunks = None
        self._await_request()
        if not self._processing and (self._input or self._ended):
            self._process()

    def _await_request(self) -> None:
        config = self.frontend.config
        limit = config.idle_timeout if self._outbox.is_empty else config.stream_idle_timeout
        self.deadline.set(self.now() + limit)
        if self._paused:
            self._resume()

    def start_tunnel(self, connection: UpstreamConnection, first: bytes) -> None:
        self._state = _State.TUNNEL
        self.deadline.cancel()
        self._reactor.remove_reader(self._socket)
        cluster = connection.cluster
        upstream = connection.upstream
        self._tunnel = Tunnel(
            self._reactor, self._socket, self._outbox.take_rest() + first, connection.detach_socket(), self._input,
            upstream, cluster.config.idle_timeout, self._tunnel_closed,
        )  # fmt: skip
        self._input = b""
        self._tunnel.start()

    def _tunnel_closed(self) -> None:
        self._exchange.tunnel_closed()
        self.close()

    # -- the end -------------------------------------------------------------------------

    def _guard(self, callback: Callable[[], None]) -> None:
        """Call what a timer is for: a mistake of ours ends this connection, which nothing might wake up again."""
        try:
            callback()
        except Exception:  # noqa: BLE001 as in the reactor, which does so for what sockets call
            _log.exception("a timer's callback failed")
            self.abort()

    def _time_is_up(self) -> None:
        self._guard(self._deadline_reached)

    def _deadline_reached(self) -> None:
        if self._state in (_State.BODY, _State.ANSWERING) and self._exchange.active:
            self._exchange.deadline_reached()
        elif not self._outbox.is_empty:
            self.abort()
        elif self._state is _State.IDLE and self._input:
            self._refuse(MalformedRequest(408, "the head took too long"))
        else:
            self.close()

    def _client_ended(self) -> None:
        """A FIN: it sends no more, and may or may not wait for an answer."""
        self._ended = True
        self._pause()
        if self._state is _State.ANSWERING and self._exchange.active:
            self.closing = self.closing or not self._input
            self._exchange.client_half_closed(HALF_CLOSED_GRACE)
        elif self._outbox.is_empty or self._state is _State.BODY:
            self.close()
        elif self._state is _State.IDLE:  # the rest of the last response is on its way
            self._wait_for_request()

    def _client_gone(self) -> None:
        self.close()

    def _linger(self) -> None:
        """Say that nothing more will be sent, and wait a little for the client to have read it."""
        self._state = _State.LINGERING
        self._input = b""
        if self._ended and self._outbox.is_empty:
            self.close()
            return
        self._resume()
        self.deadline.set(
            self.now() + max(LINGER, 0 if self._outbox.is_empty else self.frontend.config.stream_idle_timeout)
        )
        if self._outbox.is_empty:
            self._shut_down()

    def _shut_down(self) -> None:
        if self._ended:
            self.close()
            return
        self.deadline.set(self.now() + LINGER)
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()

    def drain(self) -> None:
        """Take no further request but the one that is under way, or may be on its way already."""
        if self._state is not _State.IDLE or self._input:
            self.closing = True
        elif self._outbox.is_empty:
            self.deadline.set(self.now() + DRAIN_GRACE)
        else:
            self._linger()

    def end_refused(self) -> None:
        """Implements `listener.Open`: each request is asked, and one that is under way may end; a tunnel may not."""
        is_outdated = self._listener.is_outdated(self.facts.tls)
        if self._state is _State.TUNNEL:
            if is_outdated or would_be_forbidden(self._exchange, self._listener.frontend):
                self.abort()
        elif is_outdated:
            self.closing = True
            if self._state is _State.IDLE:
                self._linger()

    def abort(self) -> None:
        """Reset: the client may not take what it has for the whole."""
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        except OSError:
            pass  # shut down already
        self.close()

    def close(self) -> None:
        """Nothing when it is closed already."""
        if self._state is _State.CLOSED:
            return
        tunnel, self._tunnel = self._tunnel, None
        self._state = _State.CLOSED
        self.deadline.close()
        self._outbox.close()
        if tunnel is not None:
            tunnel.close()
        self._exchange.client_gone()
        self._exchange.let_go()
        del self._exchange  # they hold each other
        self._reactor.forget(self._socket)
        self._socket.close()
        self._listener.connection_closed(self)


def _too_large(data: bytes, limit: int) -> MalformedRequest:
    if b"\r\n" not in data[:limit]:
        return MalformedRequest(414, f"the request line alone is longer than {limit} bytes")
    return MalformedRequest(431, f"the head is larger than {limit} bytes")
