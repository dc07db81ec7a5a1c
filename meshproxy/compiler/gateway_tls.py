"""A Gateway listener's `tls` → how a data plane speaks TLS with its clients."""

from __future__ import annotations

from collections.abc import Sequence

from meshproxy.compiler.tls_materials import MaterialIndex
from meshproxy.resources import Gateway
from meshproxy.resources.gateway import GatewayListener
from meshproxy.resources.gateway_tls import (
    OPTION_CERTIFICATE,
    OPTION_CRL,
    OPTION_KEY,
    OPTION_MIN_VERSION,
    OPTION_ROOTS,
    ClientValidationMode,
    FrontendValidation,
    ListenerTLS,
)
from meshproxy.snapshot.tls import ClientCertificates, ServerTLS, TLSVersion

ALPN_HTTP = ("http/1.1",)
VERSIONS = {"1.2": TLSVersion.V1_2, "1.3": TLSVersion.V1_3}


def server_tls(gateway: Gateway, index: int, alpn: Sequence[str], materials: MaterialIndex) -> ServerTLS:
    """How listener number `index`, which terminates TLS, does so."""
    listener = gateway.spec.listeners[index]
    tls = listener.tls or ListenerTLS()
    field = f"spec.listeners[{index}].tls"
    named = (
        materials.certificate(gateway, ref, f"{field}.certificateRefs[{number}]")
        for number, ref in enumerate(tls.certificate_refs)
    )
    certificates = [name for name in named if name]
    if OPTION_CERTIFICATE in tls.options:
        path = tls.options[OPTION_CERTIFICATE]
        certificates.append(materials.in_files(certificate=path, key=tls.options.get(OPTION_KEY, "")))
    client, trust = _clients(gateway, listener, field, materials)
    return ServerTLS(
        certificates=tuple(certificates),
        trust=trust,
        client_certificates=client,
        min_version=VERSIONS[tls.options.get(OPTION_MIN_VERSION, "1.2")],
        alpn=tuple(alpn),
    )


def _clients(
    gateway: Gateway, listener: GatewayListener, field: str, materials: MaterialIndex
) -> tuple[ClientCertificates, str]:
    """(what is asked of clients, the material that their certificates must chain to)."""
    options = (listener.tls or ListenerTLS()).options
    if options.get(OPTION_ROOTS):
        trust = materials.in_files(roots=options[OPTION_ROOTS], crl=options.get(OPTION_CRL, ""))
        return ClientCertificates.REQUIRED, trust
    validation, where = _validation(gateway, listener, field)
    if validation is None:
        return ClientCertificates.NONE, ""
    trust = materials.roots(gateway, validation.ca_certificate_refs, f"{where}.caCertificateRefs")
    lenient = validation.mode is ClientValidationMode.ALLOW_INSECURE_FALLBACK
    return ClientCertificates.OPTIONAL if lenient else ClientCertificates.REQUIRED, trust


def _validation(gateway: Gateway, listener: GatewayListener, field: str) -> tuple[FrontendValidation | None, str]:
    """What holds for `listener`, and where it stands: the most specific that is said."""
    if listener.tls is not None and listener.tls.frontend_validation is not None:
        return listener.tls.frontend_validation, f"{field}.frontendValidation"
    frontend = gateway.spec.tls.frontend if gateway.spec.tls is not None else None
    if frontend is None:
        return None, ""
    for index, each in enumerate(frontend.per_port):
        if each.port == listener.port:
            return each.tls.validation, f"spec.tls.frontend.perPort[{index}].tls.validation"
    return frontend.default.validation, "spec.tls.frontend.default.validation"
