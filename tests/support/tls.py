"""A data plane whose one listener speaks TLS, and peers made of the standard library's TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from meshproxy.base.addresses import SocketAddress
from meshproxy.snapshot.authorization import Authorization
from meshproxy.snapshot.model import Assignment, Cluster, Endpoint, FilterChain, Listener, Protocol, Snapshot, Transport
from meshproxy.snapshot.routes import RouteTable, Rule, VirtualHost
from meshproxy.snapshot.tls import ClientCertificates, ServerTLS, TLSMaterial
from tests.support.certificates import Issued, TestCA, context_of, service_account
from tests.support.http import HTTPClient, HTTPPlane

EDGE = "edge"
"""The material of an ordinary server."""
MESH = ServerTLS(
    certificates=("identity",), trust="identity", client_certificates=ClientCertificates.REQUIRED, spiffe=True
)


def material(name: str, issued: Issued | None, bundle: str = "", **identity: str) -> TLSMaterial:
    chain, key = (issued.certificate_pem, issued.key_pem) if issued is not None else ("", "")
    return TLSMaterial(name, chain, key, bundle, **identity)


def identity(ca: TestCA, name: str, **bad: Any) -> TLSMaterial:
    """The material that is a service account's identity."""
    uri = service_account(name)
    return material("identity", ca.issue(uri, **bad), ca.bundle, trust_domain="mesh.local", spiffe_id=uri)


class TLSPlane(HTTPPlane):
    """`ca` has issued what it shows to clients and believes of servers."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.plane.http.wall = datetime.now(UTC).timestamp() - self.reactor.now()
        self.ca = TestCA()
        self.directory = directory
        self.put(material(EDGE, self.ca.issue(dns=("s", "localhost", "127.0.0.1", "*.example.com"))))

    def put(self, *materials: TLSMaterial) -> None:
        self.plane.put_materials(materials)

    def serve(
        self,
        *chains: FilterChain,
        clusters: dict[str, Cluster],
        endpoints: dict[str, Endpoint],
        authorizations: tuple[Authorization, ...] = (),
        **listener: Any,
    ) -> None:
        """One listener with `chains`; of clusters, `endpoints` has each one's only one."""
        tables = {each.routes for each in chains if each.routes}
        self.apply_snapshot(
            Snapshot(
                version="v",
                listeners=(
                    Listener(
                        name="l",
                        address=SocketAddress(*self.address),
                        transport=Transport.TCP,
                        service="default/s",
                        chains=chains,
                        **listener,
                    ),
                ),
                clusters=tuple(clusters.values()),
                assignments=tuple(
                    Assignment(cluster=name, endpoints=(endpoint,)) for name, endpoint in endpoints.items()
                ),
                route_tables=tuple(_table(name) for name in sorted(tables)),
                authorizations=authorizations,
            )
        )

    def terminate(
        self, endpoint: Endpoint, server: ServerTLS | None = None, *, protocol: Protocol = Protocol.HTTP, **cluster: Any
    ) -> None:
        """End TLS for every name, and lead what is inside to `endpoint`."""
        chain = FilterChain(
            name="all",
            server_names=("",),
            tls=server or ServerTLS(certificates=(EDGE,)),
            cluster="c",
            protocol=protocol,
        )
        self.serve(
            chain,
            clusters={"c": Cluster(name="c", service="default/s", **cluster)},
            endpoints={"c": endpoint},
        )

    def client_context(self, issued: Issued | None = None) -> ssl.SSLContext:
        """Believes the plane's CA, and names are not checked."""
        return context_of(issued, self.ca.bundle, ssl.Purpose.SERVER_AUTH, self.directory)

    def server_context(self, *uris: str, dns: tuple[str, ...] = (), ask: bool = False) -> ssl.SSLContext:
        """An endpoint's, which asks for certificates if `ask`."""
        context = context_of(self.ca.issue(*uris, dns=dns), self.ca.bundle, ssl.Purpose.CLIENT_AUTH, self.directory)
        if not ask:
            context.verify_mode = ssl.CERT_NONE
        return context

    async def secure(self, name: str | None = "s", context: ssl.SSLContext | None = None) -> HTTPClient:
        """A client's TLS connection that names the server `name`."""
        reader, writer = await asyncio.open_connection(
            *self.address, limit=2**20, ssl=context or self.client_context(), server_hostname=name or ""
        )
        client = HTTPClient(reader, writer)
        self.clients.append(client)
        return client

    def handshakes(self, side: str = "downstream") -> Counter[str]:
        """How many ended how."""
        counts: Counter[str] = Counter()
        for (where, _, outcome), count in self.plane.tls.counters.tally.totals.items():
            if where == side:
                counts[outcome] += count
        return counts


def _table(name: str) -> RouteTable:
    return RouteTable(name=name, virtual_hosts=(VirtualHost(name="v", rules=(Rule(name="r", route=""),)),))
