# ruff: noqa: E501 a table reads best with a case on a line
"""Ingresses, and what is said about them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.base.errors import errors_in
from tests.support.loading import load_text, said

HEAD = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i}\n"
BACKEND = "{service: {name: s, port: {number: 80}}}"
CLASS = "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: c}\n"


def in_path(text: str, backend: str = BACKEND) -> str:
    return HEAD + f"spec:\n  rules:\n  - http: {{paths: [{{{text}, backend: {backend}}}]}}\n"


def with_host(host: str) -> str:
    return in_path("path: /, pathType: Prefix").replace("- http", f"- host: {json.dumps(host)}\n    http")


def with_backend(text: str) -> str:
    return in_path("path: /, pathType: Prefix", text)


def with_annotation(text: str) -> str:
    return (HEAD + f"spec: {{defaultBackend: {BACKEND}}}\n").replace("name: i", f"name: i, annotations: {{{text}}}")


CASES: dict[str, tuple[str, str]] = {
    "nothing": (HEAD, "m.yaml:1: Ingress/i: spec: needs rules, or a defaultBackend"),
    "no paths": (HEAD + "spec: {rules: [{http: {paths: []}}]}\n", "m.yaml:4: Ingress/i: spec.rules[0].http.paths: must hold a path at least"),
    "path type": (in_path("path: /"), "m.yaml:6: Ingress/i: spec.rules[0].http.paths[0].pathType: this field is required"),
    "Gateway's path type": (in_path("path: /, pathType: PathPrefix"), "the string 'PathPrefix' is none of Exact, Prefix, ImplementationSpecific (did you mean Prefix?)"),
    "relative": (in_path("path: a, pathType: Prefix"), "http.paths[0].path: 'a' must begin with /"),
    "empty": (in_path("path: '', pathType: Exact"), "http.paths[0].path: '' must begin with /"),
    "two slashes": (in_path("path: /a//b, pathType: Exact"), "must not contain //"),
    "dots": (in_path("path: /a/.., pathType: Exact"), "must not end with /.."),
    "slash in disguise": (in_path("path: /a%2Fb, pathType: Prefix"), "must not contain %2F"),
    "expression": (in_path("path: '/api(/|$)(.*)', pathType: ImplementationSpecific"), "http.paths[0].path: warning: ImplementationSpecific is taken as Prefix: the path is compared as it is"),
    "relative expression": (in_path("path: '.*', pathType: ImplementationSpecific"), "path: '.*' must begin with /"),
    "host": (with_host("A.com"), "m.yaml:6: Ingress/i: spec.rules[0].host: 'A.com' is no host name; did you mean a.com?"),
    "host and port": (with_host("a.com:80"), "host: 'a.com:80' is no host name"),
    "wildcard inside": (with_host("a.*.com"), "host: 'a.*.com' is no host name"),
    "IP": (with_host("10.0.0.1"), "host: 10.0.0.1 is an IP address"),
    "no backend": (with_backend("{}"), "paths[0].backend.service: this field is required"),
    "both backends": (with_backend("{service: {name: s, port: {number: 80}}, resource: {kind: B, name: b}}"), "backend: takes service or resource, not both"),
    "resource": (with_backend("{resource: {kind: B, name: b}}"), "backend.resource: warning: this field is known but not supported yet"),
    "service name": (with_backend("{service: {name: a.b, port: {number: 80}}}"), "backend.service.name: 'a.b' is no DNS label"),
    "no port": (with_backend("{service: {name: s}}"), "backend.service.port: needs exactly one of name and number"),
    "both ports": (with_backend("{service: {name: s, port: {name: a, number: 80}}}"), "backend.service.port: needs exactly one of name and number"),
    "port number": (with_backend("{service: {name: s, port: {number: 70000}}}"), "backend.service.port.number: 70000 is no port"),
    "port name": (with_backend("{service: {name: s, port: {name: A}}}"), "backend.service.port.name: 'A' is no DNS label"),
    "old backend": (with_backend("{serviceName: s, servicePort: 80}"), "backend.serviceName: unknown field"),
    "default backend": (HEAD + "spec: {defaultBackend: {service: {name: s}}}\n", "spec.defaultBackend.service.port: needs exactly one of name and number"),
    "class": (HEAD + f"spec: {{ingressClassName: A, defaultBackend: {BACKEND}}}\n", "spec.ingressClassName: 'A' is no DNS name"),
    "TLS secret": (HEAD + f"spec: {{defaultBackend: {BACKEND}, tls: [{{hosts: [a.com], secretName: A}}]}}\n", "spec.tls[0].secretName: 'A' is no DNS name"),
    "TLS host": (HEAD + f"spec: {{defaultBackend: {BACKEND}, tls: [{{hosts: [A b]}}]}}\n", "spec.tls[0].hosts[0]: 'A b' is no host name"),
    "annotation": (with_annotation("nginx.ingress.kubernetes.io/rewrite-target: /"), "metadata.annotations.nginx.ingress.kubernetes.io/rewrite-target: warning: is another controller's and has no effect here"),
    "version": (HEAD.replace("/v1", "/v1beta1"), "Ingress is known as networking.k8s.io/v1, not networking.k8s.io/v1beta1"),
    "class field": (CLASS + "spec: {contoller: a.b/c}\n", "spec.contoller: unknown field (did you mean controller?)"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_said(case: str) -> None:
    text, expected = CASES[case]
    messages = said(text)
    assert any(expected in message for message in messages), messages


RIGHT: dict[str, str] = {
    "prefix": in_path("path: /, pathType: Prefix"),
    "no path": in_path("pathType: ImplementationSpecific"),
    "empty path": in_path("path: '', pathType: ImplementationSpecific"),
    "host": with_host("*.a.com"),
    "port name": with_backend("{service: {name: s, port: {name: http}}}"),
    "default backend": HEAD + f"spec: {{ingressClassName: nginx, defaultBackend: {BACKEND}}}\nstatus: {{loadBalancer: {{}}}}\n",
    "TLS": HEAD + f"spec: {{defaultBackend: {BACKEND}, tls: [{{hosts: [a.com, '*.b.com'], secretName: t}}, {{}}]}}\n",
    "host alone": HEAD + f"spec: {{defaultBackend: {BACKEND}, rules: [{{host: a.com}}]}}\n",
    "annotations": with_annotation("kubernetes.io/ingress.class: nginx, example.com/a: b"),
    "a thousand paths": HEAD + "spec:\n  rules:\n  - http:\n      paths:\n" + "".join(f"      - {{path: /p{n}, pathType: Exact, backend: {BACKEND}}}\n" for n in range(1000)),
    "class": CLASS + "spec: {controller: k8s.io/ingress-nginx, parameters: {kind: A, name: b}}\n",
}  # fmt: skip


@pytest.mark.parametrize("case", RIGHT)
def test_nothing_is_said(case: str) -> None:
    loaded = load_text(RIGHT[case])
    assert (loaded.findings, len(loaded.resources)) == ((), 1)


TEXTS = st.text(max_size=5) | st.sampled_from(["/", "/a", "(.*)", "a.com", "*.a", "Prefix", "10.0.0.1"])
SERVICES = st.fixed_dictionaries(
    {"name": TEXTS, "port": st.fixed_dictionaries({}, optional={"name": TEXTS, "number": st.integers()})}
)
BACKENDS = st.fixed_dictionaries({}, optional={"service": SERVICES, "resource": st.just({})})
PATHS = st.fixed_dictionaries(
    {"pathType": st.sampled_from(["Exact", "Prefix", "ImplementationSpecific"]), "backend": BACKENDS},
    optional={"path": TEXTS},
)
RULES = st.fixed_dictionaries(
    {}, optional={"host": TEXTS, "http": st.fixed_dictionaries({"paths": st.lists(PATHS, max_size=2)})}
)


@settings(max_examples=200)
@given(
    spec=st.fixed_dictionaries({}, optional={"rules": st.lists(RULES, max_size=2), "defaultBackend": BACKENDS}),
    annotations=st.dictionaries(TEXTS, TEXTS, max_size=2),
)
def test_any_ingress_gives_findings_or_a_resource(spec: object, annotations: object) -> None:
    metadata = {"name": "x", "annotations": annotations}
    document = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}
    loaded = load_text(json.dumps(document))
    assert loaded.resources or errors_in(loaded.findings)
