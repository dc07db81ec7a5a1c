"""From what workers know of a caller to what people call it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from meshproxy.base.spiffe import SCHEME, SpiffeId
from meshproxy.snapshot.messages import OTHER_CALLERS
from meshproxy.snapshot.model import Snapshot

HERE = "this machine"
_CERTIFIED = (SCHEME, "URI=", "DNS=", "Subject=")
"""How the names of certificates begin."""


class Who(NamedTuple):
    """Whom people know as `name`. Callers with the same `id` are one; `secure` is ``mTLS`` where it is proved.

    Both are empty of all those together that are too many.
    """

    id: str
    name: str
    secure: str = ""


OTHERS = Who(OTHER_CALLERS, "")


class Names:
    """Which Workload's an address is, or else which Service's, as a snapshot has it: if it is one's alone."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._owners = {**_sole_owners(_endpoints(snapshot)), **_sole_owners(_workloads(snapshot))}

    def who(self, caller: str) -> Who:
        """`caller` is as in `CallerStats`."""
        if caller == OTHER_CALLERS:
            return OTHERS
        if caller.startswith(_CERTIFIED):
            return Who(caller, _certified_name(caller), "mTLS")
        address = _canonical(caller)
        if address in ("127.0.0.1", "::1"):  # which every machine has, whoever else says it is his
            return Who(HERE, HERE)
        name = self._owners.get(address, HERE if address.startswith("127.") else address)
        return Who(name, name)


def _sole_owners(owned: Iterable[tuple[str, str]]) -> dict[str, str]:
    owners: dict[str, str] = {}
    for address, name in owned:
        canonical = _canonical(address)
        if owners.setdefault(canonical, name) != name:
            owners[canonical] = ""
    return {address: name for address, name in owners.items() if name}


def _workloads(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """(address, Workload) of all of them."""
    for workload in snapshot.workloads:
        for address in workload.addresses:
            yield address, f"{workload.namespace}/{workload.name}"


def _endpoints(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """(address, Service) of everything that is an endpoint."""
    services = {cluster.name: cluster.service for cluster in snapshot.clusters}
    for assignment in snapshot.assignments:
        for endpoint in assignment.endpoints:
            yield endpoint.address.host, services[assignment.cluster]


@lru_cache(maxsize=1024)
def _certified_name(caller: str) -> str:
    if not caller.startswith(SCHEME):
        return caller.partition("=")[2]
    try:
        account = SpiffeId.parse(caller).service_account
    except ValueError:  # cut short
        account = None
    return str(account) if account is not None else caller.removeprefix(SCHEME)


def _canonical(address: str) -> str:
    """IPv6 in its one right form, without a scope; an IPv4 address in IPv6 clothes is IPv4."""
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)
