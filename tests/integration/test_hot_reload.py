"""Files change, traffic goes on."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from meshproxy.base.addresses import SocketAddress
from tests.integration.addresses import free_address
from tests.integration.backends import Backend, make_backends
from tests.integration.clients import Client, is_refused, shares, traffic, who_answers
from tests.integration.conditions import wait_until
from tests.integration.manifests import make_policy, make_proxy, make_service, make_slice, make_workload, to_yaml
from tests.integration.proxy_process import ProxyProcess

RELOADS = 200


async def _answered_by(address: SocketAddress, name: str) -> bool:
    try:
        return await who_answers(address) == name
    except ConnectionError:
        return False


async def test_a_replaced_file_leads_to_the_new_backend(proxy: ProxyProcess, address: SocketAddress) -> None:
    old, new = make_backends(2)
    async with old, new:
        proxy.configure(make_service(address), make_workload(old.address, "one"))
        await proxy.start()
        async with await Client.connect(address) as client:
            proxy.configure(make_service(address), make_workload(new.address, "one"))
            await wait_until(lambda: _answered_by(address, new.name), "new connections go to the new backend")
            assert await shares(address, 10) == {new.name: 10}
            assert await client.echo(b"still here") == b"still here", "an open connection goes on"


async def test_a_file_written_in_place_is_read(proxy: ProxyProcess, address: SocketAddress) -> None:
    old, new = make_backends(2)
    async with old, new:
        proxy.configure(make_service(address), make_workload(old.address, "one"))
        await proxy.start()
        documents = (make_proxy(proxy.admin), make_service(address), make_workload(new.address, "one"))
        (proxy.manifests / "all.yaml").write_text(to_yaml(*documents))
        await wait_until(lambda: _answered_by(address, new.name), "the new content is in force")


async def test_a_config_map_volume_is_followed(proxy: ProxyProcess, address: SocketAddress) -> None:
    """The kubelet swaps the symbolic link `..data`; the files' own links never change."""
    old, new = make_backends(2)
    async with old, new:
        _publish(proxy, "..1", to_yaml(make_service(address), make_workload(old.address, "one")))
        (proxy.manifests / "service.yaml").symlink_to("..data/service.yaml")
        proxy.write("proxy.yaml", to_yaml(make_proxy(proxy.admin)))
        await proxy.start()
        assert await who_answers(address) == old.name
        _publish(proxy, "..2", to_yaml(make_service(address), make_workload(new.address, "one")))
        shutil.rmtree(proxy.manifests / "..1")
        await wait_until(lambda: _answered_by(address, new.name), "the swapped directory is read")


def _publish(proxy: ProxyProcess, directory: str, text: str) -> None:
    target = proxy.manifests / directory
    target.mkdir()
    (target / "service.yaml").write_text(text)
    link = proxy.manifests / "..data_tmp"
    link.symlink_to(directory)
    link.replace(proxy.manifests / "..data")


async def test_a_removed_endpoint_finishes_what_it_has(proxy: ProxyProcess, address: SocketAddress) -> None:
    leaving, staying = make_backends(2)
    async with leaving, staying:
        service = make_service(address)
        workloads = [make_workload(each.address, each.name) for each in (leaving, staying)]
        proxy.configure(service, *workloads)
        await proxy.start()
        client = await _client_of(address, leaving)
        async with client:
            proxy.configure(service, workloads[1])
            await wait_until(lambda: _only(address, staying.name), "new connections go elsewhere")
            assert await client.echo(b"unfinished work") == b"unfinished work"


async def test_a_drain_time_ends_connections_to_a_removed_endpoint(proxy: ProxyProcess, address: SocketAddress) -> None:
    leaving, staying = make_backends(2)
    async with leaving, staying:
        service = make_service(address)
        policy = make_policy(connections={"drainTimeout": "200ms"})
        workloads = [make_workload(each.address, each.name) for each in (leaving, staying)]
        proxy.configure(service, policy, *workloads)
        await proxy.start()
        client, other = await _client_of(address, leaving), await _client_of(address, staying)
        async with client, other:
            proxy.configure(service, policy, workloads[1])
            assert await client.ended() == b""
            assert await other.echo(b"untouched") == b"untouched"


async def _client_of(address: SocketAddress, backend: Backend) -> Client:
    while True:
        client = await Client.connect(address)
        if client.name == backend.name:
            return client
        await client.close()


async def _only(address: SocketAddress, name: str) -> bool:
    return set(await shares(address, 6)) == {name}


