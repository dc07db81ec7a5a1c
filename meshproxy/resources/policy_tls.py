"""How connections to a Service's endpoints are secured: `TrafficPolicy.spec.tls`."""

from __future__ import annotations

import enum

from meshproxy.resources.meta import Shape


class PolicyTLSMode(enum.StrEnum):
    """`MESH`: mutual TLS to endpoints that are in the mesh, and plain to others; `STRICT`: only the former are used.

    `SIMPLE`: ordinary TLS to all of them. `DISABLED`: none at all.
    """

    MESH = "Mesh"
    STRICT = "Strict"
    SIMPLE = "Simple"
    DISABLED = "Disabled"


class RootsSource(Shape, frozen=True, kw_only=True):
    """Exactly one: a PEM file, or the ``ca.crt`` of a Secret or a ConfigMap of the policy's namespace.

    Revocation lists are in `crl`, a PEM file beside `file`, or in their ``ca.crl``.
    """

    file: str | None = None
    crl: str | None = None
    secret: str | None = None
    config_map: str | None = None


class CertificateSource(Shape, frozen=True, kw_only=True):
    """A Secret of the type ``kubernetes.io/tls``, or the PEM files `certificate` and `key`."""

    secret: str | None = None
    certificate: str | None = None
    key: str | None = None


class PolicyTLS(Shape, frozen=True, kw_only=True):
    """All but `mode` is for `SIMPLE`: the endpoints' certificates must be for `sni`, or for one of `subject_alt_names`.

    Without `ca` the system's roots are believed. `certificate` is shown to who asks for one.
    """

    mode: PolicyTLSMode = PolicyTLSMode.MESH
    sni: str | None = None
    subject_alt_names: tuple[str, ...] = ()
    ca: RootsSource | None = None
    certificate: CertificateSource | None = None
