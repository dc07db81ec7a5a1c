"""Rules for AuthorizationPolicies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from meshproxy.base.errors import Finding, Severity
from meshproxy.base.spiffe import MAX_ID, SCHEME, SpiffeId
from meshproxy.loader.rules import http_values, values
from meshproxy.loader.rules.values import Problem, finding, quote
from meshproxy.loader.suggestions import did_you_mean
from meshproxy.resources.authorization import (
    AuthorizationAction,
    AuthorizationOperation,
    AuthorizationPolicySpec,
    AuthorizationSource,
)
from meshproxy.resources.http_route import CORE_GROUPS, GATEWAY_GROUP, MatchType
from meshproxy.resources.policy import TargetRef

_TARGETS = {"Service": CORE_GROUPS, "Gateway": (GATEWAY_GROUP, "")}


def check(spec: AuthorizationPolicySpec) -> Iterator[Finding]:
    if not spec.target_refs:
        yield Finding(field="spec.targetRefs", message="must name a Service or a Gateway at least")
    for index, ref in enumerate(spec.target_refs):
        yield from _check_target(ref, f"spec.targetRefs[{index}]")
    if not spec.rules:
        what = "nobody is allowed" if spec.action is AuthorizationAction.ALLOW else "it does nothing"
        yield Finding(severity=Severity.WARNING, field="spec.rules", message=f"without a rule {what}")
    for number, rule in enumerate(spec.rules):
        for index, source in enumerate(rule.from_):
            yield from _check_source(source, f"spec.rules[{number}].from[{index}]")
        for index, operation in enumerate(rule.to):
            yield from _check_operation(operation, f"spec.rules[{number}].to[{index}]")


def _check_target(ref: TargetRef, field: str) -> Iterator[Finding]:
    groups = _TARGETS.get(ref.kind)
    if groups is None:
        hint = did_you_mean(ref.kind, _TARGETS)
        message = f"an AuthorizationPolicy attaches to Services and Gateways, not to {ref.kind}{hint}"
        yield Finding(field=f"{field}.kind", message=message)
    elif ref.group not in groups:
        yield Finding(field=f"{field}.group", message=f"{ref.group!r} is not a {ref.kind}'s group; leave it out")
    yield from finding(f"{field}.name", values.dns_label(ref.name))
    if ref.section_name:
        yield from finding(f"{field}.sectionName", values.dns_label(ref.section_name))


def _check_source(source: AuthorizationSource, field: str) -> Iterator[Finding]:
    if source == AuthorizationSource():
        yield Finding(field=field, message="names nobody; leave from out where everyone is meant")
    yield from _each(f"{field}.serviceAccounts", source.service_accounts, _service_account)
    yield from _each(f"{field}.notServiceAccounts", source.not_service_accounts, _service_account)
    yield from _each(f"{field}.namespaces", source.namespaces, values.dns_label)
    yield from _each(f"{field}.notNamespaces", source.not_namespaces, values.dns_label)
    yield from _each(f"{field}.principals", source.principals, _principal)
    yield from _each(f"{field}.notPrincipals", source.not_principals, _principal)
    yield from _each(f"{field}.ipBlocks", source.ip_blocks, values.network)
    yield from _each(f"{field}.notIPBlocks", source.not_ip_blocks, values.network)


def _check_operation(operation: AuthorizationOperation, field: str) -> Iterator[Finding]:
    if operation == AuthorizationOperation():
        yield Finding(field=field, message="names nothing; leave to out where everything is meant")
    yield from _each(f"{field}.methods", operation.methods, _method)
    yield from _each(f"{field}.notMethods", operation.not_methods, _method)
    yield from _each(f"{field}.paths", operation.paths, _path)
    yield from _each(f"{field}.notPaths", operation.not_paths, _path)
    yield from _each(f"{field}.hosts", operation.hosts, _host)
    yield from _each(f"{field}.notHosts", operation.not_hosts, _host)
    for name, ports in (("ports", operation.ports), ("notPorts", operation.not_ports)):
        for index, port in enumerate(ports):
            yield from finding(f"{field}.{name}[{index}]", values.port_number(port))
    for index, header in enumerate(operation.headers):
        where = f"{field}.headers[{index}]"
        yield from finding(f"{where}.name", http_values.token(header.name))
        check_value = http_values.header_value if header.type is MatchType.EXACT else http_values.regex
        yield from finding(f"{where}.value", check_value(header.value))


def _each(field: str, items: Iterable[str], check_item: Callable[[str], Problem]) -> Iterator[Finding]:
    for index, item in enumerate(items):
        yield from finding(f"{field}[{index}]", check_item(item))


def _service_account(value: str) -> Problem:
    """``name``, or ``namespace/name``; a ServiceAccount's name is a DNS subdomain."""
    namespace, slash, name = value.rpartition("/")
    if slash and values.dns_label(namespace) is not None:
        return f"{quote(value)} is no service account; write it as namespace/name, or name"
    return values.dns_subdomain(name)


def _principal(value: str) -> Problem:
    if value == "*":
        return None
    if value.endswith("*"):
        beginning = value[:-1]
        if beginning.startswith(SCHEME) and "*" not in beginning and len(value) <= MAX_ID:
            return None
        return f"{quote(value)} must begin with {SCHEME} and have its only * at the end"
    try:
        SpiffeId.parse(value)
    except ValueError as error:
        return str(error)
    return None


def _method(value: str) -> Problem:
    if value == value.upper() and http_values.token(value) is None:
        return None
    return f"{quote(value)} is no method; write it in upper case, as GET"


def _path(value: str) -> Problem:
    """A path, with a ``*`` at one end or alone."""
    if value == "*":
        return None
    if value.startswith("*"):
        return http_values.path(f"/{value[1:]}") if "*" not in value[1:] else _one_star(value)
    return http_values.path(value.removesuffix("*")) if "*" not in value[:-1] else _one_star(value)


def _host(value: str) -> Problem:
    if value == "*":
        return None
    if "*" in value.removeprefix("*").removesuffix("*") or (value.startswith("*") and value.endswith("*")):
        return _one_star(value)
    name = value.strip("*").strip(".-")
    return values.dns_subdomain(name) if name else f"{quote(value)} is no host"


def _one_star(value: str) -> Problem:
    return f"{quote(value)} may have one *, at the beginning or at the end"
