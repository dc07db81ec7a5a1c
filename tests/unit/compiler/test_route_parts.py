"""The small decisions of routing: who comes first, whose hostnames meet, what a selector selects."""

from __future__ import annotations

import pytest

from meshproxy.compiler.app_protocols import protocol_of
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.hostnames import within
from meshproxy.compiler.selectors import selects
from meshproxy.compiler.seniority import seniority
from meshproxy.resources import Gateway
from meshproxy.resources.gateway import GatewaySpec
from meshproxy.resources.meta import ObjectMeta
from meshproxy.resources.selectors import LabelSelector, LabelSelectorRequirement, SelectorOperator
from meshproxy.resources.service import Protocol as TransportProtocol
from meshproxy.resources.service import ServicePort
from meshproxy.snapshot.model import Protocol


# Gateway API, HTTPRouteSpec.hostnames.
@pytest.mark.parametrize(
    ("listener", "hostnames", "expected"),
    [
        ("", (), ()),
        ("", ("example.com",), ("example.com",)),
        ("test.example.com", (), ()),
        ("test.example.com", ("test.example.com", "test.example.net"), ("test.example.com",)),
        ("test.example.com", ("*.example.com",), ("*.example.com",)),
        ("test.example.com", ("*.test.example.com",), None),
        ("*.example.com", ("*.example.com",), ("*.example.com",)),
        ("*.example.com", ("test.example.com",), ("test.example.com",)),
        ("*.example.com", ("foo.test.example.com",), ("foo.test.example.com",)),
        ("*.example.com", ("*.test.example.com",), ("*.test.example.com",)),
        ("*.test.example.com", ("*.example.com",), ("*.example.com",)),
        ("*.example.com", ("example.com",), None),
        ("*.example.com", ("test.example.net",), None),
        ("*.example.com", ("notexample.com",), None),
        ("*.example.com", ("*.notexample.com",), None),
        ("*.com", ("A.Example.com", "a.example.com"), ("a.example.com",)),
    ],
)
def test_hostnames_that_meet(listener: str, hostnames: tuple[str, ...], expected: tuple[str, ...] | None) -> None:
    assert within(listener, hostnames) == expected


def gateway(name: str, created: str | None = None, namespace: str = "default") -> Gateway:
    meta = ObjectMeta(name=name, namespace=namespace, creation_timestamp=created)
    return Gateway(api_version="v1", kind="Gateway", metadata=meta, spec=GatewaySpec(listeners=()))


def test_the_oldest_comes_first_then_by_name() -> None:
    in_order = [
        gateway("z", "2024-01-01T12:00:00+14:00"),
        gateway("y", "2024-01-01T00:00:00Z"),
        gateway("x", "2024-01-01T00:00:00.5Z"),
        gateway("c", "not a time", namespace="a"),
        gateway("a"),
        gateway("b", ""),
        gateway("a", namespace="z"),
    ]
    backwards = in_order[::-1]
    assert sorted(backwards, key=seniority) == in_order


@pytest.mark.parametrize(
    ("operator", "values", "selected"),
    [
        (SelectorOperator.IN, ("a", "b"), {"a"}),
        (SelectorOperator.NOT_IN, ("a",), {"c", None}),
        (SelectorOperator.EXISTS, (), {"a", "c"}),
        (SelectorOperator.DOES_NOT_EXIST, (), {None}),
    ],
)
def test_selectors(operator: SelectorOperator, values: tuple[str, ...], selected: set[str | None]) -> None:
    selector = LabelSelector(match_expressions=(LabelSelectorRequirement(key="k", operator=operator, values=values),))
    labels: dict[str | None, dict[str, str]] = {"a": {"k": "a"}, "c": {"k": "c"}, None: {}}
    assert {value for value, each in labels.items() if selects(selector, each)} == selected


def test_an_empty_selector_selects_everything_and_labels_must_all_match() -> None:
    assert selects(LabelSelector(), {})
    assert selects(LabelSelector(match_labels={"a": "1"}), {"a": "1", "b": "2"})
    assert not selects(LabelSelector(match_labels={"a": "1", "b": "3"}), {"a": "1", "b": "2"})


@pytest.mark.parametrize(
    ("app_protocol", "routed", "expected"),
    [
        (None, False, Protocol.AUTO),
        ("", False, Protocol.AUTO),
        ("http", False, Protocol.HTTP),
        ("HTTP", False, Protocol.HTTP),
        ("kubernetes.io/ws", False, Protocol.HTTP),
        ("https", False, Protocol.TCP),
        ("kubernetes.io/h2c", False, Protocol.TCP),
        ("redis", False, Protocol.TCP),
        (None, True, Protocol.HTTP),
        ("redis", True, Protocol.HTTP),
    ],
)
def test_app_protocols(app_protocol: str | None, routed: bool, expected: Protocol) -> None:
    assert protocol_of(ServicePort(port=80, app_protocol=app_protocol), routed=routed) is expected
    udp = ServicePort(port=80, app_protocol=app_protocol, protocol=TransportProtocol.UDP)
    assert protocol_of(udp, routed=routed) is Protocol.TCP


def test_hints_end_where_they_would_take_long() -> None:
    diagnostics = Diagnostics()
    names = tuple(f"service-{number}" for number in range(1000))
    hints = [diagnostics.hint(f"servise-{number}", names) for number in range(200)]
    assert hints[0] == " (did you mean service-0?)"
    assert hints.count("") == 100
