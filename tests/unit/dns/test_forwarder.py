"""Upstreams on real sockets: retries, spoofed answers, caching, coalescing, loops."""

from __future__ import annotations

import asyncio
from pathlib import Path

import dns.flags
import dns.message
import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.events import Event
from meshproxy.dns.forwarded import Forwarded
from meshproxy.dns.forwarder import Failure, Forwarder, Question
from meshproxy.dns.resolv_conf import SystemResolvers
from tests.integration.conditions import wait_until
from tests.support.dns import lines, make_query
from tests.support.dns_server import FakeClock
from tests.support.dns_upstream import Answer, closed_port, reply, silence, truncated, upstream
from tests.unit.dns.conftest import MakeForwarder

A = "@ 60 IN A 192.0.2.1"
SOA = "com. 30 IN SOA ns.com. hostmaster.com. 1 2 3 4 30"
QUERY = make_query("example.com")
QUESTION = Question.of(QUERY)


async def ask(forwarder: Forwarder, question: Question = QUESTION) -> Forwarded:
    answer = await forwarder.ask(question)
    assert isinstance(answer, Forwarded), answer
    return answer


async def failure(forwarder: Forwarder, question: Question = QUESTION) -> str:
    answer = await forwarder.ask(question)
    assert isinstance(answer, Failure), answer
    return answer.why


def records(answer: Forwarded) -> list[str]:
    return lines(answer.answers(answer.stored_at))


async def test_an_answer_and_what_was_asked(make_forwarder: MakeForwarder) -> None:
    async with upstream(reply(A)) as server:
        forwarder = make_forwarder(server.address)
        answer = await ask(forwarder)
        assert records(answer) == ["example.com. 60 IN A 192.0.2.1"]
        assert answer.upstream == str(server.address)
        query = next(each for each in server.queries if each.question[0].to_text() == "example.com. IN A")
        assert query.flags == dns.flags.RD
        assert (query.edns, query.payload) == (0, 1232)
        (report,) = forwarder.upstreams.all
        assert (report.answers, report.failures) == (1, 0)


async def test_ids_and_ports_are_not_the_same_twice(make_forwarder: MakeForwarder) -> None:
    async with upstream(reply("@ 0 IN A 192.0.2.1")) as server:
        forwarder = make_forwarder(server.address)
        for _ in range(8):
            await ask(forwarder)
        assert len({query.id for query in server.queries}) > 7
        assert len(set(server.ports)) > 7


async def test_dnssec_is_asked_for_and_kept_apart(make_forwarder: MakeForwarder) -> None:
    async with upstream(reply(A)) as server:
        forwarder = make_forwarder(server.address)
        secured = QUESTION._replace(dnssec_ok=True, checking_disabled=True)
        await ask(forwarder)
        assert forwarder.known(secured) is None
        await ask(forwarder, secured)
        assert server.queries[-1].ednsflags & dns.flags.DO
        assert server.queries[-1].flags & dns.flags.CD


# -- what is kept ------------------------------------------------------------------------


async def test_an_answer_is_kept_for_its_time(make_forwarder: MakeForwarder, clock: FakeClock) -> None:
    async with upstream(reply(A)) as server:
        forwarder = make_forwarder(server.address)
        await ask(forwarder)
        clock.now += 59
        known = forwarder.known(QUESTION)
        assert known is not None
        assert known.left(clock.now) == 1
        clock.now += 1
        assert forwarder.known(QUESTION) is None


async def test_dockers_own_answers_are_soon_too_old(make_forwarder: MakeForwarder, clock: FakeClock) -> None:
    async with upstream(reply("@ 600 IN A 172.18.0.2"), "127.0.0.11") as server:
        forwarder = make_forwarder(server.address)
        await ask(forwarder)
        clock.now += 4
        assert forwarder.known(QUESTION) is not None
        clock.now += 1
        assert forwarder.known(QUESTION) is None


async def test_that_there_is_nothing_is_kept_too(make_forwarder: MakeForwarder, clock: FakeClock) -> None:
    async with upstream(reply(rcode="NXDOMAIN", authority=(SOA,))) as server:
        forwarder = make_forwarder(server.address)
        assert (await ask(forwarder)).rcode.name == "NXDOMAIN"
        clock.now += 29
        assert forwarder.known(QUESTION) is not None
        clock.now += 1
        assert forwarder.known(QUESTION) is None


