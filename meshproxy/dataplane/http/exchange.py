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
from meshproxy.dataplane.http.answers import own_answer, readable_fields
from meshproxy.dataplane.http.attempt import Attempt, AttemptOwner
from meshproxy.dataplane.http.calls import count_request
from meshproxy.dataplane.http.limits import Refusal, forbidden, refused
from meshproxy.dataplane.http.local_replies import local_reply
from meshproxy.dataplane.http.mirror import mirror_request
from meshproxy.dataplane.http.preference import Preference
from meshproxy.dataplane.http.request_body import KeptBody
from meshproxy.dataplane.http.responding import ResponseWriter, ends_with_connection
from meshproxy.dataplane.http.retries import Retries
from meshproxy.dataplane.http.timeouts import Timeouts
from meshproxy.dataplane.http.upstream_connection import Bytes
from meshproxy.protocols.http1.request import RequestHead
from meshproxy.protocols.http1.response import ResponseHead
from meshproxy.routing.paths import normalize_path

if TYPE_CHECKING:
    from meshproxy.dataplane.http.downstream import Downstream


class Exchange(AttemptOwner):
    """Implements `cluster.Waiting`. `active` from a request's head to its response's last byte."""

    __slots__ = (
        "_attempt", "_backend", "_backoff", "_entered", "_normalized", "_prefix", "_retries", "_sending", "_timeouts",
        "_told", "_waiting", "_writer", "active", "attempts", "body", "client", "client_address", "cluster", "detail",
        "endpoint", "flags", "head", "preference", "request_id", "responded", "responding", "rule", "sent",
        "started", "status", "trace_id",
    )  # fmt: skip

    head: RequestHead

    def __init__(self, client: Downstream) -> None:
        self.client = client
        self.active = False
        self.body = KeptBody()
        self._attempt = Attempt(self)
        self.preference = Preference()
        self._retries = Retries(self.body)
        self._timeouts = Timeouts()
        self._writer = ResponseWriter()
        self._backoff: Timer | None = None
        self.started = self.responded = 0.0
        self._told, self.request_id, self.client_address = b"", b"", ""
        self._reset()

    def _reset(self) -> None:
        self.rule: RuleAction | None = None
        self._backend: BackendAction | None = None
        self.cluster: Cluster | None = None
        self._prefix = b"/"
        self._normalized = False
        self.preference.begin()
        self._entered = self._waiting = self._sending = False
        self._timeouts.begin()
        self.trace, self.trace_id = None, b""
        self.attempts = 0
        self.responding = False
        """Whether something of the response has gone to the client."""
        self.status = self.sent = 0
        self.flags = self.detail = self.endpoint = ""

    # -- the request ---------------------------------------------------------------------

    def start(self, head: RequestHead, body: bytes, complete: bool, now: float) -> None:
        """A request arrived; `body` is what is there of its body, and `complete` that this is all."""
        self._reset()
        self.active = True
        self.head = head
        self.started = self.responded = now
        self.body.begin(body, complete)
        facts = self.client.facts
        tell = facts.believed_fields if facts.is_trusted else facts.fields
        self._told, self.request_id, self.client_address = tell(head)
        if facts.tls is not None and facts.tls.misdirects(head.host):
            self.reply(421, "NR", "another listener serves this host")
            return
        path = normalize_path(head.path)
        if path is None:
            self.reply(400, "DPE", "the path's percent-encoding is malformed")
            return
        if path is not head.path:
            self._normalized = path != head.path
            head.path = path
        found = self.client.frontend.find(head)
        tracer = self.client.frontend.context.tracer
        if tracer is not None:
            self._told += tracer.begin(self, found[0].trace_sampling if found is not None else None)
        if found is None:
            self.reply(404, "NR", "no rule matches")
            return
        self.rule, self._prefix = rule, _ = found
        authorization = rule.authorization or self.client.frontend.authorization
        if not authorization or not self._is_refused(forbidden(self, rule, authorization)):
            self._follow(rule, head)

    def _follow(self, rule: RuleAction, head: RequestHead) -> None:
        """Do what the rule says."""
        if rule.answers and self._is_answered(rule):
            return
        if rule.persistence is not None:
            self.preference.token = rule.persistence.token_of(head, self.client.wall())
        token = self.preference.token
        backend = rule.backend_with(token.endpoint) if token is not None else None
        self._backend = backend = backend or rule.choose(self.client.frontend.context.random)
        if backend is None or backend.cluster is None:
            problem = backend.problem if backend is not None else "the rule has no backend with a weight"
            self.reply(500, "NC", problem)
            return
        self.cluster = backend.cluster
        if not backend.answers or not self._is_answered(backend):
            self._enter(rule, backend, backend.cluster)

    def _is_answered(self, action: RuleAction | BackendAction) -> bool:
        """Whether a rule, or its backend, itself is the answer: to a preflight, or a redirect."""
        answer = own_answer(action, self.head, self._prefix, self.client.here)
        if answer is not None:
            self.reply(answer.status, "", "", fields=answer.fields)
        return answer is not None

    def _enter(self, rule: RuleAction, backend: BackendAction, cluster: Cluster) -> None:
        config = cluster.config
        if self._is_refused(refused(cluster, max(self.head.length, self.body.size), self.started)):
            return
        self.preference.hash(cluster, self.head, self.request_id, secure=self.client.facts.tls is not None)
        self._retries.begin(rule.retry or config.retry, self.head.method)
        timeout = rule.request_timeout if rule.request_timeout is not None else config.request_timeout
        self._timeouts.request_due = self.started + timeout if timeout else inf
        self._timeouts.limit_idleness(self.client.frontend.stream_idle_timeout, self.started)
        if backend.mirrors and self.body.complete:
            mirror_request(self, backend)
        entered = cluster.enter(self)
        if entered:
            self._entered = True
            self._start_try(self.started)
        elif entered is None:
            self._waiting = True
            self._timeouts.try_due = self.started + config.pending_timeout
            self._set_deadline(self.started)
        else:
            self.reply(503, "UO", "as many requests as allowed are under way, and as many as allowed wait")

    def _is_refused(self, refusal: Refusal | None) -> bool:
        if refusal is None:
            return False
        self.reply(refusal.status, refusal.flag, refusal.detail, fields=refusal.fields)
        return True

    def admitted(self) -> None:
        """Implements `cluster.Waiting`."""
        self._waiting = False
        self._entered = True
        self._start_try(self.client.now())

    # -- tries ---------------------------------------------------------------------------

    def _start_try(self, now: float) -> None:
        cluster, attempt, rule = self.cluster, self._attempt, self.rule
        assert cluster is not None
        assert rule is not None
        upstream = self.preference.pick(cluster, self.client_address, self._retries)
        if upstream is None:
            tried = bool(self._retries.tried)
            self.reply(503, "UF" if tried else "UH", self.detail or "the backend has no endpoint to use")
            return
        self.attempts += 1
        self.endpoint = upstream.key
        attempt.begin(cluster, upstream, now)
        timeout = rule.backend_timeout if rule.backend_timeout is not None else self._retries.per_try_timeout
        self._timeouts.try_due = now + timeout if timeout else inf
        self._set_deadline(now)
        if not attempt.find_connection(self._retries.may_resend(self.head.length)) and attempt.active:
            self.client.deadline.set(min(now + cluster.config.connect_timeout, self._timeouts.next_due(now)))

    def proxy_header(self, version: int) -> bytes:
        """Implements `AttemptOwner`."""
        return self.client.proxy_header(version)

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
        taken = connection.send(data)
        if body.complete:
            return
        if taken:
            self.client.resume_body()  # which may have been waiting for this
        else:
            self.client.pause_body()

    def upstream_head(self) -> bytes:
        """The request's head as the backend is to see it."""
        backend, client = self._backend, self.client
        assert backend is not None
        believed, host = client.facts.is_trusted, client.frontend.default_host
        data = backend.upstream_head(self.head, self._told, believed, host, self._prefix, self._normalized)
        rewritten = self._normalized or backend.rewrite is not None
        return data if self.trace is None else self.trace.tell(data, rewritten)

    def request_body(self, piece: bytes, complete: bool) -> None:
        """More of the request's body."""
        body, attempt, cluster = self.body, self._attempt, self.cluster
        self._timeouts.moved()
        body.add(piece, complete)
        most = cluster.config.max_request_body if cluster is not None else None
        if most is not None and body.size > most:
            self._fail(413, "PL", f"the body is larger than {most} bytes")
            return
        if self._sending and attempt.active:
            if not attempt.send(piece) and not complete:
                self.client.pause_body()
        elif not complete and not body.is_short:
            self.client.pause_body()  # nobody takes it yet
        if complete and self._backend is not None and self._backend.mirrors:
            mirror_request(self, self._backend)

    def upload_drained(self) -> None:
        """Implements `AttemptOwner`."""
        self._timeouts.moved()
        self.client.resume_body()

    def body_malformed(self, why: str) -> None:
        """The rest of the request's body cannot be read."""
        self.client.closing = True
        self._fail(400, "DPE", why)

    # -- the response --------------------------------------------------------------------

    def response_interim(self, head: ResponseHead) -> None:
        """Implements `AttemptOwner`."""
        self._timeouts.moved()
        knows = self.head.minor  # HTTP/1.0 knows none (RFC 9110 §15.2)
        if knows and not self.client.write(forwarding.response_head(head, b"", (), b"")):
            self._attempt.pause()

    def response_head(self, head: ResponseHead, body: Bytes, done: bool) -> None:
        """Implements `AttemptOwner`."""
        cluster, backend, attempt, client = self.cluster, self._backend, self._attempt, self.client
        assert cluster is not None
        assert backend is not None
        status = head.status
        if status >= 400 and self._retries.follows_status(cluster, status):
            attempt.end(status, done and self.body.complete)
            self._try_again(f"status {status}")
            return
        self.status = status
        self.responded = client.now()
        if status == 101:
            self._switch_protocols(head, bytes(body))
            return
        self.responding = True
        if not self.body.complete or ends_with_connection(head, self.head.minor):
            client.closing = True
        data = self._writer.begin(head, self.head.minor, client.closing, backend.response_edits, self._added_fields())
        if body:
            self.sent += len(body)
            data = b"".join((data, self._writer.body(body)))
        taken = client.write(data)
        if done:
            self._done()
        elif not taken:
            attempt.pause()

    def _added_fields(self) -> bytes:
        """The field lines that rule and policies add to the response."""
        rule, backend, cluster = self.rule, self._backend, self.cluster
        assert rule is not None
        assert backend is not None
        assert cluster is not None
        upstream = self._attempt.upstream
        added = self.preference.response_fields(
            rule.persistence, cluster, upstream, self.client.wall(), secure=self.client.facts.tls is not None
        )
        return added + backend.cors.response_fields(self.head) if backend.cors is not None else added

    def response_body(self, body: Bytes, done: bool) -> None:
        """Implements `AttemptOwner`."""
        self._timeouts.moved()
        self.sent += len(body)
        taken = self.client.write(self._writer.body(body)) if body else True
        if done:
            self._done()
        elif not taken:
            self._attempt.pause()

    def client_drained(self) -> None:
        """The client took what it was sent."""
        self._timeouts.moved()
        self._attempt.resume()

    def _switch_protocols(self, head: ResponseHead, first: bytes) -> None:
        attempt = self._attempt
        connection = attempt.connection
        assert connection is not None
        if self.head.upgrade is None or not forwarding.takes_upgrade(self.head.upgrade):
            self.status = 0
            connection.fail("UPE", "it switched protocols unasked")
            return
        self.responding = True
        assert self._backend is not None
        edits = self._backend.response_edits
        self.client.write(forwarding.upgrade_head(head, self.head.upgrade, edits, self._added_fields()))
        attempt.settle()
        attempt.connection = None
        self.client.start_tunnel(connection, first)

    # -- when it goes wrong --------------------------------------------------------------

    def attempt_failed(self, flag: str, detail: str, stale: bool) -> None:
        """Implements `AttemptOwner`."""
        cluster, upstream, retries = self.cluster, self._attempt.upstream, self._retries
        assert cluster is not None
        self._sending = False
        self.body.keep()
        self.detail = detail
        if stale and retries.replaces_stale():
            self.attempts -= 1
            self._start_try(self.client.now())
        elif flag == "UF" and retries.moves_on(cluster, upstream):
            self._start_try(self.client.now())
        elif not self.responding and retries.follows_failure(cluster, flag):
            self._try_again(detail)
        else:
            self._fail(503 if flag == "UF" else 502, flag, detail)

    def _try_again(self, why: str) -> None:
        """Try once more, after a pause."""
        cluster, client, backend = self.cluster, self.client, self._backend
        assert cluster is not None
        assert backend is not None
        self._sending = False
        self.body.keep()
        self.detail = why
        backend.counters.retries += 1
        pause = self._retries.begin_retry(cluster, self._attempt.upstream, self.client.frontend.context.random)
        self._timeouts.try_due = inf
        self._set_deadline(client.now())
        self._backoff = client.schedule(pause, self._backoff_over)

    def _backoff_over(self) -> None:
        self._backoff = None
        self._start_try(self.client.now())

    def _drop_attempt(self) -> None:
        """Let go of the upstream without having its answer."""
        self._sending = False
        if self._backoff is not None:
            self._backoff.cancel()
            self._backoff = None
        self._attempt.end(0, False)

    # -- timeouts ------------------------------------------------------------------------

    def _set_deadline(self, now: float) -> None:
        self.client.deadline.set(self._timeouts.next_due(now))

    def deadline_reached(self) -> None:
        """The earliest of the timeouts has come."""
        now, timeouts = self.client.now(), self._timeouts
        if self.responding:
            timeouts.gone_at = inf
        if now >= timeouts.gone_at:
            self.client.abort()
        elif now >= timeouts.request_due:
            self._fail(504, "UT", "the request's timeout")
        elif self._waiting:
            self.reply(503, "UO", "it waited as long as allowed for its turn")
        elif self._attempt.is_connecting and now < timeouts.try_due:
            self._attempt.connect_timed_out()
        elif now >= timeouts.try_due:
            self._try_timed_out()
        elif not timeouts.is_idle(now):
            self._set_deadline(now)
        else:
            status, flag = (504, "UT") if self.body.complete else (408, "DT")
            self._fail(status, flag, "nothing moved for the stream's idle timeout")

    def _try_timed_out(self) -> None:
        cluster = self.cluster
        assert cluster is not None
        self._attempt.timed_out()
        if not self.responding and self._retries.follows_timeout(cluster):
            self._try_again("no response in time")
        else:
            self._fail(504, "UT", "no response within the backend's timeout")

    # -- the end -------------------------------------------------------------------------

    def reply(self, status: int, flag: str, detail: str, *, fields: bytes = b"") -> None:
        """Answer in the upstream's place."""
        client = self.client
        self.status, self.flags, self.detail = status, flag, detail
        self.responded = client.now()
        if not self.body.complete:
            client.closing = True
        keep_alive = not self.head.minor and not client.closing
        text = detail if status in (400, 417) else ""
        to_head = self.head.method == b"HEAD"
        action = self._backend or self.rule
        if action is not None and action.cors is not None:
            fields += readable_fields(action.cors, self.head, status)
        client.write(
            local_reply(status, text=text, fields=fields, to_head=to_head, close=client.closing, keep_alive=keep_alive)
        )
        self._settle()
        client.exchange_done()

    def _done(self) -> None:
        """The response's last byte is on its way."""
        self._attempt.end(self.status, self.body.complete)
        self._settle()
        self.client.exchange_done()

    def _fail(self, status: int, flag: str, detail: str) -> None:
        """Answer with `status` where that can still be done."""
        if self.responding:
            self._break_off(flag, detail)
        else:
            self._drop_attempt()
            self.reply(status, self._retries.flags(flag), detail)

    def _break_off(self, flag: str, detail: str) -> None:
        """The response cannot be completed."""
        self.flags, self.detail = flag, detail
        self._drop_attempt()
        self._settle()
        self.client.abort()

    def client_half_closed(self, grace: float) -> None:
        """The client sends nothing more: unless a response begins within `grace` seconds, it is taken to be gone."""
        if not self.responding:
            self._timeouts.gone_at = self.client.now() + grace
            self._set_deadline(self.client.now())

    def client_gone(self) -> None:
        """The client hung up: nobody wants the response."""
        if self.active and self.status == 101:
            self.tunnel_closed()
        elif self.active:
            self.flags = self.flags or "DC"
            self._drop_attempt()
            self._settle()

    def let_go(self) -> None:
        """No further request comes."""
        self._attempt.let_go()

    def tunnel_closed(self) -> None:
        """The tunnel that came of a 101 is over."""
        self._attempt.end(101, False)
        self._settle()

    def _settle(self) -> None:
        """Give back what is held, and count."""
        self.active = False
        cluster, backend, rule, frontend = self.cluster, self._backend, self.rule, self.client.frontend
        if cluster is not None:
            self._retries.end(cluster)
            if self._entered:
                self._entered = False
                cluster.leave()
            elif self._waiting:
                self._waiting = False
                cluster.give_up(self)
        seconds = self.client.now() - self.started
        if backend is not None:
            backend.counters.count(self.status, seconds)
        else:
            (rule.counters if rule is not None else frontend.unmatched).count(self.status, seconds)
        count_request(self.client, cluster, self.status, seconds)
        if self.flags:
            frontend.context.count_flags(frontend.name, self.flags)
        access.record(self, self._attempt, seconds)
