"""How connections to a Service's endpoints are secured: by its policies, and by whether endpoints are in the mesh."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from meshproxy.base.names import NamespacedName
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.endpoint_slices import Candidate
from meshproxy.compiler.gateway_tls import ALPN_HTTP
from meshproxy.compiler.policies import PolicyIndex
from meshproxy.compiler.tls_materials import MaterialIndex
from meshproxy.resources import BackendTLSPolicy, Service, TrafficPolicy
from meshproxy.resources.backend_tls_policy import BackendValidation
from meshproxy.resources.gateway_tls import ObjectReference
from meshproxy.resources.policy_tls import PolicyTLS, PolicyTLSMode
from meshproxy.resources.service import Protocol, ServicePort
from meshproxy.snapshot.tls import IDENTITY, UpstreamTLS

DEFAULT_ACCOUNT = "default"
"""Whose a workload is that names no service account, as a Pod in Kubernetes."""


class Security(NamedTuple):
    """A port's `candidates` as far as they may be used, without mesh ports where those are not; and its TLS, if any."""

    candidates: tuple[Candidate, ...]
    tls: UpstreamTLS | None = None


def mesh_name(port: int | str, service: NamespacedName) -> str:
    """The server name by which an endpoint's `port` is meant at its mesh port, as Istio spells it."""
    return f"outbound_.{port}_._.{service_name(service)}"


def any_service_name(port: int) -> str:
    """What the names of all Services' endpoints with this `port` begin with."""
    return f"outbound_.{port}_._.*"


def service_name(service: NamespacedName) -> str:
    return f"{service.name}.{service.namespace}.svc.cluster.local"


class UpstreamTLSIndex:
    """What TrafficPolicies and BackendTLSPolicies say; the former go first."""

    def __init__(
        self,
        policies: PolicyIndex[TrafficPolicy],
        backend_policies: PolicyIndex[BackendTLSPolicy],
        materials: MaterialIndex,
        diagnostics: Diagnostics,
        *,
        has_identity: bool,
    ) -> None:
        self._policies = policies
        self._backend_policies = backend_policies
        self._materials = materials
        self._diagnostics = diagnostics
        self._has_identity = has_identity

    def secures(self, service: Service, port: ServicePort) -> bool:
        """Whether requests to the port's endpoints go in ordinary TLS, so that it may say that it speaks HTTPS."""
        policy = self._policies.of(service.key, port.name)
        said = policy.spec.tls if policy is not None else None
        return (
            said.mode is PolicyTLSMode.SIMPLE
            if said is not None
            else self._backend_policies.of(service.key, port.name) is not None
        )

    def of(self, service: Service, port: ServicePort, candidates: Sequence[Candidate], *, http: bool) -> Security:
        """How connections to `candidates`, the endpoints of `port`, are secured."""
        policy = self._policies.of(service.key, port.name)
        said = policy.spec.tls if policy is not None else None
        if port.protocol is not Protocol.TCP:
            return Security(_plain(candidates))
        if said is None:
            backend = self._backend_policies.of(service.key, port.name)
            if backend is not None:
                return Security(_plain(candidates), self._of_validation(backend, backend.spec.validation, http))
        mode = said.mode if said is not None else PolicyTLSMode.MESH
        if policy is not None and said is not None and mode is PolicyTLSMode.SIMPLE:
            return Security(_plain(candidates), self._simple(policy, said, http))
        if mode is PolicyTLSMode.DISABLED:
            return Security(_plain(candidates))
        return self._in_mesh(service, policy, mode, candidates, http)

    # -- in the mesh ---------------------------------------------------------------------

    def _in_mesh(
        self,
        service: Service,
        policy: TrafficPolicy | None,
        mode: PolicyTLSMode,
        candidates: Sequence[Candidate],
        http: bool,
    ) -> Security:
        strict = mode is PolicyTLSMode.STRICT and policy is not None
        if not self._has_identity:
            if strict:
                assert policy is not None
                message = f"Strict needs Proxy.spec.identity; no endpoint of {service.label} is used"
                self._diagnostics.warning(policy, "spec.tls.mode", message)
            return Security(() if strict else _plain(candidates))
        meshed = [each for each in candidates if each.mesh_port is not None]
        if strict and len(meshed) < len(candidates):
            assert policy is not None
            outside = ", ".join(sorted({each.name for each in candidates if each.mesh_port is None})[:5])
            message = f"endpoints of {service.label} that are not in the mesh are not used: {outside}"
            self._diagnostics.warning(policy, "spec.tls.mode", message)
        if not meshed:
            return Security(() if strict else tuple(candidates))
        namespace = service.metadata.namespace
        accounts = {f"{namespace}/{each.service_account or DEFAULT_ACCOUNT}" for each in meshed}
        tls = UpstreamTLS(
            server_name=mesh_name("{port}", service.key),
            mesh=True,
            service_accounts=tuple(sorted(accounts)),
            certificate=IDENTITY,
            trust=IDENTITY,
            alpn=ALPN_HTTP if http else (),
        )
        return Security(tuple(meshed if strict else candidates), tls)

    # -- ordinary servers ----------------------------------------------------------------

    def _simple(self, policy: TrafficPolicy, said: PolicyTLS, http: bool) -> UpstreamTLS:
        trust = certificate = ""
        if said.ca is not None:
            trust = self._roots(policy, said)
        if said.certificate is not None:
            certificate = self._materials.certificate_of(policy, said.certificate, "spec.tls.certificate")
        return UpstreamTLS(
            server_name=said.sni or "",
            alternative_names=tuple(said.subject_alt_names),
            certificate=certificate,
            trust=trust,
            alpn=ALPN_HTTP if http else (),
        )

    def _roots(self, policy: TrafficPolicy, said: PolicyTLS) -> str:
        """What is believed; where that cannot be found, a name that nothing has: nobody is believed then."""
        ca = said.ca
        assert ca is not None
        if ca.file is not None:
            return self._materials.in_files(roots=ca.file, crl=ca.crl or "")
        kind = "Secret" if ca.secret is not None else "ConfigMap"
        name = ca.secret if ca.secret is not None else ca.config_map
        found = self._materials.roots(policy, [ObjectReference(kind=kind, name=name or "")], "spec.tls.ca")
        return found or f"{kind}/{policy.metadata.namespace}/{name}"

    def _of_validation(self, policy: BackendTLSPolicy, validation: BackendValidation, http: bool) -> UpstreamTLS:
        field = "spec.validation.caCertificateRefs"
        refs = validation.ca_certificate_refs
        trust = (self._materials.roots(policy, refs, field) or f"{policy.label}'s roots") if refs else ""
        names = tuple(each.uri or (each.hostname or "").lower() for each in validation.subject_alt_names)
        return UpstreamTLS(
            server_name=validation.hostname,
            alternative_names=names,
            trust=trust,
            alpn=ALPN_HTTP if http else (),
        )


def _plain(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Reached at their own ports."""
    return tuple(each if each.mesh_port is None else each._replace(mesh_port=None) for each in candidates)
