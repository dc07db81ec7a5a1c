"""One HTTP connection to an endpoint: requests out, responses framed."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Final

from meshproxy.dataplane.http.outbox import Outbox
from meshproxy.dataplane.stream import Stream
from meshproxy.dataplane.tls.stream import TLSStream
from meshproxy.dataplane.tls.upstream import ClientHandshake, keep_session
from meshproxy.dataplane.upstream import Upstream
from meshproxy.protocols.http1.chunked import ChunkedReader
from meshproxy.protocols.http1.errors import MalformedBody, MalformedResponse
from meshproxy.protocols.http1.request import CHUNKED
from meshproxy.protocols.http1.response import UNTIL_CLOSE, ResponseHead, check_beginning, parse_response

if TYPE_CHECKING:
    from meshproxy.dataplane.cluster import Cluster
    from meshproxy.dataplane.http.attempt import Attempt
    from meshproxy.dataplane.http.pool import Pool

FIRST_BYTES: Final = 16384
"""Bytes read while a response's head is awaited."""
MAX_HEAD = 65536
"""Bytes of a response's head (Envoy: 60 KiB)."""
MAX_INTERIMS = 100
"""Interim responses before the response (Go's client took 5)."""
_NOTHING: Final = memoryview(b"")
Bytes = bytes | memoryview


