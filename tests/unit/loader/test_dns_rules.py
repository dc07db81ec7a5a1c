"""What the Proxy says about DNS that is wrong, what is said about it, and what is right."""

from __future__ import annotations

import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.compiler.compile import compile_resources
from meshproxy.snapshot.model import DNSSettings
from tests.support.loading import load_text, said

PROXY = "apiVersion: meshproxy.dev/v1\nkind: Proxy\nmetadata: {name: x}\nspec: {dns: %s}\n"
LONG = ".".join(["a" * 60] * 3)
NINE = ", ".join(f"192.0.2.{number}" for number in range(1, 10))

WRONG: dict[str, tuple[str, str]] = {
    "address": (
        "{address: localhost}",
        "m.yaml:4: Proxy/x: spec.dns.address: 'localhost' is not an address; write IP:PORT",
    ),
    "port": ('{address: "127.0.0.1:0"}', "spec.dns.address: 0 is no port; it must be between 1 and 65535"),
    "domain": ("{domain: Cluster.Local.}", "spec.dns.domain: 'Cluster.Local.' is no DNS name"),
    "long domain": (
        f"{{domain: {LONG}}}",
        "spec.dns.domain: is longer than 120 characters, so that names of Services would not fit before it",
    ),
    "ttl": ("{ttl: 1500ms}", "spec.dns.ttl: 1s500ms must be whole seconds, one hour at most: DNS knows no others"),
    "long ttl": ("{ttl: 2h}", "spec.dns.ttl: 2h must be whole seconds, one hour at most"),
    "timeout": ("{timeout: 0s}", "spec.dns.timeout: must be longer than 0s, 10s at most"),
    "upstream": (
        "{upstreams: [192.0.2.1, dns.example]}",
        "spec.dns.upstreams[1]: 'dns.example' is not an address; write IP:PORT",
    ),
    "upstream's port": ('{upstreams: ["192.0.2.1:0"]}', "spec.dns.upstreams[0]: 0 is no port"),
    "wildcard upstream": ("{upstreams: [0.0.0.0]}", "spec.dns.upstreams[0]: 0.0.0.0 is not the address of one machine"),
    "itself": (
        '{address: "127.0.0.1:53", upstreams: ["127.0.0.1:53"]}',
        "spec.dns.upstreams[0]: 127.0.0.1:53 is this server itself; name another resolver",
    ),
    "itself by the usual port": (
        '{address: "127.0.0.1:53", upstreams: [127.0.0.1]}',
        "spec.dns.upstreams[0]: 127.0.0.1:53 is this server itself",
    ),
    "twice": ('{upstreams: [192.0.2.1, "192.0.2.1:53"]}', "spec.dns.upstreams[1]: 192.0.2.1:53 is here twice"),
    "too many": (
        f"{{upstreams: [{NINE}]}}",
        "spec.dns.upstreams: has 9 resolvers; 8 are the most that are of use",
    ),
    "unknown field": ("{upstream: [192.0.2.1]}", "spec.dns.upstream: unknown field (did you mean upstreams?)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong(case: str) -> None:
    written, expected = WRONG[case]
    findings = said(PROXY % written)
    assert any(expected in each for each in findings), findings


def settings_of(written: str) -> DNSSettings | None:
    loaded = load_text(PROXY % written)
    assert loaded.findings == ()
    return compile_resources(loaded.resources).snapshot.settings.dns


def test_it_is_off_unless_it_is_wanted() -> None:
    assert settings_of("null") is None


def test_what_it_is_by_default() -> None:
    expected = DNSSettings(address=SocketAddress("127.0.0.1", 15053), domain="cluster.local", ttl=5, timeout=1.5)
    assert settings_of("{}") == expected


def test_upstreams_are_addresses_with_or_without_a_port() -> None:
    dns = settings_of('{upstreams: [192.0.2.1, "192.0.2.1:5353", "fd00::1", "[fd00::1]:5353"]}')
    assert dns is not None
    assert [str(each) for each in dns.upstreams] == ["192.0.2.1:53", "192.0.2.1:5353", "[fd00::1]:53", "[fd00::1]:5353"]
