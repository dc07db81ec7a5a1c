"""Workloads and endpoints whose address is a name: with the addresses that the name has now. Pure.

This is a stage of its own between what sources say and the compiler, which reads addresses only: a name that
has no addresses yet makes no endpoint.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from meshproxy.base.addresses import is_host_name
from meshproxy.base.errors import Finding, Severity
from meshproxy.resources import EndpointSlice, Workload
from meshproxy.resources.endpoints import AddressType, SliceEndpoint
from meshproxy.resources.meta import Resource


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a name leads to. `problem` says why it is not known now; `addresses` are then those of the time before."""

    addresses: tuple[str, ...] = ()
    problem: str = ""


def names_in(resources: Iterable[Resource]) -> dict[str, list[Resource]]:
    """The names that have to be resolved, and where they are written."""
    found: dict[str, list[Resource]] = defaultdict(list)
    for resource in resources:
        if isinstance(resource, Workload) and not resource.spec.addresses and not is_host_name(resource.spec.address):
            continue  # nearly all of thousands
        for name in dict.fromkeys(_names_of(resource)):
            found[name].append(resource)
    return dict(found)


def with_addresses(
    resources: Sequence[Resource], sources: Mapping[int, str], answers: Mapping[str, Answer]
) -> tuple[tuple[Resource, ...], dict[int, str]]:
    """`resources` with addresses in place of names, and `sources`, which are by `id`, for these."""
    replaced = []
    found = dict(sources)
    for resource in resources:
        new = _replaced(resource, answers)
        if new is not resource and id(resource) in sources:
            found[id(new)] = sources[id(resource)]
        replaced.append(new)
    return tuple(replaced), found


def findings_about(names: Mapping[str, Sequence[Resource]], answers: Mapping[str, Answer]) -> Iterator[Finding]:
    """A warning at each place whose name cannot be resolved."""
    for name, resources in names.items():
        answer = answers.get(name)
        if answer is None or not answer.problem:
            continue
        kept = (
            f"its last addresses stay in use: {', '.join(answer.addresses)}" if answer.addresses else "nothing is sent"
        )
        for resource in resources:
            field = "endpoints" if isinstance(resource, EndpointSlice) else "spec.address"
            message = f"{name} cannot be resolved: {answer.problem}; {kept}"
            yield Finding(severity=Severity.WARNING, resource=resource.label, field=field, message=message)


def _names_of(resource: Resource) -> Iterator[str]:
    if isinstance(resource, Workload):
        yield from (each for each in (resource.spec.address, *resource.spec.addresses) if is_host_name(each))
    elif isinstance(resource, EndpointSlice) and resource.address_type is AddressType.FQDN:
        for endpoint in resource.endpoints:
            yield from endpoint.addresses[:1]


def _replaced(resource: Resource, answers: Mapping[str, Answer]) -> Resource:
    if isinstance(resource, Workload):
        written = (resource.spec.address, *resource.spec.addresses)
        if not any(map(is_host_name, written)):
            return resource
        addresses = tuple(dict.fromkeys(each for name in written for each in _addresses_of(name, answers)))
        spec = msgspec.structs.replace(resource.spec, address=addresses[0], addresses=addresses[1:])
        return msgspec.structs.replace(resource, spec=spec)
    if isinstance(resource, EndpointSlice) and resource.address_type is AddressType.FQDN:
        endpoints = tuple(each for endpoint in resource.endpoints for each in _endpoints_of(endpoint, answers))
        return msgspec.structs.replace(resource, endpoints=endpoints)
    return resource


def _addresses_of(name: str, answers: Mapping[str, Answer]) -> tuple[str, ...]:
    """The name itself where it has none: it shows what is missing."""
    if not is_host_name(name):
        return (name,)
    answer = answers.get(name)
    return answer.addresses if answer is not None and answer.addresses else (name,)


def _endpoints_of(endpoint: SliceEndpoint, answers: Mapping[str, Answer]) -> Iterator[SliceEndpoint]:
    """An endpoint for each address; of several names in one endpoint the first counts, as of addresses."""
    for address in _addresses_of(endpoint.addresses[0], answers):
        yield msgspec.structs.replace(endpoint, addresses=(address,))
