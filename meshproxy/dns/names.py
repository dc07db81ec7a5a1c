"""What a name asks for (Kubernetes DNS-Based Service Discovery 1.1.0, and the short forms of its search paths)."""

from __future__ import annotations

import enum
from ipaddress import ip_address
from typing import NamedTuple

Labels = tuple[str, ...]
"""A name without its root, in lower case: ``("web", "default", "svc", "cluster", "local")``."""

SERVICES: Labels = ("svc",)
"""The label under which Services are."""
_REVERSE_V4: Labels = ("in-addr", "arpa")
_REVERSE_V6: Labels = ("ip6", "arpa")


class Kind(enum.Enum):
    """What a name is the name of."""

    APEX = enum.auto()
    VERSION = enum.auto()
    SERVICES = enum.auto()
    NAMESPACE = enum.auto()
    SERVICE = enum.auto()
    UNKNOWN = enum.auto()


class Asked(NamedTuple):
    """A name taken apart. `rest` are the labels before the Service's; `origin` is the zone that the name is in."""

    kind: Kind
    origin: Labels
    namespace: str = ""
    service: str = ""
    rest: Labels = ()


def under_domain(labels: Labels, domain: Labels) -> Asked | None:
    """Read a name that is ours alone: below the cluster's domain, or ``svc.namespace.svc``. None for any other."""
    if labels[-len(domain) :] == domain:
        inner = labels[: -len(domain)]
        if not inner:
            return Asked(Kind.APEX, domain)
        if inner == ("dns-version",):
            return Asked(Kind.VERSION, domain)
        return _under_services(inner[:-1], domain) if inner[-1:] == SERVICES else Asked(Kind.UNKNOWN, domain)
    if len(labels) > 1 and labels[-1:] == SERVICES:
        return _under_services(labels[:-1], SERVICES)
    return None


def _under_services(inner: Labels, origin: Labels) -> Asked:
    match len(inner):
        case 0:
            return Asked(Kind.SERVICES, origin)
        case 1:
            return Asked(Kind.NAMESPACE, origin, inner[0])
        case _:
            return Asked(Kind.SERVICE, origin, inner[-1], inner[-2], inner[:-2])


def short_forms(labels: Labels, namespace: str) -> tuple[Asked, ...]:
    """What a name without a domain may be: ``svc.namespace``, or ``svc`` of the proxy's own `namespace`."""
    forms = []
    if len(labels) > 1:
        forms.append(Asked(Kind.SERVICE, labels[-2:], labels[-1], labels[-2], labels[:-2]))
    if labels:
        forms.append(Asked(Kind.SERVICE, labels[-1:], namespace, labels[-1], labels[:-1]))
    return tuple(forms)


def labels_of(name: str) -> Labels:
    """``Web.Default.svc.`` as labels."""
    return tuple(name.lower().rstrip(".").split(".")) if name.strip(".") else ()


def text_of(labels: Labels) -> str:
    """Labels as an absolute name."""
    return ".".join(labels) + "."


def reverse_address(labels: Labels) -> str | None:
    """The address of a reverse name (RFC 1035 §3.5, RFC 3596 §2.5); None where it is none."""
    if labels[-2:] == _REVERSE_V4 and len(labels) == 6:
        text = ".".join(reversed(labels[:-2]))
    elif labels[-2:] == _REVERSE_V6 and len(labels) == 34 and all(len(each) == 1 for each in labels[:-2]):
        nibbles = "".join(reversed(labels[:-2]))
        text = ":".join(nibbles[at : at + 4] for at in range(0, 32, 4))
    else:
        return None
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def host_label(hostname: str, address: str) -> str:
    """The label of an endpoint below its Service: its hostname, or its address with dashes, as CoreDNS has it."""
    return hostname.lower() or address.replace(".", "-").replace(":", "-")
