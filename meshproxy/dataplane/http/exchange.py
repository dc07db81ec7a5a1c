"""One request and its response: rule, backend, endpoint, tries.

Theory of operation. An exchange belongs to a client's connection and is used again for each of its requests. It has
at most one attempt under way. Until a byte of the response has gone to the client everything can still be undone:
another endpoint is tried as the retry policy allows, and always where the endpoint cannot have seen the request.
After that, whatever goes wrong ends the client's connection, so that a part is never taken for the whole.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from meshproxy.aio.timer_wheel import Timer
from meshproxy.dataplane.cluster import Cluster
from meshproxy.dataplane.http import access, forwarding
from meshproxy.dataplane.http.actions import BackendAction, RuleAction
from meshproxy.dataplane.http.attempt import Attempt, AttemptOwner
from meshproxy.dataplane.http.context import HTTPContext
from meshproxy.dataplane.http.frontend import Frontend
from meshproxy.dataplane.http.header_edits import HeaderEdit, apply_all
from meshproxy.dataplane.http.local_replies import local_reply
from meshproxy.dataplane.http.mirror import mirror_request
from meshproxy.dataplane.http.persistence import NO_KEY, HashKey, Token, hash_key
from meshproxy.dataplane.http.redirects import location, rewritten_target
from meshproxy.dataplane.http.request_body import KeptBody
from meshproxy.dataplane.http.responding import ResponseWriter
from meshproxy.dataplane.http.retries import IDEMPOTENT, Retries
from meshproxy.dataplane.http.upstream_connection import Bytes
from meshproxy.dataplane.upstream import Upstream
from meshproxy.protocols.http1.request import RequestHead
from meshproxy.protocols.http1.response import UNTIL_CLOSE, ResponseHead
from meshproxy.routing.paths import normalize_path
from meshproxy.snapshot.routes import Redirect, RetryCondition

if TYPE_CHECKING:
    from meshproxy.dataplane.http.downstream import Downstream


class Exchange(AttemptOwner):
    """Implements `cluster.Waiting`. `active` from a request's head to its response's last byte."""

    __slots__ = (
        "_attempt",
        "_backend",
        "_backoff",
        "_client",
        "_cluster",
        "_entered",
        "_gone_at",
        "_idle_limit",
        "_key",
        "_moved",
        "_normalized",
        "_prefix",
        "_request_due",
        "_responded",
        "_retries",
        "_rule",
        "_seen",
        "_sending",
        "_token",
        "_told",
        "_try_due",
        "_waiting",
        "_writer",
        "active",
        "attempts",
        "body",
        "client_address",
        "detail",
        "endpoint",
        "flags",
        "head",
        "request_id",
        "responding",
        "sent",
        "started",
        "status",
    )  # fmt: skip

    head: RequestHead

    def __init__(self, client: Downstream) -> None:
        self._client = client
        self.active = False
        self.body = KeptBody()
        self._attempt = Attempt(self)
        self._retries = Retries()
        self._writer = ResponseWriter()
        self._backoff: Timer | None = None
        self.started = self._responded = 0.0
        self._told = self.request_id = b""
        self.client_address = ""
        self._reset()

    def _reset(self) -> None:
        self._rule: RuleAction | None = None
        self._backend: BackendAction | None = None
        self._cluster: Cluster | None = None
        self._prefix = b"/"
        self._normalized = False
        self._key: HashKey = NO_KEY
        self._token: Token | None = None
        self._entered = self._waiting = self._sending = False
        self._request_due = self._try_due = self._gone_at = inf
        self._idle_limit = 0.0
        self._moved = 0
        self._seen = -1
        self.attempts = 0
        self.responding = False
        """Whether something of the response has gone to the client."""
        self.status = self.sent = 0
        self.flags = self.detail = self.endpoint = ""

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
        return self._responded - self._attempt.started if self.responding else -1.0

    # -- the request ---------------------------------------------------------------------

    def start(self, head: RequestHead, body: bytes, complete: bool, now: float) -> None:
        """A request arrived; `body` is what is there of its body, and `complete` that this is all."""
        self._reset()
        self.active = True
        self.head = head
        self.started = self._responded = now
        self.body.begin(body, complete)
        facts = self._client.facts
        if facts.is_trusted:
            self._told, self.request_id, self.client_address = facts.believed_fields(head)
        else:
            self._told, self.request_id, self.client_address = facts.fields(head)
        path = normalize_path(head.path)
        if path is None:
            self.reply(400, "DPE", "the path's percent-encoding is malformed")
            return
        if path is not head.path:
            self._normalized = path != head.path
            head.path = path
        found = self._client.frontend.find(head)
        if found is None:
            self.reply(404, "NR", "no rule matches")
            return
        self._rule, self._prefix = found
        self._follow(self._rule, head)

    def _follow(self, rule: RuleAction, head: RequestHead) -> None:
        """Do what the rule says."""
        if rule.answers and self._is_answered(rule, head):
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
        if backend.redirect is not None:
            self._redirect(rule, backend.redirect)
        else:
            self._enter(rule, backend, backend.cluster)

    def _is_answered(self, rule: RuleAction, head: RequestHead) -> bool:
        """Whether the rule itself is the answer: to a preflight, or a redirect."""
        if rule.cors is not None:
            fields = rule.cors.preflight(head)
            if fields is not None:
                self.reply(204, "", "", fields=fields[2:] + b"\r\n" if fields else b"")
                return True
        if rule.redirect is None:
            return False
        self._redirect(rule, rule.redirect)
        return True

    def _redirect(self, rule: RuleAction, redirect: Redirect) -> None:
        target = location(redirect, self.head, self._prefix, self._client.frontend.port)
        edited = apply_all(rule.response_edits, b"\r\nlocation: " + target)
        self.reply(redirect.status, "", "", fields=edited[2:] + b"\r\n")

    def _enter(self, rule: RuleAction, backend: BackendAction, cluster: Cluster) -> None:
        config = cluster.config
        if cluster.has_http_limits and self._is_refused(cluster):
            return
        if config.hash_on:
            self._key = hash_key(config.hash_on, self.head, self.request_id)
        self._retries.begin(rule.retry or config.retry)
        timeout = rule.request_timeout if rule.request_timeout is not None else config.request_timeout
        self._request_due = self.started + timeout if timeout is not None else inf
        self._idle_limit = self._client.frontend.stream_idle_timeout
        if backend.mirrors and self.body.complete:
            mirror_request(self, backend)
        entered = cluster.enter(self)
        if entered:
            self._entered = True
            self._start_try(self.started)
        elif entered is None:
            self._waiting = True
            self._try_due = self.started + config.pending_timeout
            self._set_deadline(self.started)
        else:
            self.reply(503, "UO", "as many requests as allowed are under way, and as many as allowed wait")

    def _is_refused(self, cluster: Cluster) -> bool:
        """Whether the body is too large, or the rate limit reached."""
        most = cluster.config.max_request_body
        if most is not None and max(self.head.length, self.body.size) > most:
            self.reply(413, "PL", f"the body is larger than {most} bytes")
            return True
        wait = cluster.limiter.take(self.started) if cluster.limiter is not None else 0.0
        if wait > 0:
            self.reply(429, "RL", "", fields=b"retry-after: %d\r\n" % -int(-wait // 1))
            return True
        return False

    def admitted(self) -> None:
        """Implements `cluster.Waiting`."""
        self._waiting = False
        self._entered = True
        self._start_try(self._client.now())

    def _wall(self) -> float:
        return self.context.wall + self.started

    # -- tries ---------------------------------------------------------------------------

    def _start_try(self, now: float) -> None:
        cluster, attempt, rule = self._cluster, self._attempt, self._rule
        assert cluster is not None
        assert rule is not None
        upstream = self._pick(cluster)
        if upstream is None:
            tried = bool(self._retries.tried)
            self.reply(503, "UF" if tried else "UH", self.detail or "the backend has no endpoint to use")
            return
        self.attempts += 1
        self.endpoint = upstream.key
        attempt.begin(cluster, upstream, now)
        timeout = rule.backend_timeout if rule.backend_timeout is not None else self._retries.per_try_timeout
        self._try_due = now + timeout if timeout is not None else inf
        self._set_deadline(now)
        if not attempt.find_connection(self.head.method in IDEMPOTENT) and attempt.active:
            due = now + cluster.config.connect_timeout
            if due < self._try_due:
                self._client.deadline.set(min(due, self._request_due))

    def _pick(self, cluster: Cluster) -> Upstream | None:
        retries = self._retries
        if self._token is not None and not retries.tried:
            upstream = cluster.pool.upstream_by_token(self._token.endpoint)
            if upstream is not None:
                return upstream
        upstream = cluster.pick(self.client_address, retries.tried, self._key.text)
        if upstream is None and retries.count:
            return cluster.pick(self.client_address, (), self._key.text)  # better the same one than none
        return upstream

    def connected(self) -> None:
        """Implements `AttemptOwner`."""
        head, body, attempt = self.head, self.body, self._attempt
        connection = attempt.connection
        assert connection is not None
        if connection.fresh:
            self._set_deadline(attempt.started)
        connection.begin(head.method == b"HEAD")
        data = self.upstream_head()
        if body.size:
            data += body.bytes()
            body.was_sent()
        self._sending = True
        if not connection.send(data) and not body.complete:
            self._client.pause_body()

    def upstream_head(self) -> bytes:
        """The request's head as the backend is to see it."""
        backend, client = self._backend, self._client
        assert backend is not None
        host = client.frontend.default_host
        if not backend.edited and not self._normalized:
            return forwarding.request_head(self.head, self._told, client.facts.is_trusted, host)
        rewrite = backend.rewrite
        target = rewritten_target(rewrite.path if rewrite else None, self.head, self._prefix)
        new_host = rewrite.hostname.encode() if rewrite and rewrite.hostname else None
        return forwarding.edited_request_head(
            self.head, self._told, client.facts.is_trusted, host, target, new_host, backend.request_edits
        )

    def request_body(self, piece: bytes, complete: bool) -> None:
        """More of the request's body."""
        body, attempt, cluster = self.body, self._attempt, self._cluster
        self._moved += 1
        body.add(piece, complete)
        most = cluster.config.max_request_body if cluster is not None else None
        if most is not None and body.size > most and not self.responding:
            self._drop_attempt()
            self.reply(413, "PL", f"the body is larger than {most} bytes")
            return
        if self._sending and attempt.active:
            if not attempt.send(piece) and not complete:
                self._client.pause_body()
        elif not complete and not body.is_short:
            self._client.pause_body()  # nobody takes it yet
        if complete and self._backend is not None and self._backend.mirrors:
            mirror_request(self, self._backend)

    def upload_drained(self) -> None:
        """Implements `AttemptOwner`."""
        self._moved += 1
        self._client.resume_body()

    def body_malformed(self, why: str) -> None:
        """The rest of the request's body cannot be read."""
        self._client.closing = True
        if self.responding:
            self._break_off("DPE", why)
        else:
            self._drop_attempt()
            self.reply(400, "DPE", why)

    # -- the response --------------------------------------------------------------------

    def response_interim(self, head: ResponseHead) -> None:
        """Implements `AttemptOwner`."""
        self._moved += 1
        if self.head.minor:  # HTTP/1.0 knows none (RFC 9110 §15.2)
            self._client.write(forwarding.response_head(head, b"", (), b""))

    def response_head(self, head: ResponseHead, body: Bytes, done: bool) -> None:
        """Implements `AttemptOwner`."""
        cluster, attempt, client = self._cluster, self._attempt, self._client
        assert cluster is not None
        status = head.status
        if status >= 400 and self._retries_status(cluster, status):
            attempt.end(status, done)
            self._try_again(f"status {status}")
            return
        self.status = status
        self._responded = client.now()
        if status == 101:
            self._switch_protocols(head, bytes(body))
            return
        self.responding = True
        if head.length == UNTIL_CLOSE or not self.body.complete:
            client.closing = True
        data = self._writer.begin(head, self.head.minor, client.closing, *self._additions())
        if body:
            self.sent += len(body)
            data = b"".join((data, self._writer.body(body)))
        taken = client.write(data)
        if done:
            self._done()
        elif not taken and attempt.connection is not None:
            attempt.connection.pause()

    def _additions(self) -> tuple[tuple[HeaderEdit, ...], bytes]:
        """(edits, field lines to add) for the response."""
        rule, backend, cluster = self._rule, self._backend, self._cluster
        assert rule is not None
        assert backend is not None
        assert cluster is not None
        added = self._key.response_field
        if rule.persistence is not None:
            added += rule.persistence.response_field(self._token, cluster, self._attempt.upstream, self._wall())
        if backend.cors is not None:
            added += backend.cors.response_fields(self.head)
        return backend.response_edits, added

    def response_body(self, body: Bytes, done: bool) -> None:
        """Implements `AttemptOwner`."""
        self._moved += 1
        self.sent += len(body)
        taken = self._client.write(self._writer.body(body)) if body else True
        if done:
            self._done()
        elif not taken and self._attempt.connection is not None:
            self._attempt.connection.pause()

    def client_drained(self) -> None:
        """The client took what it was sent."""
        self._moved += 1
        if self._attempt.connection is not None and self.responding:
            self._attempt.connection.resume()

    def _switch_protocols(self, head: ResponseHead, first: bytes) -> None:
        attempt = self._attempt
        connection = attempt.connection
        assert connection is not None
        if self.head.upgrade is None or not forwarding.takes_upgrade(self.head.upgrade):
            self.status = 0
            connection.fail("UPE", "it switched protocols unasked")
            return
        self.responding = True
        edits, added = self._additions()
        self._client.write(forwarding.upgrade_head(head, self.head.upgrade, edits, added))
        attempt.settle()
        attempt.connection = None
        self._client.start_tunnel(connection, first)

    # -- when it goes wrong --------------------------------------------------------------

    def attempt_failed(self, flag: str, detail: str, stale: bool) -> None:
        """Implements `AttemptOwner`."""
        cluster, upstream, retries = self._cluster, self._attempt.upstream, self._retries
        assert cluster is not None
        self._sending = False
        self.detail = detail
        if self.responding:
            self._break_off(flag, detail)
        elif stale and self._may_send_again() and retries.replaces_stale():
            self.attempts -= 1
            self._start_try(self._client.now())
        elif flag == "UF" and retries.moves_on(cluster, upstream):
            self._start_try(self._client.now())
        elif self._retries_failure(cluster, flag):
            self._try_again(detail)
        else:
            self.reply(503 if flag == "UF" else 502, self._with_urx(flag), detail)

    def _may_send_again(self) -> bool:
        return self.head.method in IDEMPOTENT and self.body.is_kept

    def _with_urx(self, flag: str) -> str:
        return f"{flag},URX" if self._retries.count else flag

    def _retries_failure(self, cluster: Cluster, flag: str) -> bool:
        if flag == "UF":
            return self.body.is_kept and self._retries.allows(RetryCondition.CONNECT_FAILURE, cluster)
        return flag == "UC" and self._may_send_again() and self._retries.allows(RetryCondition.RESET, cluster)

    def _retries_status(self, cluster: Cluster, status: int) -> bool:
        return self.body.is_kept and self._retries.allows(RetryCondition.STATUS, cluster, status)

    def _try_again(self, why: str) -> None:
        """Try once more, after a pause."""
        cluster, client, rule = self._cluster, self._client, self._rule
        assert cluster is not None
        assert rule is not None
        self._sending = False
        self.detail = why
        rule.counters.retries += 1
        pause = self._retries.begin_retry(cluster, self._attempt.upstream, self.context.random)
        self._try_due = inf
        self._set_deadline(client.now())
        self._backoff = client.schedule(pause, self._backoff_over)

    def _backoff_over(self) -> None:
        self._backoff = None
        self._start_try(self._client.now())

    def _drop_attempt(self) -> None:
        """Let go of the upstream without having its answer."""
        self._sending = False
        if self._backoff is not None:
            self._backoff.cancel()
            self._backoff = None
        self._attempt.end(0, False)

    # -- timeouts ------------------------------------------------------------------------

    def _set_deadline(self, now: float) -> None:
        due = now + self._idle_limit
        if self._try_due < due:
            due = self._try_due
        if self._request_due < due:
            due = self._request_due
        self._client.deadline.set(due)

    def deadline_reached(self) -> None:
        """The earliest of the timeouts has come."""
        now = self._client.now()
        if now >= self._gone_at and not self.responding:
            self._client.abort()
        elif now >= self._request_due:
            self._timed_out("UT", "the request's timeout")
        elif self._waiting:
            self.reply(503, "UO", "it waited as long as allowed for its turn")
        elif self._attempt.is_connecting and now < self._try_due:
            self._attempt.connect_timed_out()
        elif now >= self._try_due:
            self._try_timed_out()
        elif self._moved != self._seen:
            self._seen = self._moved
            self._set_deadline(now)
        else:
            self._timed_out("UT" if self.body.complete else "DT", "nothing moved for the stream's idle timeout")

    def _try_timed_out(self) -> None:
        cluster = self._cluster
        assert cluster is not None
        self._attempt.timed_out()
        if self.responding:
            self._break_off("UT", "the backend's timeout")
        elif self._may_send_again() and self._retries.allows(RetryCondition.TIMEOUT, cluster):
            self._try_again("no response in time")
        else:
            self.reply(504, self._with_urx("UT"), "no response within the backend's timeout")

    def _timed_out(self, flag: str, detail: str) -> None:
        if self.responding:
            self._break_off(flag, detail)
        else:
            self._drop_attempt()
            self.reply(408 if flag == "DT" else 504, self._with_urx(flag), detail)

    # -- the end -------------------------------------------------------------------------

    def reply(self, status: int, flag: str, detail: str, *, fields: bytes = b"") -> None:
        """Answer in the upstream's place."""
        client = self._client
        self.status, self.flags, self.detail = status, flag, detail
        self._responded = client.now()
        if not self.body.complete:
            client.closing = True
        keep_alive = not self.head.minor and not client.closing
        text = detail if status in (400, 417) else ""
        to_head = self.head.method == b"HEAD"
        client.write(
            local_reply(status, text=text, fields=fields, to_head=to_head, close=client.closing, keep_alive=keep_alive)
        )
        self._settle()
        client.exchange_done()

    def _done(self) -> None:
        """The response's last byte is on its way."""
        self._attempt.end(self.status, self.body.complete)
        self._settle()
        self._client.exchange_done()

    def _break_off(self, flag: str, detail: str) -> None:
        """The response cannot be completed."""
        self.flags, self.detail = flag, detail
        self._drop_attempt()
        self._settle()
        self._client.abort()

    def client_half_closed(self, grace: float) -> None:
        """The client sends nothing more: unless a response begins within `grace` seconds, it is taken to be gone."""
        if not self.responding:
            self._gone_at = self._client.now() + grace
            self._client.deadline.set(min(self._gone_at, self._request_due, self._try_due))

    def client_gone(self) -> None:
        """The client hung up: nobody wants the response."""
        if not self.active:
            return
        if self.status == 101:
            self.tunnel_closed()
            return
        self.flags = self.flags or "DC"
        self._drop_attempt()
        self._settle()

    def tunnel_closed(self) -> None:
        """The tunnel that came of a 101 is over."""
        self._attempt.end(101, False)
        self._settle()

    def _settle(self) -> None:
        """Give back what is held, and count."""
        self.active = False
        cluster, rule, frontend = self._cluster, self._rule, self._client.frontend
        if cluster is not None:
            self._retries.end(cluster)
            if self._entered:
                self._entered = False
                cluster.leave()
            elif self._waiting:
                self._waiting = False
                cluster.give_up(self)
        seconds = self._client.now() - self.started
        counters = rule.counters if rule is not None else frontend.unmatched
        counters.count(self.status, seconds)
        if self.flags:
            for flag in self.flags.split(","):
                frontend.context.count_flag(frontend.name, flag)
        wants = frontend.context.wants_record
        if wants is not None and wants(self.status, seconds, self.flags):
            access.record(self, seconds)
