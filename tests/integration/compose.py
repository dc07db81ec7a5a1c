"""A real Docker engine, and projects of docker compose on it; a test that has none says what is missing."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self

import pytest

from tests.integration.conditions import wait_until
from tests.integration.programs import output_of

IMAGE = "python:3.11-slim"
"""Has python3 and curl. Nothing is pulled."""
SOCKET = Path(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://"))
BUILD_TIMEOUT = 600.0
EVERY_PROFILE = ("--profile", "*")
"""What is started by its name is taken down by its name only, or so."""
GRACE = 0.5
"""Seconds that the server goes on after SIGTERM, as a server that drains does."""

SERVER = f"""\
import os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/slow":
            time.sleep({GRACE} / 2)
        body = os.environ.get("SAYS", os.uname().nodename).encode() + b"\\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
def stop(*_):
    threading.Timer({GRACE}, lambda: os._exit(0)).start()
signal.signal(signal.SIGTERM, stop)
ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer.daemon_threads = True
server = ThreadingHTTPServer(("", int(os.environ.get("PORT", "8080"))), Handler)
open("/tmp/healthy", "w").close()
server.serve_forever()
"""


@cache
def _missing() -> str:
    """Why there is no engine; empty where there is one."""
    if shutil.which("docker") is None:
        return "no docker; on Debian: apt-get install docker.io"
    if not SOCKET.is_socket():
        return f"no Docker engine at {SOCKET}"
    for command, missing in (
        (("docker", "version"), "the Docker engine does not answer"),
        (("docker", "compose", "version"), "no docker compose; on Debian: apt-get install docker-compose-plugin"),
        (("docker", "image", "inspect", IMAGE), f"no image {IMAGE}; docker pull {IMAGE}"),
    ):
        if subprocess.run(command, capture_output=True, check=False, env=_environment()).returncode:
            return missing
    return ""


def require_docker() -> None:
    """Skip the test where there is no engine."""
    if _missing():
        pytest.skip(_missing())


def _environment() -> dict[str, str]:
    return os.environ | {"DOCKER_HOST": f"unix://{SOCKET}", "COMPOSE_PROGRESS": "quiet", "COMPOSE_MENU": "0"}


def server(*labels: str, says: str = "", **service: Any) -> dict[str, Any]:
    """A service of compose: an HTTP server on 8080 with `labels` (``key=value``, ours without their prefix)."""
    pairs = (label.split("=", 1) for label in labels)
    return {
        "image": IMAGE,
        "command": ["python3", "-c", SERVER.replace("$", "$$")],
        "environment": {"SAYS": says} if says else {},
        "expose": ["8080"],
        "labels": {key if "/" in key or key == "app" else f"meshproxy.dev/{key}": value for key, value in pairs},
        "stop_grace_period": "5s",
        **service,
    }


class Compose:
    """A project of its own, which is taken down in the end."""

    def __init__(self, file: Path, *overrides: Path, environment: Mapping[str, str] | None = None) -> None:
        self.name = f"meshproxy-test-{uuid.uuid4().hex[:8]}"
        self._file = file
        self._files = [argument for each in (file, *overrides) for argument in ("-f", str(each))]
        self._own_environment = dict(environment or {})

    @classmethod
    def of(cls, directory: Path, services: Mapping[str, Mapping[str, Any]], *networks: str) -> Self:
        """One whose file is written into `directory`."""
        made = cls(directory / "docker-compose.yml")
        made.write(services, *networks)
        return made

    def write(self, services: Mapping[str, Mapping[str, Any]], *networks: str) -> None:
        """What the next `up` leads to."""
        self._file.write_text(json.dumps({"services": services, "networks": {network: {} for network in networks}}))

    async def __aenter__(self) -> Self:
        require_docker()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self(*EVERY_PROFILE, "kill")
        await self(*EVERY_PROFILE, "down", "--volumes", "--timeout", "0")

    async def __call__(self, *arguments: str) -> str:
        """What ``docker compose ARGUMENTS`` prints."""
        command = ("docker", "compose", "-p", self.name, *self._files, *arguments)
        return await output_of(*command, environment=_environment() | self._own_environment)

    async def up(self, *arguments: str) -> None:
        await self("up", "--detach", "--no-build", "--pull", "never", *arguments)


@asynccontextmanager
async def built_image(directory: Path, tag: str, **arguments: str) -> AsyncIterator[None]:
    """What the Dockerfile in `directory` makes, by a plain engine, is there as `tag` while the body runs.

    Takes minutes the first time: what the engine remembers of the building is left to it.
    """
    given = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
    environment = _environment() | {"DOCKER_BUILDKIT": "0"}
    command = ("docker", "build", "--quiet", "--tag", tag, *given, str(directory))
    await output_of(*command, environment=environment, patience=BUILD_TIMEOUT)
    try:
        yield
    finally:
        await output_of("docker", "image", "rm", tag, environment=environment)


class SocketProxy:
    """A read-only way to the engine, as people put before it: two calls, and nothing else."""

    ALLOWED = ("GET /containers/json", "GET /events")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.refused: list[str] = []
        self.allowed = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def endpoint(self) -> str:
        return f"unix://{self.path}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(self, *error: object) -> None:
        """As an engine that goes away: its socket is gone, and so are all connections."""
        assert self._server is not None
        self._server.close()
        self.path.unlink(missing_ok=True)
        for writer in tuple(self._writers):
            writer.transport.abort()
        await wait_until(lambda: not self._writers, "all connections are closed")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            await self._close(writer)

    async def _close(self, writer: asyncio.StreamWriter) -> None:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass
        self._writers.discard(writer)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request to the engine and its answer; whether there may be another."""
        head = await reader.readuntil(b"\r\n\r\n")
        line = head.split(b"\r\n", 1)[0].decode()
        if not line.startswith(self.ALLOWED):
            self.refused.append(line)
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            return False
        self.allowed += 1
        upstream_reader, upstream = await asyncio.open_unix_connection(SOCKET)
        self._writers.add(upstream)
        try:
            upstream.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            while data := await upstream_reader.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            await self._close(upstream)
        return False
