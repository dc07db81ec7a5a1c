"""Two machines in the mesh: plain programs, and TLS on the wire between them. Certificates change under load."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from meshproxy.base.addresses import SocketAddress
from tests.integration.conditions import wait_until
from tests.integration.manifests import Manifest, make_policy, make_service, make_workload
from tests.integration.network_namespace import Node, NodeProxy, two_nodes
from tests.integration.programs import nginx, output_of, require, running
from tests.support.certificates import TestCA, service_account

SERVICE = SocketAddress("127.96.0.10", 80)
PORT = 8080
MESH_PORT = 15443
ETH_P_ALL = 3
WEB, CART = service_account("web"), service_account("cart")


class Mesh:
    """`client` and `server` are proxies on two nodes; behind the latter nginx listens on its loopback only."""

    def __init__(self, client: NodeProxy, server: NodeProxy, directory: Path) -> None:
        self.client = client
        self.server = server
        self.directory = directory
        self.ca = TestCA()

    def certify(self, name: str, uri: str, *, roots: str | None = None) -> dict[str, Any]:
        """Write a certificate as something that renews it would; what `Proxy.spec.identity` says of it."""
        issued = self.ca.issue(uri)
        for suffix, text in (
            ("pem", issued.certificate_pem),
            ("key", issued.key_pem),
            ("roots", roots or self.ca.bundle),
        ):
            path = self.directory / f"{name}.{suffix}"
            new = path.with_suffix(f".{suffix}.new")
            new.write_text(text)
            new.replace(path)
        files = {"certificate": f"{name}.pem", "key": f"{name}.key", "roots": f"{name}.roots"}
        return {"files": {key: str(self.directory / each) for key, each in files.items()}}

    def configure_server(self, *documents: Manifest, mode: str = "Strict", uri: str = WEB, **spec: Any) -> None:
        services = [{"name": "backend", "port": PORT}]
        inbound = {"address": f"0.0.0.0:{MESH_PORT}", "mode": mode, "services": services}
        identity = self.certify("web", uri)
        self.server.configure(*self.manifests(), *documents, identity=identity, inbound=inbound, **spec)

    def configure_client(self, *documents: Manifest, mesh: bool = True) -> None:
        identity = {"identity": self.certify("cart", CART)} if mesh else {}
        self.client.configure(*self.manifests(), *documents, **identity)

    def manifests(self) -> tuple[Manifest, ...]:
        workload = make_workload(
            SocketAddress(self.server.node.address, PORT), "web-1", serviceAccount="web", mesh={"port": MESH_PORT}
        )
        return make_service(SERVICE), workload

    async def ask(self, *options: str) -> str:
        """What a plain program on the client's machine gets."""
        return await self.client.node.run("curl", "-sS", "-m", "5", *options, f"http://{SERVICE}/")

    async def status(self) -> str:
        return await self.ask("-o", "/dev/null", "-w", "%{http_code}")


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    require("nginx", "curl")
    async with two_nodes() as (first, second), AsyncExitStack() as stack:
        address = SocketAddress("127.0.0.1", PORT)
        command = (*second.prefix, *nginx("hello-from-the-other-machine", address, tmp_path))
        await stack.enter_async_context(
            running(*command, directory=tmp_path, listens=address, reached_by=second.prefix)
        )
        proxies = tuple(NodeProxy(tmp_path / node.name, node) for node in (first, second))
        for proxy in proxies:
            stack.push_async_callback(proxy.stop)
        yield Mesh(proxies[0], proxies[1], tmp_path)


