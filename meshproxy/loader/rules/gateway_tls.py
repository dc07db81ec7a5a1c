"""Rules for what Gateways say about TLS."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.errors import Finding, Severity
from meshproxy.loader.rules import references, values
from meshproxy.loader.rules.references import too_many
from meshproxy.loader.rules.values import finding, quote
from meshproxy.loader.suggestions import did_you_mean
from meshproxy.resources.gateway import GatewayListener, ListenerProtocol
from meshproxy.resources.gateway_tls import (
    OPTION_CERTIFICATE,
    OPTION_CRL,
    OPTION_KEY,
    OPTION_MIN_VERSION,
    OPTION_ROOTS,
    OPTIONS,
    ClientValidationMode,
    FrontendValidation,
    GatewayTLS,
    ListenerTLS,
    ObjectReference,
    TLSMode,
)

MAX_REFS = 64
MAX_ROOTS = 8
_OURS = "meshproxy.dev/"


def check_listener(field: str, listener: GatewayListener) -> Iterator[Finding]:
    """A listener for HTTPS or TLS."""
    tls, field = listener.tls, f"{field}.tls"
    if tls is None:
        yield Finding(field=field, message=f"this field is required for protocol: {listener.protocol}")
        return
    if tls.mode is TLSMode.PASSTHROUGH:
        yield from _check_passthrough(field, listener.protocol, tls)
    elif not tls.certificate_refs and OPTION_CERTIFICATE not in tls.options:
        message = f"needs a Secret, or files: options {OPTION_CERTIFICATE} and {OPTION_KEY}"
        yield Finding(field=f"{field}.certificateRefs", message=message)
    yield from too_many(f"{field}.certificateRefs", tls.certificate_refs, MAX_REFS)
    for index, ref in enumerate(tls.certificate_refs):
        yield from _check_reference(f"{field}.certificateRefs[{index}]", ref)
    if tls.frontend_validation is not None:
        yield from _check_validation(f"{field}.frontendValidation", tls.frontend_validation)
    yield from _check_options(f"{field}.options", tls.options)


def _check_passthrough(field: str, protocol: ListenerProtocol, tls: ListenerTLS) -> Iterator[Finding]:
    if protocol is ListenerProtocol.HTTPS:
        message = "HTTPS is read here, so that it must end here; with protocol: TLS it can pass through"
        yield Finding(field=f"{field}.mode", message=message)
    elif tls.certificate_refs or any(name in tls.options for name in OPTIONS):
        message = "what passes through needs no certificate here; it is not used"
        yield Finding(severity=Severity.WARNING, field=field, message=message)


def _check_options(field: str, options: dict[str, str]) -> Iterator[Finding]:
    for name in options:
        if name.startswith(_OURS) and name not in OPTIONS:
            yield Finding(field=f"{field}.{name}", message=f"there is no such option{did_you_mean(name, OPTIONS)}")
        elif not name.startswith(_OURS):
            message = "this option is not meshproxy's, and is passed over"
            yield Finding(severity=Severity.WARNING, field=f"{field}.{name}", message=message)
    if (OPTION_CERTIFICATE in options) is not (OPTION_KEY in options):
        yield Finding(field=field, message=f"{OPTION_CERTIFICATE} and {OPTION_KEY} go together")
    if OPTION_CRL in options and OPTION_ROOTS not in options:
        message = f"goes with {OPTION_ROOTS}; a Secret and a ConfigMap have their revocation lists under ca.crl"
        yield Finding(field=f"{field}.{OPTION_CRL}", message=message)
    version = options.get(OPTION_MIN_VERSION, "1.2")
    if version not in ("1.2", "1.3"):
        message = f"{quote(version)} is no version to begin with; there are 1.2 and 1.3"
        yield Finding(field=f"{field}.{OPTION_MIN_VERSION}", message=message)


def check_gateway(field: str, tls: GatewayTLS) -> Iterator[Finding]:
    """A Gateway's own `tls`."""
    if tls.frontend is None:
        return
    field = f"{field}.frontend"
    if tls.frontend.default.validation is not None:
        yield from _check_validation(f"{field}.default.validation", tls.frontend.default.validation)
    for index, each in enumerate(tls.frontend.per_port):
        yield from finding(f"{field}.perPort[{index}].port", values.port_number(each.port))
        if each.tls.validation is not None:
            yield from _check_validation(f"{field}.perPort[{index}].tls.validation", each.tls.validation)
    for index, port in values.repeated(str(each.port) for each in tls.frontend.per_port):
        yield Finding(field=f"{field}.perPort[{index}].port", message=f"port {port} is here twice")


def _check_validation(field: str, validation: FrontendValidation) -> Iterator[Finding]:
    if validation.mode is ClientValidationMode.ALLOW_INSECURE_FALLBACK:
        message = "clients may do without a certificate; one that is shown must be valid all the same"
        yield Finding(severity=Severity.WARNING, field=f"{field}.mode", message=message)
    field = f"{field}.caCertificateRefs"
    if not validation.ca_certificate_refs:
        yield Finding(field=field, message="must name a ConfigMap or a Secret with ca.crt at least")
    yield from too_many(field, validation.ca_certificate_refs, MAX_ROOTS)
    for index, ref in enumerate(validation.ca_certificate_refs):
        yield from _check_reference(f"{field}[{index}]", ref)


def _check_reference(field: str, ref: ObjectReference) -> Iterator[Finding]:
    yield from finding(f"{field}.group", references.group(ref.group))
    yield from finding(f"{field}.kind", references.kind(ref.kind))
    yield from finding(f"{field}.name", values.dns_subdomain(ref.name))
    if ref.namespace is not None:
        yield from finding(f"{field}.namespace", values.dns_label(ref.namespace))
