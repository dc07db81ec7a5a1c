"""A TCP connection as a trace record: a server span, and a client span for its upstream."""

from __future__ import annotations

from typing import NamedTuple

from meshproxy.dataplane.http.context import HTTPContext
from meshproxy.snapshot.messages import AccessRecord, TraceRecord, TriedEndpoint


class EndedConnection(NamedTuple):
    """Times are the reactor's, bytes from and to the client; `endpoint` is empty where none was connected."""

    listener: str
    cluster: str
    endpoint: str
    client: str
    started: float
    ended: float
    received: int
    sent: int


def record_connection(context: HTTPContext, ended: EndedConnection) -> None:
    """Keep it, if it is among those that are recorded."""
    tracer, endpoint = context.tracer, ended.endpoint
    if tracer is None or not tracer.connections or not tracer.chance(tracer.sampling):
        return
    begun, seconds = context.wall + ended.started, ended.ended - ended.started
    tries = (TriedEndpoint(tracer.new_id().decode(), endpoint, begun, seconds, 0),) if endpoint else ()
    request = AccessRecord(
        started=begun,
        seconds=seconds,
        listener=ended.listener,
        rule="",
        cluster=ended.cluster,
        endpoint=endpoint,
        client=ended.client,
        peer=ended.client,
        method="",
        host="",
        target="",
        version="",
        status=0,
        flags="" if endpoint else "UF",
        detail="" if endpoint else "no upstream took the connection",
        received=ended.received,
        sent=ended.sent,
        attempts=len(tries),
        upstream_seconds=-1.0,
        request_id="",
        fields={},
        trace_id=tracer.new_trace_id().decode(),
        span_id=tracer.new_id().decode(),
    )
    context.traces.put(TraceRecord(parent_id="", state="", request=request, tries=tries))
