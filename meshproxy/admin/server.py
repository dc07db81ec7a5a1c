"""The admin API over HTTP. Loopback by default; any other address needs a bearer token.

On loopback the `Host` header must be an IP address or localhost, so that no web page can reach it
by a name of its own (DNS rebinding), and a POST needs ``Content-Type: application/json``,
which a page of another origin cannot send unasked.
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address
from typing import Any

import msgspec
from aiohttp import web

from meshproxy import __version__
from meshproxy.admin.documents import (
    authorization_policies,
    clusters,
    endpoints,
    listeners,
    routes,
    services,
    stats,
    status,
)
from meshproxy.admin.live.viewers import MAX_VIEWERS, TooManyViewers, Viewers
from meshproxy.admin.pages import INDEX, page
from meshproxy.admin.view import ProxyView
from meshproxy.base.addresses import SocketAddress

OPEN_METRICS = "application/openmetrics-text"
"""What a scraper accepts that knows exemplars."""
LISTS: dict[str, Callable[[ProxyView], Iterable[Any]]] = {
    "services": services.rows,
    "endpoints": endpoints.rows,
    "workloads": lambda view: view.snapshot().workloads,
    "routes": routes.rows,
    "listeners": listeners.rows,
    "clusters": clusters.rows,
    "authorizationpolicies": authorization_policies.rows,
    "certificates": lambda view: view.certificates(),
    "sources": lambda view: view.sources(),
}
_OPEN_PATHS = frozenset({"/healthz", "/readyz"})
_PAGES = "/dashboard/"
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:]+)(:\d+)?")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AdminServer:
    """Serves `view` at `address`, port 0 for a free one. `token` empty means that none is asked for."""

    def __init__(self, view: ProxyView, address: SocketAddress, token: str = "") -> None:
        self._view = view
        self._address = address
        self._token = token
        self._viewers = Viewers(view)
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> SocketAddress:
        """Where it is served; the port is the real one once it has started."""
        return self._address

    async def start(self) -> None:
        """Raises `OSError` when the address cannot be bound."""
        app = web.Application(middlewares=[self._guard, _explain_errors])
        app.add_routes(
            [
                web.get("/", self._dashboard),
                web.get("/dashboard/{file:.+}", self._dashboard),
                web.get("/api/v1", self._index),
                web.get("/api/v1/live", self._live),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/api/v1/config", self._config),
                web.get("/api/v1/diagnostics", self._diagnostics),
                web.get("/api/v1/dns", self._dns),
                web.get("/api/v1/dns/explain", self._explain_name),
                web.get("/api/v1/events", self._events),
                web.get("/api/v1/requests", self._requests),
                web.get("/api/v1/stats", self._stats),
                web.get("/api/v1/status", self._status),
                web.get("/api/v1/{list}", self._list),
                web.post("/api/v1/drain", self._drain),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, self._address.host, self._address.port)
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._address = SocketAddress(self._address.host, self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._viewers.stop()
            await self._runner.cleanup()
            self._runner = None

    # -- who may ask ---------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in _OPEN_PATHS:
            return await handler(request)
        if self._token and (request.path == "/" or request.path.startswith(_PAGES)):
            return await handler(request)  # the page asks for the token
        if self._token:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                return _error(401, "this address needs the header Authorization: Bearer <token>")
        elif not _is_local_host(request.headers.get("Host", "")):
            return _error(403, "the Host header must be an IP address or localhost")
        if request.method == "POST" and request.content_type != "application/json":
            return _error(415, "send a POST with Content-Type: application/json")
        return await handler(request)

    # -- answers -------------------------------------------------------------------------

    async def _index(self, request: web.Request) -> web.Response:
        paths = ["/healthz", "/readyz", "/metrics", *(f"/api/v1/{name}" for name in LISTS)]
        paths += [
            f"/api/v1/{name}" for name in ("config", "diagnostics", "dns", "events", "requests", "stats", "status")
        ]
        return web.Response(text=f"meshproxy {__version__}\n\n" + "\n".join(paths) + "\n")

    async def _dashboard(self, request: web.Request) -> web.Response:
        found = page(request.match_info.get("file", INDEX), request)
        return found if found is not None else _error(404, f"the dashboard has no file {request.path}")

    async def _live(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._viewers.serve(request)
        except TooManyViewers:
            return _error(503, f"{MAX_VIEWERS} watch already, which is the most at once")

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        reason = self._view.not_ready_reason()
        return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        open_metrics = OPEN_METRICS in request.headers.get("Accept", "")
        pieces = []
        for piece in self._view.metrics(open_metrics=open_metrics):
            pieces.append(piece)
            await asyncio.sleep(0)  # health checks and workers get their turn in between
        kind = f"{OPEN_METRICS}; version=1.0.0" if open_metrics else "text/plain; version=0.0.4"
        return web.Response(body=b"".join(pieces), headers={"Content-Type": f"{kind}; charset=utf-8"})

    async def _list(self, request: web.Request) -> web.Response:
        rows = LISTS.get(request.match_info["list"])
        if rows is None:
            return _error(404, f"no such list; there are {', '.join(LISTS)}")
        return _json([row for row in rows(self._view) if _wanted(row, request)])

    async def _config(self, request: web.Request) -> web.Response:
        return _json(self._view.snapshot())

    async def _diagnostics(self, request: web.Request) -> web.Response:
        return _json(self._view.diagnostics())

    async def _dns(self, request: web.Request) -> web.Response:
        return _json(self._view.dns())

    async def _explain_name(self, request: web.Request) -> web.Response:
        if self._view.dns() is None:
            return _error(409, "no DNS server runs in this proxy: set spec.dns of the Proxy, or run it with --dns")
        try:
            return _json(self._view.explain_name(request.query.get("name", ""), request.query.get("type", "A")))
        except ValueError as error:
            return _error(400, str(error))

    async def _events(self, request: web.Request) -> web.Response:
        return _json(self._view.events(request.query.get("subject")))

    async def _requests(self, request: web.Request) -> web.Response:
        return _json(self._view.recent_requests())

    async def _stats(self, request: web.Request) -> web.Response:
        return _json(stats.document(self._view))

    async def _status(self, request: web.Request) -> web.Response:
        return _json(status.document(self._view))

    async def _drain(self, request: web.Request) -> web.Response:
        self._view.drain()
        return _json({"draining": True}, status=202)


def _wanted(row: Any, request: web.Request) -> bool:
    """Filters ``?namespace=``, ``?name=`` and ``?service=``, each where the row has such a field."""
    return all(
        getattr(row, field, wanted) == wanted
        for field in ("namespace", "name", "service")
        if (wanted := request.query.get(field)) is not None
    )


def _is_local_host(header: str) -> bool:
    match = _HOST.fullmatch(header)
    if match is None:
        return False
    host = match[1].strip("[]")
    if host == "localhost":
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@web.middleware
async def _explain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _error(error.status, f"{error.reason}: {request.method} {request.path}")


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def _error(status: int, message: str) -> web.Response:
    return _json({"error": message}, status=status)
