# ruff: noqa: E501 a table reads best with a case on a line
"""Gateways, GatewayClasses and ReferenceGrants, and what is said about them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.base.errors import errors_in
from meshproxy.resources import Gateway
from meshproxy.resources.gateway import FromNamespaces, ListenerProtocol
from tests.support.loading import load_text, said

GATEWAY = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec:\n"
LISTENER = "name: http, port: 80, protocol: HTTP"
LISTENERS = GATEWAY + f"  listeners: [{{{LISTENER}}}]\n"
CLASS = "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: c}\nspec: "
GRANT = "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: r}\nspec: "
FROM = "{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: a}"


def in_listener(text: str) -> str:
    return GATEWAY + f"  listeners: [{{{LISTENER}, {text}}}]\n"


def in_namespaces(text: str) -> str:
    return in_listener(f"allowedRoutes: {{namespaces: {{{text}}}}}")


def of_protocol(text: str) -> str:
    return GATEWAY + f"  listeners: [{{name: a, port: 443, {text}}}]\n"


NAME_LABEL = "kubernetes.io/metadata.name"

CASES: dict[str, tuple[str, str]] = {
    "no listeners": (GATEWAY + "  gatewayClassName: x\n", "m.yaml:5: Gateway/g: spec.listeners: this field is required"),
    "empty listeners": (GATEWAY + "  listeners: []\n", "m.yaml:5: Gateway/g: spec.listeners: must hold a listener at least"),
    "many listeners": (GATEWAY + "  listeners: [" + ", ".join(f"{{name: a{n}, port: {n + 1}, protocol: HTTP}}" for n in range(65)) + "]", "spec.listeners: has 65 items; 64 are the most"),
    "name": (in_listener("").replace("name: http", "name: A"), "spec.listeners[0].name: 'A' is no DNS name"),
    "port": (in_listener("").replace("port: 80", "port: 0"), "spec.listeners[0].port: 0 is no port"),
    "hostname": (in_listener('hostname: "*.*.com"'), "spec.listeners[0].hostname: '*.*.com' is no host name"),
    "IP as hostname": (in_listener("hostname: 10.0.0.1"), "hostname: 10.0.0.1 is an IP address"),
    "same name": (GATEWAY + f"  listeners: [{{{LISTENER}}}, {{name: http, port: 81, protocol: HTTP}}]\n", "spec.listeners[1].name: the name 'http' is here twice"),
    "same everything": (GATEWAY + f"  listeners: [{{{LISTENER}}}, {{name: b, port: 80, protocol: http}}]\n", "spec.listeners[1]: http has this port, protocol and hostname already"),
    "protocol": (of_protocol("protocol: HTTP2"), "protocol: the string 'HTTP2' is none of HTTP, HTTPS, TLS, TCP, UDP (did you mean HTTP?)"),
    "TCP": (of_protocol("protocol: TCP"), "protocol: warning: TCP is not supported yet"),
    "TCP and hostname": (of_protocol("protocol: TCP, hostname: a.com"), "spec.listeners[0].hostname: does not go with protocol: TCP"),
    "HTTP and TLS": (in_listener("tls: {}"), "spec.listeners[0].tls: does not go with protocol: HTTP; remove it"),
    "kind": (in_listener("allowedRoutes: {kinds: [{kind: GRPCRoute}]}"), "allowedRoutes.kinds[0].kind: warning: GRPCRoute is not read by this version"),
    "kind of another group": (in_listener("allowedRoutes: {kinds: [{group: a.b, kind: HTTPRoute}]}"), "kinds[0].kind: warning: HTTPRoute is not read"),
    "from nobody": (in_namespaces("from: None"), "namespaces.from: None is not for routes; there are All, Selector and Same"),
    "no selector": (in_namespaces("from: Selector"), "namespaces.selector: this field is required for from: Selector"),
    "idle selector": (in_namespaces("from: All, selector: {}"), "namespaces.selector: warning: counts with from: Selector only; from is All"),
    "another label": (in_namespaces("from: Selector, selector: {matchLabels: {team: a}}"), f"namespaces.selector.matchLabels.team: warning: a namespace has one label here, {NAME_LABEL} (its name), and never team"),
    "another label's expression": (in_namespaces("from: Selector, selector: {matchExpressions: [{key: team, operator: Exists}]}"), "matchExpressions[0].key: warning: a namespace has one label here"),
    "operator without values": (in_namespaces(f"from: Selector, selector: {{matchExpressions: [{{key: {NAME_LABEL}, operator: In}}]}}"), "matchExpressions[0].values: this field is required for operator: In"),
    "operator with values": (in_namespaces(f"from: Selector, selector: {{matchExpressions: [{{key: {NAME_LABEL}, operator: Exists, values: [a]}}]}}"), "matchExpressions[0].values: does not go with operator: Exists"),
    "operator": (in_namespaces("from: Selector, selector: {matchExpressions: [{key: a, operator: in}]}"), "operator: the string 'in' is none of In, NotIn, Exists, DoesNotExist (did you mean In?)"),
    "label": (in_namespaces("from: Selector, selector: {matchLabels: {a b: c}}"), "'a b' is no label key"),
    "address type": (LISTENERS + "  addresses: [{type: Hostname, value: a.com}]\n", "m.yaml:6: Gateway/g: spec.addresses[0].type: 'Hostname' is not supported; write an address of this machine"),
    "address": (LISTENERS + "  addresses: [{value: a.com}]\n", "spec.addresses[0].value: 'a.com' is not an IP address"),
    "no address": (LISTENERS + "  addresses: [{type: IPAddress}]\n", "spec.addresses[0].value: this field is required: no address is assigned"),
    "address twice": (LISTENERS + "  addresses: [{value: '::1'}, {value: '0:0::1'}]\n", "spec.addresses[1].value: the address ::1 is here twice"),
    "Gateway TLS": (LISTENERS + "  tls: {backend: {clientCertificateRef: {name: a}}}\n", "spec.tls.backend: warning: this field is known but not supported yet"),
    "listener sets": (LISTENERS + "  allowedListeners: {namespaces: {from: Same}}\n", "spec.allowedListeners: warning: this field is known but not supported yet"),
    "scope": (LISTENERS + "  defaultScope: All\n", "spec.defaultScope: warning: this field is known but not supported yet"),
    "class": (LISTENERS + "  gatewayClassName: A\n", "spec.gatewayClassName: 'A' is no DNS name"),
    "controller": (CLASS + "{controllerName: x}\n", "m.yaml:4: GatewayClass/c: spec.controllerName: 'x' is no controller's name; write it as example.com/name"),
    "grant to nobody": (GRANT + "{from: [], to: [{kind: Service}]}\n", "m.yaml:4: ReferenceGrant/r: spec.from: must name somebody at least"),
    "grant of nothing": (GRANT + f"{{from: [{FROM}], to: []}}\n", "spec.to: must name something at least"),
    "grant namespace": (GRANT + f"{{from: [{FROM.replace(': a}', ': A}')}], to: [{{kind: Service}}]}}\n", "spec.from[0].namespace: 'A' is no DNS label"),
    "grant kind": (GRANT + f"{{from: [{FROM}], to: [{{kind: a/b}}]}}\n", "spec.to[0].kind: 'a/b' is no kind"),
    "grant without kind": (GRANT + f"{{from: [{FROM}], to: [{{group: ''}}]}}\n", "spec.to[0].kind: this field is required"),
    "grant group": (GRANT + f"{{from: [{FROM}], to: [{{group: a/b, kind: Service}}]}}\n", "spec.to[0].group: 'a/b' is no DNS name"),
    "TCPRoute": (CLASS.replace("GatewayClass", "TCPRoute") + "{}\n", "this version does not read it"),
    "ListenerSet": (CLASS.replace("GatewayClass", "ListenerSet") + "{}\n", "this version does not read it"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_said(case: str) -> None:
    text, expected = CASES[case]
    messages = said(text)
    assert any(expected in message for message in messages), messages


RIGHT: dict[str, str] = {
    "smallest": LISTENERS,
    "status": LISTENERS + "status: {}\n",
    "v1beta1": LISTENERS.replace("/v1", "/v1beta1"),
    "hostnames": GATEWAY + f'  listeners: [{{{LISTENER}}}, {{name: b, port: 80, protocol: HTTP, hostname: a.com}}, {{name: c, port: 80, protocol: HTTP, hostname: "*.a.com"}}]\n',
    "addresses": LISTENERS + "  addresses: [{value: 127.0.0.1}, {type: IPAddress, value: '::1'}]\n",
    "kinds": in_listener("allowedRoutes: {kinds: [{kind: HTTPRoute}], namespaces: {from: All}}"),
    "selector": in_namespaces(f"from: Selector, selector: {{matchLabels: {{{NAME_LABEL}: a}}, matchExpressions: [{{key: {NAME_LABEL}, operator: NotIn, values: [b]}}]}}"),
    "infrastructure": LISTENERS + "  infrastructure: {labels: {a: b}}\n",
    "class": CLASS + "{controllerName: istio.io/gateway-controller, description: x, parametersRef: {group: a, kind: B, name: c}}\nstatus: {}\n",
    "grant": GRANT + f"{{from: [{FROM}], to: [{{group: '', kind: Service, name: s}}, {{kind: Service}}]}}\n",
    "grant v1": (GRANT + f"{{from: [{FROM}], to: [{{kind: Service}}]}}\n").replace("v1beta1", "v1"),
}  # fmt: skip


@pytest.mark.parametrize("case", RIGHT)
def test_nothing_is_said(case: str) -> None:
    loaded = load_text(RIGHT[case])
    assert (loaded.findings, len(loaded.resources)) == ((), 1)


def test_defaults_are_the_gateway_apis() -> None:
    (gateway,) = load_text(LISTENERS.replace("HTTP}", "http}")).resources
    assert isinstance(gateway, Gateway)
    (listener,) = gateway.spec.listeners
    assert listener.protocol is ListenerProtocol.HTTP
    assert listener.allowed_routes.namespaces.from_ is FromNamespaces.SAME
    assert (listener.hostname, gateway.spec.addresses) == (None, ())


TEXTS = st.text(max_size=5) | st.sampled_from(["a", "a.com", "*.a.com", "HTTP", "10.0.0.1", "::1", NAME_LABEL])
SELECTORS = st.fixed_dictionaries(
    {},
    optional={
        "matchLabels": st.dictionaries(TEXTS, TEXTS, max_size=2),
        "matchExpressions": st.lists(
            st.fixed_dictionaries(
                {"key": TEXTS, "operator": st.sampled_from(["In", "Exists"]), "values": st.lists(TEXTS, max_size=2)}
            ),
            max_size=2,
        ),
    },
)
ANY_LISTENERS = st.lists(
    st.fixed_dictionaries(
        {"name": TEXTS, "port": st.integers(), "protocol": st.sampled_from(["HTTP", "https", "TCP"])},
        optional={
            "hostname": TEXTS,
            "allowedRoutes": st.fixed_dictionaries(
                {},
                optional={
                    "namespaces": st.fixed_dictionaries(
                        {}, optional={"from": st.sampled_from(["All", "Selector", "None"]), "selector": SELECTORS}
                    ),
                    "kinds": st.lists(st.fixed_dictionaries({"kind": TEXTS}, optional={"group": TEXTS}), max_size=2),
                },
            ),
        },
    ),
    max_size=3,
)
ADDRESSES = st.lists(st.fixed_dictionaries({}, optional={"type": TEXTS, "value": TEXTS}), max_size=3)


@settings(max_examples=200)
@given(spec=st.fixed_dictionaries({"listeners": ANY_LISTENERS}, optional={"addresses": ADDRESSES}))
def test_any_gateway_gives_findings_or_a_resource(spec: object) -> None:
    document = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "x"}}
    loaded = load_text(json.dumps({**document, "spec": spec}))
    assert loaded.resources or errors_in(loaded.findings)
