"""One request and its response: rule, backend, endpoint, tries.

Theory of operation. An exchange belongs to a client's connection and is used again for each of its requests. It has
at most one upstream connection at a time. Until a byte of the response has gone to the client everything can still be
undone: another endpoint is tried as the retry policy allows, and always where the endpoint cannot have seen the
request. After that, whatever goes wrong ends the client's connection, so that a part is never taken for the whole.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from math import inf
from typing import Protocol

from meshproxy.aio.timer_wheel import Timer
from meshproxy.dataplane.cluster import Cluster
from meshproxy.dataplane.http import access, forwarding
from meshproxy.dataplane.http.actions import BackendAction, RuleAction
from meshproxy.dataplane.http.context import HTTPContext
from meshproxy.dataplane.http.deadline import Deadline
from meshproxy.dataplane.http.forwarding import ClientFacts
from meshproxy.dataplane.http.frontend import Frontend
from meshproxy.dataplane.http.header_edits import HeaderEdit, apply_all, field
from meshproxy.dataplane.http.local_replies import local_reply
from meshproxy.dataplane.http.mirror import mirror_request
from meshproxy.dataplane.http.persistence import NO_KEY, HashKey, Token, hash_key
from meshproxy.dataplane.http.redirects import location, rewritten_target
from meshproxy.dataplane.http.request_body import KeptBody
from meshproxy.dataplane.http.upstream_connection import Bytes, UpstreamConnection
from meshproxy.dataplane.upstream import Upstream
from meshproxy.protocols.http1.chunked import ChunkedReader
from meshproxy.protocols.http1.request import CHUNKED, RequestHead
from meshproxy.protocols.http1.response import UNTIL_CLOSE, ResponseHead
from meshproxy.routing.paths import normalize_path
from meshproxy.snapshot.routes import RetryCondition, RetryPolicy

IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""RFC 9110 §9.2.2."""
STALE_TRIES = 3
"""Pooled connections that may turn out to be closed before a new one is opened."""
MAX_BACKOFF = 10
"""The longest pause between tries, in multiples of the first (Envoy: 10 times `base_interval`)."""
CONNECT_TIMED_OUT = "connect: connection timed out"


class Client(Protocol):
    """The client's connection, as an exchange sees it."""

    frontend: Frontend
    facts: ClientFacts
    deadline: Deadline
    closing: bool
    """Whether the connection ends with this exchange."""

    def now(self) -> float: ...

    def write(self, data: Bytes) -> bool:
        """Send to the client; False until `Exchange.client_drained` is called."""
        ...

    def pause_body(self) -> None:
        """Read no more of the request's body for now."""
        ...

    def resume_body(self) -> None: ...

    def exchange_done(self) -> None:
        """The response is out; the next request may come."""
        ...

    def abort(self) -> None:
        """Reset the connection: what the client has is not the whole."""
        ...

    def start_tunnel(self, connection: UpstreamConnection, first: bytes) -> None:
        """Both sides switched protocols; `first` came behind the upstream's 101."""
        ...


