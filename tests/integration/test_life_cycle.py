"""Start-up, refusal of bad configuration, and the end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import pytest

from meshproxy.base.addresses import SocketAddress
from tests.integration.backends import make_backends
from tests.integration.clients import Client, is_refused, shares, who_answers
from tests.integration.conditions import wait_until
from tests.integration.manifests import make_service, make_workload
from tests.integration.proxy_process import ProxyProcess

BROKEN = "kind: Service\nspec: [unclosed\n"
WRONG = """\
apiVersion: v1
kind: Service
metadata: {name: backend}
spec:
  selectors: {app: backend}
  ports: [{port: eighty}]
"""


async def test_a_bad_configuration_at_start_ends_with_every_finding(proxy: ProxyProcess) -> None:
    proxy.expected_errors.append(".")
    proxy.write("broken.yaml", BROKEN)
    proxy.write("wrong.yaml", WRONG)
    await proxy.spawn()
    assert await proxy.exit_status() == 1
    log = proxy.log_text()
    assert "broken.yaml:" in log
    assert "did you mean selector?" in log
    assert "wrong.yaml:6" in log


async def test_a_path_that_is_not_there_ends_with_its_name(proxy: ProxyProcess) -> None:
    proxy.expected_errors.append(".")
    proxy.manifests.rmdir()
    await proxy.spawn()
    assert await proxy.exit_status() in {1, 2}
    assert str(proxy.manifests) in proxy.log_text()


async def test_an_empty_directory_is_served_until_something_comes(proxy: ProxyProcess, address: SocketAddress) -> None:
    """Nothing to do is no error: the files may come later. Said all the same."""
    (backend,) = make_backends(1)
    async with backend:
        await proxy.start("--admin", str(proxy.admin))
        _, output = await proxy.meshproxy("status")
        assert "the directory holds no" in output
        proxy.configure(make_service(address), make_workload(backend.address, backend.name))
        await wait_until(lambda: _is_open(address), "the Service that came is served")
        assert await who_answers(address) == backend.name


async def _is_open(address: SocketAddress) -> bool:
    return not await is_refused(address)


async def test_ten_megabytes_of_nonsense_are_refused_quickly(proxy: ProxyProcess) -> None:
    proxy.expected_errors.append(".")
    (proxy.manifests / "nonsense.yaml").write_bytes(os.urandom(10 << 20))
    await proxy.spawn()
    async with asyncio.timeout(10):
        assert await proxy.exit_status() == 1
    assert "nonsense.yaml" in proxy.log_text()
    assert len(proxy.log_text()) < 10_000


async def test_a_bad_reload_keeps_serving_and_says_why(proxy: ProxyProcess, address: SocketAddress) -> None:
    old, new = make_backends(2)
    async with old, new:
        proxy.expected_errors.append(".")
        proxy.configure(make_service(address), make_workload(old.address, "one"))
        await proxy.start()
        proxy.write("wrong.yaml", WRONG)
        await wait_until(lambda: "did you mean selector?" in proxy.log_text(), "the finding is in the log")
        assert await shares(address, 10) == {old.name: 10}
        _, output = await proxy.meshproxy("status")
        assert "wrong.yaml" in output
        (proxy.manifests / "wrong.yaml").unlink()
        proxy.configure(make_service(address), make_workload(new.address, "one"))
        await wait_until(lambda: _answered_by(address, new.name), "the mended configuration is in force")


async def _answered_by(address: SocketAddress, name: str) -> bool:
    return await who_answers(address) == name


async def test_the_last_good_configuration_survives_a_bad_start(proxy: ProxyProcess, address: SocketAddress) -> None:
    (backend,) = make_backends(1)
    async with backend:
        proxy.configure(make_service(address), make_workload(backend.address, backend.name))
        await proxy.start()
        await wait_until(lambda: any(proxy.state.iterdir()) if proxy.state.exists() else False, "it is saved")
        await proxy.stop()
        proxy.expected_errors.append(".")
        proxy.write("all.yaml", BROKEN)
        await proxy.start("--admin", str(proxy.admin))
        assert await who_answers(address) == backend.name
        assert "all.yaml:" in proxy.log_text()


async def test_systemd_is_told_when_services_answer_and_when_it_drains(
    proxy: ProxyProcess, address: SocketAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (backend,) = make_backends(1)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        async with backend:
            proxy.configure(make_service(address), make_workload(backend.address, backend.name))
            await proxy.spawn()
            loop = asyncio.get_running_loop()
            assert (await loop.sock_recv(manager, 1000)).startswith(b"READY=1\n")
            assert await who_answers(address) == backend.name
            proxy.signal(signal.SIGTERM)
            assert (await loop.sock_recv(manager, 1000)).startswith(b"STOPPING=1\n")
            assert await proxy.exit_status() == 0


async def test_sigterm_finishes_what_is_open(proxy: ProxyProcess, address: SocketAddress) -> None:
    (backend,) = make_backends(1)
    async with backend:
        proxy.configure(make_service(address), make_workload(backend.address, backend.name))
        await proxy.start()
        async with await Client.connect(address) as client:
            proxy.signal(signal.SIGTERM)
            await wait_until(lambda: is_refused(address), "nothing new is accepted")
            assert not await proxy.ready()
            assert await client.echo(b"in flight") == b"in flight"
        assert await proxy.exit_status() == 0


async def test_the_drain_timeout_bounds_the_end(proxy: ProxyProcess, address: SocketAddress) -> None:
    (backend,) = make_backends(1)
    async with backend:
        documents = (make_service(address), make_workload(backend.address, backend.name))
        proxy.configure(*documents, drainTimeout="300ms")
        await proxy.start()
        async with await Client.connect(address) as client:
            proxy.signal(signal.SIGTERM)
            assert await proxy.exit_status() == 0
            try:
                assert await client.ended() == b""
            except ConnectionResetError:
                pass  # what is cut is reset


async def test_interrupting_twice_ends_at_once(proxy: ProxyProcess, address: SocketAddress) -> None:
    (backend,) = make_backends(1)
    async with backend:
        documents = (make_service(address), make_workload(backend.address, backend.name))
        proxy.configure(*documents, drainTimeout="1h")
        await proxy.start()
        client = await Client.connect(address)
        proxy.signal(signal.SIGINT)
        await wait_until(lambda: is_refused(address), "it drains")
        proxy.signal(signal.SIGINT)
        async with asyncio.timeout(5):
            await proxy.exit_status()
        client.writer.transport.abort()


async def test_workers_end_with_a_supervisor_that_was_killed(proxy: ProxyProcess, address: SocketAddress) -> None:
    (backend,) = make_backends(1)
    async with backend:
        proxy.configure(make_service(address), make_workload(backend.address, backend.name))
        await proxy.start()
        proxy.signal(signal.SIGKILL)
        await proxy.exit_status()
        await wait_until(lambda: is_refused(address), "nobody listens any more")


async def test_json_logs_are_json(proxy: ProxyProcess, address: SocketAddress) -> None:
    proxy.configure(make_service(address))
    await proxy.start("--log-format", "json")
    await proxy.stop()
    entries = [json.loads(line) for line in proxy.log_text().splitlines()]
    assert entries
    assert all({"ts", "level", "logger", "message"} <= entry.keys() for entry in entries)


async def test_metrics_count_what_went_through(proxy: ProxyProcess, address: SocketAddress) -> None:
    (backend,) = make_backends(1)
    async with backend:
        proxy.configure(make_service(address), make_workload(backend.address, backend.name))
        await proxy.start()
        await shares(address, 25)
        await wait_until(lambda: _metrics_show(proxy, "25"), "25 connections are counted")


async def _metrics_show(proxy: ProxyProcess, value: str) -> bool:
    lines = (await proxy.text("/metrics")).splitlines()
    return any(
        "connections_total{" in line and 'service="backend"' in line and line.split()[-1].startswith(value)
        for line in lines
    )
