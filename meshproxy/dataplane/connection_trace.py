"""A TCP connection as a trace record: a server span, and a client span for its upstream."""

from __future__ import annotations

from typing import NamedTuple

from meshproxy.dataplane.http.context import HTTPContext
from meshproxy.dataplane.http.tracing import Tracer
from meshproxy.snapshot.messages import TraceRecord, TriedEndpoint


class EndedConnection(NamedTuple):
    """Times are the reactor's, bytes from and to the client; `endpoint` is empty where none was connected.

    `port` is as in `TriedEndpoint`.
    """

    listener: str
    cluster: str
    endpoint: str
    port: int
    client: str
    client_port: int
    started: float
    ended: float
    received: int
    sent: int


def record_connection(context: HTTPContext, tracer: Tracer, ended: EndedConnection) -> None:
    """Keep one that `tracer` wants."""
    endpoint = ended.endpoint
    tried = TriedEndpoint(tracer.new_id(), endpoint, ended.started, ended.ended, 0, ended.port)
    context.traces.put(
        TraceRecord(
            trace_id=tracer.new_trace_id(),
            parent_id=b"",
            wall=context.wall,
            started=ended.started,
            seconds=ended.ended - ended.started,
            head=b"",
            status=0,
            flags="" if endpoint else "UF",
            detail="" if endpoint else "no upstream took the connection",
            listener=ended.listener,
            rule="",
            cluster=ended.cluster,
            client=ended.client,
            peer=ended.client,
            received=ended.received,
            sent=ended.sent,
            request_id=b"",
            tries=(tried,) if endpoint else (),
            peer_port=ended.client_port,
        )
    )
