"""`meshproxy route explain`, on files and against an admin API."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from meshproxy.cli.main import main

MANIFESTS = """
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {clusterIP: 127.98.7.1, ports: [{name: http, port: 80}], selector: {app: shop}}
---
apiVersion: v1
kind: Service
metadata: {name: next, namespace: team}
spec: {ports: [{name: http, port: 80}, {name: other, port: 81}], selector: {app: next}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{kind: Service, group: "", name: shop}, {name: edge}]
  rules:
  - name: canary
    matches:
    - path: {value: /cart}
      method: POST
      headers: [{name: x-canary, value: "yes"}]
      cookies: [{name: a, value: b}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /basket}}}]
    backendRefs: [{name: shop, port: 80, weight: 3}, {name: gone, port: 80}]
  - name: old
    matches: [{path: {type: Exact, value: /old}, queryParams: [{name: to, value: new}]}]
    filters: [{type: RequestRedirect, requestRedirect: {hostname: shop.example.com, statusCode: 301}}]
  - name: cart
    matches: [{path: {value: /cart}}]
    backendRefs: [{name: shop, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: meshproxy
  listeners:
  - {name: http, protocol: HTTP, port: 8000}
  - {name: more, protocol: HTTP, port: 8001, hostname: "*.example.com"}
"""


@pytest.fixture
def manifests(tmp_path: Path) -> str:
    path = tmp_path / "shop.yaml"
    path.write_text(MANIFESTS)
    return str(path)


def explain(manifests: str, *words: str) -> Result:
    return CliRunner().invoke(main, ["route", "explain", "-c", manifests, *words])


def winner(result: Result) -> str:
    (line,) = [line for line in result.output.splitlines() if line.startswith("  rule:")]
    return line.split()[1]


def test_the_rule_that_wins_and_why(manifests: str) -> None:
    request = ("--host", "shop", "--path", "/cart/1?x=y", "--method", "POST", "-H", "X-Canary: yes", "--cookie", "a=b")
    result = explain(manifests, *request)
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "POST http://shop/cart/1?x=y",
        "  at:         Service default/shop, port 80 (http)",
        "  rule:       default/shop/canary of HTTPRoute/default/shop",
        "  matches:    path under /cart, method POST, header x-canary = yes, cookie a = b",
        "  asks for:   /basket/1?x=y",
        "  backends:   75% shop:80",
        "              25% gone:80, answers 500: there is no Service gone in namespace default",
        "",
        "RULE                  RESULT     WHY",
        "default/shop/canary   wins       it goes before default/shop/cart: it asks for a method, the other for none",
        "default/shop/cart     loses      default/shop/canary goes before it: it asks for a method, the other for none",
        "default/shop/old      no match   the path is /cart/1, not /old; there is no query parameter to",
    ]


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("--host", "shop", "--path", "/cart"), "default/shop/cart"),
        (("--host", "SHOP.default.svc.cluster.local:80", "--path", "/cart"), "default/shop/cart"),
        (("--host", "127.98.7.1", "--path", "/cart"), "default/shop/cart"),
        (("--service", "shop", "--host", "anything", "--path", "/cart"), "default/shop/cart"),
        (("--service", "default/shop:http", "--path", "/cart"), "default/shop/cart"),
        (("-H", "Host: shop", "--path", "/cart"), "default/shop/cart"),
        (("--host", "example.org:8000", "--path", "/cart"), "default/shop/cart"),
        (("--host", "a.example.com", "--gateway", "edge", "--port", "8001", "--path", "/cart"), "default/shop/cart"),
        (("--host", "shop", "--path", "/%6fld?to=new"), "default/shop/old"),
    ],
)
def test_where_the_request_goes(manifests: str, words: tuple[str, ...], rule: str) -> None:
    result = explain(manifests, *words)
    assert (result.exit_code, winner(result)) == (0, rule), result.output


def test_a_redirect_says_where_to(manifests: str) -> None:
    output = explain(manifests, "--host", "shop", "--path", "/old?to=new").output
    assert "  answer:     301: the rule redirects" in output
    assert "  location:   http://shop.example.com/old?to=new" in output


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--host", "shop", "--path", "/nothing"), 1, "  answer:     404: no rule matches"),
        (("--host", "shop", "--path", "/%zz"), 1, "400: the path's percent-encoding is malformed"),
        (("--host", "shop", "-H", "no colon"), 1, "400: a field's name is not a token"),
        (("--host", "shop", "-H", "Host: other"), 1, "400: "),
        (("--host", "a.com", "--gateway", "edge", "--port", "8001"), 1, "404: nothing is for the host a.com"),
        (("--service", "team/next"), 1, "it has no routes: all requests go to its endpoints"),
        (("--path", "/"), 2, "say --host, or --service"),
        (("--service", "shp"), 2, "there is no Service default/shp (did you mean default/shop?)"),
        (("--service", "shop:81"), 2, "Service default/shop has no TCP port 81; it has 80 (http)"),
        (("--gateway", "egde", "--host", "x"), 2, "no Gateway default/egde listens for HTTP; there is Gateway"),
        (("--host", "a.example.com"), 2, "say --port or --gateway"),
    ],
)
def test_what_has_no_rule(manifests: str, words: tuple[str, ...], status: int, said: str) -> None:
    result = explain(manifests, *words)
    assert result.exit_code == status, result.output
    assert said in result.output


def test_json(manifests: str) -> None:
    document = json.loads(explain(manifests, "--host", "shop", "--path", "/cart", "-o", "json").output)
    assert document["where"] == "Service default/shop, port 80 (http)"
    assert document["answer"]["matches"] is True
    verdicts = {each["rule"]: each["outcome"] for each in document["explanation"]["verdicts"]}
    assert verdicts == {"default/shop/cart": "Wins", "default/shop/canary": "NoMatch", "default/shop/old": "NoMatch"}


def test_manifests_with_errors(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(MANIFESTS.replace("backendRefs", "backendRef"))
    result = explain(str(path), "--host", "shop")
    assert result.exit_code == 1
    assert "unknown field (did you mean backendRefs?)" in result.output
