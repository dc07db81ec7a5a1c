"""Rules for references from one object to another (Gateway API `shared_types.go`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from meshproxy.base.errors import Finding, Severity
from meshproxy.loader.rules import values
from meshproxy.loader.rules.values import Problem, finding, quote
from meshproxy.loader.suggestions import did_you_mean
from meshproxy.resources.http_route import CORE_GROUPS, GATEWAY_GROUP, BackendObjectReference, ParentReference

_KIND = re.compile(r"[a-zA-Z]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")
MAX_PARENTS = 32


def kind(value: str) -> Problem:
    return None if _KIND.fullmatch(value) else f"{quote(value)} is no kind: letters, digits and '-'"


def group(value: str) -> Problem:
    return values.dns_subdomain(value) if value else None


def too_many(field: str, items: tuple[Any, ...], most: int) -> Iterator[Finding]:
    if len(items) > most:
        yield Finding(field=field, message=f"has {len(items)} items; {most} are the most")


def check_parents(field: str, parents: tuple[ParentReference, ...]) -> Iterator[Finding]:
    if not parents:
        message = "without parentRefs it is attached to nothing, and routes nothing"
        yield Finding(severity=Severity.WARNING, field=field, message=message)
    yield from too_many(field, parents, MAX_PARENTS)
    for index, parent in enumerate(parents):
        yield from _check_parent(f"{field}[{index}]", parent)
    yield from _check_distinct(field, parents)


def _check_parent(field: str, parent: ParentReference) -> Iterator[Finding]:
    yield from finding(f"{field}.group", group(parent.group))
    yield from finding(f"{field}.kind", kind(parent.kind))
    yield from finding(f"{field}.name", values.dns_subdomain(parent.name))
    if parent.namespace is not None:
        yield from finding(f"{field}.namespace", values.dns_label(parent.namespace))
    if parent.section_name is not None:
        yield from finding(f"{field}.sectionName", values.dns_subdomain(parent.section_name))
    if parent.port is not None:
        yield from finding(f"{field}.port", values.port_number(parent.port))
    if parent.is_gateway or parent.is_service:
        return
    if parent.kind == "Service" and parent.group == GATEWAY_GROUP:
        message = 'a Service is of the core group; write group: ""'
        yield Finding(field=f"{field}.group", message=message)
    elif parent.kind == "Gateway" and parent.group in CORE_GROUPS:
        yield Finding(field=f"{field}.group", message=f"a Gateway is of the group {GATEWAY_GROUP}; leave it out")
    else:
        hint = did_you_mean(parent.kind, ("Gateway", "Service"))
        message = f"only Gateways and Services are parents here; {parent.kind} is passed over{hint}"
        yield Finding(severity=Severity.WARNING, field=f"{field}.kind", message=message)


def _check_distinct(field: str, parents: tuple[ParentReference, ...]) -> Iterator[Finding]:
    """References to one object must all say sections, or all ports, and different ones (`CommonRouteSpec`)."""
    firsts: dict[tuple[Any, ...], ParentReference] = {}
    sections: set[tuple[Any, ...]] = set()
    for index, parent in enumerate(parents):
        whom = (parent.group, parent.kind, parent.namespace or "", parent.name)
        first = firsts.setdefault(whom, parent)
        section = (*whom, parent.section_name or "", parent.port or 0)
        if section in sections:
            yield Finding(
                field=f"{field}[{index}]", message=f"refers to the same part of {parent.name} as one before it"
            )
        elif _part_fields(first) != _part_fields(parent):
            message = f"another refers to {parent.name}, too: both must have sectionName (or port), or neither"
            yield Finding(field=f"{field}[{index}]", message=message)
        sections.add(section)


def _part_fields(parent: ParentReference) -> tuple[bool, bool]:
    return bool(parent.section_name), bool(parent.port)


def check_backend(field: str, backend: BackendObjectReference, otherwise: str) -> Iterator[Finding]:
    """`otherwise` says what becomes of requests for a backend that is no Service."""
    yield from finding(f"{field}.group", group(backend.group))
    yield from finding(f"{field}.kind", kind(backend.kind))
    if backend.namespace is not None:
        yield from finding(f"{field}.namespace", values.dns_label(backend.namespace))
    if backend.port is not None:
        yield from finding(f"{field}.port", values.port_number(backend.port))
    if backend.is_service:
        yield from finding(f"{field}.name", values.dns_label(backend.name))
        if backend.port is None:
            yield Finding(field=f"{field}.port", message="this field is required for a Service")
        return
    yield from finding(f"{field}.name", values.dns_subdomain(backend.name))
    what = f"{backend.kind} of the group {backend.group!r}" if backend.group else backend.kind
    hint = did_you_mean(backend.kind, ("Service",)) if backend.group in CORE_GROUPS else ""
    message = f"only Services (of the core group) can be backends, not {what}{hint}; {otherwise}"
    yield Finding(severity=Severity.WARNING, field=f"{field}.kind", message=message)