class Capture:
    """Everything that passes the veth of a node: a packet socket, opened by a thread that entered its namespace."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._packets: list[bytes] = []

    async def during(self, work: Any) -> bytes:
        """What was on the wire while `work` was awaited."""
        sock = await asyncio.to_thread(self._open)
        try:
            await work
        finally:
            captured = b"".join(_drain(sock))
            sock.close()
        return captured

    def _open(self) -> socket.socket:
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self._node.namespace}", os.O_RDONLY)
        try:
            _setns(there)
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            sock.bind(("veth0", ETH_P_ALL))
            sock.setblocking(False)
            return sock
        finally:
            _setns(home)
            os.close(home)
            os.close(there)


def _setns(descriptor: int) -> None:
    """setns(2) of this thread, which Python 3.11 has no name for."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, 0x40000000):  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "setns")


def _drain(sock: socket.socket) -> list[bytes]:
    packets = []
    while True:
        try:
            packets.append(sock.recv(65536))
        except BlockingIOError:
            return packets


async def test_what_is_plain_on_the_machines_is_tls_between_them(mesh: Mesh) -> None:
    mesh.configure_server()
    mesh.configure_client()
    await mesh.server.start()
    await mesh.client.start()
    await wait_until(lambda: _answers(mesh), "the mesh answers")
    wire = await Capture(mesh.client.node).during(mesh.ask("-H", "X-Secret: hunter2", "-H", "Connection: close"))
    assert len(wire) > 300
    assert b"\x17\x03\x03" in wire  # TLS application data
    assert b"hunter2" not in wire
    assert b"hello-from-the-other-machine" not in wire
    metrics = await mesh.client.text("/metrics")
    assert (
        'meshproxy_upstream_tls_handshakes_total{namespace="default",service="backend",port="main",kind="full"}'
        in metrics
    )


async def test_without_the_mesh_it_is_in_clear(mesh: Mesh) -> None:
    """That the capture would show it."""
    mesh.configure_server(mode="Permissive")
    mesh.client.configure(
        make_service(SERVICE), make_workload(SocketAddress(mesh.server.node.address, MESH_PORT), "web-1")
    )
    await mesh.server.start()
    await mesh.client.start()
    wire = await Capture(mesh.client.node).during(mesh.ask("-H", "X-Secret: hunter2"))
    assert b"hunter2" in wire
    assert b"hello-from-the-other-machine" in wire


async def test_strict_on_either_side(mesh: Mesh) -> None:
    """Plain is refused by who comes in, and not sent by who goes out."""
    mesh.configure_server()
    mesh.configure_client(make_policy(tls={"mode": "Disabled"}))
    await mesh.server.start()
    await mesh.client.start()
    assert await mesh.status() == "503"  # the program's own port is not reached from outside
    await mesh.client.node.run("curl", "-s", "-o", "/dev/null", f"http://{mesh.server.node.address}:{MESH_PORT}/")
    await wait_until(lambda: _has_reason(mesh.server, "not_tls"), "the plain client is counted")
    mesh.client.configure(
        make_service(SERVICE),
        make_workload(SocketAddress(mesh.server.node.address, PORT), "web-1"),
        make_policy(tls={"mode": "Strict"}),
        identity=mesh.certify("cart", CART),
    )
    await wait_until(lambda: _is_status(mesh, "503"), "no endpoint is in the mesh")


async def test_an_endpoint_must_be_who_it_should_be(mesh: Mesh) -> None:
    mesh.configure_server(uri=service_account("stranger"))
    mesh.configure_client()
    await mesh.server.start()
    await mesh.client.start()
    await wait_until(lambda: _has_reason(mesh.client, "wrong_identity", ask=mesh), "the stranger is refused")
    mesh.certify("web", WEB)
    await wait_until(lambda: _answers(mesh), "the right one is let in")


async def test_certificates_and_roots_change_under_load_without_a_failed_request(mesh: Mesh) -> None:
    mesh.configure_server()
    mesh.configure_client()
    await mesh.server.start()
    await mesh.client.start()
    await wait_until(lambda: _answers(mesh), "the mesh answers")
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        loads = [group.create_task(_load(mesh, stop)) for _ in range(3)]
        old = await _change_everything(mesh)
        stop.set()
    assert all(load.result() > 5 for load in loads)
    mesh.certify("web", WEB)  # the old root is gone
    await _in_force(mesh, mesh.server, "web")
    issued = old.issue(CART)
    certificate, key = issued.write(mesh.directory, "late")
    refused = await _handshake(mesh, certificate, key)
    assert "alert" in refused
    assert await _answers(mesh)


