"""A Gateway's TLS as curl and openssl see it, and nginx that asks for client certificates behind a Service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from meshproxy.base.addresses import SocketAddress
from tests.integration.addresses import BACKENDS, free_address
from tests.integration.conditions import wait_until
from tests.integration.manifests import Manifest, make_policy, make_service, make_workload
from tests.integration.programs import nginx, nginx_of, output_of, require, running
from tests.integration.proxy_process import ProxyProcess
from tests.support.certificates import Issued, TestCA, service_account

SECURE_SERVER = """\
  server {{
    listen {address} ssl;
    ssl_certificate {directory}/server.pem;
    ssl_certificate_key {directory}/server.key;
    ssl_client_certificate {directory}/ca.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:1m;
    ssl_verify_client on;
    location / {{ return 200 "$ssl_protocol $ssl_session_reused $ssl_server_name\\n"; }}
  }}
"""


class Edge:
    """A proxy with one HTTPS port on `address`, nginx behind it, and a CA whose root is in ``ca.pem``."""

    def __init__(self, proxy: ProxyProcess, directory: Path, backend: SocketAddress) -> None:
        self.proxy = proxy
        self.directory = directory
        self.backend = backend
        self.address = free_address()
        self.ca = TestCA()
        self.root = directory / "ca.pem"
        self.root.write_text(self.ca.bundle)

    def secret(self, name: str, issued: Issued) -> Manifest:
        data = {"tls.crt": issued.certificate_pem, "tls.key": issued.key_pem}
        metadata = {"name": name}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": "kubernetes.io/tls",
            "stringData": data,
        }

    def configure(
        self,
        *listeners: dict[str, Any],
        documents: tuple[Manifest, ...] = (),
        rule: dict[str, Any] | None = None,
        **gateway: Any,
    ) -> None:
        """A route of `listeners` to nginx, with what `rule` adds, and whatever `documents` say."""
        self.proxy.configure(
            _gateway(self.address, listeners, **gateway),
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": {"name": "web"},
                "spec": {
                    "parentRefs": [{"name": "edge"}],
                    "rules": [{"backendRefs": [{"name": "backend", "port": 80}], **(rule or {})}],
                },
            },
            make_service(SocketAddress(free_address().host, 80)),
            make_workload(self.backend, "web-1"),
            *documents,
        )

    def listener(self, name: str, hostname: str, **tls: Any) -> dict[str, Any]:
        return {"name": name, "port": self.address.port, "protocol": "HTTPS", "hostname": hostname, "tls": tls}

    async def curl(self, host: str, *options: str, path: str = "/") -> tuple[int, str]:
        """(exit status, what curl prints) of a request to `host`."""
        process = await asyncio.create_subprocess_exec(
            *("curl", "-sS", "-m", "5", "--cacert", str(self.root), "--connect-to", f"::{self.address}"),
            *(*options, f"https://{host}{path}"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def status(self, host: str, *options: str) -> str:
        _, output = await self.curl(host, "-o", "/dev/null", "-w", "%{http_code}", *options)
        return output[-3:]


def _gateway(address: SocketAddress, listeners: tuple[dict[str, Any], ...], **spec: Any) -> Manifest:
    filled = {"addresses": [{"value": address.host}], "listeners": list(listeners), **spec}
    kind = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway"}
    return {**kind, "metadata": {"name": "edge"}, "spec": {"gatewayClassName": "meshproxy", **filled}}


@pytest.fixture
async def edge(proxy: ProxyProcess, tmp_path: Path) -> AsyncIterator[Edge]:
    require("nginx", "curl", "openssl")
    backend = free_address(BACKENDS)
    async with running(*nginx("web", backend, tmp_path), directory=tmp_path, listens=backend):
        yield Edge(proxy, tmp_path, backend)


async def test_certificates_by_name_and_one_host_on_a_connection(edge: Edge) -> None:
    exact, wild = edge.ca.issue(dns=("shop.example.com",)), edge.ca.issue(dns=("*.example.com",))
    wild.write(edge.directory, "wild")
    files = {"certificate": "meshproxy.dev/certificate-file", "key": "meshproxy.dev/key-file"}
    paths = {files["certificate"]: str(edge.directory / "wild.pem"), files["key"]: str(edge.directory / "wild.key")}
    edge.configure(
        edge.listener("shop", "shop.example.com", certificateRefs=[{"name": "shop"}]),
        edge.listener("wild", "*.example.com", options=paths),
        documents=(edge.secret("shop", exact),),
    )
    await edge.proxy.start()
    assert await edge.status("shop.example.com") == "200"
    assert await edge.status("other.example.com") == "200"
    assert await edge.status("other.example.com", "-H", "Host: another.example.com") == "200"
    assert await edge.status("other.example.com", "-H", "Host: shop.example.com") == "421"
    assert await edge.status("shop.example.com", "-H", "Host: example.org") == "421"
    status, said = await edge.curl("example.org")
    assert status == 35, said  # no handshake
    for version, weak in (("-tls1_1", ("-cipher", "ALL:@SECLEVEL=0")), ("-tls1_2", ("-cipher", "AES128-SHA"))):
        assert "alert" in await _s_client(edge, "shop.example.com", version, *weak)
    assert "Secure Renegotiation IS supported" in await _s_client(edge, "shop.example.com", "-tls1_2")


async def test_cookies_given_over_tls_are_shown_over_tls_only(edge: Edge) -> None:
    edge.configure(
        edge.listener("shop", "shop.example.com", certificateRefs=[{"name": "shop"}]),
        documents=(edge.secret("shop", edge.ca.issue(dns=("shop.example.com",))),),
        rule={"sessionPersistence": {"sessionName": "kept"}},
    )
    await edge.proxy.start()
    jar = edge.directory / "jar"
    await edge.curl("shop.example.com", "-o", "/dev/null", "-c", str(jar))
    domain, _, path, secure, *_, name, _ = jar.read_text().splitlines()[-1].split("\t")
    assert (domain, path, secure, name) == ("#HttpOnly_shop.example.com", "/", "TRUE", "kept")


async def test_a_certificate_is_renewed_and_a_broken_one_is_not_used(edge: Edge) -> None:
    issued = edge.ca.issue(dns=("a.example.com",))
    certificate, key = issued.write(edge.directory, "edge")
    options = {"meshproxy.dev/certificate-file": str(certificate), "meshproxy.dev/key-file": str(key)}
    edge.configure(edge.listener("a", "a.example.com", options=options))
    await edge.proxy.start()
    assert await _serial(edge) == issued.certificate.serial_number
    key.write_text("-----BEGIN PRIVATE KEY-----\nhalf-writ")
    await wait_until(lambda: "CertificateUnusable" in edge.proxy.log_text(), "the broken key is complained of")
    assert await _serial(edge) == issued.certificate.serial_number
    renewed = edge.ca.issue(dns=("a.example.com",))
    renewed.write(edge.directory, "edge")
    await wait_until(lambda: _is_serial(edge, renewed), "the renewed certificate is used")
    assert await edge.status("a.example.com") == "200"
    state = (edge.proxy.state / "last-good-snapshot").read_bytes()
    shown = json.dumps(await edge.proxy.get("/api/v1/config"))
    secret = renewed.key_pem.splitlines()[1]
    assert secret not in shown
    assert secret.encode() not in state
    assert str(key) in shown


async def test_clients_show_certificates_that_were_not_revoked(edge: Edge) -> None:
    issued = edge.ca.issue(dns=("a.example.com",))
    validation = {"caCertificateRefs": [{"kind": "ConfigMap", "name": "clients"}]}

    def configure(*revoked: Issued) -> None:
        data = {"ca.crt": edge.ca.bundle, "ca.crl": edge.ca.revocation_lists(*revoked)}
        roots = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "clients"}, "data": data}
        edge.configure(
            edge.listener("a", "a.example.com", certificateRefs=[{"name": "a"}]),
            documents=(edge.secret("a", issued), roots),
            tls={"frontend": {"default": {"validation": validation}}},
        )

    def shown(client: Issued, name: str) -> tuple[str, ...]:
        certificate, key = client.write(edge.directory, name)
        return "--cert", str(certificate), "--key", str(key)

    configure()
    await edge.proxy.start()
    status, said = await edge.curl("a.example.com")
    assert status == 56, said
    assert "certificate required" in said
    cart, web = edge.ca.issue(service_account("cart")), edge.ca.issue(service_account("web"))
    assert await edge.status("a.example.com", *shown(cart, "cart")) == "200"
    assert await edge.status("a.example.com", *shown(web, "web")) == "200"
    other = TestCA("another").issue(service_account("cart"))
    status, said = await edge.curl("a.example.com", *shown(other, "other"))
    assert (status, "unknown ca" in said) == (56, True)
    configure(web)

    async def is_refused() -> bool:
        return "certificate revoked" in (await edge.curl("a.example.com", *shown(web, "web")))[1]

    await wait_until(is_refused, "the new list is in force")
    assert await edge.status("a.example.com", *shown(cart, "cart")) == "200"
    rows = await edge.proxy.get("/api/v1/certificates")
    assert [(row["name"], row["state"]) for row in rows if row["kind"] == "CRL"] == [("CN=test root", "Valid")]


async def test_ingresses_have_certificates_and_plain_requests_are_redirected(edge: Edge) -> None:
    plain = free_address()
    certificate, key = edge.ca.issue(dns=("other.example.com",)).write(edge.directory, "default")
    settings = {
        "address": str(plain),
        "tlsAddress": str(edge.address),
        "defaultCertificate": {"certificate": str(certificate), "key": str(key)},
    }
    tls = [{"hosts": ["shop.example.com"], "secretName": "shop"}]
    edge.proxy.configure(
        _ingress("shop", "shop.example.com", tls=tls),
        _ingress("other", "other.example.com"),
        edge.secret("shop", edge.ca.issue(dns=("shop.example.com",))),
        make_service(SocketAddress(free_address().host, 80)),
        make_workload(edge.backend, "web-1"),
        ingress=settings,
    )
    await edge.proxy.start()
    assert await edge.status("shop.example.com") == "200"
    assert await edge.status("other.example.com") == "200"
    assert await edge.status("shop.example.com", "-H", "Host: other.example.com") == "421"
    said = [
        await output_of(
            *("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", "--connect-to", f"::{plain}"),
            f"http://{host}/a?b=c",
        )
        for host in ("shop.example.com", "other.example.com")
    ]
    assert said == [f"308 https://shop.example.com:{edge.address.port}/a?b=c", "200 "]


async def test_tls_passes_through_by_its_server_name(edge: Edge) -> None:
    secure = free_address(BACKENDS)
    edge.ca.issue(dns=("db.example.com",)).write(edge.directory, "server")
    server = SECURE_SERVER.format(directory=edge.directory, address=secure)
    client, key = edge.ca.issue(service_account("cart")).write(edge.directory, "cart")
    listener = {
        "name": "db",
        "port": edge.address.port,
        "protocol": "TLS",
        "hostname": "*.example.com",
        "tls": {"mode": "Passthrough"},
    }
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "TLSRoute",
        "metadata": {"name": "db"},
        "spec": {
            "parentRefs": [{"name": "edge", "sectionName": "db"}],
            "hostnames": ["db.example.com"],
            "rules": [{"backendRefs": [{"name": "db", "port": 443}]}],
        },
    }
    service = make_service(SocketAddress(free_address().host, 443), "db")
    edge.configure(listener, documents=(route, service, make_workload(secure, "db-1", "db")))
    command = nginx_of("secure", server, edge.directory)
    async with running(*command, directory=edge.directory, listens=secure):
        await edge.proxy.start()
        _, said = await edge.curl("db.example.com", "--cert", str(client), "--key", str(key))
        assert said == "TLSv1.3 . db.example.com\n"
        status, said = await edge.curl("web.example.com")
        assert status == 35, said


async def test_a_server_that_wants_certificates_is_asked_in_tls(edge: Edge) -> None:
    """nginx sees ours; a plain client of the Service sees nothing of it."""
    secure, service = free_address(BACKENDS), SocketAddress(free_address().host, 80)
    edge.ca.issue(dns=("db.example.com",)).write(edge.directory, "server")
    client, key = edge.ca.issue(dns=("proxy",)).write(edge.directory, "proxy")
    server = SECURE_SERVER.format(directory=edge.directory, address=secure)
    tls = {
        "mode": "Simple",
        "sni": "db.example.com",
        "ca": {"file": str(edge.root)},
        "certificate": {"certificate": str(client), "key": str(key)},
    }
    documents = (make_service(service, "db"), make_workload(secure, "db-1", "db"))
    edge.proxy.configure(*documents, make_policy("db", tls=tls, http={"maxRequestsPerUpstreamConnection": 1}))
    command = nginx_of("secure", server, edge.directory)
    async with running(*command, directory=edge.directory, listens=secure):
        await edge.proxy.start()
        answers = [await output_of("curl", "-sS", f"http://{service}/") for _ in range(2)]
        assert answers == ["TLSv1.3 . db.example.com\n", "TLSv1.3 r db.example.com\n"]
        edge.proxy.configure(*documents, make_policy("db", tls=tls | {"sni": "cache.example.com"}))
        await wait_until(lambda: _is_503(service), "the certificate is for somebody else")


def _ingress(name: str, host: str, **spec: Any) -> Manifest:
    backend = {"service": {"name": "backend", "port": {"number": 80}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress"}
    return {**kind, "metadata": {"name": name}, "spec": {"rules": [rule], **spec}}


async def _is_503(service: SocketAddress) -> bool:
    return await output_of("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://{service}/") == "503"


async def _s_client(edge: Edge, name: str, *options: str) -> str:
    """What openssl says of a handshake."""
    command = ("openssl", "s_client", "-connect", str(edge.address), "-servername", name, *options)
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return output.decode()


async def _serial(edge: Edge) -> int:
    """Of the certificate that a.example.com shows."""
    said = await _s_client(edge, "a.example.com")
    pem = said[said.index("-----BEGIN") : said.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
    shown = edge.directory / "shown.pem"
    shown.write_text(pem)
    serial = await output_of("openssl", "x509", "-in", str(shown), "-noout", "-serial")
    return int(serial.strip().partition("=")[2], 16)


async def _is_serial(edge: Edge, issued: Issued) -> bool:
    return await _serial(edge) == issued.certificate.serial_number
