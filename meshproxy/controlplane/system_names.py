"""What this system knows of a name: ``/etc/hosts``, then the servers of ``/etc/resolv.conf``.

As glibc does it by default (``hosts: files dns``), with its search domains and ``ndots``, but with the TTL
of the answer. In a container of Docker's the server is Docker's own (127.0.0.11), which knows the others.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from meshproxy.controlplane.host_resolver import Found, LookupFailed

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver

HOSTS = Path("/etc/hosts")
RESOLV_CONF = Path("/etc/resolv.conf")
HOSTS_TTL = 5.0
"""Seconds until a name in the hosts file is looked for again; the file itself is read when it changed."""
LIFETIME = 5.0
"""Seconds for one question with all its tries."""
MAX_ADDRESSES = 100
"""Of one name; an EndpointSlice's endpoint may have as many."""

T = TypeVar("T")


class SystemNames:
    """Implements `NameLookup`."""

    def __init__(self, hosts: Path = HOSTS, resolv_conf: Path = RESOLV_CONF, port: int = 53) -> None:
        self._hosts = _Reread(hosts, read_hosts)
        self._resolver = _Reread(resolv_conf, lambda text: _make_resolver(text, port))

    async def __call__(self, name: str) -> Found:
        known = self._hosts.get().get(name.rstrip(".").lower())
        if known:
            return Found(known, HOSTS_TTL)
        return await _ask(self._resolver.get(), name)


class _Reread(Generic[T]):
    """What a small file holds; read again when it changed, and as if empty while it is not there."""

    def __init__(self, path: Path, read: Callable[[str], T]) -> None:
        self._path = path
        self._read = read
        self._stamp: object = None
        self._value: T | None = None

    def get(self) -> T:
        try:
            status = self._path.stat()
            stamp: tuple[int, ...] = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            stamp = ()
        if self._value is None or stamp != self._stamp:
            try:
                text = self._path.read_text(errors="replace")
            except OSError:
                text = ""
            self._stamp, self._value = stamp, self._read(text)
        return self._value


def read_hosts(text: str) -> dict[str, tuple[str, ...]]:
    """The addresses by name, in lower case (hosts(5)); lines that are none are passed over."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if _is_usable(address):
            for name in names:
                found[name.rstrip(".").lower()].append(str(ip_address(address)))
    return {name: tuple(dict.fromkeys(addresses)) for name, addresses in found.items()}


def _make_resolver(text: str, port: int) -> Resolver:
    import io

    from dns.asyncresolver import Resolver
    from dns.exception import DNSException

    resolver = Resolver(configure=False)
    try:
        resolver.read_resolv_conf(io.StringIO(text))
    except (DNSException, ValueError):
        resolver.nameservers = ["127.0.0.1"]  # resolv.conf(5): without a nameserver, the local machine's
    resolver.port = port
    resolver.lifetime = LIFETIME
    return resolver


async def _ask(resolver: Resolver, name: str) -> Found:
    """A and AAAA at once: one of them is enough."""
    answers = await asyncio.gather(*(_ask_one(resolver, name, kind) for kind in ("A", "AAAA")))
    every = sorted({address for found, _, _ in answers for address in found}, key=_order)
    addresses = list(filter(_is_usable, every))
    if every and not addresses:
        raise LookupFailed(f"its addresses are not those of machines: {', '.join(every)}")
    if not addresses:
        raise LookupFailed(next(problem for _, _, problem in answers if problem))
    ttl = min(ttl for found, ttl, _ in answers if found)
    return Found(tuple(addresses[:MAX_ADDRESSES]), ttl)


async def _ask_one(resolver: Resolver, name: str, kind: str) -> tuple[list[str], float, str]:
    """(addresses, TTL, what is wrong)."""
    from dns.exception import DNSException, Timeout
    from dns.resolver import NXDOMAIN, NoAnswer, NoNameservers

    try:
        answer = await resolver.resolve(name, kind, search=True)
    except NXDOMAIN:
        return [], 0.0, "there is no such name (NXDOMAIN)"
    except NoAnswer:
        return [], 0.0, "the name has no addresses"
    except Timeout:
        servers = ", ".join(map(str, resolver.nameservers))
        return [], 0.0, f"no answer from {servers} within {LIFETIME:g} s"
    except NoNameservers as error:
        return [], 0.0, f"no server answers as it should: {error.msg or error}"
    except (DNSException, OSError, ValueError) as error:
        return [], 0.0, str(error) or type(error).__name__
    return [record.address for record in answer], float(answer.chaining_result.minimum_ttl), ""


def _is_usable(text: str) -> bool:
    """Whether one machine can have the address; blocking servers answer 0.0.0.0."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return not address.is_multicast and not address.is_unspecified


def _order(address: str) -> tuple[bool, str]:
    return ":" in address, address
