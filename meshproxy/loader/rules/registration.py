"""Rules for `Proxy.spec.register`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from meshproxy.base.errors import Finding
from meshproxy.loader.rules import values
from meshproxy.loader.rules.values import finding, quote
from meshproxy.loader.suggestions import did_you_mean
from meshproxy.resources.registration import AUTOMATIC, RegisteredCheck, Registration
from meshproxy.resources.sources import SourceSpec

MAX_WEIGHT = 65535
MAX_META, MAX_META_KEY, MAX_META_VALUE = 64, 128, 512
"""Consul's limits of a service's meta (`structs.ValidateServiceMetadata`)."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?", re.ASCII)
_META_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_PATH = re.compile(r"/[\x21-\x7e]*")


def check(registrations: Sequence[Registration], sources: Sequence[SourceSpec]) -> Iterator[Finding]:
    agents = {source.called: source.consul.address for source in sources if source.consul is not None}
    names = list(agents)
    for index, registration in enumerate(registrations):
        field = f"spec.register[{index}]"
        yield from _check_source(registration, names, field)
        yield from _check_registration(registration, field)
        yield from _check_automatic(registration, agents, field)
        if registration.check is not None:
            yield from _check_check(registration.check, f"{field}.check")
    for index, _ in values.repeated(str((each.id or (each.name, each.port), each.source)) for each in registrations):
        message = "is registered already; give one of them another id"
        yield Finding(field=f"spec.register[{index}].name", message=message)


def _check_source(registration: Registration, names: Sequence[str], field: str) -> Iterator[Finding]:
    source = registration.source
    if not names:
        yield Finding(field=field, message="there is no Consul to register with; add one to spec.sources")
    elif source is not None and source not in names:
        message = f"{quote(source)} is no Consul source{did_you_mean(source, names)}; there is {', '.join(names)}"
        yield Finding(field=f"{field}.source", message=message)
    elif source is None and len(names) > 1:
        yield Finding(field=f"{field}.source", message=f"is needed, since there are several: {', '.join(names)}")


def _check_automatic(registration: Registration, agents: Mapping[str, str], field: str) -> Iterator[Finding]:
    agent = agents.get(registration.source or next(iter(agents), ""), "")
    if registration.address == AUTOMATIC and agent.startswith("unix:"):
        message = "cannot be found out: the agent is on a Unix socket; write the address that others reach"
        yield Finding(field=f"{field}.address", message=message)


def _check_registration(registration: Registration, field: str) -> Iterator[Finding]:
    yield from finding(f"{field}.name", _name(registration.name))
    if registration.id is not None:
        yield from finding(f"{field}.id", _name(registration.id))
    yield from finding(f"{field}.port", values.port_number(registration.port))
    if registration.address is not None:
        yield from finding(f"{field}.address", values.host(registration.address))
    weights = registration.weights
    if weights is not None:
        # Consul takes a passing weight of 0 for a missing one, and makes it 1.
        yield from finding(f"{field}.weights.passing", values.in_range(weights.passing, 1, MAX_WEIGHT))
        yield from finding(f"{field}.weights.warning", values.in_range(weights.warning, 0, MAX_WEIGHT))
    yield from _check_meta(registration.meta, f"{field}.meta")


def _name(value: str) -> str | None:
    if len(value) <= 128 and _NAME.fullmatch(value):
        return None
    return f"{quote(value)} is no name here: letters, digits, '-', '_' and '.', at most 128 characters"


def _check_meta(meta: dict[str, str], field: str) -> Iterator[Finding]:
    if len(meta) > MAX_META:
        yield Finding(field=field, message=f"Consul takes {MAX_META} keys at most, and these are {len(meta)}")
    for key, value in meta.items():
        if len(key) > MAX_META_KEY or not _META_KEY.fullmatch(key):
            message = f"{quote(key)} is no key for Consul: letters, digits, '-' and '_', at most {MAX_META_KEY}"
            yield Finding(field=field, message=message)
        if len(value) > MAX_META_VALUE:
            yield Finding(field=f"{field}.{key}", message=f"is longer than Consul's {MAX_META_VALUE} characters")


def _check_check(wanted: RegisteredCheck, field: str) -> Iterator[Finding]:
    if wanted.http is not None and wanted.tcp is not None:
        yield Finding(field=field, message="takes one of http and tcp, not both")
    if wanted.http is None and wanted.tcp is None and wanted.ttl is None:
        yield Finding(field=field, message="needs http, tcp or ttl")
    if wanted.http is not None and not _PATH.fullmatch(wanted.http.path):
        message = f"{quote(wanted.http.path)} is no path; write visible ASCII characters after a '/'"
        yield Finding(field=f"{field}.http.path", message=message)
    yield from finding(f"{field}.interval", values.positive_duration(wanted.interval))
    yield from finding(f"{field}.timeout", values.positive_duration(wanted.timeout))
    if wanted.ttl is not None and wanted.ttl <= wanted.interval:
        message = f"must be longer than the interval, {wanted.interval}, or it would run out between two checks"
        yield Finding(field=f"{field}.ttl", message=message)
