# ruff: noqa: E501 a table reads best with a case on a line
"""What an AuthorizationPolicy says that is wrong, what is said about it, and what is right."""

from __future__ import annotations

import pytest

from tests.support.loading import load_text, said

POLICY = "apiVersion: meshproxy.dev/v1\nkind: AuthorizationPolicy\nmetadata: {name: p}\nspec:\n  "
TARGET = "targetRefs: [{kind: Service, name: s}]\n  "

WRONG: dict[str, tuple[str, str]] = {
    "no target": ("targetRefs: []\n  rules: [{}]", "spec.targetRefs: must name a Service or a Gateway at least"),
    "another kind": ("targetRefs: [{kind: Servic, name: s}]\n  rules: [{}]", "spec.targetRefs[0].kind: an AuthorizationPolicy attaches to Services and Gateways, not to Servic (did you mean Service?)"),
    "another group": ("targetRefs: [{kind: Gateway, name: s, group: networking.k8s.io}]\n  rules: [{}]", "spec.targetRefs[0].group: 'networking.k8s.io' is not a Gateway's group; leave it out"),
    "no rule": (TARGET, "spec.rules: warning: without a rule nobody is allowed"),
    "no rule to deny": (TARGET + "action: Deny", "spec.rules: warning: without a rule it does nothing"),
    "action": (TARGET + "action: Refuse", "spec.action: the string 'Refuse' is none of Allow, Deny, Audit"),
    "nobody": (TARGET + "rules: [{from: [{}]}]", "spec.rules[0].from[0]: names nobody; leave from out where everyone is meant"),
    "nothing": (TARGET + "rules: [{to: [{}]}]", "spec.rules[0].to[0]: names nothing; leave to out where everything is meant"),
    "service account": (TARGET + "rules: [{from: [{serviceAccounts: [a/b/c]}]}]", "spec.rules[0].from[0].serviceAccounts[0]: 'a/b/c' is no service account; write it as namespace/name, or name"),
    "service account's name": (TARGET + "rules: [{from: [{notServiceAccounts: [A]}]}]", "spec.rules[0].from[0].notServiceAccounts[0]: 'A' is no DNS name"),
    "namespace": (TARGET + "rules: [{from: [{namespaces: [a.b]}]}]", "spec.rules[0].from[0].namespaces[0]: 'a.b' is no DNS label"),
    "principal": (TARGET + "rules: [{from: [{principals: [mesh.local/ns/a/sa/b]}]}]", "spec.rules[0].from[0].principals[0]: 'mesh.local/ns/a/sa/b' is no SPIFFE id; it must begin with spiffe://"),
    "principal's star": (TARGET + "rules: [{from: [{principals: ['spiffe://*/ns/*']}]}]", "'spiffe://*/ns/*' must begin with spiffe:// and have its only * at the end"),
    "network": (TARGET + "rules: [{from: [{ipBlocks: [10.0.0.1/8]}]}]", "spec.rules[0].from[0].ipBlocks[0]: '10.0.0.1/8' has host bits set; did you mean 10.0.0.0/8?"),
    "not a network": (TARGET + "rules: [{from: [{notIPBlocks: [x]}]}]", "spec.rules[0].from[0].notIPBlocks[0]: 'x' is not a network"),
    "method": (TARGET + "rules: [{to: [{methods: [get]}]}]", "spec.rules[0].to[0].methods[0]: 'get' is no method; write it in upper case, as GET"),
    "path": (TARGET + "rules: [{to: [{paths: [items]}]}]", "spec.rules[0].to[0].paths[0]: 'items' must begin with /"),
    "path with dots": (TARGET + "rules: [{to: [{paths: [/a/../b]}]}]", "must not contain /../: no request has it in its path"),
    "path with escapes": (TARGET + "action: Deny\n  rules: [{to: [{paths: ['/%61dmin*']}]}]", "'/%61dmin' must be '/admin'"),
    "path with stars": (TARGET + "rules: [{to: [{paths: ['/a/*/b']}]}]", "spec.rules[0].to[0].paths[0]: '/a/*/b' may have one *, at the beginning or at the end"),
    "path with two stars": (TARGET + "rules: [{to: [{notPaths: ['*a*']}]}]", "spec.rules[0].to[0].notPaths[0]: '*a*' may have one *, at the beginning or at the end"),
    "host": (TARGET + "rules: [{to: [{hosts: [Example.com]}]}]", "spec.rules[0].to[0].hosts[0]: 'Example.com' is no DNS name"),
    "host with stars": (TARGET + "rules: [{to: [{hosts: ['*.a.*']}]}]", "spec.rules[0].to[0].hosts[0]: '*.a.*' may have one *"),
    "port": (TARGET + "rules: [{to: [{ports: [0]}]}]", "spec.rules[0].to[0].ports[0]: 0 is no port"),
    "header": (TARGET + "rules: [{to: [{headers: [{name: 'x y', value: a}]}]}]", "spec.rules[0].to[0].headers[0].name: 'x y' is no name"),
    "header's pattern": (TARGET + "rules: [{to: [{headers: [{name: x, value: '(', type: RegularExpression}]}]}]", "spec.rules[0].to[0].headers[0].value: not a regular expression that is supported"),
    "unknown field": (TARGET + "rules: [{to: [{path: [/a]}]}]", "spec.rules[0].to[0].path: unknown field (did you mean paths?)"),
    "when": (TARGET + "existingConnections: close", "spec.existingConnections: the string 'close' is none of Keep, Close (did you mean Close?)"),
}  # fmt: skip

RIGHT = {
    "everyone": TARGET + "rules: [{}]",
    "stars": TARGET + "rules: [{from: [{principals: ['*', 'spiffe://a.b/ns/*']}], to: [{paths: ['*', '/a*', '*.css', '/a/*'], hosts: ['*', '*.a.b', 'a.*']}]}]",
    "a Gateway": "targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: g, sectionName: http}]\n  rules: [{}]",
    "whole": TARGET + "action: Audit\n  existingConnections: Close\n  rules: [{from: [{serviceAccounts: [a, b/c.d]}], to: [{methods: [M-SEARCH], notPorts: [1]}]}]",
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG.keys())
def test_wrong(text: str, expected: str) -> None:
    assert any(expected in each for each in said(POLICY + text)), said(POLICY + text)


@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT.keys())
def test_right(text: str) -> None:
    assert load_text(POLICY + text).findings == ()
