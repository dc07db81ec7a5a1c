"""`docker compose up` in a clone: the shop, each program with a sidecar, on a real engine."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.integration.compose import require_docker
from tests.integration.conditions import wait_until
from tests.integration.programs import output_of, require
from tests.integration.shop import TAG, Shop, answered, open_shop
from tests.meta.dashboards import DASHBOARDS, load, queries

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]

V1, V2 = "web > api v1", "web > api v2"
V1_WEIGHT = 900
START = 60.0
"""Seconds: a container, a proxy, a certificate and a registration, three at once on two noisy cores."""
MEGABYTE = 1_000_000
ALL_PACKETS = 3
"""`ETH_P_ALL` of linux/if_ether.h."""
SO_ATTACH_FILTER, SO_RCVBUFFORCE = 26, 33
"""asm-generic/socket.h."""
OF_FAILURES = re.compile(r"5xx|failures|denied|decisions|flags|ejected|ejections|limited|broken|dropped|retries")
"""What a query names that may have no answer: nothing has failed yet."""
PING = """\
import socket
try:
    with socket.create_connection(("db", 6379), 5) as connection:
        connection.sendall(b"PING\\r\\n")
        print(connection.recv(100))
except OSError as error:
    print(repr(error))
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    require_docker()
    async with open_shop(tmp_path_factory.mktemp("shop")) as opened:
        yield opened


async def test_visitors_get_the_canary_by_weight_and_by_cookie(shop: Shop) -> None:
    async with httpx.AsyncClient(base_url=shop.url, trust_env=False) as client:
        said = Counter([answered(await client.get("/")) for _ in range(100)])
        chosen = {answered(await client.get("/", headers={"Cookie": "canary=always"})) for _ in range(10)}
    assert set(said) <= {V1, V2}
    assert 1 <= said[V2] <= 35, "a tenth, by chance"
    assert chosen == {V2}


async def test_only_those_who_may_call_each_other_can(shop: Shop) -> None:
    assert "PONG" in await shop.compose("exec", "-T", "api", "python3", "-c", PING)
    refused = await shop.compose("exec", "-T", "web", "python3", "-c", PING)
    assert "PONG" not in refused
    assert "spiffe://mesh.local/ns/default/sa/db" in await shop.meshproxy("db-proxy", "status")


async def test_what_is_on_the_wire_is_tls(shop: Shop) -> None:
    if os.geteuid():
        pytest.skip("packets can be seen by root only")
    marker = b"nobody-may-read-this"
    addresses = await _addresses(shop)
    # On every interface: a bridge itself does not see what passes between two of its ports.
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PACKETS)) as wire:
        _turn_away_loopback(wire)
        wire.setblocking(False)
        wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 * MEGABYTE)
        async with httpx.AsyncClient(base_url=shop.url, trust_env=False) as client:
            for _ in range(5):
                assert (await client.get(f"/?{marker.decode()}")).status_code == 200
        packets = _received(wire)
    in_the_mesh = [packet for packet in packets if packet[26:30] in addresses and packet[30:34] in addresses]
    seen = [packet for packet in packets if marker in packet]
    assert seen, "a visitor's own request is in clear"
    assert not [packet for packet in in_the_mesh if marker in packet]
    assert [packet for packet in in_the_mesh if b"\x17\x03\x03" in packet], "records of TLS"


def _turn_away_loopback(wire: socket.socket) -> None:
    """No packets of the loopback interface, by a filter (bpf(4)): other tests send more there than could be kept."""
    program = (
        (0x20, 0, 0, 0xFFFFF008),  # load the interface's index: SKF_AD_OFF + SKF_AD_IFINDEX
        (0x15, 0, 1, socket.if_nametoindex("lo")),
        (0x06, 0, 0, 0),  # equal: nothing of it
        (0x06, 0, 0, 0xFFFFFFFF),  # all of it
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in program))
    wire.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(code)))


def _received(wire: socket.socket) -> list[bytes]:
    """Every IPv4 packet that has come, from its Ethernet header on."""
    packets = []
    while True:
        try:
            packets.append(wire.recv(65536))
        except BlockingIOError:
            return packets


async def _containers(shop: Shop) -> list[dict[str, Any]]:
    identifiers = (await shop.compose("ps", "--all", "--quiet")).split()
    found: list[dict[str, Any]] = json.loads(await output_of("docker", "inspect", *identifiers))
    return found


async def _addresses(shop: Shop) -> set[bytes]:
    """The addresses of all containers, as packets have them."""
    text = json.dumps(await _containers(shop))
    return {socket.inet_aton(each) for each in re.findall(r'"IPAddress": "([0-9.]+)"', text)}