async def test_a_deleted_service_stops_listening(proxy: ProxyProcess, address: SocketAddress) -> None:
    (backend,) = make_backends(1)
    other = free_address()
    async with backend:
        workload = make_workload(backend.address, backend.name)
        kept = make_service(other, name="kept", selector={"app": "backend"})
        proxy.configure(make_service(address), kept, workload)
        await proxy.start()
        async with await Client.connect(address) as client, await Client.connect(other) as neighbour:
            proxy.configure(kept, workload)
            await wait_until(lambda: is_refused(address), "nobody listens there any more")
            assert await client.echo(b"finish") == b"finish", "what was accepted is finished"
            assert await neighbour.echo(b"calm") == b"calm"
            assert await who_answers(other) == backend.name


async def test_sighup_reads_the_files_again(proxy: ProxyProcess, address: SocketAddress) -> None:
    (backend,) = make_backends(1)
    async with backend:
        proxy.configure(make_service(address), make_workload(backend.address, backend.name))
        await proxy.start()
        async with await Client.connect(address) as client:
            proxy.signal(signal.SIGHUP)
            await wait_until(lambda: "SIGHUP" in proxy.log_text(), "the signal is answered")
            assert await shares(address, 20) == {backend.name: 20}
            assert await client.echo(b"calm") == b"calm"
        assert await proxy.ready()


async def test_a_directory_that_disappears_changes_nothing(
    proxy: ProxyProcess, address: SocketAddress, tmp_path: Path
) -> None:
    old, new = make_backends(2)
    async with old, new:
        proxy.configure(make_service(address), make_workload(old.address, "one"))
        await proxy.start()
        proxy.expected_errors.append("manifests")
        proxy.manifests.rename(tmp_path / "aside")
        assert await shares(address, 10) == {old.name: 10}
        proxy.manifests.mkdir()
        proxy.configure(make_service(address), make_workload(new.address, "one"))
        await wait_until(lambda: _answered_by(address, new.name), "the directory that came back is followed")


async def test_two_hundred_reloads_under_load_fail_no_connection(proxy: ProxyProcess, address: SocketAddress) -> None:
    """Every reload swaps one endpoint and adds or drops another Service; each is seen in force before the next."""
    always, even, odd = make_backends(3)
    extra = free_address()
    common = [make_service(address), make_workload(always.address, always.name)]
    variants = {
        even.name: [*common, make_workload(even.address, even.name), make_service(extra, name="extra")],
        odd.name: [*common, make_workload(odd.address, odd.name)],
    }
    async with always, even, odd:
        proxy.configure(*variants[odd.name])
        await proxy.start()
        async with traffic(address) as load:
            for index in range(RELOADS):
                wanted = odd.name if index % 2 else even.name
                proxy.configure(*variants[wanted])
                await load.reach(wanted)
    assert load.failures == []
    assert load.total > 4 * RELOADS


async def test_reloading_ten_thousand_endpoints_fails_no_connection(
    proxy: ProxyProcess, address: SocketAddress
) -> None:
    """All of them change at once, in the Service that is used and in another one."""
    (backend,) = make_backends(1)
    large = free_address()
    async with backend:
        proxy.configure(make_service(address), make_workload(backend.address, backend.name))
        await proxy.start()
        async with traffic(address, limit=20_000) as load:
            for port in (8080, 8081):
                proxy.write("large.yaml", _many_endpoints(large, port))
                await wait_until(lambda port=port: _has_endpoints(proxy, port), "they are in force", 60)  # type: ignore[misc]
    assert load.failures == []
    assert load.answered[backend.name] > 100


def _many_endpoints(service: SocketAddress, port: int) -> str:
    slices = [
        make_slice(
            port,
            [{"addresses": [f"127.{220 + number}.{index >> 8}.{index & 255}"]} for index in range(256, 1256)],
            service="large",
            name=f"large-{number}",
        )
        for number in range(10)
    ]
    return to_yaml(make_service(service, name="large", selector={}), *slices)


async def _has_endpoints(proxy: ProxyProcess, port: int) -> bool:
    """Whether every worker has acknowledged a configuration whose endpoints have `port`."""
    status = await proxy.get("/api/v1/status")
    in_force = {worker["version"] for worker in status["workers"]} == {status["config"]["version"]}
    if not in_force:
        return False
    config = await proxy.get("/api/v1/config")
    large = [each for each in config["assignments"] if each["cluster"].startswith("default/large")]
    return bool(large) and large[0]["endpoints"][0]["address"][1] == port and len(large[0]["endpoints"]) == 10_000
