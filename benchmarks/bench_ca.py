"""Certificates a second that `meshproxy ca serve` issues, by its own CPU time: ``python -m benchmarks.bench_ca``.

Each is for another service account, with a token of its own; once over connections that are kept, once with a TLS
handshake for each, as sidecars do it. The clients share the machine, so that its clock says less than its CPU time.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from benchmarks.processes import cpu_seconds, free_port
from meshproxy.base.names import NamespacedName
from meshproxy.identity.ca.certificates import new_key
from meshproxy.identity.ca.requests import make_request
from meshproxy.identity.ca.tokens import DIRECTORY, Tokens

CERTIFICATES = 2000
CLIENTS = 16
START_WITHIN = 20.0


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary) / "certs"
        port = free_port()
        ca = (sys.executable, "-m", "meshproxy", "ca")
        subprocess.run((*ca, "init", "--out", str(directory)), check=True, stdout=subprocess.DEVNULL)
        serve = (*ca, "serve", "-d", str(directory), "--address", f"127.0.0.1:{port}")
        with subprocess.Popen(serve, stderr=subprocess.DEVNULL) as server:
            try:
                for keep in (True, False):
                    seconds, cpu = asyncio.run(_measure(directory, port, server.pid, keep=keep))
                    how = "connections kept" if keep else "a handshake each "
                    print(
                        f"{how}  {CERTIFICATES / seconds:6.0f}/s   {cpu / CERTIFICATES * 1e3:.2f} ms of CPU each, "
                        f"{CERTIFICATES / cpu:.0f}/s on a core of its own"
                    )
            finally:
                server.terminate()


async def _measure(directory: Path, port: int, pid: int, *, keep: bool) -> tuple[float, float]:
    """(seconds, the server's seconds of CPU) for all certificates."""
    tokens = Tokens(directory / DIRECTORY)
    made = [tokens.create(NamespacedName("bench", f"w{n}"), time.time(), 3600) for n in range(CERTIFICATES)]
    asks = iter([(token, make_request(new_key())) for token in made])
    context = ssl.create_default_context(cadata=(directory / "roots.pem").read_text())
    connector = aiohttp.TCPConnector(limit=CLIENTS, force_close=not keep, ssl=context)
    async with aiohttp.ClientSession(f"https://localhost:{port}", connector=connector) as session:
        await _wait_for(session)

        async def client() -> None:
            for token, request in asks:
                headers = {"Authorization": f"Bearer {token}"}
                async with session.post("/v1/certificates", json={"request": request}, headers=headers) as answer:
                    assert answer.status == 201, await answer.text()
                    await answer.read()

        started, cpu = time.monotonic(), cpu_seconds(pid)
        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        return time.monotonic() - started, cpu_seconds(pid) - cpu


async def _wait_for(session: aiohttp.ClientSession) -> None:
    deadline = time.monotonic() + START_WITHIN
    while True:
        try:
            async with session.get("/healthz") as answer:
                assert answer.status == 200
                return
        except aiohttp.ClientConnectorError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    main()