async def test_the_cache_is_bounded(make_forwarder: MakeForwarder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshproxy.dns.forwarder.MAX_ANSWERS", 3)
    async with upstream(reply(A)) as server:
        forwarder = make_forwarder(server.address)
        questions = [Question.about((f"n{number}", "com"), 1) for number in range(4)]
        for question in questions[:3]:
            await ask(forwarder, question)
        assert forwarder.known(questions[0]) is not None  # which makes it the latest
        await ask(forwarder, questions[3])
        kept = [forwarder.peek(question) is not None for question in questions]
        assert kept == [True, False, True, True]


async def test_another_upstream_may_answer_otherwise(make_forwarder: MakeForwarder) -> None:
    async with upstream(reply(A)) as one, upstream(reply("@ 60 IN A 192.0.2.2")) as two:
        forwarder = make_forwarder(one.address)
        await ask(forwarder)
        assert not forwarder.configure((), None, 5.0)
        assert forwarder.known(QUESTION) is not None  # the network is down, not another
        assert forwarder.configure((two.address,), None, 5.0)
        assert forwarder.known(QUESTION) is None
        assert records(await ask(forwarder)) == ["example.com. 60 IN A 192.0.2.2"]


async def test_equal_questions_are_asked_once(make_forwarder: MakeForwarder) -> None:
    async with upstream(reply(A)) as server:
        forwarder = make_forwarder(server.address)
        answers = await asyncio.gather(*(ask(forwarder) for _ in range(50)))
        assert len({id(answer) for answer in answers}) == 1
        assert server.names == ["example.com."]
        assert forwarder.under_way == 0


# -- upstreams that fail -----------------------------------------------------------------


async def test_the_next_upstream_is_asked(make_forwarder: MakeForwarder) -> None:
    async with upstream(reply(A)) as server:
        dead = closed_port()
        forwarder = make_forwarder(dead, server.address)
        await ask(forwarder)
        assert [each.failures for each in forwarder.upstreams.all] == [1, 0]
        assert "refused" in forwarder.upstreams.all[0].problem
        assert forwarder.upstreams.tries(1000.5)[0].address == server.address
        assert forwarder.upstreams.tries(1031.0)[0].address == dead


async def test_a_lost_datagram_is_sent_again(make_forwarder: MakeForwarder) -> None:
    async with upstream(silence) as server:
        forwarder = make_forwarder(server.address, timeout=0.05)
        why = await failure(forwarder)
        assert why == f"{server.address}: no answer within 0.05 s"
        assert server.names == ["example.com."] * 2


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOTIMP"])
async def test_one_that_refuses_is_believed_only_if_all_do(make_forwarder: MakeForwarder, rcode: str) -> None:
    async with upstream(reply(rcode=rcode)) as one, upstream(reply(A)) as two:
        assert (await ask(make_forwarder(one.address, two.address))).rcode.name == "NOERROR"
        assert (await ask(make_forwarder(one.address))).rcode.name == rcode


async def test_one_that_knows_no_edns(make_forwarder: MakeForwarder) -> None:
    def answer(query: dns.message.Message) -> dns.message.Message | bytes | None:
        return reply(rcode="FORMERR")(query) if query.edns >= 0 else reply(A)(query)

    async with upstream(answer) as server:
        assert records(await ask(make_forwarder(server.address))) == ["example.com. 60 IN A 192.0.2.1"]


async def test_a_truncated_answer_is_asked_for_by_tcp(make_forwarder: MakeForwarder) -> None:
    async with upstream(truncated) as server:
        server.tcp_answer = reply(*(f"@ 60 IN A 192.0.2.{number}" for number in range(200)))
        assert len(records(await ask(make_forwarder(server.address)))) == 200


async def test_a_failure_is_remembered_for_a_moment(make_forwarder: MakeForwarder, clock: FakeClock) -> None:
    async with upstream(silence) as server:
        forwarder = make_forwarder(server.address, timeout=0.02)
        await failure(forwarder)
        await failure(forwarder)
        assert len(server.names) == 2
        server.answer = reply(A)
        forwarder.configure((server.address,), None, 5.0)
        clock.now += 1.1
        await ask(forwarder)


@pytest.mark.parametrize("trouble", [silence, reply(rcode="SERVFAIL")])
async def test_a_stale_answer_is_better_than_none(
    make_forwarder: MakeForwarder, clock: FakeClock, trouble: Answer
) -> None:
    async with upstream(reply(A)) as server:
        forwarder = make_forwarder(server.address)
        await ask(forwarder)
        server.answer = trouble
        forwarder.configure((server.address,), None, 0.02)
        clock.now += 3600
        assert forwarder.known(QUESTION) is None
        await ask(forwarder)
        assert forwarder.known(QUESTION) is not None  # at once, for a while
        assert forwarder.stale == 2
        clock.now += 31
        assert forwarder.known(QUESTION) is None
        clock.now += 86400
        answer = await forwarder.ask(QUESTION)
        assert isinstance(answer, Failure) or answer.rcode.name == "SERVFAIL"


# -- hostile upstreams and strangers -----------------------------------------------------


async def test_answers_that_do_not_fit_are_passed_over(make_forwarder: MakeForwarder) -> None:
    def forged(query: bytes) -> list[bytes]:
        right = reply("@ 60 IN A 6.6.6.6")(dns.message.from_wire(query))
        assert isinstance(right, dns.message.Message)
        wire = right.to_wire()
        return [bytes((wire[0] ^ 1,)) + wire[1:], wire.replace(b"example", b"exampel"), query, b"", b"junk", wire[:11]]

    async with upstream(reply(A)) as server:
        server.before = forged
        assert records(await ask(make_forwarder(server.address))) == ["example.com. 60 IN A 192.0.2.1"]


async def test_too_many_of_them_end_the_exchange(make_forwarder: MakeForwarder) -> None:
    async with upstream(silence) as server:
        server.before = lambda query: [bytes((query[0] ^ 1,)) + query[1:]] * 20
        assert "spoof" in await failure(make_forwarder(server.address))


async def test_an_answer_from_another_address_is_not_heard(make_forwarder: MakeForwarder) -> None:
    async with upstream(silence) as server, upstream(silence) as stranger:
        forwarder = make_forwarder(server.address, timeout=0.2)
        asking = asyncio.ensure_future(forwarder.ask(QUESTION))  # noqa: TID251
        await wait_until(lambda: server.names, "the question arrives")
        forged = reply("@ 60 IN A 6.6.6.6")(server.queries[-1])
        assert isinstance(forged, dns.message.Message)
        assert stranger._transport is not None
        stranger._transport.sendto(forged.to_wire(), ("127.0.0.1", server.ports[-1]))
        assert isinstance(await asking, Failure)


@pytest.mark.parametrize("tail", [b"\xc0\xff", b"\x80", b"", b"\0\0\1\0\1\0\0\0\1\xff\xff"])
async def test_malformed_answers_are_failures(make_forwarder: MakeForwarder, tail: bytes) -> None:
    def answer(query: dns.message.Message) -> bytes:
        wire = dns.message.make_response(query).to_wire()
        return wire[:7] + b"\1" + wire[8:12] + wire[12:29] + tail

    async with upstream(answer) as server:
        assert str(server.address) in await failure(make_forwarder(server.address))


# -- ourselves ---------------------------------------------------------------------------


async def test_we_do_not_ask_ourselves(make_forwarder: MakeForwarder) -> None:
    own = SocketAddress("127.0.0.1", 53)
    assert "this server itself" in await failure(make_forwarder(own, own=own))
    everywhere = SocketAddress("0.0.0.0", 53)
    assert "this server itself" in await failure(make_forwarder(SocketAddress("127.9.9.9", 53), own=everywhere))
    other = make_forwarder(SocketAddress("198.18.255.1", 53), own=everywhere, timeout=0.01)
    assert len(other.upstreams.all) == 1


async def test_without_an_upstream(make_forwarder: MakeForwarder) -> None:
    assert "there is no upstream" in await failure(make_forwarder())


async def test_an_upstream_that_asks_us_is_left_out(
    make_forwarder: MakeForwarder, clock: FakeClock, events: list[Event]
) -> None:
    async with upstream(silence) as server:
        forwarder = make_forwarder(server.address)
        await wait_until(lambda: server.queries, "the probe arrives")
        labels = tuple(each.decode() for each in server.queries[0].question[0].name.labels[:-1])
        assert forwarder.is_probe(labels)
        assert "leads back" in await failure(forwarder)
        assert [event.reason for event in events] == ["DNSLoop"]
        assert "loop" in forwarder.upstreams.all[0].problem
        assert forwarder.upstreams.tries(clock.now + 61)
        assert forwarder.is_probe(("guessed", *labels[1:]))
        assert not forwarder.is_probe(("example", "com"))


# -- the system's resolvers --------------------------------------------------------------


def test_resolv_conf_is_read_again(tmp_path: Path) -> None:
    path, behind = tmp_path / "resolv.conf", tmp_path / "behind.conf"
    system = SystemResolvers(path, behind)
    assert system.current() == ()
    path.write_text("# comment\nnameserver 192.0.2.1 \nsearch a.b\nnameserver fd00::1\nnameserver x\nnameserver\n")
    assert [str(each) for each in system.current()] == ["192.0.2.1:53", "[fd00::1]:53"]
    path.write_text("nameserver 192.0.2.2\n")
    assert [str(each) for each in system.current()] == ["192.0.2.2:53"]
    path.unlink()
    assert [str(each) for each in system.current()] == ["192.0.2.2:53"]


def test_the_stub_of_systemd_resolved_is_asked_past(tmp_path: Path) -> None:
    path, behind = tmp_path / "resolv.conf", tmp_path / "behind.conf"
    system = SystemResolvers(path, behind)
    path.write_text("nameserver 127.0.0.53\noptions edns0\n")
    assert [str(each) for each in system.current()] == ["127.0.0.53:53"]
    behind.write_text("nameserver 192.0.2.9\n")
    assert [str(each) for each in system.current()] == ["192.0.2.9:53"]
