"""`ca serve` and proxies as processes: tokens, renewal, rotation, and openssl at both ends of a connection."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from meshproxy.base.addresses import SocketAddress
from tests.integration.addresses import free_address
from tests.integration.conditions import wait_until
from tests.integration.programs import output_of, require, running
from tests.integration.proxy_process import ProxyProcess, run_meshproxy

WEB = "spiffe://mesh.local/ns/default/sa/web"


async def ca(*words: str, directory: Path) -> str:
    """Run `meshproxy ca …` on a directory."""
    status, output = await run_meshproxy("ca", *words, "-d" if words[0] != "init" else "--out", str(directory))
    assert status == 0, output
    return output


@asynccontextmanager
async def serving(directory: Path, address: SocketAddress) -> AsyncIterator[asyncio.subprocess.Process]:
    command = (sys.executable, "-m", "meshproxy", "ca", "serve", "-d", str(directory), "--address", str(address))
    async with running(*command, directory=directory, listens=address) as process:
        yield process


def configure(proxy: ProxyProcess, certs: Path, address: SocketAddress) -> None:
    files = {"roots": str(certs / "roots.pem"), "tokenFile": str(certs / "web.token")}
    proxy.configure(identity={"serviceAccount": "web", "ca": {"url": f"https://{address}", **files}})


async def certificates(proxy: ProxyProcess) -> dict[str, list[str]]:
    """The serial numbers of certificates in force, by kind."""
    found: dict[str, list[str]] = {}
    for row in json.loads((await proxy.meshproxy("get", "certificates", "-o", "json"))[1]):
        found.setdefault(row["kind"], []).append(row["serial"])
    return found


async def test_a_sidecar_has_an_identity_through_restarts_and_rotations(proxy: ProxyProcess, tmp_path: Path) -> None:
    certs, address = tmp_path / "certs", free_address()
    await ca("init", directory=certs)
    await ca("token", "web", "--out", str(certs / "web.token"), directory=certs)
    configure(proxy, certs, address)
    await proxy.start()

    async def has(kind: str, count: int, other_than: str = "") -> bool:
        found = (await certificates(proxy)).get(kind, [])
        return len(found) == count and other_than not in found

    assert (await proxy.meshproxy("status"))[0] == 1, "the CA is not there yet"
    async with serving(certs, address) as server:
        proxy.signal(signal.SIGHUP)
        await wait_until(lambda: has("Identity", 1), "there is an identity")
        first = (await certificates(proxy))["Identity"][0]
        await ca("rotate", directory=certs)
        proxy.signal(signal.SIGHUP)
        await wait_until(lambda: has("Root", 2), "both roots are trusted")
        await wait_until(lambda: has("Identity", 1, other_than=first), "the identity is a new one")
        await ca("rotate", "--finish", "--force", directory=certs)
        proxy.signal(signal.SIGHUP)
        await wait_until(lambda: has("Root", 1), "the old root is gone")
        second = (await certificates(proxy))["Identity"][0]
        server.terminate()
        assert await server.wait() == 0

    (certs / "web.token").unlink()
    await proxy.stop()
    await proxy.start()
    assert (await certificates(proxy))["Identity"] == [second], "kept in the state directory"
    state = proxy.state / "identity"
    assert state.stat().st_mode & 0o077 == 0


async def test_a_token_that_was_stolen_is_an_alarm(proxy: ProxyProcess, tmp_path: Path) -> None:
    certs, address = tmp_path / "certs", free_address()
    await ca("init", directory=certs)
    token = (await ca("token", "web", directory=certs)).strip()
    (certs / "web.token").write_text(token)
    require("curl", "openssl")
    await output_of("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "csr"), "-subj", "/")  # fmt: skip
    (tmp_path / "body").write_text(json.dumps({"request": (tmp_path / "csr").read_text()}))
    curl = ("curl", "-s", "--cacert", str(certs / "roots.pem"), "-H", f"Authorization: Bearer {token}")
    post = (f"https://{address}/v1/certificates", "--data", f"@{tmp_path / 'body'}")
    async with serving(certs, address):
        assert "BEGIN CERTIFICATE" in await output_of(*curl, *post), "the thief comes first"
        configure(proxy, certs, address)
        await proxy.start()

        async def said() -> bool:
            return "was used before, with another key" in (await proxy.meshproxy("status"))[1]

        await wait_until(said, "the owner is told")
    assert "ALARM" in (certs / f"server-{address.host}.log").read_text()
    assert "token_reused" in (certs / "audit.log").read_text()


async def test_openssl_at_both_ends(tmp_path: Path) -> None:
    require("openssl")
    certs, address = tmp_path / "certs", free_address()
    await ca("init", directory=certs)
    for name in ("web", "shop/cart"):
        await ca("issue", name, directory=certs)
    roots = ("-CAfile", str(certs / "roots.pem"), "-verify_return_error")

    def shown(name: str) -> tuple[str, ...]:
        pem = str(certs / f"{name}.pem")
        return ("-cert", pem, "-cert_chain", pem, "-key", str(certs / f"{name}.key"))

    server = ("openssl", "s_server", "-accept", str(address), *shown("web"), *roots, "-Verify", "2", "-www")
    client = ("openssl", "s_client", "-connect", str(address), *roots)
    async with running(*server, directory=tmp_path, listens=address):
        text = await output_of(*client, *shown("shop.cart"))
        assert "Verify return code: 0 (ok)" in text
        await ca("init", directory=tmp_path / "other")
        await ca("issue", "web", directory=tmp_path / "other")
        untrusted = ("openssl", "s_client", "-connect", str(address), "-CAfile", str(tmp_path / "other" / "roots.pem"))
        text = await output_of(*untrusted, *shown("shop.cart"))
        assert "Verify return code: 20 (unable to get local issuer certificate)" in text
