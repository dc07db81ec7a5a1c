"""Whether a proxy does what all of them are to do, so that none is quick by doing less."""

from __future__ import annotations

import http.client
import re
import time

from benchmarks.peers import Proxy
from benchmarks.processes import START_TIMEOUT
from benchmarks.routes import FEW, FEW_ROUTES, MANY_ROUTES, Host

TOLD = re.compile(rf"[0-9.]+ http {re.escape(FEW_ROUTES.name)}")
"""An address, for which Envoy takes one of the machine's where the client has a loopback address, scheme and host."""
ITEM = re.compile("hello world")
ANYTHING = re.compile("(?s).*")


def check(proxy: Proxy) -> None:
    """Raise `RuntimeError` where `proxy` does not route by host and path, or tells backends nothing of the client.

    Some listen before they have their routes (Traefik), so it is given a while.
    """
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            _check(proxy)
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _check(proxy: Proxy) -> None:
    for host in (FEW_ROUTES, MANY_ROUTES):
        _expect(proxy, host, f"/r{host.count - 1}/item", 200, ITEM)
        _expect(proxy, host, "/none", 404)
    _expect(proxy, FEW_ROUTES, f"/r{FEW}/item", 404)
    _expect(proxy, FEW_ROUTES, "/r0/told", 200, TOLD)


def _expect(proxy: Proxy, host: Host, path: str, status: int, text: re.Pattern[str] = ANYTHING) -> None:
    connection = http.client.HTTPConnection(*proxy.address, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host.name})
        answer = connection.getresponse()
        got = answer.read().decode().strip()
    finally:
        connection.close()
    if answer.status != status or text.fullmatch(got) is None:
        wanted = f"{status} {text.pattern!r}"
        raise RuntimeError(f"{proxy.name} answers {answer.status} {got!r} to {host.name}{path}, not {wanted}")
