"""TLS as a data plane speaks it. Keys and certificates are `TLSMaterial`, which a snapshot names and never holds."""

from __future__ import annotations

import enum

import msgspec

from meshproxy.snapshot.value import Value

IDENTITY = "identity"
"""The material that is this proxy's own SPIFFE identity, whatever its source."""


class TLSVersion(enum.StrEnum):
    V1_2 = "TLSv1.2"
    V1_3 = "TLSv1.3"


class ClientCertificates(enum.StrEnum):
    """Whether clients are asked for a certificate. One that is sent must always be valid."""

    NONE = "None"
    OPTIONAL = "Optional"
    REQUIRED = "Required"


class ServerTLS(Value, frozen=True, kw_only=True):
    """How TLS with clients is spoken (Envoy `tls.v3.DownstreamTlsContext`).

    `certificates` name material, of several one that is for the name that the client means, or else the first.
    Clients' certificates must chain to the `trust` material's roots, and with `spiffe` say a SPIFFE id of its trust
    domain. `alpn` is what is spoken inside, the preferred first.
    """

    certificates: tuple[str, ...]
    trust: str = ""
    client_certificates: ClientCertificates = ClientCertificates.NONE
    spiffe: bool = False
    min_version: TLSVersion = TLSVersion.V1_2
    alpn: tuple[str, ...] = ()


class UpstreamTLS(Value, frozen=True, kw_only=True):
    """How TLS with a cluster's endpoints is spoken (Envoy `tls.v3.UpstreamTlsContext`).

    With `mesh`, to endpoints that have a mesh port and only those: the server name then tells the other side's
    inbound listener which port of which service is meant, ``{port}`` in it being the endpoint's, and the endpoint
    must prove to be one of `service_accounts` (``namespace/name``). Otherwise to all endpoints, whose certificates
    must be for `server_name`, or for one of `alternative_names` (DNS names and URIs) where there are any. Without
    `trust` the system's roots are believed; `certificate` is shown to who asks for one.
    """

    server_name: str
    mesh: bool = False
    service_accounts: tuple[str, ...] = ()
    alternative_names: tuple[str, ...] = ()
    certificate: str = ""
    trust: str = ""
    min_version: TLSVersion = TLSVersion.V1_2
    alpn: tuple[str, ...] = ()


class TLSFiles(Value, frozen=True, kw_only=True):
    """Where the supervisor finds the material called `name`: paths, empty for what it does not have."""

    name: str
    certificate: str = ""
    key: str = ""
    roots: str = ""
    crl: str = ""


class TLSMaterial(msgspec.Struct, frozen=True, array_like=True):
    """A key with its certificates, or roots to believe, or both; all PEM, or empty.

    `certificate_chain` has the leaf first. `trust_domain` and `spiffe_id` are an identity's. With a `crl`, revocation
    lists of the roots and of every CA under them, what they revoked is refused. It crosses the socket to the workers,
    and is written nowhere.
    """

    name: str
    certificate_chain: str = ""
    private_key: str = ""
    trust_bundle: str = ""
    trust_domain: str = ""
    spiffe_id: str = ""
    crl: str = ""

    def __repr__(self) -> str:
        """Without the key, which has no business in logs."""
        return f"TLSMaterial({self.name!r})"
