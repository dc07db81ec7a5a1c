"""Listeners."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.admin.documents.row import Row, owner_of
from meshproxy.admin.documents.tls import HandshakesRow, handshakes_by_name
from meshproxy.admin.view import ProxyView
from meshproxy.base.addresses import host_port
from meshproxy.snapshot.model import Listener, Transport, open_listeners
from meshproxy.telemetry.totals import ListenerTotals


class ListenerRow(Row, frozen=True, kw_only=True):
    """`service` as in `Owner`; `protocol` is TCP, HTTP, Auto (the first bytes decide) or UDP; `routes` is a table's."""

    namespace: str
    service: str
    port: str
    role: str
    address: str
    transport: str
    protocol: str
    routes: str
    cluster: str
    state: str
    problem: str
    active: int
    accepted: int
    refused: int
    denied: int
    overflowed: int
    malformed: int
    dropped: int
    handshakes: HandshakesRow


def rows(view: ProxyView) -> Iterator[ListenerRow]:
    problems, totals, handshakes = view.listener_problems(), view.listener_totals(), handshakes_by_name(view)
    is_open = {listener.name for listener in open_listeners(view.snapshot())}
    for listener in view.snapshot().listeners:
        namespace, service = owner_of(listener.service)
        counts = totals.get(listener.name, ListenerTotals())
        problem = problems.get(listener.name, "")
        yield ListenerRow(
            namespace=namespace,
            service=service,
            port=listener.port_name,
            role=listener.role.value,
            address=host_port(listener.address.host, listener.address.port),
            transport=listener.transport.value,
            protocol=_protocol(listener),
            routes=listener.routes,
            cluster=listener.cluster,
            state=_listener_state(problem, listener.name in is_open),
            problem=problem,
            handshakes=handshakes.get(listener.name, HandshakesRow()),
            **counts._asdict(),
        )


def _listener_state(problem: str, is_open: bool) -> str:
    """``NoEndpoints`` is UDP's: nobody is bound, so that the kernel refuses datagrams."""
    if problem:
        return "Failed"
    return "Listening" if is_open else "NoEndpoints"


def _protocol(listener: Listener) -> str:
    return (listener.protocol if listener.transport is Transport.TCP else listener.transport).value
