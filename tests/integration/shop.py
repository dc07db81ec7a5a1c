"""The docker-compose.yml of this project on a real engine, its foreign images replaced by programs of this machine."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.compose import IMAGE, Compose, built_image
from tests.integration.programs import require
from tests.meta.project import ROOT

TAG = f"meshproxy-test-shop:{uuid.uuid4().hex[:8]}"
CLIENTS = 4
TIMEOUT = 30.0


def _stand_ins(consul: str) -> dict[str, Any]:
    """Consul, redis and Prometheus, which cannot be pulled here: this machine's own, in the base image.

    They are Debian's of one release, so that the one's programs find their libraries in the other's ``/usr``.
    """
    return {
        "services": {
            "consul": {"image": IMAGE, "entrypoint": ["/bin/consul"], "volumes": [f"{consul}:/bin/consul:ro"]},
            "db": {"image": IMAGE, "volumes": ["/usr:/usr:ro"]},
            "prometheus": {"image": IMAGE, "entrypoint": ["/usr/bin/prometheus"], "volumes": ["/usr:/usr:ro"]},
        }
    }


class Shop:
    """The running project, and where its edge is published."""

    def __init__(self, compose: Compose, address: str) -> None:
        self.compose = compose
        self.url = f"http://{address}"

    async def meshproxy(self, service: str, *arguments: str) -> str:
        """What the command prints in the sidecar's container."""
        return await self.compose("exec", "-T", service, "meshproxy", *arguments)

    async def endpoints(self, service: str) -> list[dict[str, Any]]:
        """What the edge knows of `service`."""
        rows = json.loads(await self.meshproxy("edge", "get", "endpoints", service, "-o", "json"))
        found: list[dict[str, Any]] = rows
        return found

    async def prometheus(self) -> str:
        """Where Prometheus answers, which is started."""
        await self.compose.up("--wait", "--no-recreate", "prometheus")
        return f"http://{(await self.compose('port', 'prometheus', '9090')).strip()}"

    @asynccontextmanager
    async def visited(self) -> AsyncIterator[Counter[str]]:
        """Visitors who ask all the time; afterwards, how often each answer was had."""
        answers: Counter[str] = Counter()
        done = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CLIENTS):
                tasks.create_task(self._visit(answers, done))
            try:
                yield answers
            finally:
                done.set()

    async def _visit(self, answers: Counter[str], done: asyncio.Event) -> None:
        async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
            while not done.is_set():
                try:
                    response = await client.get(self.url)
                except httpx.HTTPError as error:
                    answers[f"{type(error).__name__}: {error}"] += 1
                    continue
                answers[answered(response)] += 1


def answered(response: httpx.Response) -> str:
    """Who answered, or what went wrong."""
    if response.status_code == 200:
        return response.text.partition(" > visit")[0]
    return f"{response.status_code}: {response.text.strip()}"


@asynccontextmanager
async def open_shop(directory: Path) -> AsyncIterator[Shop]:
    """Build the image, and have everything up and healthy while the body runs."""
    consul = os.environ.get("CONSUL_BIN", "")
    if not consul:
        pytest.skip("no Consul; install one and set CONSUL_BIN")
    require("redis-server", "redis-cli")
    override = directory / "stand-ins.json"
    override.write_text(json.dumps(_stand_ins(consul)))
    environment = {"MESHPROXY_IMAGE": TAG, "SHOP_PORT": "127.0.0.1:", "PROMETHEUS_PORT": "127.0.0.1:"}
    async with (
        built_image(ROOT, TAG, COMPILE="0"),
        Compose(ROOT / "docker-compose.yml", override, environment=environment) as compose,
    ):
        await compose.up("--wait")
        yield Shop(compose, (await compose("port", "edge", "8080")).strip())
