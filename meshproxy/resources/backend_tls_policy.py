"""`gateway.networking.k8s.io` BackendTLSPolicy (v1, v1alpha3): TLS to a Service's endpoints."""

from __future__ import annotations

import enum
from typing import Any, ClassVar, Literal

from meshproxy.resources.gateway_tls import ObjectReference
from meshproxy.resources.meta import Resource, Shape
from meshproxy.resources.policy import TargetRef


class AltNameType(enum.StrEnum):
    HOSTNAME = "Hostname"
    URI = "URI"


class SubjectAltName(Shape, frozen=True, kw_only=True):
    """`hostname` or `uri`, as `type` says."""

    type: AltNameType
    hostname: str | None = None
    uri: str | None = None


class BackendValidation(Shape, frozen=True, kw_only=True):
    """`ca_certificate_refs` or ``System``; `hostname` is the server name that is asked for."""

    hostname: str
    ca_certificate_refs: tuple[ObjectReference, ...] = ()
    well_known_ca_certificates: Literal["System"] | None = None
    subject_alt_names: tuple[SubjectAltName, ...] = ()


class BackendTLSPolicySpec(Shape, frozen=True, kw_only=True):
    target_refs: tuple[TargetRef, ...]
    validation: BackendValidation
    options: dict[str, str] = {}

    unsupported: ClassVar[frozenset[str]] = frozenset({"options"})


class BackendTLSPolicy(Resource, frozen=True, kw_only=True):
    """Attached to Services of its own namespace."""

    spec: BackendTLSPolicySpec
    status: dict[str, Any] | None = None

    inert: ClassVar[frozenset[str]] = frozenset({"status"})
