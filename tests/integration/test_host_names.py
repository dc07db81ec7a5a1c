"""Host names as this system resolves them: a real DNS server with TTLs, a hosts file, search domains."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.controlplane import system_names
from meshproxy.controlplane.host_resolver import LookupFailed
from meshproxy.controlplane.system_names import SystemNames
from tests.integration.addresses import BACKENDS, free_address
from tests.integration.programs import require, running

RECORDS = (
    "--host-record=both.example.test,192.0.2.1,2001:db8::1,7",
    "--host-record=web.corp.test,192.0.2.2,9",
    "--address=/blocked.test/0.0.0.0",
    "--txt-record=bare.example.test,text",
    *(f"--host-record=many.example.test,192.0.2.{number}" for number in range(10, 20)),
)


def dnsmasq(address: SocketAddress, *options: str) -> tuple[str, ...]:
    """A server that knows what its options say and nothing else."""
    quiet = ("-k", "-C", "/dev/null", "-R", "-h", "-u", "", "-x", "", "-z", "--log-facility=-")
    return ("dnsmasq", *quiet, "-a", address.host, "-p", str(address.port), "--local=/test/", *options)


@pytest.fixture
async def names(tmp_path: Path) -> AsyncIterator[SystemNames]:
    require("dnsmasq")
    server = free_address(BACKENDS)
    resolv_conf, hosts = tmp_path / "resolv.conf", tmp_path / "hosts"
    resolv_conf.write_text(f"nameserver {server.host}\nsearch nowhere.test corp.test\n")
    hosts.write_text("192.0.2.9 hosted Hosted.Example.Test # a comment\nnonsense x\n\n::1 hosted\n")
    async with running(*dnsmasq(server, *RECORDS), directory=tmp_path, listens=server):
        yield SystemNames(hosts, resolv_conf, server.port)


async def test_both_families_and_the_ttl(names: SystemNames) -> None:
    assert await names("both.example.test") == (("192.0.2.1", "2001:db8::1"), 7.0)


async def test_a_short_name_is_searched_for(names: SystemNames) -> None:
    assert (await names("web")).addresses == ("192.0.2.2",)
    with pytest.raises(LookupFailed, match="no server answers as it should"):
        await names("web.")


async def test_many_addresses_are_in_order(names: SystemNames) -> None:
    found = await names("many.example.test")
    assert found.addresses == tuple(f"192.0.2.{number}" for number in range(10, 20))


async def test_the_hosts_file_goes_first_and_is_read_again(names: SystemNames, tmp_path: Path) -> None:
    assert (await names("hosted")).addresses == ("192.0.2.9", "::1")
    assert (await names("hosted.example.TEST.")).addresses == ("192.0.2.9",)
    (tmp_path / "hosts").write_text("192.0.2.77 hosted # moved\n")
    assert (await names("hosted")).addresses == ("192.0.2.77",)
    (tmp_path / "hosts").unlink()
    with pytest.raises(LookupFailed):
        await names("hosted")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.test", "there is no such name"),
        ("bare.example.test", "the name has no addresses"),
        ("blocked.test", "its addresses are not those of machines: 0.0.0.0"),
        (f"{'x' * 64}.test", "DNS label"),
    ],
)
async def test_names_that_lead_nowhere(names: SystemNames, name: str, reason: str) -> None:
    with pytest.raises(LookupFailed, match=reason):
        await names(name)


async def test_a_server_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_names, "LIFETIME", 0.3)
    server = free_address(BACKENDS)
    (tmp_path / "resolv.conf").write_text(f"nameserver {server.host}\n")
    names = SystemNames(tmp_path / "hosts", tmp_path / "resolv.conf", server.port)
    with pytest.raises(LookupFailed, match=f"no answer from {server.host} within 0.3 s"):
        await names("a.test")