async def test_dashboards_show_what_a_real_prometheus_has(shop: Shop) -> None:
    require("prometheus", "promtool")
    address = await shop.prometheus()
    async with shop.visited(), httpx.AsyncClient(base_url=address, trust_env=False) as client:

        async def found(expression: str) -> bool:
            response = await client.get("/api/v1/query", params={"query": expression})
            assert response.status_code == 200, f"{expression}: {response.text}"
            return bool(response.json()["data"]["result"])

        await wait_until(lambda: found('count(up{job="meshproxy"} == 1) == 5'), "all are scraped", START)
        await wait_until(lambda: found("parent:meshproxy_route_requests:rate1m > 0"), "rules are evaluated", START)
        asked = {query: await found(_as_grafana_asks(query)) for path in DASHBOARDS for query in queries(load(path))}
        assert not await found('ALERTS{alertstate="firing",alertname!="MeshproxyTelemetryDropped"}')
    silent = {query for query, answered in asked.items() if not answered}
    assert not {query for query in silent if not OF_FAILURES.search(query)}
    assert len(silent) < len(asked) / 3


def _as_grafana_asks(query: str) -> str:
    """With every variable at All."""
    return re.sub(r"\$[a-z]+", ".*", query.replace("$__rate_interval", "1m"))


async def test_no_request_fails_while_containers_come_and_go(shop: Shop) -> None:
    async with shop.visited() as answers:
        await wait_until(lambda: _asked(answers, 50), "there is traffic")
        await shop.compose.up("--wait", "--scale", "api=3")
        await wait_until(lambda: _instances(shop, 3), "three of v1 are known", START)
        await shop.compose("restart", "api")
        await wait_until(lambda: _instances(shop, 3), "they are back", START)
        await shop.compose("stop", "api-v2")
        await shop.compose("start", "api-v2")
        await shop.compose.up("--wait", "--scale", "api=1")
        before = answers.total()
        await wait_until(lambda: _asked(answers, before + 50), "and there still is")
    assert set(answers) <= {V1, V2}, answers


async def _asked(answers: Counter[str], times: int) -> bool:
    return answers.total() >= times


async def _instances(shop: Shop, number: int) -> bool:
    """Whether so many of version 1 are to be asked."""
    ready = [row["weight"] for row in await shop.endpoints("api") if row["status"] != "NotReady"]
    return ready.count(V1_WEIGHT) == number


async def test_a_sidecar_that_dies_comes_back_to_its_program(shop: Shop) -> None:
    if os.geteuid():
        pytest.skip("processes of containers can be killed by root only")
    sidecar = (await shop.compose("ps", "--quiet", "web-proxy")).strip()
    started = await output_of("docker", "inspect", "-f", "{{.State.StartedAt}}", sidecar)
    os.kill(int(await output_of("docker", "inspect", "-f", "{{.State.Pid}}", sidecar)), signal.SIGKILL)

    async def is_back() -> bool:
        if await output_of("docker", "inspect", "-f", "{{.State.StartedAt}}", sidecar) == started:
            return False
        return answered(await client.get("/")) in (V1, V2)

    async with httpx.AsyncClient(base_url=shop.url, trust_env=False, timeout=START) as client:
        await wait_until(is_back, "the program is reached through another process", START)


async def test_image_and_sidecars_are_small(shop: Shop) -> None:
    size = int(await output_of("docker", "image", "inspect", "-f", "{{.Size}}", TAG))
    assert size < 150 * MEGABYTE
    container = (await shop.compose("ps", "--quiet", "db-proxy")).strip()
    processes = (await output_of("docker", "top", container, "-o", "pid")).split()[1:]
    held = sum(_proportional_set_size(int(pid)) for pid in processes)
    assert held < 128 * MEGABYTE, held


def _proportional_set_size(pid: int) -> int:
    """Bytes: its own memory, and its part of what it shares."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


async def test_it_ends_in_order(shop: Shop) -> None:
    """The last one, since nothing is left. Who comes when the edge has gone is refused; nobody gets half an answer."""
    async with shop.visited() as answers:
        await wait_until(lambda: _asked(answers, 20), "there is traffic")
        await shop.compose("stop")
    assert {answer for answer in answers if re.match("[0-9]", answer)} == set(), answers
    ended = {str(each["Name"]): each["State"] for each in await _containers(shop)}
    codes = {
        name: state["ExitCode"] for name, state in ended.items() if re.search("-(edge|web-proxy|api|db-proxy)-", name)
    }
    assert set(codes.values()) == {0}, codes
