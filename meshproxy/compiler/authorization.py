"""AuthorizationPolicies → what the listeners of a Service's port, or of a Gateway, ask of their callers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from meshproxy.base.names import NamespacedName
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.intentions import NOT_ASKED, Intended, IntentionIndex
from meshproxy.resources import AuthorizationPolicy, Gateway, Service
from meshproxy.resources.authorization import (
    AuthorizationAction,
    AuthorizationOperation,
    AuthorizationSource,
    ExistingConnections,
)
from meshproxy.resources.http_route import MatchType
from meshproxy.resources.policy import TargetRef
from meshproxy.resources.service import ServicePort
from meshproxy.snapshot.authorization import (
    ANY_OPERATION,
    ANY_SOURCE,
    AttachedPolicy,
    Authorization,
    AuthorizationDefault,
    AuthorizationRule,
    Operation,
    Source,
)
from meshproxy.snapshot.routes import ValueMatch

INBOUND = "/inbound"
"""Ends the name of what peers are asked at the mesh port, where intentions make it more than others are asked."""


class _Target(NamedTuple):
    """Whom a policy is attached to; `section` is a port's or a listener's name, None for all of them."""

    kind: str
    key: NamespacedName
    section: str | None


class AuthorizationIndex:
    """The policies of each target. All that are attached count, each adding to the others."""

    def __init__(
        self,
        policies: Iterable[AuthorizationPolicy],
        services: Mapping[NamespacedName, Service],
        gateways: Mapping[NamespacedName, Gateway],
        local: Mapping[NamespacedName, Collection[int]],
        default: AuthorizationAction,
        intentions: IntentionIndex,
        diagnostics: Diagnostics,
    ) -> None:
        """`local` are the Services of programs here (`Proxy.spec.inbound`), whose own documents may be elsewhere, with
        the programs' ports.

        What no policy of theirs grants is for `default` to decide; what others' do not, is granted.
        """
        self._local = local
        self._default = AuthorizationDefault(default.value)
        self._intentions = intentions
        self._attached: dict[_Target, list[AuthorizationPolicy]] = {}
        self._made: dict[str, Authorization] = {}
        for policy in sorted(policies, key=lambda policy: policy.key):
            for index, ref in enumerate(policy.spec.target_refs):
                key = NamespacedName(policy.metadata.namespace, ref.name)
                sections = _sections(ref, services.get(key), gateways.get(key), key in local)
                if _is_there(policy, ref, f"spec.targetRefs[{index}]", sections, diagnostics):
                    target = _Target(ref.kind, key, ref.section_name or None)
                    self._attached.setdefault(target, []).append(policy)
                    known = _ports(ref, services.get(key), gateways.get(key)) or set(local.get(key, ()))
                    _check_ports(policy, ref, known, diagnostics)

    def of_port(self, service: Service, port: ServicePort) -> str:
        """The name of the authorization of a Service's port; empty where no policy is attached."""
        return self._name_of(_Target("Service", service.key, port.name or None), port.port)

    def of_local_port(self, service: Service, port: ServicePort) -> str:
        """The same for peers of a program here, whom intentions are about as well."""
        target = _Target("Service", service.key, port.name or None)
        return self._name_of(target, port.port, self._intentions.of(service.metadata.name))

    def of_local_service(self, service: NamespacedName, port: int) -> str:
        """The same where nothing is known of the program's Service but the name."""
        return self._name_of(_Target("Service", service, None), port, self._intentions.of(service.name))

    def of_gateway_listener(self, gateway: NamespacedName, listener: str, port: int) -> str:
        """The same for a Gateway's listener."""
        return self._name_of(_Target("Gateway", gateway, listener), port)

    def made(self) -> tuple[Authorization, ...]:
        """Every authorization that was asked for, by name."""
        return tuple(self._made[name] for name in sorted(self._made))

    def _name_of(self, target: _Target, port: int, intended: Intended = NOT_ASKED) -> str:
        policies = list(self._attached.get(target._replace(section=None), ()))
        if target.section is not None:
            policies += (each for each in self._attached.get(target, ()) if each not in policies)
        default = self._default_of(target)
        if not policies and not intended.intentions and default is AuthorizationDefault.ALLOW:
            return ""
        name = f"{target.kind}/{target.key}:{target.section or port}{INBOUND if intended.intentions else ''}"
        if name not in self._made:
            self._made[name] = _authorization(name, policies, port, intended, default)
        return name

    def _default_of(self, target: _Target) -> AuthorizationDefault:
        is_local = target.kind == "Service" and target.key in self._local
        return self._default if is_local else AuthorizationDefault.ALLOW


