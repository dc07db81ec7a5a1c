"""What Gateways say about TLS (Gateway API `shared_types.go`, `gateway_types.go`)."""

from __future__ import annotations

import enum
from typing import Any, ClassVar

from meshproxy.resources.meta import Shape

OPTION_CERTIFICATE = "meshproxy.dev/certificate-file"
OPTION_KEY = "meshproxy.dev/key-file"
OPTION_ROOTS = "meshproxy.dev/client-ca-file"
OPTION_CRL = "meshproxy.dev/client-crl-file"
OPTION_MIN_VERSION = "meshproxy.dev/min-version"
OPTIONS = (OPTION_CERTIFICATE, OPTION_KEY, OPTION_ROOTS, OPTION_CRL, OPTION_MIN_VERSION)
"""Ours among `ListenerTLS.options`, which the Gateway API has for that. Versions are ``1.2`` and ``1.3``."""


class TLSMode(enum.StrEnum):
    TERMINATE = "Terminate"
    PASSTHROUGH = "Passthrough"


class ObjectReference(Shape, frozen=True, kw_only=True):
    """A Secret, or a ConfigMap where only roots are wanted. Group ``""`` is the core's."""

    name: str
    group: str = ""
    kind: str = "Secret"
    namespace: str | None = None


class ClientValidationMode(enum.StrEnum):
    """With the fallback clients may do without a certificate; one that is shown must be valid in any case."""

    ALLOW_VALID_ONLY = "AllowValidOnly"
    ALLOW_INSECURE_FALLBACK = "AllowInsecureFallback"


class FrontendValidation(Shape, frozen=True, kw_only=True):
    """Whose certificates clients must show. Where ``ca.crl`` is beside ``ca.crt``, none that was revoked."""

    ca_certificate_refs: tuple[ObjectReference, ...] = ()
    mode: ClientValidationMode = ClientValidationMode.ALLOW_VALID_ONLY


class ListenerTLS(Shape, frozen=True, kw_only=True):
    """A listener's `tls`. `frontend_validation` is where the Gateway API had it up to version 1.3."""

    mode: TLSMode = TLSMode.TERMINATE
    certificate_refs: tuple[ObjectReference, ...] = ()
    frontend_validation: FrontendValidation | None = None
    options: dict[str, str] = {}


class FrontendTLS(Shape, frozen=True, kw_only=True):
    validation: FrontendValidation | None = None


class FrontendTLSOfPort(Shape, frozen=True, kw_only=True):
    port: int
    tls: FrontendTLS = FrontendTLS()


class GatewayFrontendTLS(Shape, frozen=True, kw_only=True):
    """For every HTTPS listener, but where `per_port` says otherwise."""

    default: FrontendTLS = FrontendTLS()
    per_port: tuple[FrontendTLSOfPort, ...] = ()


class GatewayTLS(Shape, frozen=True, kw_only=True):
    """A Gateway's own `tls` (since version 1.4)."""

    frontend: GatewayFrontendTLS | None = None
    backend: dict[str, Any] | None = None

    unsupported: ClassVar[frozenset[str]] = frozenset({"backend"})