async def _change_everything(mesh: Mesh) -> TestCA:
    """Have both proxies trust a new root beside the old, then get certificates of it; returns the old CA."""
    old, new = mesh.ca, TestCA("next")
    roots = old.bundle + new.bundle
    for ca in (old, new):
        mesh.ca = ca
        for name, uri, proxy in (("web", WEB, mesh.server), ("cart", CART, mesh.client)):
            mesh.certify(name, uri, roots=roots)
            await _in_force(mesh, proxy, name)
    return old


async def _load(mesh: Mesh, stop: asyncio.Event) -> int:
    """Requests on new connections, one after the other, until told to stop; fails at the first that does."""
    count = 0
    while not stop.is_set():
        assert "hello" in await mesh.ask("-H", "Connection: close")
        count += 1
    return count


async def _handshake(mesh: Mesh, certificate: Path, key: Path) -> str:
    """What openssl says of a connection to the mesh port with a client certificate."""
    command = f"echo | openssl s_client -connect {mesh.server.node.address}:{MESH_PORT} -servername"
    name = "backend.default.svc.cluster.local"
    shell = f"{command} {name} -cert {certificate} -key {key} -ign_eof 2>&1 || true"
    return await mesh.client.node.run("sh", "-c", shell)


async def _in_force(mesh: Mesh, proxy: NodeProxy, name: str) -> None:
    """Wait until `proxy` has the certificate that was written last."""
    serial = await output_of("openssl", "x509", "-in", str(mesh.directory / f"{name}.pem"), "-noout", "-serial")
    wanted = int(serial.strip().partition("=")[2], 16)

    async def has() -> bool:
        certificates = await proxy.get("/api/v1/certificates")
        return any(int(each["serial"], 16) == wanted for each in certificates)

    await wait_until(has, f"the new certificate of {name} is in force")


async def _answers(mesh: Mesh) -> bool:
    return await _is_status(mesh, "200")


async def _is_status(mesh: Mesh, status: str) -> bool:
    return await mesh.status() == status


async def _has_reason(proxy: NodeProxy, reason: str, ask: Mesh | None = None) -> bool:
    if ask is not None:
        await ask.status()
    return f'reason="{reason}"' in await proxy.text("/metrics")


def _allowing(*accounts: str, **operation: Any) -> Manifest:
    rule = {"from": [{"serviceAccounts": list(accounts)}], **({"to": [operation]} if operation else {})}
    return {
        "apiVersion": "meshproxy.dev/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "backend"},
        "spec": {"targetRefs": [{"kind": "Service", "name": "backend"}], "rules": [rule]},
    }


async def test_a_policy_says_who_may_call(mesh: Mesh) -> None:
    """Decided where the call arrives, by the identity that was verified there; a change holds for the next request."""
    policy = _allowing("cart", methods=["GET"])
    mesh.configure_server(policy)
    mesh.configure_client(policy)
    await mesh.server.start()
    await mesh.client.start()
    assert await mesh.status() == "200"
    assert await mesh.ask("-X", "DELETE") == "a policy forbids this request\n"
    mesh.configure_server(_allowing("somebody-else"))
    await wait_until(lambda: _is_status(mesh, "403"), "another caller is allowed, and this one is not")
    mesh.configure_server(_allowing("somebody-else", "default/cart"))
    await wait_until(lambda: _is_status(mesh, "200"), "it is allowed again")
    await wait_until(lambda: _refusals_are_counted(mesh.server), "the refusals are counted")


async def _refusals_are_counted(proxy: NodeProxy) -> bool:
    return 'policy="no policy",decision="denied"' in await proxy.text("/metrics")