class UpstreamConnection:
    """Owns a socket. It has a `taker` while it is used, and is idle without.

    `sent` and `received` are bytes since `begin`, until the taker has counted them.
    """

    __slots__ = (
        "_body",
        "_connecting",
        "_handshake",
        "_interims",
        "_partial",
        "_paused",
        "_pool",
        "_reactor",
        "_remaining",
        "_socket",
        "_to_head",
        "answered",
        "chunks",
        "fresh",
        "generation",
        "idle_since",
        "is_idle",
        "outbox",
        "received",
        "reusable",
        "sent",
        "served",
        "taker",
        "upstream",
    )

    def __init__(self, pool: Pool, upstream: Upstream, sock: Stream, taker: Attempt | None) -> None:
        self._pool = pool
        self._reactor = pool.reactor
        self._socket: Stream | None = sock
        self.upstream = upstream
        self.taker = taker
        self.outbox = Outbox(pool.reactor, sock, self._drained, self._send_failed)
        self.reusable = True
        self.generation = pool.generation
        self.fresh = True
        """Whether nothing was ever received on it."""
        self.served = 0
        self.is_idle = False
        self.idle_since = 0.0
        self.sent = self.received = 0
        self._connecting = False
        self._handshake: ClientHandshake | None = None
        self._paused = False
        self.chunks: ChunkedReader | None = None
        self._reset(False)

    def _reset(self, to_head: bool) -> None:
        self._to_head = to_head
        self._partial = b""
        self._body = False
        self._remaining = self._interims = 0
        self.chunks = None
        self.answered = False
        """Whether a byte of the response came."""

    # -- connecting ----------------------------------------------------------------------

    def connect(self) -> None:
        """Open the connection; the taker hears of it, at once or later."""
        sock = self._socket
        assert isinstance(sock, socket.socket)
        code = sock.connect_ex(self.upstream.sockaddr)
        if code not in (0, errno.EINPROGRESS):
            self._connect_failed(code)
            return
        self._connecting = True
        try:
            sock.getpeername()  # on loopback the handshake is over by now
        except OSError:
            self._reactor.add_writer(sock, self._connect_decided)
        else:
            self._open(sock)

    def _connect_decided(self) -> None:
        sock = self._socket
        assert isinstance(sock, socket.socket)
        self._reactor.remove_writer(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._connect_failed(code)
        else:
            self._open(sock)

    def _open(self, sock: socket.socket) -> None:
        """TCP is connected; TLS may come first."""
        tls = self._pool.cluster.tls
        if tls is None or not tls.covers(self.upstream):
            self._connected()
            return
        self._handshake = ClientHandshake(tls, self.upstream, sock, self._secured, self._not_secured)
        self._handshake.start()

    def _secured(self, stream: TLSStream) -> None:
        self._handshake = None
        self._socket = stream
        self.outbox = Outbox(self._reactor, stream, self._drained, self._send_failed)
        self._connected()

    def _not_secured(self, why: str) -> None:
        self._handshake = None
        self.fail("UF", why)

    def _connected(self) -> None:
        assert self._socket is not None
        self._connecting = False
        self._pool.connected(self)
        self.watch()
        taker, version = self.taker, self._pool.cluster.config.send_proxy_protocol
        if taker is not None:
            if version:
                self.outbox.write(taker.proxy_header(version))
            taker.upstream_connected()

    def _connect_failed(self, code: int) -> None:
        self.fail("UF", f"connect: {os.strerror(code).lower()}")

    @property
    def cluster(self) -> Cluster:
        return self._pool.cluster

    @property
    def is_connecting(self) -> bool:
        return self._connecting

    # -- the request ---------------------------------------------------------------------

    def begin(self, to_head: bool) -> None:
        """A request is about to be sent; `to_head` says that its response has no body."""
        self._reset(to_head)
        self.served += 1

    def send(self, data: Bytes) -> bool:
        """Send a piece of the request; whether all of it is gone (`upload_drained` says when it is)."""
        self.sent += len(data)
        return self.outbox.write(data)

    def _drained(self) -> None:
        if self.taker is not None:
            self.taker.upload_drained()

    def _send_failed(self) -> None:
        # It may have answered before it hung up: what it said is read first.
        if self.taker is None:
            self.close()
        elif not self._paused and not self._read_rest():
            self.fail("UC", "the connection broke while the request was sent")

    def _read_rest(self) -> bool:
        """Read what may be there; whether the taker is served, or heard of a failure, by that."""
        taker = self.taker
        while self._socket is not None and self.taker is taker and not self._paused:
            before = self.received
            self._readable()
            if self.received == before:
                break
        return self._socket is None or self.taker is not taker or self._paused

    def watch(self) -> None:
        """Notice what comes, on a connection that was open when it was taken in."""
        assert self._socket is not None
        self._reactor.add_reader(self._socket, self._readable)

    # -- the response --------------------------------------------------------------------

    def pause(self) -> None:
        """Read nothing until `resume`: the client is slow."""
        if not self._paused and self._socket is not None:
            self._paused = True
            self._reactor.remove_reader(self._socket)

    def resume(self) -> None:
        if self._paused and self._socket is not None:
            self._paused = False
            self._reactor.add_reader(self._socket, self._readable)

    def _readable(self) -> None:
        sock, taker = self._socket, self.taker
        if sock is None:
            return
        if taker is None:
            if not self.is_still_open():  # it timed out, or says something unasked: either way it is of no more use
                self.close()
        elif self._body:
            self._read_more(taker, sock)
        else:
            try:
                data = sock.recv(FIRST_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._ended(error)
                return
            if not data:
                self._ended(None)
                return
            self.received += len(data)
            self.fresh = False
            self.answered = True
            self._read_head(taker, data)

    def _read_more(self, taker: Attempt, sock: Stream) -> None:
        reactor = self._reactor
        try:
            count = sock.recv_into(reactor.buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._ended(error)
            return
        if not count:
            self._ended(None)
            return
        self.received += count
        self._read_body(taker, reactor.view[:count])

    def _read_head(self, taker: Attempt, data: bytes) -> None:
        if self._partial:
            data = self._partial + data
        while True:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:
                self._keep_partial(data)
                return
            try:
                head = parse_response(data[:end], self._to_head)
            except MalformedResponse as error:
                self.fail("UPE", error.message)
                return
            if not head.is_interim:
                break
            self._interims += 1
            if self._interims > MAX_INTERIMS:
                self.fail("UPE", f"more than {MAX_INTERIMS} interim responses")
                return
            taker.response_interim(head)
            data = data[end:]
            if self.taker is not taker or not data:
                self._partial = b""
                return
        self._partial = b""
        self._begin_body(taker, head, data, end)

    def _keep_partial(self, data: bytes) -> None:
        self._partial = data
        try:
            check_beginning(data)
        except MalformedResponse as error:
            self.fail("UPE", error.message)
            return
        if len(data) > MAX_HEAD:
            self.fail("UPE", f"the response's head is larger than {MAX_HEAD} bytes")

    def _begin_body(self, taker: Attempt, head: ResponseHead, data: bytes, end: int) -> None:
        length, available = head.length, len(data) - end
        if not head.keep_alive or head.status == 101:
            self.reusable = False
        body: Bytes = memoryview(data)[end:] if available else _NOTHING
        if length >= 0 and head.status != 101:
            if available > length:
                self.reusable = False  # bytes that nobody asked for; they go no further
                body = body[:length]
            self._remaining = length - len(body)
            done = not self._remaining
        elif length == CHUNKED:
            self.chunks = ChunkedReader()
            part, done = self._read_chunks(self.chunks, body)
            if part is None:
                return
            body = part
        else:
            done = False
            self._remaining = UNTIL_CLOSE
        self._body = True
        taker.response_head(head, body, done)

    def _read_body(self, taker: Attempt, view: memoryview) -> None:
        if self.chunks is not None:
            body, done = self._read_chunks(self.chunks, view)
            if body is not None:
                taker.response_body(body, done)
            return
        remaining = self._remaining
        if remaining == UNTIL_CLOSE:
            taker.response_body(view, False)
            return
        if len(view) > remaining:
            self.reusable = False
            view = view[:remaining]
        self._remaining = remaining - len(view)
        taker.response_body(view, not self._remaining)

    def _read_chunks(self, chunks: ChunkedReader, view: Bytes) -> tuple[Bytes | None, bool]:
        data = bytes(view)
        try:
            used = chunks.feed(data)
        except MalformedBody as error:
            self.fail("UPE", str(error))
            return None, False
        if used < len(data):
            self.reusable = False
            data = data[:used]
        return data, chunks.done

    def _ended(self, error: OSError | None) -> None:
        taker = self.taker
        assert taker is not None
        if error is None and self._body and self._remaining == UNTIL_CLOSE and self.chunks is None:
            self.reusable = False
            taker.response_body(_NOTHING, True)
            return
        what = "closed" if error is None else (error.strerror or "broken").lower()
        where = "in its response" if self.answered else "before it answered"
        self.fail("UC", f"{what} {where}")

    # -- the end -------------------------------------------------------------------------

    def fail(self, flag: str, detail: str) -> None:
        """Close, and tell the taker why."""
        taker = self.taker
        self.close()
        if taker is not None:
            taker.upstream_failed(flag, detail)

    def release(self) -> None:
        """The response is done: be idle for the next request, or close."""
        self.taker = None
        if self.served == 1:
            self._keep_session()
        if self.reusable and self.outbox.is_empty and self._pool.keep(self):
            self.resume()
        else:
            self.close()

    def _keep_session(self) -> None:
        tls, stream = self._pool.cluster.tls, self._socket
        if tls is not None and stream is not None:
            keep_session(tls, self.upstream.key, stream)

    def is_still_open(self) -> bool:
        """Look whether the endpoint has hung up meanwhile; for requests that must not be sent twice."""
        assert self._socket is not None
        try:
            self._socket.recv(1)  # of TLS there may be something to read that is not for us
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        return False  # closed, or bytes that nobody asked for

    def detach_socket(self) -> Stream:
        """Give the socket away (to a tunnel) and count it as closed."""
        sock = self._socket
        assert sock is not None
        self._reactor.remove_reader(sock)
        self._reactor.remove_writer(sock)
        self._socket = None
        self.outbox.close()
        self._forget()
        return sock

    def close(self) -> None:
        """Nothing when it is closed already."""
        sock = self._socket
        if sock is None:
            return
        self._socket = None
        if self._handshake is not None:
            self._handshake.stop()
            self._handshake = None
        self._reactor.forget(sock)
        self.outbox.close()
        sock.close()
        self._forget()

    def _forget(self) -> None:
        self.taker = None
        self._pool.closed(self)
