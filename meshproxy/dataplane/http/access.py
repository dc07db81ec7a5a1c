"""From an exchange that is over to its access record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshproxy.snapshot.messages import AccessRecord

if TYPE_CHECKING:
    from meshproxy.dataplane.http.attempt import Attempt
    from meshproxy.dataplane.http.downstream import Downstream
    from meshproxy.dataplane.http.exchange import Exchange

MAX_FIELD = 2048
"""Characters of one field that are kept."""


_NO_FIELDS: tuple[tuple[str, bytes], ...] = ()


def record(exchange: Exchange, attempt: Attempt, seconds: float) -> None:
    """Keep what the access log, people who look, and the trace are to know of `exchange`, if anything.

    `attempt` was its last, if it had any.
    """
    tried_at = attempt.started
    frontend = exchange.client.frontend
    context, rule = frontend.context, exchange.rule
    if context.durations is not None:
        name = rule.name if rule is not None else ""
        scheme = exchange.client.facts.scheme
        context.durations.count(frontend.name, name, exchange.head.method, scheme, exchange.status, seconds)
    wants, tracer, sampled = context.wants_record, context.tracer, False
    if tracer is not None:
        trace = exchange.trace
        failed = tracer.always_errors and (exchange.status >= 500 or bool(exchange.flags))
        if trace is None and failed and exchange.trace_id:
            trace = tracer.late(exchange, attempt)
        if trace is not None and tracer.records and (trace.sampled or failed):
            context.traces.put(trace.record(exchange, seconds))
            sampled = True
    if wants is not None and wants(exchange.status, seconds, exchange.flags):
        context.access.put(_request(exchange, sampled, tried_at, seconds, context.logged_fields))
    if context.recent.wants(exchange.status, exchange.flags):
        context.recent.keep(_request(exchange, sampled, tried_at, seconds, _NO_FIELDS))


def _request(
    exchange: Exchange, sampled: bool, tried_at: float, seconds: float, fields: tuple[tuple[str, bytes], ...]
) -> AccessRecord:
    head, client, rule, cluster = exchange.head, exchange.client, exchange.rule, exchange.cluster
    frontend = client.frontend
    return AccessRecord(
        started=frontend.context.wall + exchange.started,
        seconds=seconds,
        listener=frontend.name,
        rule=rule.name if rule is not None else "",
        cluster=cluster.name if cluster is not None else "",
        endpoint=exchange.endpoint,
        client=exchange.client_address,
        peer=client.facts.address,
        method=_text(head.method),
        host=_text(head.authority),
        target=_text(head.target),
        version=f"HTTP/1.{head.minor}",
        status=exchange.status,
        flags=exchange.flags,
        detail=exchange.detail,
        received=exchange.body.size,
        sent=exchange.sent,
        attempts=exchange.attempts,
        upstream_seconds=exchange.responded - tried_at if exchange.responding else -1.0,
        request_id=_text(exchange.request_id),
        fields={name: _text(value) for name, encoded in fields if (value := head.header(encoded)) is not None},
        scheme=client.facts.scheme_of(head),
        trace_id=exchange.trace_id.decode(),
        sampled=sampled,
    )


def record_refusal(client: Downstream, status: int, flag: str, detail: str) -> None:
    """Keep that `client` sent what was no request."""
    context = client.frontend.context
    if context.wants_record is not None and context.wants_record(status, 0.0, flag):
        context.access.put(_refusal(client, status, flag, detail))
    if context.recent.wants(status, flag):
        context.recent.keep(_refusal(client, status, flag, detail))


def _refusal(client: Downstream, status: int, flag: str, detail: str) -> AccessRecord:
    return AccessRecord(
        started=client.frontend.context.wall + client.now(),
        seconds=0.0,
        listener=client.frontend.name,
        rule="",
        cluster="",
        endpoint="",
        client=client.facts.address,
        peer=client.facts.address,
        method="",
        host="",
        target="",
        version="HTTP/1.1",
        status=status,
        flags=flag,
        detail=detail,
        received=0,
        sent=0,
        attempts=0,
        upstream_seconds=-1.0,
        request_id="",
        fields={},
    )


def _text(value: bytes) -> str:
    return value[:MAX_FIELD].decode("utf-8", "replace")
