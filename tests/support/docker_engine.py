"""A Docker engine that is told what to say: the two calls that the source makes, answered as a real one does.

``tests/integration/test_docker_engine.py`` holds it against a real engine. As a program (``python -m … SOCKET``) it
also takes orders over its socket, for tests that must not share a process with it.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from aiohttp import web

ORDERS = "/test/containers"


class FakeEngine:
    """Serves on a Unix socket. `containers` are as in a list; changes are told to who listens for events."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.containers: dict[str, dict[str, Any]] = {}
        self.lists: list[frozenset[str] | None] = []
        """What was asked for: ids, or None for all."""
        self.fault = ""
        """``500``, ``403``, ``truncated``, ``hangs``, ``garbage``: what lists are instead."""
        self.port = 0
        """Where it serves too, on 127.0.0.1, once `start_tcp` was called."""
        self._listeners: set[web.StreamResponse] = set()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/containers/json", self._list)
        app.router.add_get("/events", self._events)
        app.router.add_put(ORDERS, self._obey)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.path)).start()

    async def start_tcp(self, context: ssl.SSLContext | None = None) -> None:
        """Serve by TCP as well, with TLS if it has a `context`."""
        assert self._runner is not None
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        self.port = self._runner.addresses[-1][1]

    async def stop(self) -> None:
        if self._runner is not None:
            self.hang_up()
            await self._runner.cleanup()
            self._runner = None
            self.path.unlink(missing_ok=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    # -- what happens --------------------------------------------------------------------

    async def set(self, containers: Iterable[dict[str, Any]]) -> None:
        """Exactly these run: what ends and what begins is told as an engine tells it."""
        wanted = {container["Id"]: container for container in containers}
        for each in self.containers.keys() - wanted.keys():
            await self.tell("kill", self.containers[each], signal="15")
            await self.tell("die", self.containers.pop(each))
        for each, container in wanted.items():
            known = self.containers.get(each)
            self.containers[each] = container
            if known is None:
                await self.tell("start", container)

    async def tell(self, action: str, container: dict[str, Any], **attributes: str) -> None:
        """Send an event, and nothing else."""
        actor = {"ID": container["Id"], "Attributes": {**container["Labels"], **attributes}}
        now = time.time_ns()
        message = {"Type": "container", "Action": action, "Actor": actor, "time": now // 10**9, "timeNano": now}
        await self.send(json.dumps(message).encode() + b"\n")

    async def send(self, data: bytes) -> None:
        """Send `data` to whoever listens for events."""
        for listener in tuple(self._listeners):
            try:
                await listener.write(data)
            except ConnectionError:
                self._listeners.discard(listener)

    def hang_up(self) -> None:
        """End all streams of events."""
        for listener in self._listeners:
            if listener._req is not None and listener._req.transport is not None:
                listener._req.transport.close()

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    # -- what is asked -------------------------------------------------------------------

    async def _list(self, request: web.Request) -> web.StreamResponse:
        filters = json.loads(request.query.get("filters", "{}"))
        ids = frozenset(filters["id"]) if "id" in filters else None
        self.lists.append(ids)
        if self.fault == "hangs":
            await asyncio.sleep(3600)
        if self.fault.isdigit():
            return web.json_response({"message": "no"}, status=int(self.fault))
        found = [each for key, each in sorted(self.containers.items()) if ids is None or key in ids]
        body = json.dumps(found).encode()
        if self.fault == "truncated":
            body = body[: len(body) // 2]
        if self.fault == "garbage":
            body = b"<html>\xff\xfe"
        return web.Response(body=body, content_type="application/json")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        self._listeners.add(response)
        try:
            await asyncio.sleep(3600)
        finally:
            self._listeners.discard(response)
        return response

    async def _obey(self, request: web.Request) -> web.Response:
        await self.set(await request.json())
        return web.Response()


async def _serve(path: Path) -> None:
    async with FakeEngine(path):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