def _sections(ref: TargetRef, service: Service | None, gateway: Gateway | None, is_local: bool) -> list[str] | None:
    """The names of the target's parts; None where there is no such target."""
    if ref.kind == "Service":
        if service is None:
            return [] if is_local else None
        return [port.name for port in service.spec.ports if port.name]
    return [listener.name for listener in gateway.spec.listeners] if gateway is not None else None


def _is_there(
    policy: AuthorizationPolicy, ref: TargetRef, field: str, sections: list[str] | None, diagnostics: Diagnostics
) -> bool:
    if sections is None:
        message = f"there is no {ref.kind} {ref.name} in namespace {policy.metadata.namespace}"
        diagnostics.warning(policy, f"{field}.name", f"{message}; the policy protects nothing there")
        return False
    if ref.section_name and ref.section_name not in sections:
        what = "port" if ref.kind == "Service" else "listener"
        hint = diagnostics.hint(ref.section_name, sections)
        message = f"{ref.kind} {ref.name} has no {what} named {ref.section_name}{hint}"
        diagnostics.warning(policy, f"{field}.sectionName", f"{message}; the policy protects nothing there")
        return False
    return True


def _ports(ref: TargetRef, service: Service | None, gateway: Gateway | None) -> set[int]:
    """The numbers of the target's ports."""
    if ref.kind == "Service":
        return {port.port for port in service.spec.ports} if service is not None else set()
    return {listener.port for listener in gateway.spec.listeners} if gateway is not None else set()


def _check_ports(policy: AuthorizationPolicy, ref: TargetRef, known: Collection[int], diagnostics: Diagnostics) -> None:
    """Ports are the Service's, and not those of its endpoints, which Istio's rules are about."""
    for number, rule in enumerate(policy.spec.rules):
        for index, operation in enumerate(rule.to):
            if operation.ports and not set(operation.ports) & set(known):
                has = ", ".join(map(str, sorted(known))) or "none"
                message = f"{ref.kind} {ref.name} has other ports: {has}; this does not hold there"
                diagnostics.warning(policy, f"spec.rules[{number}].to[{index}].ports", message)


def _authorization(
    name: str,
    policies: Iterable[AuthorizationPolicy],
    port: int,
    intended: Intended,
    default: AuthorizationDefault,
) -> Authorization:
    found = [(each, tuple(_rules(each, port))) for each in policies]
    rules = {
        action: tuple(rule for each, its in found if each.spec.action is action for rule in its)
        for action in AuthorizationAction
    }
    return Authorization(
        name=name,
        policies=tuple(
            AttachedPolicy(policy=each.label, action=each.spec.action.value, rules=len(its)) for each, its in found
        ),
        deny=rules[AuthorizationAction.DENY],
        allow=rules[AuthorizationAction.ALLOW],
        audit=rules[AuthorizationAction.AUDIT],
        restricted=any(each.spec.action is AuthorizationAction.ALLOW for each, _ in found),
        default=default,
        intentions=intended.intentions,
        closes_connections=intended.closes_connections
        or any(each.spec.existing_connections is ExistingConnections.CLOSE for each, _ in found),
    )


def _rules(policy: AuthorizationPolicy, port: int) -> Iterator[AuthorizationRule]:
    """The policy's rules, without what is about other ports."""
    for rule in policy.spec.rules:
        operations = tuple(_operation(each) for each in rule.to if _is_about(each, port))
        if rule.to and not operations:
            continue
        sources = tuple(_source(each, policy.metadata.namespace) for each in rule.from_)
        yield AuthorizationRule(
            policy=policy.label, sources=sources or (ANY_SOURCE,), operations=operations or (ANY_OPERATION,)
        )


def _is_about(operation: AuthorizationOperation, port: int) -> bool:
    return (not operation.ports or port in operation.ports) and port not in operation.not_ports


def _source(source: AuthorizationSource, namespace: str) -> Source:
    return Source(
        principals=source.principals,
        not_principals=source.not_principals,
        namespaces=source.namespaces,
        not_namespaces=source.not_namespaces,
        service_accounts=_accounts(source.service_accounts, namespace),
        not_service_accounts=_accounts(source.not_service_accounts, namespace),
        ip_blocks=source.ip_blocks,
        not_ip_blocks=source.not_ip_blocks,
    )


def _accounts(names: Iterable[str], namespace: str) -> tuple[str, ...]:
    return tuple(name if "/" in name else f"{namespace}/{name}" for name in names)


def _operation(operation: AuthorizationOperation) -> Operation:
    return Operation(
        methods=operation.methods,
        not_methods=operation.not_methods,
        paths=operation.paths,
        not_paths=operation.not_paths,
        hosts=operation.hosts,
        not_hosts=operation.not_hosts,
        headers=tuple(
            ValueMatch(name=each.name.lower(), value=each.value, regex=each.type is MatchType.REGULAR_EXPRESSION)
            for each in operation.headers
        ),
    )
