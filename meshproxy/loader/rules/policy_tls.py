"""Rules for `TrafficPolicy.spec.tls`."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.errors import Finding, Severity
from meshproxy.loader.rules import http_values, values
from meshproxy.loader.rules.references import too_many
from meshproxy.loader.rules.values import finding
from meshproxy.resources.policy_tls import CertificateSource, PolicyTLS, PolicyTLSMode, RootsSource

MAX_NAMES = 5
"""Of subject alternative names, as BackendTLSPolicy has it."""


def check(tls: PolicyTLS, field: str) -> Iterator[Finding]:
    """`field` is where `tls` stands."""
    if tls.mode is PolicyTLSMode.SIMPLE:
        yield from _check_simple(tls, field)
        return
    for name, value in (
        ("sni", tls.sni),
        ("subjectAltNames", tls.subject_alt_names),
        ("ca", tls.ca),
        ("certificate", tls.certificate),
    ):
        if value:
            message = f"counts with mode: Simple only; mode is {tls.mode}"
            yield Finding(severity=Severity.WARNING, field=f"{field}.{name}", message=message)


def _check_simple(tls: PolicyTLS, field: str) -> Iterator[Finding]:
    if tls.sni is None:
        message = "this field is required for mode: Simple: the name in the endpoints' certificates"
        yield Finding(field=f"{field}.sni", message=message)
    else:
        yield from finding(f"{field}.sni", http_values.precise_hostname(tls.sni))
    yield from too_many(f"{field}.subjectAltNames", tls.subject_alt_names, MAX_NAMES)
    for index, name in enumerate(tls.subject_alt_names):
        if "://" not in name:
            yield from finding(f"{field}.subjectAltNames[{index}]", http_values.precise_hostname(name))
    if tls.ca is not None:
        yield from _check_roots(tls.ca, f"{field}.ca")
    if tls.certificate is not None:
        yield from check_certificate(tls.certificate, f"{field}.certificate")


def _check_roots(ca: RootsSource, field: str) -> Iterator[Finding]:
    chosen = [name for name, value in (("file", ca.file), ("secret", ca.secret), ("configMap", ca.config_map)) if value]
    if len(chosen) != 1:
        has = " and ".join(chosen) or "none"
        yield Finding(field=field, message=f"must have exactly one of file, secret and configMap, and has {has}")
    if ca.crl and not ca.file:
        message = "goes with file; a Secret and a ConfigMap have their revocation lists under ca.crl"
        yield Finding(field=f"{field}.crl", message=message)
    for name, value in (("secret", ca.secret), ("configMap", ca.config_map)):
        if value:
            yield from finding(f"{field}.{name}", values.dns_subdomain(value))


def check_certificate(certificate: CertificateSource, field: str) -> Iterator[Finding]:
    """`field` is where `certificate` stands."""
    if certificate.secret and (certificate.certificate or certificate.key):
        yield Finding(field=field, message="must have a secret, or certificate and key, and not both")
    elif certificate.secret:
        yield from finding(f"{field}.secret", values.dns_subdomain(certificate.secret))
    elif not (certificate.certificate and certificate.key):
        yield Finding(field=field, message="must have a secret, or certificate and key, which are files")
