"""Records to bytes, read back by dnspython."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.dns.query import Query
from meshproxy.dns.rendering import render, turns
from meshproxy.dns.zone import Local, Record
from tests.support.dns import lines, make_query, make_zone

ZONE = make_zone()


def answer_to(query: Query) -> dns.message.Message:
    found = ZONE.answer(query.labels, query.type)
    assert found is not None
    return read(query, found)


def read(query: Query, found: Local) -> dns.message.Message:
    wire = render(query, found, ZONE)
    assert len(wire) <= query.limit
    return dns.message.from_wire(wire)


def many(count: int, name: str = "web.", kind: str = "A") -> Local:
    data = "10.0.{}.{}" if kind == "A" else "fd00::{:x}:{:x}"
    records = tuple(Record(name, kind, data.format(index // 256, index % 256)) for index in range(count))
    return Local("many", ("web",), records)


def test_an_answer() -> None:
    query = make_query("web.default.svc.cluster.local", edns=0)
    message = answer_to(query)
    assert message.id == query.message.id
    assert dns.flags.to_text(message.flags) == "QR AA RD RA"
    assert lines(message.answer) == ["web.default.svc.cluster.local. 5 IN A 127.96.0.10"]
    assert (message.edns, message.payload) == (0, 1232)


def test_without_edns_there_is_none_in_the_answer() -> None:
    assert answer_to(make_query("web")).edns == -1


def test_a_name_is_spelled_as_it_was_asked_for() -> None:
    message = answer_to(make_query("wEb.DeFaUlT.svc.cluster.local"))
    assert lines(message.answer) == ["wEb.DeFaUlT.svc.cluster.local. 5 IN A 127.96.0.10"]
    assert message.question[0].to_text() == "wEb.DeFaUlT.svc.cluster.local. IN A"


@pytest.mark.parametrize(("name", "rcode"), [("web", "NOERROR"), ("wbe.default.svc", "NXDOMAIN")])
def test_what_is_not_there_may_be_remembered(name: str, rcode: str) -> None:
    message = answer_to(make_query(name, "AAAA"))
    assert dns.rcode.to_text(message.rcode()) == rcode
    assert not message.answer
    (soa,) = message.authority
    assert soa.ttl == soa[0].minimum == 5


def test_ports_come_with_the_addresses_of_their_targets() -> None:
    message = answer_to(make_query("_pg._tcp.db.shop.svc.cluster.local", "SRV", edns=0))
    assert lines(message.answer) == [
        "_pg._tcp.db.shop.svc.cluster.local. 5 IN SRV 0 30 5432 db-0.db.shop.svc.cluster.local.",
        "_pg._tcp.db.shop.svc.cluster.local. 5 IN SRV 0 100 5432 10-0-0-2.db.shop.svc.cluster.local.",
    ]
    assert lines(message.additional) == [
        "db-0.db.shop.svc.cluster.local. 5 IN A 10.0.0.1",
        "10-0-0-2.db.shop.svc.cluster.local. 5 IN A 10.0.0.2",
    ]


def test_additional_records_go_before_an_answer_is_cut_off() -> None:
    name = "_x._tcp.db.shop.svc.cluster.local."
    targets = [f"host-{index}.db.shop.svc.cluster.local." for index in range(7)]
    srv = tuple(Record(name, "SRV", f"0 100 1 {target}") for target in targets)
    addresses = tuple(Record(target, "A", "10.0.0.1") for target in targets)
    message = read(make_query(name, "SRV"), Local("", (), srv, addresses))
    assert not message.flags & dns.flags.TC
    assert len(lines(message.answer)) == 7
    assert len(message.additional) < len(targets)


@pytest.mark.parametrize(("kind", "edns", "fitting"), [("A", -1, 30), ("A", 0, 75), ("AAAA", 0, 42)])
def test_what_does_not_fit_is_cut_off_and_said(kind: str, edns: int, fitting: int) -> None:
    message = read(make_query("web", kind, edns=edns), many(300, kind=kind))
    assert message.flags & dns.flags.TC
    assert len(lines(message.answer)) == fitting


def test_tcp_carries_many() -> None:
    message = read(make_query("web", tcp=True), many(1000))
    assert not message.flags & dns.flags.TC
    assert len(lines(message.answer)) == 1000


def test_ports_that_do_not_fit() -> None:
    name = "_x._tcp.db.shop.svc.cluster.local."
    srv = tuple(Record(name, "SRV", f"0 100 1 host-{number}.db.shop.svc.cluster.local.") for number in range(90))
    message = read(make_query(name, "SRV", edns=0), Local("", (), srv))
    assert message.flags & dns.flags.TC
    assert 10 < len(lines(message.answer)) < 90


def orders(query: Query, found: Local) -> list[list[str]]:
    wires = turns(query, render(query, found, ZONE))
    return [[str(each) for each in dns.message.from_wire(wire).answer[0]] for wire in wires]


@pytest.mark.parametrize("kind", ["A", "AAAA"])
@pytest.mark.parametrize("edns", [-1, 0])
def test_each_address_comes_first_in_its_turn(kind: str, edns: int) -> None:
    found = orders(make_query("web", kind, edns=edns), many(3, kind=kind))
    first, second, third = found[0]
    assert found == [[first, second, third], [second, third, first], [third, first, second]]


def test_many_addresses_take_a_few_turns() -> None:
    found = orders(make_query("web", edns=0), many(40))
    assert [order[0] for order in found] == [f"10.0.0.{number}" for number in range(0, 40, 5)]
    assert {frozenset(order) for order in found} == {frozenset(found[0])}


@pytest.mark.parametrize(
    ("name", "kind"), [("web", "A"), ("_pg._tcp.db.shop", "SRV"), ("ext", "A"), ("both.shop", "ANY")]
)
def test_what_has_one_order(name: str, kind: str) -> None:
    query = make_query(name, kind)
    found = ZONE.answer(query.labels, kind)
    assert found is not None
    wire = render(query, found, ZONE)
    assert turns(query, wire) == (wire,)


def test_a_large_answer_is_kept_once() -> None:
    assert len(orders(make_query("web", tcp=True), many(1000))) == 1


@settings(max_examples=60)
@given(count=st.integers(0, 200), payload=st.integers(0, 4096), kind=st.sampled_from(["A", "AAAA"]))
def test_an_answer_always_fits_and_can_be_read(count: int, payload: int, kind: str) -> None:
    message = read(make_query("web", kind, edns=0, payload=payload), many(count, kind=kind))
    assert bool(message.flags & dns.flags.TC) is (len(lines(message.answer)) < count)