class Exchange:
    """Implements `upstream_connection.ResponseTaker`, `upstream.Attached` and `cluster.Waiting`."""

    upstream: Upstream

    def __init__(self, client: Client) -> None:
        self._client = client
        self.active = False
        self.body = KeptBody()
        self._backoff: Timer | None = None
        self._connection: UpstreamConnection | None = None
        self._reset()

    def _reset(self) -> None:
        self._rule: RuleAction | None = None
        self._backend: BackendAction | None = None
        self._cluster: Cluster | None = None
        self._on_upstream = False
        self._entered = self._waiting = False
        self._tried: tuple[Upstream, ...] = ()
        self.attempts = 0
        self._connect_failures = self._stale = self._retries = 0
        self._sending = False
        self._response_started = False
        self._dechunk: ChunkedReader | None = None
        self._key: HashKey = NO_KEY
        self._token: Token | None = None
        self.status = 0
        self.flags = self.detail = self.endpoint = ""
        self.sent = 0
        self._half_closed = False
        self._request_due = self._try_due = inf
        self._idle_limit = 0.0
        self._moved = 0
        self._seen = -1
        self._tried_at = 0.0

    # -- what others ask -----------------------------------------------------------------

    @property
    def frontend(self) -> Frontend:
        return self._client.frontend

    @property
    def context(self) -> HTTPContext:
        return self._client.frontend.context

    @property
    def peer(self) -> str:
        """The address of the client's connection."""
        return self._client.facts.address

    @property
    def rule_name(self) -> str:
        return self._rule.name if self._rule is not None else ""

    @property
    def cluster_name(self) -> str:
        return self._cluster.config.name if self._cluster is not None else ""

    @property
    def upstream_seconds(self) -> float:
        """Seconds from the last try to its response's head; -1 without one."""
        return self.responded - self._tried_at if self._response_started else -1.0

    # -- the request ---------------------------------------------------------------------

    def start(self, head: RequestHead, body: bytes, complete: bool) -> None:
        """A request arrived; `body` is what is there of its body, and `complete` that this is all."""
        client = self._client
        if self.attempts or self._rule is not None or self.status:
            self._reset()
        self.active = True
        self.head = head
        self.started = self.responded = client.now()
        self.body.begin()
        self.body.complete = complete
        if body:
            self.body.add(body)
        self.prefix = b"/"
        facts = client.facts
        believed = facts.is_trusted
        self.told, self.request_id, self.client_address = (
            facts.believed_fields(head) if believed else facts.fields(head)
        )
        self._route(head)

    def _route(self, head: RequestHead) -> None:
        path = normalize_path(head.path)
        self._normalized = path is not head.path and path != head.path
        if path is None:
            self.reply(400, "DPE", "the path's percent-encoding is malformed")
            return
        head.path = path
        found = self._client.frontend.find(head)
        if found is None:
            self.reply(404, "NR", "no rule matches")
            return
        rule, self.prefix = found
        self._rule = rule
        if rule.cors is not None and self._answered_preflight(rule.cors.preflight(head)):
            return
        if rule.redirect is not None:
            self._redirect(rule, head)
            return
        if rule.persistence is not None:
            self._token = rule.persistence.token_of(head, self._wall())
        backend = rule.backend_with(self._token.endpoint) if self._token is not None else None
        backend = backend or rule.choose(self._client.frontend.context.random)
        if backend is None or backend.cluster is None:
            problem = backend.problem if backend is not None else "the rule has no backend with a weight"
            self.reply(500, "NC", problem)
            return
        self._backend, self._cluster = backend, backend.cluster
        self._enter(backend, backend.cluster)

    def _answered_preflight(self, fields: bytes | None) -> bool:
        if fields is None:
            return False
        self.reply(204, "", "", fields=fields[2:] + b"\r\n" if fields else b"")
        return True

    def _redirect(self, rule: RuleAction, head: RequestHead) -> None:
        assert rule.redirect is not None
        target = location(rule.redirect, head, self.prefix, self._client.frontend.port)
        fields = b"location: " + target + b"\r\n"
        for line in apply_all(rule.response_edits, b"").split(b"\r\n"):
            fields += line + b"\r\n" if line else b""
        self.reply(rule.redirect.status, "", "", fields=fields)

    def _enter(self, backend: BackendAction, cluster: Cluster) -> None:
        config = cluster.config
        if config.max_request_body is not None and self.head.length > config.max_request_body:
            self.reply(413, "PL", f"the body is larger than {config.max_request_body} bytes")
            return
        if config.rate_limit is not None and cluster.limiter is not None:
            wait = cluster.limiter.take(self.started)
            if wait > 0:
                self.reply(429, "RL", "", fields=b"retry-after: %d\r\n" % max(1, -int(-wait // 1)))
                return
        if config.hash_on:
            self._key = hash_key(config.hash_on, self.head, self.request_id)
        self._set_timeouts(config.request_timeout)
        if backend.mirrors and self.body.complete:
            mirror_request(self, backend)
        entered = cluster.enter(self)
        if entered:
            self._entered = True
            self._start_try()
        elif entered is None:
            self._waiting = True
            self._try_due = self.started + config.pending_timeout
            self._set_deadline()
        else:
            self.reply(503, "UO", "as many requests as allowed are under way, and as many as allowed wait")

    def _set_timeouts(self, of_cluster: float | None) -> None:
        rule = self._rule
        assert rule is not None
        timeout = rule.request_timeout if rule.request_timeout is not None else of_cluster
        self._request_due = self.started + timeout if timeout is not None else inf
        self._idle_limit = self._client.frontend.config.stream_idle_timeout

    def admitted(self) -> None:
        """Implements `cluster.Waiting`."""
        self._waiting = False
        self._entered = True
        self._start_try()

    def _wall(self) -> float:
        return self._client.frontend.context.wall + self.started

    # -- tries ---------------------------------------------------------------------------

    def _start_try(self) -> None:
        cluster, client = self._cluster, self._client
        assert cluster is not None
        upstream = self._pick(cluster)
        if upstream is None:
            self.reply(503, "UF" if self._tried else "UH", self.detail or "the backend has no endpoint to use")
            return
        self.attempts += 1
        self.upstream = upstream
        self._on_upstream = True
        self.endpoint = upstream.key
        cluster.acquire(upstream)
        upstream.attach(self)
        self._tried_at = now = client.now() if self.attempts > 1 else self.started
        self._try_due = now + self._try_timeout()
        self._set_deadline()
        pool = cluster.pool
        connection = pool.take(upstream, self)
        if connection is not None and self.head.method not in IDEMPOTENT:
            while connection is not None and not connection.is_still_open():
                connection.close()
                connection = pool.take(upstream, self)
        if connection is None:
            self._connect(cluster, upstream)
        else:
            self._connection = connection
            self._send_request(connection)

    def _pick(self, cluster: Cluster) -> Upstream | None:
        if self._token is not None and not self._tried:
            upstream = cluster.pool.upstream_by_token(self._token.endpoint)
            if upstream is not None:
                return upstream
        upstream = cluster.pick(self.client_address, self._tried, self._key.text)
        if upstream is None and self._tried and self._retries:
            return cluster.pick(self.client_address, (), self._key.text)  # better the same one than none
        return upstream

    def _try_timeout(self) -> float:
        assert self._rule is not None
        assert self._cluster is not None
        timeout = self._rule.backend_timeout
        retry = self._retry_policy()
        if timeout is None and retry is not None:
            timeout = retry.per_try_timeout
        return inf if timeout is None else timeout

    def _retry_policy(self) -> RetryPolicy | None:
        assert self._rule is not None
        assert self._cluster is not None
        return self._rule.retry or self._cluster.config.retry

    def _connect(self, cluster: Cluster, upstream: Upstream) -> None:
        try:
            connection = cluster.pool.open(upstream, self)
        except OSError as error:
            self._end_try(0)
            self.reply(503, "UF", f"no socket: {errno.errorcode.get(error.errno or 0, '')}")
            return
        self._connection = connection
        self._try_due = min(self._try_due, self._client.now() + cluster.config.connect_timeout)
        self._set_deadline()
        connection.connect()

    def upstream_connected(self) -> None:
        connection = self._connection
        assert connection is not None
        self._try_due = self._tried_at + self._try_timeout()
        self._set_deadline()
        self._send_request(connection)

    def _send_request(self, connection: UpstreamConnection) -> None:
        head, body = self.head, self.body
        connection.begin(head.method == b"HEAD")
        data = self.upstream_head()
        if body.size_of_all:
            data += body.bytes()
        self._sending = True
        if not connection.send(data) and not body.complete:
            self._client.pause_body()

    def upstream_head(self) -> bytes:
        """The request's head as the backend is to see it."""
        head, backend, client = self.head, self._backend, self._client
        assert backend is not None
        believed = client.facts.is_trusted
        host = client.frontend.default_host
        if not backend.edited and not self._normalized:
            return forwarding.request_head(head, self.told, believed, host)
        rewrite = backend.rewrite
        target = rewritten_target(rewrite.path if rewrite else None, head, self.prefix)
        new_host = rewrite.hostname.encode() if rewrite and rewrite.hostname else None
        return forwarding.edited_request_head(head, self.told, believed, host, target, new_host, backend.request_edits)

    def request_body(self, piece: bytes, complete: bool) -> None:
        """More of the request's body."""
        body, connection = self.body, self._connection
        self._moved += 1
        body.add(piece)
        body.complete = complete
        most = self._cluster.config.max_request_body if self._cluster is not None else None
        if most is not None and body.size_of_all > most and not self._response_started:
            self._drop_upstream()
            self.reply(413, "PL", f"the body is larger than {most} bytes")
        elif connection is not None and self._sending:
            if not connection.send(piece) and not complete:
                self._client.pause_body()
        elif not complete and not body.is_kept:
            self._client.pause_body()  # nobody takes it yet
        if complete and self.active and self._backend is not None and self._backend.mirrors:
            mirror_request(self, self._backend)

    def upload_drained(self) -> None:
        self._client.resume_body()

    def body_malformed(self, why: str) -> None:
        """The rest of the request's body cannot be read."""
        self._client.closing = True
        if self._response_started:
            self._break_off("DPE", why)
        else:
            self._drop_upstream()
            self.reply(400, "DPE", why)

    # -- the response --------------------------------------------------------------------

    def response_interim(self, head: ResponseHead) -> None:
        self._moved += 1
        if self.head.minor:  # HTTP/1.0 knows none (RFC 9110 §15.2)
            self._client.write(forwarding.response_head(head, b"", (), b""))

    def response_head(self, head: ResponseHead, body: Bytes, done: bool) -> None:
        cluster, upstream, connection = self._cluster, self.upstream, self._connection
        assert cluster is not None
        assert connection is not None
        cluster.responded(upstream, head.status)
        if head.status >= 400 and self._retries_status(head.status):
            self._end_try(head.status, keep=done)
            self._try_again(f"status {head.status}")
            return
        self.status = head.status
        self.responded = self._client.now()
        self._response_started = True
        if head.status == 101:
            self._switch_protocols(head, bytes(body))
            return
        client = self._client
        if head.length == UNTIL_CLOSE or not self.body.complete:
            client.closing = True
        if head.length == CHUNKED and not self.head.minor:
            client.closing = True
            self._dechunk = ChunkedReader()
            data = self._dechunked_head(head)
        else:
            data = forwarding.response_head(head, self._connection_field(), *self._additions(head))
        if body:
            data = b"".join((data, self._payload(body)))
            self.sent += len(body)
        taken = client.write(data)
        if done:
            self._done()
        elif not taken:
            connection.pause()

    def _connection_field(self) -> bytes:
        if self._client.closing:
            return b"\r\nconnection: close"
        return b"" if self.head.minor else b"\r\nconnection: keep-alive"

    def _additions(self, head: ResponseHead) -> tuple[Sequence[HeaderEdit], bytes]:
        """(edits, field lines to add) for the response."""
        rule, backend, cluster = self._rule, self._backend, self._cluster
        assert rule is not None
        assert backend is not None
        assert cluster is not None
        added = self._key.response_field
        if rule.persistence is not None:
            added += rule.persistence.response_field(self._token, cluster, self.upstream, self._wall())
        if backend.cors is not None:
            added += backend.cors.response_fields(self.head)
        return backend.response_edits, added

    def _dechunked_head(self, head: ResponseHead) -> bytes:
        data = forwarding.response_head(head, self._connection_field(), *self._additions(head))
        return forwarding.TAKE_CHUNKED.sub(b"", data)

    def _payload(self, body: Bytes) -> Bytes:
        if self._dechunk is None:
            return body
        slices: list[bytes] = []
        self._dechunk.feed(bytes(body), slices)
        return b"".join(slices)

    def response_body(self, body: Bytes, done: bool) -> None:
        self._moved += 1
        self.sent += len(body)
        taken = self._client.write(self._payload(body)) if body else True
        if done:
            self._done()
        elif not taken and self._connection is not None:
            self._connection.pause()

    def client_drained(self) -> None:
        """The client took what it was sent."""
        self._moved += 1
        if self._connection is not None and self._response_started:
            self._connection.resume()

    def _switch_protocols(self, head: ResponseHead, first: bytes) -> None:
        connection = self._connection
        assert connection is not None
        if self.head.upgrade is None or not forwarding.takes_upgrade(self.head.upgrade):
            self.status = 0
            self._response_started = False
            connection.fail("UPE", "it switched protocols unasked")
            return
        upgrade = field(b"Upgrade", head.upgrade or self.head.upgrade)
        edits, added = self._additions(head)
        data = forwarding.response_head(head, b"\r\nConnection: upgrade" + upgrade, edits, added)
        self._client.write(data)
        self._connection = None
        self._client.start_tunnel(connection, first)

    # -- when it goes wrong --------------------------------------------------------------

    def upstream_failed(self, flag: str, detail: str) -> None:
        connection, cluster, upstream = self._connection, self._cluster, self.upstream
        assert connection is not None
        assert cluster is not None
        stale = flag == "UC" and not connection.answered and connection.served > 1
        self._end_try(0)
        if flag == "UF":
            cluster.failed(upstream, detail, timeout=detail == CONNECT_TIMED_OUT)
        elif not stale:
            cluster.request_failed(upstream, detail)
        if self._response_started:
            self._break_off(flag, detail)
            return
        self.detail = detail
        if stale and self._may_send_again() and self._stale < STALE_TRIES:
            self._stale += 1
            self.attempts -= 1
            self._start_try()
        elif flag == "UF" and self._connect_failures < cluster.config.connect_retries:
            self._connect_failures += 1
            self._tried = (*self._tried, upstream)
            self._start_try()
        elif self._retries_failure(flag):
            self._try_again(detail)
        else:
            self.reply(503 if flag == "UF" else 502, self._with_urx(flag), detail)

    def _may_send_again(self) -> bool:
        return self.head.method in IDEMPOTENT and self.body.is_kept

    def _with_urx(self, flag: str) -> str:
        return f"{flag},URX" if self._retries else flag

    def _retries_failure(self, flag: str) -> bool:
        if flag == "UF":
            return self.body.is_kept and self._allows_retry(RetryCondition.CONNECT_FAILURE)
        return flag == "UC" and self._may_send_again() and self._allows_retry(RetryCondition.RESET)

    def _retries_status(self, status: int) -> bool:
        retry = self._retry_policy()
        if retry is None or status not in retry.statuses or not self.body.is_kept:
            return False
        return self._allows_retry(RetryCondition.STATUS)

    def _allows_retry(self, condition: RetryCondition) -> bool:
        """Whether policy, attempts and budget allow one more try."""
        retry, cluster = self._retry_policy(), self._cluster
        if retry is None or cluster is None or condition not in retry.conditions or self._retries >= retry.attempts:
            return False
        return cluster.pool.may_retry()

    def _try_again(self, why: str) -> None:
        """Try once more, after a pause."""
        retry, cluster = self._retry_policy(), self._cluster
        assert retry is not None
        assert cluster is not None
        self._retries += 1
        if self._retries == 1:
            cluster.pool.retries += 1
        assert self._rule is not None
        self._rule.counters.retries += 1
        self._tried = (*self._tried, self.upstream)
        self.detail = why
        longest = min(2 ** (self._retries - 1), MAX_BACKOFF) * retry.backoff
        random = self._client.frontend.context.random
        self._try_due = inf
        self._set_deadline()
        wheel = self._client.deadline.wheel
        self._backoff = wheel.schedule(longest * random(), self._backoff_over)

    def _backoff_over(self) -> None:
        self._backoff = None
        self._start_try()

    def _end_try(self, status: int, keep: bool = False) -> None:
        """The upstream is done with: count it, and let go of its connection; nothing when it was done before."""
        if not self._on_upstream:
            return
        cluster, upstream, connection = self._cluster, self.upstream, self._connection
        assert cluster is not None
        self.settle()
        self._connection = None
        self._sending = self._on_upstream = False
        if connection is not None:
            if keep:
                connection.release()
            else:
                connection.taker = None
                connection.close()
        upstream.request_ended(status, self._client.now() - self._tried_at)
        upstream.detach(self)
        cluster.release(upstream)

    def settle(self) -> None:
        """Implements `upstream.Attached`."""
        connection = self._connection
        if connection is not None:
            self.upstream.sent += connection.sent
            self.upstream.received += connection.received
            connection.sent = connection.received = 0

    def upstream_gone(self, now: float) -> None:
        """Implements `upstream.Attached`: the request goes on, its connection serves no other."""
        if self._connection is not None:
            self._connection.reusable = False

    def _drop_upstream(self) -> None:
        """Let go of the upstream without having its answer."""
        if self._backoff is not None:
            self._backoff.cancel()
            self._backoff = None
        self._end_try(0)

    # -- timeouts ------------------------------------------------------------------------

    def _set_deadline(self) -> None:
        now = self.started if self.attempts <= 1 else self._client.now()
        idle = now + self._idle_limit if self._idle_limit else inf
        self._idle_due = idle
        self._client.deadline.set(min(self._request_due, self._try_due, idle))

    def deadline_reached(self) -> None:
        """The earliest of the timeouts has come."""
        now = self._client.now()
        if self._half_closed and not self._response_started:
            self._client.abort()
        elif now >= self._request_due:
            self._timed_out("UT", "the request's timeout")
        elif now >= self._try_due:
            self._try_timed_out()
        elif self._moved != self._seen:
            self._seen = self._moved
            self._set_deadline_from(now)
        else:
            self._timed_out("UT" if self.body.complete else "DT", "nothing moved for the stream's idle timeout")

    def _set_deadline_from(self, now: float) -> None:
        self._idle_due = now + self._idle_limit
        self._client.deadline.set(min(self._request_due, self._try_due, self._idle_due))

    def _try_timed_out(self) -> None:
        if self._waiting:
            self.reply(503, "UO", "it waited as long as allowed for its turn")
            return
        connection, cluster, upstream = self._connection, self._cluster, self.upstream
        assert cluster is not None
        if connection is not None and connection.is_connecting:
            connection.fail("UF", CONNECT_TIMED_OUT)
            return
        cluster.request_failed(upstream, "no response in time")
        if self._response_started:
            self._timed_out("UT", "the backend's timeout")
            return
        self._end_try(0)
        if self._may_send_again() and self._allows_retry(RetryCondition.TIMEOUT):
            self._try_again("no response in time")
        else:
            self.reply(504, self._with_urx("UT"), "no response within the backend's timeout")

    def _timed_out(self, flag: str, detail: str) -> None:
        if self._response_started:
            self._break_off(flag, detail)
        else:
            self._drop_upstream()
            self.reply(408 if flag == "DT" else 504, self._with_urx(flag), detail)

    # -- the end -------------------------------------------------------------------------

    def reply(self, status: int, flag: str, detail: str, *, fields: bytes = b"") -> None:
        """Answer in the upstream's place."""
        client = self._client
        self.status, self.flags, self.detail = status, flag, detail
        self.responded = client.now()
        if not self.body.complete:
            client.closing = True
        keep_alive = not self.head.minor and not client.closing
        text = detail if status in (400, 417) else ""
        to_head = self.head.method == b"HEAD"
        client.write(
            local_reply(status, text=text, fields=fields, to_head=to_head, close=client.closing, keep_alive=keep_alive)
        )
        self._finish()

    def _done(self) -> None:
        """The response's last byte is on its way."""
        self._end_try(self.status, keep=self.body.complete)
        self._finish()

    def _break_off(self, flag: str, detail: str) -> None:
        """The response cannot be completed."""
        self.flags, self.detail = flag, detail
        self._drop_upstream()
        self._settle()
        self._client.abort()

    def client_half_closed(self, grace: float) -> None:
        """The client sends nothing more: unless a response begins within `grace` seconds, it is taken to be gone."""
        self._half_closed = True
        if not self._response_started:
            self._request_due = min(self._request_due, self._client.now() + grace)
            self._client.deadline.set(self._request_due)

    def client_gone(self) -> None:
        """The client hung up: nobody wants the response."""
        if not self.active:
            return
        if self.status == 101:
            self.tunnel_closed()
            return
        self.flags = self.flags or "DC"
        self._drop_upstream()
        self._settle()

    def tunnel_closed(self) -> None:
        """The tunnel that came of a 101 is over."""
        self._end_try(101)
        self._settle()

    def _finish(self) -> None:
        self._settle()
        self._client.exchange_done()

    def _settle(self) -> None:
        """Give back what is held, and count."""
        self.active = False
        cluster = self._cluster
        if cluster is not None:
            if self._retries:
                cluster.pool.retries -= 1
            if self._entered:
                self._entered = False
                cluster.leave()
            elif self._waiting:
                self._waiting = False
                cluster.give_up(self)
        frontend = self._client.frontend
        seconds = self._client.now() - self.started
        counters = self._rule.counters if self._rule is not None else frontend.unmatched
        counters.count(self.status, seconds)
        if self.flags:
            for flag in self.flags.split(","):
                frontend.context.count_flag(frontend.name, flag)
        wants = frontend.context.wants_record
        if wants is not None and wants(self.status, seconds, self.flags):
            access.record(self, seconds)
