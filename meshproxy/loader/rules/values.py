"""Rules for single values, in Kubernetes' own terms. Each returns what is wrong, or None."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from meshproxy.base.addresses import SocketAddress, is_host_name
from meshproxy.base.errors import Finding

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_HOST_LABEL = re.compile(r"[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?", re.ASCII)
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", re.ASCII)

Problem = str | None


def finding(field: str, problem: Problem) -> Iterator[Finding]:
    """The finding that `problem` is, if it is one."""
    if problem is not None:
        yield Finding(field=field, message=problem)


def dns_label(value: str) -> Problem:
    """RFC 1123 label: at most 63 characters (Kubernetes' `IsDNS1123Label`)."""
    if len(value) > 63 or not _LABEL.fullmatch(value):
        return f"{quote(value)} is no DNS label: at most 63 lower-case letters, digits and '-', no '-' at the ends"
    return None


def dns_subdomain(value: str) -> Problem:
    """RFC 1123 subdomain: at most 253 characters (Kubernetes' `IsDNS1123Subdomain`)."""
    if len(value) > 253 or not _SUBDOMAIN.fullmatch(value):
        return f"{quote(value)} is no DNS name: lower-case letters, digits, '-' and '.', at most 253 characters"
    return None


def namespaced_name(value: str) -> Problem:
    """``name`` or ``namespace/name``."""
    namespace, slash, name = value.rpartition("/")
    return (dns_label(namespace) if slash else None) or dns_subdomain(name)


def port_name(value: str) -> Problem:
    """RFC 6335 §5.1, as Kubernetes has it for container ports (`IsValidPortName`)."""
    if len(value) > 15 or "--" in value or not _PORT_NAME.fullmatch(value):
        return f"{quote(value)} is no port name: at most 15 lower-case letters, digits and '-', one letter at least"
    return None


def port_number(value: int) -> Problem:
    return None if 1 <= value <= 65535 else f"{value} is no port; it must be between 1 and 65535"


def in_range(value: int, low: int, high: int) -> Problem:
    return None if low <= value <= high else f"{value} is out of range; it must be between {low} and {high}"


def percentage(value: float) -> Problem:
    return None if 0 <= value <= 100 else f"{value:g} is out of range; it must be between 0 and 100"


def positive_duration(value: float) -> Problem:
    return None if value > 0 else "must be longer than 0s"


def address(value: str) -> Problem:
    """An IP address literal, without a scope."""
    parsed = _parsed_address(value)
    return parsed if isinstance(parsed, str) else None


def unicast_address(value: str) -> Problem:
    """An IP address that one machine can have."""
    parsed = _parsed_address(value)
    if isinstance(parsed, str):
        return parsed
    return f"{value} is not the address of one machine" if parsed.is_multicast or parsed.is_unspecified else None


def host(value: str) -> Problem:
    """An IP address that one machine can have, or a name that is resolved while running.

    A name may have underscores, as Docker's have, and end with a dot, which keeps search domains away. Its last
    label is no number: ``10.0.0.300`` is an address with a mistake (RFC 1123 §2.1).
    """
    if not is_host_name(value):
        return unicast_address(value)
    labels = value.removesuffix(".").split(".")
    if len(value) > 253 or not all(map(_HOST_LABEL.fullmatch, labels)) or labels[-1].isdigit():
        return f"{quote(value)} is neither an IP address nor a host name"
    return None


def host_name(value: str) -> Problem:
    """A name that is resolved while running."""
    return host(value) if is_host_name(value) else f"{value} is not a host name"


def socket_address(value: str, default_port: int | None = None) -> Problem:
    """``IP:PORT``, where the port is one that can be written down; IP alone where there is a `default_port`."""
    try:
        return port_number(SocketAddress.parse(value, default_port).port)
    except ValueError as error:
        return str(error)


def socket_address_of(value: str, default_port: int | None = None) -> SocketAddress | None:
    return SocketAddress.parse(value, default_port) if socket_address(value, default_port) is None else None


def _parsed_address(value: str) -> IPv4Address | IPv6Address | str:
    """The address that `value` is, or what is wrong with it."""
    try:
        parsed = ip_address(value)
    except ValueError:
        return f"{quote(value)} is not an IP address"
    if isinstance(parsed, IPv6Address):
        if parsed.scope_id is not None:
            return f"{quote(value)} has a scope, which means something on one machine only"
        if parsed.ipv4_mapped is not None:
            return f"{value} is an IPv4 address written as IPv6; write {parsed.ipv4_mapped}"
    return parsed


def network(value: str) -> Problem:
    """A CIDR without host bits."""
    try:
        ip_network(value)
    except ValueError:
        try:
            aligned = ip_network(value, strict=False)
        except ValueError:
            return f"{quote(value)} is not a network; write it as 10.0.0.0/8"
        return f"{quote(value)} has host bits set; did you mean {aligned}?"
    return None


def network_of(value: str) -> IPv4Network | IPv6Network | None:
    return ip_network(value) if network(value) is None else None


def label_key(value: str) -> Problem:
    """Kubernetes' `IsQualifiedName`: an optional DNS prefix, a slash, a name."""
    prefix, slash, name = value.rpartition("/")
    if slash and dns_subdomain(prefix) is not None:
        return f"the prefix {quote(prefix)} of a label's key must be a DNS name"
    if len(name) > 63 or not _QUALIFIED.fullmatch(name):
        return f"{quote(value)} is no label key: letters, digits, '-', '_' and '.', at most 63 characters"
    return None


def app_protocol(value: str) -> Problem:
    """A name of IANA's or a qualified one, ``kubernetes.io/h2c`` (Kubernetes' `ValidateQualifiedName`)."""
    problem = label_key(value)
    return problem and f"{quote(value)} is no protocol's name; write it as http, or kubernetes.io/h2c"


def label_value(value: str) -> Problem:
    if value and (len(value) > 63 or not _QUALIFIED.fullmatch(value)):
        return f"{quote(value)} is no label value: letters, digits, '-', '_' and '.', at most 63 characters"
    return None


def labels(field: str, values: dict[str, str]) -> Iterator[Finding]:
    for key, value in values.items():
        yield from finding(f"{field}.{key}", label_key(key))
        yield from finding(f"{field}.{key}", label_value(value))


def repeated(values: Iterable[str]) -> Iterator[tuple[int, str]]:
    """(index, value) of each value that came before."""
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield index, value
        seen.add(value)


def quote(value: str) -> str:
    """`value`, or its beginning, in quotation marks."""
    return repr(value if len(value) <= 60 else value[:60] + "…")
