"""Durations, quantities, addresses, names, hashes: as people write them, and the same everywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.base.addresses import SocketAddress, host_port
from meshproxy.base.backoff import Backoff
from meshproxy.base.durations import Duration, Quantity, format_duration
from meshproxy.base.errors import Finding, Severity
from meshproxy.base.names import NamespacedName
from meshproxy.base.stable_hash import content_version, stable_hash


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("1h", 3600),
        ("1m30s", 90),
        ("1.5s", 1.5),
        ("0", 0),
        ("0s", 0),
        ("2d", 172800),
        ("250us", 0.00025),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert float(Duration.parse(text)) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1 s", "1s ", "1sm", "one second", "1e3s", "4000d", "٣s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration; write a number and a unit|longer than ten years"):
        Duration.parse(text)


@given(st.integers(0, 10**9))
def test_a_formatted_duration_reads_back(milliseconds: int) -> None:
    assert float(Duration.parse(format_duration(milliseconds / 1000))) == pytest.approx(milliseconds / 1000)


@pytest.mark.parametrize(("text", "value"), [("500", 500), ("10k", 10_000), ("64Ki", 65536), ("1.5Mi", 1572864)])
def test_quantities(text: str, value: int) -> None:
    assert Quantity.parse(text) == value


@pytest.mark.parametrize("text", ["", "-1", "1.5", "64kb", "Ki", "1 Mi", "0.1Ki"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        Quantity.parse(text)


def test_addresses() -> None:
    assert SocketAddress.parse("127.0.0.1:80") == SocketAddress("127.0.0.1", 80)
    assert str(SocketAddress.parse("[::1]:80")) == "[::1]:80"
    assert host_port("fd00::1", 5) == "[fd00::1]:5"
    assert SocketAddress("10.0.0.1", 9) < SocketAddress("10.0.0.1", 10)
    for wrong in ("127.0.0.1", "localhost:80", "127.0.0.1:65536", ":80", "127.0.0.1:x", "[::1]"):
        with pytest.raises(ValueError, match=r"is not an (IP )?address"):
            SocketAddress.parse(wrong)


def test_names() -> None:
    assert NamespacedName.parse("a") == NamespacedName("default", "a")
    assert NamespacedName.parse("team/a", "x") == NamespacedName("team", "a")
    assert str(NamespacedName("team", "a")) == "team/a"


def test_hashes_never_change() -> None:
    """Other proxies and other releases compute the same: virtual IPs and rings hang on these numbers."""
    assert stable_hash("default/backend") == 7330822792118207480
    assert stable_hash("default/backend", seed=1) != stable_hash("default/backend")
    assert stable_hash("a") == stable_hash(b"a")
    assert content_version(b"") == content_version(b"")
    assert len(content_version(b"x")) == 12


def test_backoff_doubles_to_its_maximum_with_jitter() -> None:
    steady = Backoff(0.1, 1.0, lambda: 1.0)
    assert [round(steady.next_delay(), 3) for _ in range(5)] == [0.1, 0.2, 0.4, 0.8, 1.0]
    steady.reset()
    assert steady.next_delay() == 0.1
    assert Backoff(0.1, 1.0, lambda: 0.0).next_delay() == 0.05


def test_findings_read_like_compilers_errors() -> None:
    finding = Finding(file="m.yaml", line=3, resource="Service/s", field="spec.type", message="is wrong")
    assert str(finding) == "m.yaml:3: Service/s: spec.type: is wrong"
    assert str(Finding(message="odd", severity=Severity.WARNING)) == "warning: odd"
