"""Rules for Gateways (the Gateway API's custom resource definition)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from meshproxy.base.errors import Finding, Severity
from meshproxy.loader.rules import gateway_tls, http_values, references, values
from meshproxy.loader.rules.references import too_many
from meshproxy.loader.rules.selectors import check_selector, keys_of
from meshproxy.loader.rules.values import finding
from meshproxy.resources.gateway import (
    IP_ADDRESS,
    NAMESPACE_NAME_LABEL,
    AllowedRoutes,
    FromNamespaces,
    GatewayAddress,
    GatewayClassSpec,
    GatewayListener,
    GatewaySpec,
    ListenerProtocol,
    RouteNamespaces,
)
from meshproxy.resources.http_route import GATEWAY_GROUP

MAX_LISTENERS = 64
MAX_ADDRESSES = 16
MAX_KINDS = 8

_ROUTES = ("HTTPRoute", "TLSRoute")
_WITHOUT_TLS = (ListenerProtocol.HTTP, ListenerProtocol.TCP, ListenerProtocol.UDP)
_WITHOUT_HOSTNAME = (ListenerProtocol.TCP, ListenerProtocol.UDP)


def check(spec: GatewaySpec) -> Iterator[Finding]:
    yield from finding("spec.gatewayClassName", values.dns_subdomain(spec.gateway_class_name))
    if not spec.listeners:
        yield Finding(field="spec.listeners", message="must hold a listener at least")
    yield from too_many("spec.listeners", spec.listeners, MAX_LISTENERS)
    for index, listener in enumerate(spec.listeners):
        yield from _check_listener(f"spec.listeners[{index}]", listener)
    yield from _check_distinct(spec.listeners)
    if spec.tls is not None:
        yield from gateway_tls.check_gateway("spec.tls", spec.tls)
    yield from too_many("spec.addresses", spec.addresses, MAX_ADDRESSES)
    for index, address in enumerate(spec.addresses):
        yield from _check_address(f"spec.addresses[{index}]", address)
    for index, value in values.repeated(_normal(address.value) for address in spec.addresses):
        yield Finding(field=f"spec.addresses[{index}].value", message=f"the address {value} is here twice")


def check_class(spec: GatewayClassSpec) -> Iterator[Finding]:
    prefix, slash, path = spec.controller_name.partition("/")
    if values.dns_subdomain(prefix) is not None or not slash or not path:
        message = f"{values.quote(spec.controller_name)} is no controller's name; write it as example.com/name"
        yield Finding(field="spec.controllerName", message=message)


def _check_listener(field: str, listener: GatewayListener) -> Iterator[Finding]:
    yield from finding(f"{field}.name", values.dns_subdomain(listener.name))
    yield from finding(f"{field}.port", values.port_number(listener.port))
    if listener.hostname and listener.protocol in _WITHOUT_HOSTNAME:
        yield Finding(field=f"{field}.hostname", message=f"does not go with protocol: {listener.protocol}")
    elif listener.hostname:
        yield from finding(f"{field}.hostname", http_values.hostname(listener.hostname))
    if listener.tls is not None and listener.protocol in _WITHOUT_TLS:
        yield Finding(field=f"{field}.tls", message=f"does not go with protocol: {listener.protocol}; remove it")
    if listener.protocol in _WITHOUT_HOSTNAME:
        message = f"{listener.protocol} is not supported yet; this listener is not opened"
        yield Finding(severity=Severity.WARNING, field=f"{field}.protocol", message=message)
    elif listener.protocol is not ListenerProtocol.HTTP:
        yield from gateway_tls.check_listener(field, listener)
    yield from _check_allowed(f"{field}.allowedRoutes", listener.allowed_routes)


def _check_distinct(listeners: tuple[GatewayListener, ...]) -> Iterator[Finding]:
    for index, name in values.repeated(listener.name for listener in listeners):
        yield Finding(field=f"spec.listeners[{index}].name", message=f"the name {values.quote(name)} is here twice")
    taken: dict[tuple[int, str, str], str] = {}
    for index, listener in enumerate(listeners):
        what = (listener.port, listener.protocol.value, listener.hostname or "")
        first = taken.setdefault(what, listener.name)
        if first != listener.name:
            message = f"{first} has this port, protocol and hostname already; listeners must be told apart"
            yield Finding(field=f"spec.listeners[{index}]", message=message)


def _check_allowed(field: str, allowed: AllowedRoutes) -> Iterator[Finding]:
    yield from _check_namespaces(f"{field}.namespaces", allowed.namespaces)
    yield from too_many(f"{field}.kinds", allowed.kinds, MAX_KINDS)
    for index, kind in enumerate(allowed.kinds):
        yield from finding(f"{field}.kinds[{index}].group", references.group(kind.group))
        yield from finding(f"{field}.kinds[{index}].kind", references.kind(kind.kind))
        if kind.group != GATEWAY_GROUP or kind.kind not in _ROUTES:
            message = (
                f"{kind.kind} is not read by this version; only {'s and '.join(_ROUTES)}s ({GATEWAY_GROUP}) attach"
            )
            yield Finding(severity=Severity.WARNING, field=f"{field}.kinds[{index}].kind", message=message)


def _check_namespaces(field: str, namespaces: RouteNamespaces) -> Iterator[Finding]:
    if namespaces.from_ is FromNamespaces.NONE:
        yield Finding(field=f"{field}.from", message="None is not for routes; there are All, Selector and Same")
    if namespaces.selector is None:
        if namespaces.from_ is FromNamespaces.SELECTOR:
            yield Finding(field=f"{field}.selector", message="this field is required for from: Selector")
        return
    yield from check_selector(f"{field}.selector", namespaces.selector)
    if namespaces.from_ is not FromNamespaces.SELECTOR:
        message = f"counts with from: Selector only; from is {namespaces.from_}"
        yield Finding(severity=Severity.WARNING, field=f"{field}.selector", message=message)
    for where, key in keys_of(f"{field}.selector", namespaces.selector):
        if key != NAMESPACE_NAME_LABEL:
            message = f"a namespace has one label here, {NAMESPACE_NAME_LABEL} (its name), and never {key}"
            yield Finding(severity=Severity.WARNING, field=where, message=message)


def _check_address(field: str, address: GatewayAddress) -> Iterator[Finding]:
    if address.type != IP_ADDRESS:
        message = f"{values.quote(address.type)} is not supported; write an address of this machine, of type IPAddress"
        yield Finding(field=f"{field}.type", message=message)
    elif not address.value:
        message = "this field is required: no address is assigned; without addresses, all of this machine's are used"
        yield Finding(field=f"{field}.value", message=message)
    else:
        yield from finding(f"{field}.value", values.address(address.value))


def _normal(address: str) -> str:
    """IPv6 has many spellings."""
    try:
        return str(ip_address(address))
    except ValueError:
        return address
