"""Rules for Ingresses (Kubernetes' `ValidateIngressCreate`)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from meshproxy.base.errors import Finding, Severity
from meshproxy.loader.rules import http_values, values
from meshproxy.loader.rules.references import too_many
from meshproxy.loader.rules.values import finding
from meshproxy.resources.ingress import (
    HTTPIngressPath,
    Ingress,
    IngressBackend,
    IngressRule,
    IngressServiceBackend,
    IngressTLS,
    PathType,
)

MAX_PATHS = 20_000
"""In all rules: a bound on mistakes, as for HTTPRoutes. Kubernetes has none."""
_REGEX = re.compile(r"[(|)\[\]{}*?\\^$]")
_FOREIGN = re.compile(r"(?:[a-z0-9-]+\.)*(?:ingress\.kubernetes\.io|haproxy\.org|konghq\.com|nginx\.org)/.*", re.DOTALL)
"""Annotations by which well-known Ingress controllers are told what Ingress has no fields for."""


def check(ingress: Ingress) -> Iterator[Finding]:
    spec = ingress.spec
    yield from _check_annotations(ingress.metadata.annotations)
    if spec.ingress_class_name is not None:
        yield from finding("spec.ingressClassName", values.dns_subdomain(spec.ingress_class_name))
    if spec.default_backend is not None:
        yield from _check_backend("spec.defaultBackend", spec.default_backend)
    elif not spec.rules:
        yield Finding(field="spec", message="needs rules, or a defaultBackend")
    paths = sum(len(rule.http.paths) for rule in spec.rules if rule.http is not None)
    if paths > MAX_PATHS:
        yield Finding(field="spec.rules", message=f"has {paths} paths in all; {MAX_PATHS} are the most")
        return
    for index, rule in enumerate(spec.rules):
        yield from _check_rule(f"spec.rules[{index}]", rule)
    for index, tls in enumerate(spec.tls):
        yield from _check_tls(f"spec.tls[{index}]", tls)


def _check_annotations(annotations: dict[str, str]) -> Iterator[Finding]:
    for key in annotations:
        if _FOREIGN.fullmatch(key):
            message = "is another controller's and has no effect here; an HTTPRoute may say the same"
            yield Finding(severity=Severity.WARNING, field=f"metadata.annotations.{key}", message=message)


def _check_rule(field: str, rule: IngressRule) -> Iterator[Finding]:
    if rule.host:
        yield from finding(f"{field}.host", http_values.hostname(rule.host))
    if rule.http is None:
        return
    if not rule.http.paths:
        yield Finding(field=f"{field}.http.paths", message="must hold a path at least")
    yield from too_many(f"{field}.http.paths", rule.http.paths, MAX_PATHS)
    for index, path in enumerate(rule.http.paths):
        yield from _check_path(f"{field}.http.paths[{index}]", path)


def _check_tls(field: str, tls: IngressTLS) -> Iterator[Finding]:
    for number, host in enumerate(tls.hosts):
        yield from finding(f"{field}.hosts[{number}]", http_values.hostname(host))
    if tls.secret_name is not None:
        yield from finding(f"{field}.secretName", values.dns_subdomain(tls.secret_name))


def _check_path(field: str, path: HTTPIngressPath) -> Iterator[Finding]:
    implementation_specific = path.path_type is PathType.IMPLEMENTATION_SPECIFIC
    if implementation_specific and _REGEX.search(path.path):
        message = (
            "ImplementationSpecific is taken as Prefix: the path is compared as it is, not as a regular expression"
        )
        yield Finding(severity=Severity.WARNING, field=f"{field}.path", message=message)
        if not path.path.startswith("/"):
            yield from finding(f"{field}.path", http_values.path(path.path))
    elif path.path or not implementation_specific:
        yield from finding(f"{field}.path", http_values.path(path.path))
    yield from _check_backend(f"{field}.backend", path.backend)


def _check_backend(field: str, backend: IngressBackend) -> Iterator[Finding]:
    if backend.service is not None and backend.resource is not None:
        yield Finding(field=field, message="takes service or resource, not both")
    elif backend.service is None and backend.resource is None:
        yield Finding(field=f"{field}.service", message="this field is required")
    if backend.service is not None:
        yield from _check_service(f"{field}.service", backend.service)


def _check_service(field: str, service: IngressServiceBackend) -> Iterator[Finding]:
    yield from finding(f"{field}.name", values.dns_label(service.name))
    name, number = service.port.name, service.port.number
    if bool(name) == bool(number):
        yield Finding(field=f"{field}.port", message="needs exactly one of name and number")
    elif name:
        yield from finding(f"{field}.port.name", values.dns_label(name))
    elif number is not None:
        yield from finding(f"{field}.port.number", values.port_number(number))
