"""OpenSSL's contexts, made of settings and material, and the sessions that endpoints let us resume."""

from __future__ import annotations

import re
import ssl
from base64 import b64decode
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Set
from functools import lru_cache

from msgspec.structs import replace

from meshproxy.base.errors import MeshproxyError, ProtocolError
from meshproxy.identity.contexts import load_certificate, load_revocation_lists
from meshproxy.protocols import x509
from meshproxy.snapshot.tls import ClientCertificates, ServerTLS, TLSMaterial, TLSVersion, UpstreamTLS

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption only (Mozilla's intermediate set without DHE)."""
MAX_SESSIONS = 1024
"""Sessions kept for one cluster's endpoints."""
_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----")
_VERSIONS = {TLSVersion.V1_2: ssl.TLSVersion.TLSv1_2, TLSVersion.V1_3: ssl.TLSVersion.TLSv1_3}
_VERIFY = {
    ClientCertificates.NONE: ssl.CERT_NONE,
    ClientCertificates.OPTIONAL: ssl.CERT_OPTIONAL,
    ClientCertificates.REQUIRED: ssl.CERT_REQUIRED,
}


class MaterialProblem(MeshproxyError):
    """Material is missing, or OpenSSL cannot use it; the message says which and why."""


Materials = Mapping[str, TLSMaterial]


class ServerContext:
    """What handshakes with clients are made of. `trust_domain` is set where clients must have SPIFFE ids of it.

    `trust` is the material that vouches for clients, and how often something of it had been withdrawn by then.
    """

    __slots__ = ("context", "own_id", "trust", "trust_domain")

    def __init__(self, settings: ServerTLS, materials: Materials, withdrawals: int = 0) -> None:
        """Raise `MaterialProblem`."""
        context = _context(ssl.PROTOCOL_TLS_SERVER, settings.min_version, settings.alpn)
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
        context.num_tickets = 1
        if not settings.certificates:
            raise MaterialProblem("no certificate is configured")
        for name in reversed(settings.certificates):  # of those with keys of one kind OpenSSL keeps the last
            _load_chain(context, _find(name, materials))
        context.verify_mode = _VERIFY[settings.client_certificates]
        self.trust_domain = ""
        if settings.client_certificates is not ClientCertificates.NONE:
            trust = _find(settings.trust, materials)
            _load_roots(context, trust)
            if settings.spiffe:
                self.trust_domain = trust.trust_domain
        self.context = context
        self.own_id = materials[settings.certificates[0]].spiffe_id
        self.trust = (settings.trust, withdrawals)


class UpstreamContext:
    """What handshakes with a cluster's endpoints are made of, and their sessions by endpoint id.

    A session belongs to the context it came of, and so goes with it: after a change of roots or identity every
    endpoint is verified anew.
    """

    __slots__ = ("_sessions", "context", "settings", "trust_domain")

    def __init__(self, settings: UpstreamTLS, materials: Materials) -> None:
        """Raise `MaterialProblem`."""
        self.settings = settings
        context = _context(ssl.PROTOCOL_TLS_CLIENT, settings.min_version, settings.alpn)
        context.check_hostname = not settings.mesh and not settings.alternative_names
        if settings.certificate:
            _load_chain(context, _find(settings.certificate, materials))
        self.trust_domain = ""
        if settings.trust:
            trust = _find(settings.trust, materials)
            _load_roots(context, trust)
            self.trust_domain = trust.trust_domain
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        self.context = context
        self._sessions: OrderedDict[str, ssl.SSLSession] = OrderedDict()

    def is_young(self, endpoint_id: str, now: float) -> bool:
        """Whether the session kept for an endpoint has more than half of its ticket's time before it."""
        session = self._sessions.get(endpoint_id)
        return session is not None and now - session.time < session.ticket_lifetime_hint / 2

    def session_of(self, endpoint_id: str) -> ssl.SSLSession | None:
        """What the last connection to an endpoint left, for a shorter handshake."""
        return self._sessions.get(endpoint_id)

    def keep_session(self, endpoint_id: str, session: ssl.SSLSession | None) -> None:
        """Keep it for the next connection; None forgets."""
        if session is None:
            self._sessions.pop(endpoint_id, None)
            return
        if session.has_ticket:
            self._sessions[endpoint_id] = session
            self._sessions.move_to_end(endpoint_id)
            if len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)


