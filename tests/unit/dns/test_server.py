"""The DNS server on real sockets: answers, changes of configuration and health, other names."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from contextlib import closing

import dns.message
import dns.rcode
import pytest

from meshproxy.base.events import Event
from tests.integration.addresses import SERVICES, free_address
from tests.integration.conditions import wait_until
from tests.support.dns import MANIFESTS, lines, make_wire, snapshot_of
from tests.support.dns_server import SNAPSHOT, Harness
from tests.support.dns_upstream import reply, silence, upstream

# -- answers -----------------------------------------------------------------------------


@pytest.mark.parametrize("tcp", [False, True])
async def test_an_answer_is_the_same_from_the_cache(harness: Harness, tcp: bool) -> None:
    harness.apply()
    first = await harness.ask("web.default.svc.cluster.local", tcp=tcp)
    assert lines(first.answer) == ["web.default.svc.cluster.local. 5 IN A 127.96.0.10"]
    assert harness.cache_hits == 0
    second = await harness.ask("web.default.svc.cluster.local", tcp=tcp)
    assert (second.answer, second.flags) == (first.answer, first.flags)
    assert harness.cache_hits == 1


async def test_case_is_kept_from_the_cache_too(harness: Harness) -> None:
    harness.apply()
    for name in ("web", "WEB", "wEb", "web", "WEB"):
        assert await harness.answers(name) == [f"{name}. 5 IN A 127.96.0.10"]
    assert harness.cache_hits == 2


async def test_addresses_take_turns(harness: Harness) -> None:
    harness.apply()
    firsts = Counter([(await harness.answers("db.shop"))[0] for _ in range(9)])
    assert sorted(firsts.values()) == [4, 5]


async def test_a_long_answer_is_had_by_tcp(harness: Harness) -> None:
    workload = "---\napiVersion: meshproxy.dev/v1\nkind: Workload\n"
    many = "".join(
        f"{workload}metadata: {{name: w{n}, namespace: shop, labels: {{app: db}}}}\nspec: {{address: 10.1.0.{n}}}\n"
        for n in range(1, 200)
    )
    harness.apply(snapshot_of(MANIFESTS + many))
    over_udp = await harness.ask("db.shop", edns=0)
    assert over_udp.flags & dns.flags.TC
    over_tcp = await harness.ask("db.shop", tcp=True)
    assert len(lines(over_tcp.answer)) == 201


async def test_queries_are_counted(harness: Harness) -> None:
    harness.apply()
    await harness.ask("web")
    await harness.ask("web")
    await harness.ask("nope.default.svc", "AAAA", tcp=True)
    await harness.ask("web", "TYPE999")
    await harness.exchange(b"12\0\0rubbish!")
    report = harness.server.report()
    assert report is not None
    assert [(each.protocol, each.type, each.rcode, each.count) for each in report.queries] == [
        ("tcp", "AAAA", "NXDOMAIN", 1),
        ("udp", "A", "NOERROR", 2),
        ("udp", "none", "FORMERR", 1),
        ("udp", "other", "NOERROR", 1),
    ]


# -- changes -----------------------------------------------------------------------------


async def test_a_change_is_answered_at_once(harness: Harness) -> None:
    harness.apply()
    await harness.ask("web")
    harness.apply(snapshot_of(MANIFESTS.replace("127.96.0.10", "127.96.0.99")))
    assert await harness.answers("web") == ["web. 5 IN A 127.96.0.99"]
    harness.apply(snapshot_of(MANIFESTS.replace("127.96.0.10", "127.96.0.99")), ttl=60)
    assert await harness.answers("web") == ["web. 60 IN A 127.96.0.99"]


async def test_what_changes_no_name_forgets_nothing(harness: Harness) -> None:
    harness.apply()
    await harness.ask("web")
    harness.apply(snapshot_of(MANIFESTS.replace("metadata: {name: p}", "metadata: {name: q}")))
    await harness.ask("web")
    assert harness.cache_hits == 1


async def test_health_is_answered_at_once(harness: Harness) -> None:
    harness.apply()
    assert len(await harness.answers("db.shop")) == 2
    harness.sick.add("10.0.0.1:5432")
    harness.server.health_changed(["shop/db:pg"])
    assert await harness.answers("db.shop") == ["db.shop. 5 IN A 10.0.0.2"]
    await harness.ask("web")
    harness.server.health_changed(["default/web:http"])  # its name gives its virtual IP, whatever its health
    await harness.ask("web")
    assert harness.cache_hits == 1


async def test_the_address_can_change(harness: Harness) -> None:
    harness.apply()
    await harness.ask("web")
    old, harness.address = harness.address, free_address(SERVICES)
    harness.apply()
    await harness.ask("web")
    await harness.ask("web", tcp=True)
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect((old.host, old.port))


async def test_changes_in_quick_succession(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    """The TCP side is not started yet when its address changes, or it is turned off."""
    harness.apply(address=free_address(SERVICES))
    harness.apply(address=free_address(SERVICES))
    harness.server.apply(SNAPSHOT)
    harness.apply(address=free_address(SERVICES))
    await asyncio.sleep(0)
    harness.apply()
    await harness.ask("web")
    await harness.ask("web", tcp=True)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_an_address_that_is_taken_leaves_the_old_one(harness: Harness, events: list[Event]) -> None:
    harness.apply()
    taken = free_address(SERVICES)
    with closing(socket.create_server((taken.host, taken.port))):
        harness.apply(address=taken)
        harness.apply(address=taken)
        assert await harness.answers("web")
        report = harness.server.report()
        assert report is not None
        assert report.address == harness.address
        assert "in use by another program" in report.problem
        assert [event.reason for event in events] == ["DNSFailed"]
    running = asyncio.ensure_future(harness.server.run())  # noqa: TID251
    harness.address = taken
    await wait_until(lambda: not (report := harness.server.report()) or not report.problem.startswith(str(taken)), "")
    running.cancel()
    assert await harness.answers("web")


async def test_it_can_be_turned_off(harness: Harness) -> None:
    harness.apply()
    harness.server.apply(SNAPSHOT)
    assert harness.server.report() is None
    with pytest.raises(ConnectionRefusedError):
        await harness.exchange(make_wire("web"))


# -- other names -------------------------------------------------------------------------


async def test_other_names_are_forwarded_and_kept(harness: Harness) -> None:
    async with upstream(reply("@ 60 IN A 192.0.2.1")) as server:
        harness.apply(upstreams=(server.address,))
        message = await harness.ask("eXample.com")
        assert lines(message.answer) == ["eXample.com. 60 IN A 192.0.2.1"]
        harness.clock.now += 10.5
        assert await harness.answers("EXAMPLE.com") == ["EXAMPLE.com. 50 IN A 192.0.2.1"]
        assert await harness.answers("EXAMPLE.com") == ["EXAMPLE.com. 50 IN A 192.0.2.1"]
        harness.clock.now += 0.6
        assert await harness.answers("EXAMPLE.com") == ["EXAMPLE.com. 49 IN A 192.0.2.1"]
        harness.clock.now += 60
        assert await harness.answers("EXAMPLE.com") == ["EXAMPLE.com. 60 IN A 192.0.2.1"]
        assert server.names == ["example.com."] * 2


async def test_a_new_service_goes_before_what_was_forwarded(harness: Harness) -> None:
    async with upstream(reply("@ 60 IN A 192.0.2.1")) as server:
        harness.apply(
            snapshot_of(MANIFESTS.replace("metadata: {name: web}", "metadata: {name: wob}")),
            upstreams=(server.address,),
        )
        assert await harness.answers("web") == ["web. 60 IN A 192.0.2.1"]
        harness.apply(upstreams=(server.address,))
        assert await harness.answers("web") == ["web. 5 IN A 127.96.0.10"]


async def test_external_names_are_followed(harness: Harness) -> None:
    async with upstream(reply("@ 60 IN CNAME x.example.com.", "x.example.com. 30 IN A 192.0.2.1")) as server:
        harness.apply(upstreams=(server.address,))
        assert await harness.answers("ext") == [
            "ext. 5 IN CNAME example.com.",
            "example.com. 60 IN CNAME x.example.com.",
            "x.example.com. 30 IN A 192.0.2.1",
        ]
        server.answer = reply(rcode="NXDOMAIN")
        message = await harness.ask("ext", "AAAA")
        assert (dns.rcode.to_text(message.rcode()), len(message.answer)) == ("NXDOMAIN", 1)
        assert await harness.answers("ext-ours") == [
            "ext-ours. 5 IN CNAME web.default.svc.cluster.local.",
            "web.default.svc.cluster.local. 5 IN A 127.96.0.10",
        ]


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED"])
async def test_an_external_name_that_cannot_be_followed(harness: Harness, rcode: str) -> None:
    async with upstream(reply(rcode=rcode)) as server:
        harness.apply(upstreams=(server.address,))
        assert dns.rcode.to_text((await harness.ask("ext")).rcode()) == "SERVFAIL"


async def test_external_names_in_a_circle(harness: Harness) -> None:
    harness.apply()
    assert dns.rcode.to_text((await harness.ask("ext-loop")).rcode()) == "SERVFAIL"


async def test_without_an_upstream_that_answers(harness: Harness) -> None:
    async with upstream(silence) as server:
        harness.apply(upstreams=(server.address,), timeout=0.05)
        for name in ("example.com", "ext"):
            assert dns.rcode.to_text((await harness.ask(name)).rcode()) == "SERVFAIL"
        assert "no answer within" in harness.server.explain("example.com", "A").reason


async def test_the_systems_resolvers_are_followed(harness: Harness) -> None:
    async with upstream(reply("@ 60 IN A 192.0.2.1")) as server:
        harness.apply()
        report = harness.server.report()
        assert report is not None
        assert "names none" in report.problem
        assert dns.rcode.to_text((await harness.ask("example.com")).rcode()) == "SERVFAIL"
        harness.resolv_conf.write_text("nameserver 192.0.2.77\n")
        harness.apply()
        report = harness.server.report()
        assert report is not None
        assert [each.address for each in report.upstreams] == ["192.0.2.77:53"]
        harness.apply(upstreams=(server.address,))
        harness.clock.now += 2
        assert await harness.answers("example.com")


async def test_recursion_must_be_wanted(harness: Harness) -> None:
    harness.apply()
    assert dns.rcode.to_text((await harness.ask("example.com", recursion=False)).rcode()) == "REFUSED"
    assert (await harness.ask("web", recursion=False)).answer


async def test_too_many_that_wait_are_refused(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshproxy.dns.front.MAX_WAITING", 2)
    async with upstream(reply("@ 60 IN A 192.0.2.1")) as server:
        server.held = []
        harness.apply(upstreams=(server.address,), timeout=5.0)
        waiting = [asyncio.ensure_future(harness.ask(f"n{number}.com")) for number in range(2)]  # noqa: TID251
        await wait_until(lambda: len(server.names) == 2, "both are asked")
        assert dns.rcode.to_text((await harness.ask("n3.com")).rcode()) == "SERVFAIL"
        for each in server.held:
            each()
        assert all(message.answer for message in await asyncio.gather(*waiting))
    report = harness.server.report()
    assert report is not None
    assert report.dropped == 1


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("web", "A", "Service default/web: its virtual IP"),
        ("ext", "A", "another name for example.com; example.com is no Service's name, and there is no upstream"),
        ("ext-ours", "A", "another name for web.default.svc.cluster.local"),
        ("example.com", "A", "example.com is no Service's name, and there is no upstream"),
    ],
)
async def test_explanations(harness: Harness, name: str, kind: str, reason: str) -> None:
    harness.apply()
    assert reason in harness.server.explain(name, kind).reason


@pytest.mark.parametrize(
    ("name", "kind"), [("a..b", "A"), ("x" * 64, "A"), (".".join(["x" * 60] * 5), "A"), ("web", "Q")]
)
async def test_what_cannot_be_explained(harness: Harness, name: str, kind: str) -> None:
    harness.apply()
    with pytest.raises((ValueError, Exception)):
        harness.server.explain(name, kind)
