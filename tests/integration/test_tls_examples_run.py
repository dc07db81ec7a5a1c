"""The examples with TLS do what their READMEs say: certificates by their commands, nginx behind, curl before them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from meshproxy.base.addresses import SocketAddress
from tests.integration.conftest import MakeProxy
from tests.integration.examples import EXAMPLES, prepare_example
from tests.integration.programs import nginx, output_of, require, running
from tests.integration.proxy_process import ProxyProcess, run_meshproxy
from tests.meta.project import shell_commands

CURL = ("curl", "-sS", "-m", "20")
STATUS = ("-o", "/dev/null", "-w", "%{http_code} %{redirect_url}")


def _commands(example: str, program: str) -> list[list[str]]:
    """The README's commands of one program."""
    lines = shell_commands(EXAMPLES / example / "README.md")
    return [words for words in map(shlex.split, lines) if words[0] == program]


async def test_mtls(make_proxy_process: MakeProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("nginx", "curl")
    monkeypatch.chdir(tmp_path)
    service, program = SocketAddress("127.103.232.13", 8080), SocketAddress("127.0.8.2", 8080)
    web, cart = make_proxy_process(), make_proxy_process()
    for proxy in (web, cart):
        prepare_example(proxy, "mtls", service, program, SocketAddress("127.0.8.1", 15443))
    await run_meshproxy("ca", "init", "--out", "certs")
    for name in ("web", "cart", "guest"):
        await run_meshproxy("ca", "issue", name, "--dir", "certs")
    async with running(*nginx("web", program, tmp_path), directory=tmp_path, listens=program):
        await web.start("-c", str(web.manifests / "web"), "--admin", str(web.admin))
        await cart.start("-c", str(cart.manifests / "cart"), "--admin", str(cart.admin))
        allowed, refused, guest = _commands("mtls", "curl")
        assert (await output_of(*CURL, *allowed[2:], *STATUS)).split() == ["200"]
        assert (await output_of(*CURL, *refused[2:], *STATUS)).split() == ["403"]
        assert (await output_of(*CURL, *guest[1:], *STATUS)).split() == ["403"]
        metrics = await cart.text("/metrics")
        _, listeners = await web.meshproxy("get", "listeners")
    assert 'tls_handshakes_total{namespace="default",service="web",port="http",kind="full"}' in metrics
    assert "127.0.8.1:15443" in listeners


async def test_edge_tls(proxy: ProxyProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("nginx", "curl", "openssl")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "certs").mkdir()
    shop, secure = SocketAddress("127.0.9.1", 8080), SocketAddress("127.0.0.1", 18443)
    prepare_example(proxy, "edge-tls", secure, SocketAddress("127.0.0.1", 18081), shop)
    (certify,) = _commands("edge-tls", "openssl")
    await output_of(*certify)
    async with running(*nginx("shop", shop, tmp_path), directory=tmp_path, listens=shop):
        await proxy.start("--admin", str(proxy.admin))
        plain, encrypted = _commands("edge-tls", "curl")
        assert await output_of(*CURL, *plain[2:], *STATUS) == "301 https://shop.example.com:18443/"
        answer = await output_of(*CURL, *encrypted[1:])
        status, certificates = await proxy.meshproxy("get", "certificates")
    assert "Strict-Transport-Security: max-age=31536000" in answer
    assert answer.endswith("shop\n")
    assert (status, "CN=shop.example.com" in certificates) == (0, True)