def _context(protocol: int, least: TLSVersion, alpn: tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.options |= ssl.OP_NO_RENEGOTIATION  # of TLS 1.2, where a peer could become another one by it
    context.minimum_version = _VERSIONS[least]
    context.set_ciphers(CIPHERS)
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def _find(name: str, materials: Materials) -> TLSMaterial:
    found = materials.get(name)
    if found is None:
        raise MaterialProblem(f"{name}: there is no such certificate (yet)")
    return found


def check_material(material: TLSMaterial) -> None:
    """Raise `MaterialProblem` where OpenSSL could not use it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if material.certificate_chain or material.private_key:
        _load_chain(context, material)
    if material.trust_bundle:
        _load_roots(context, material)


def withdraws(before: TLSMaterial, after: TLSMaterial) -> bool:
    """Whether connections that were made with `before` would be made otherwise with `after`, or not at all.

    Where it is another identity, or a root is not trusted any more: not where a certificate was only renewed.
    """
    if before.spiffe_id != after.spiffe_id:
        return True
    return not _roots(before).issubset(_roots(after))


@lru_cache(maxsize=256)
def dns_names(chain: str) -> frozenset[str]:
    """What the first certificate of a PEM text is for, in lower case; nothing where it cannot be read."""
    leaf = _CERTIFICATE.search(chain)
    try:
        return (
            frozenset(name.lower() for name in x509.parse(b64decode(leaf[1])).dns_names)
            if leaf is not None
            else frozenset()
        )
    except (ProtocolError, ValueError):
        return frozenset()


def _roots(material: TLSMaterial) -> set[str]:
    return set(_CERTIFICATE.findall(material.trust_bundle))


def _load_chain(context: ssl.SSLContext, material: TLSMaterial) -> None:
    if not material.certificate_chain or not material.private_key:
        raise MaterialProblem(f"{material.name}: a certificate and its key are needed")
    try:
        load_certificate(context, material.certificate_chain, material.private_key)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise MaterialProblem(f"{material.name}: {_reason(error)}") from error


def _load_roots(context: ssl.SSLContext, material: TLSMaterial) -> None:
    if not material.trust_bundle:
        raise MaterialProblem(f"{material.name}: there are no CA certificates in it")
    try:
        context.load_verify_locations(cadata=material.trust_bundle)
    except (ssl.SSLError, ValueError) as error:
        raise MaterialProblem(f"{material.name}: CA certificates: {_reason(error)}") from error
    if material.crl:
        try:
            load_revocation_lists(context, material.crl)
        except (ssl.SSLError, OSError) as error:
            raise MaterialProblem(f"{material.name}: revocation lists: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or ""
    if reason == "KEY_VALUES_MISMATCH":
        return "the private key is not the certificate's"
    return reason.replace("_", " ").lower() or str(error)


class ContextCache:
    """The contexts in force, made when they are first needed. `materials` are the worker's.

    `problem` is told, once for each, why one cannot be made; handshakes that need it are refused meanwhile.
    """

    def __init__(self, problem: Callable[[str], None]) -> None:
        self.materials: dict[str, TLSMaterial] = {}
        self.withdrawals: Counter[str] = Counter()
        """How often something of a material was withdrawn (`withdraws`), by name."""
        self._problem = problem
        self._servers: dict[tuple[ServerTLS, tuple[str, ...]], ServerContext | None] = {}
        """By settings, and those of their certificates that a client can mean."""
        self._upstreams: dict[UpstreamTLS, UpstreamContext | None] = {}

    def put(self, materials: tuple[TLSMaterial, ...]) -> frozenset[str]:
        """Use these from now on. Contexts that were made of one that changed are made anew.

        The names of those that endpoints should be verified by anew: of which something is withdrawn, or revoked.
        """
        known = [(self.materials[each.name], each) for each in materials if each.name in self.materials]
        self.withdrawals.update(after.name for before, after in known if withdraws(before, after))
        stale = frozenset(after.name for before, after in known if before.crl != after.crl or withdraws(before, after))
        changed = {each.name for each in materials if self.materials.get(each.name) != each}
        self.materials.update((each.name, each) for each in materials)
        self._forget(changed)
        return stale

    def keep_only(self, names: frozenset[str]) -> None:
        """Forget all other materials."""
        gone = self.materials.keys() - names
        for name in gone:
            del self.materials[name]
        self._forget(gone)

    def keep_used(self, servers: Set[ServerTLS], upstreams: Set[UpstreamTLS]) -> None:
        """Forget the contexts of settings that no configuration has any more."""
        for key in [each for each in self._servers if each[0] not in servers]:
            del self._servers[key]
        for upstream in self._upstreams.keys() - upstreams:
            del self._upstreams[upstream]

    def _forget(self, names: set[str]) -> None:
        for key in [each for each in self._servers if names.intersection((*each[0].certificates, each[0].trust))]:
            del self._servers[key]
        for upstream in [each for each in self._upstreams if names.intersection((each.certificate, each.trust))]:
            del self._upstreams[upstream]

    def server(self, settings: ServerTLS, server_name: str = "") -> ServerContext | None:
        """The context for `settings` and a client that means `server_name`; None where it cannot be made."""
        certificates = settings.certificates
        if len(certificates) > 1:
            certificates = self._certificates_for(server_name, certificates)
        key = (settings, certificates)
        if key not in self._servers:
            try:
                own = replace(settings, certificates=certificates)
                self._servers[key] = ServerContext(own, self.materials, self.withdrawals[settings.trust])
            except MaterialProblem as problem:
                self._problem(str(problem))
                self._servers[key] = None
        return self._servers[key]

    def _certificates_for(self, server_name: str, certificates: tuple[str, ...]) -> tuple[str, ...]:
        """Those that are for `server_name`, else all; not those that are missing, unless all are."""
        found = {
            name: dns_names(self.materials[name].certificate_chain) for name in certificates if name in self.materials
        }
        for wanted in (server_name, f"*.{server_name.partition('.')[2]}"):
            fitting = tuple(name for name, names in found.items() if wanted in names)
            if fitting:
                return fitting
        return tuple(found) or certificates

    def upstream(self, settings: UpstreamTLS) -> UpstreamContext | None:
        """The context for `settings`; None where it cannot be made."""
        if settings not in self._upstreams:
            try:
                self._upstreams[settings] = UpstreamContext(settings, self.materials)
            except MaterialProblem as problem:
                self._problem(str(problem))
                self._upstreams[settings] = None
        return self._upstreams[settings]
