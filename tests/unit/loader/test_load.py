# ruff: noqa: E501 a table reads best with a case on a line
"""Manifests that are wrong, and what is said about them; and that nothing else ever happens."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.base.errors import errors_in
from meshproxy.loader.load import Loaded, SourceText, load
from meshproxy.resources import KINDS, Service, TrafficPolicy
from meshproxy.resources.policy import Algorithm


def load_text(text: str | bytes) -> Loaded:
    return load([SourceText("m.yaml", text.encode() if isinstance(text, str) else text)])


def said(text: str | bytes) -> list[str]:
    return [str(finding) for finding in load_text(text).findings]


SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n"
WORKLOAD = "apiVersion: meshproxy.dev/v1\nkind: Workload\nmetadata: {name: w}\nspec: "
POLICY = "apiVersion: meshproxy.dev/v1\nkind: TrafficPolicy\nmetadata: {name: p}\nspec:\n"
TARGET = "  targetRefs: [{kind: Service, name: s}]\n"
PROXY = "apiVersion: meshproxy.dev/v1\nkind: Proxy\nmetadata: {name: x}\nspec: "
SLICE = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: e, labels: {kubernetes.io/service-name: s}}\n"

CASES: dict[str, tuple[str | bytes, str]] = {
    "broken YAML": ("a: [1\nb: 2\n", "m.yaml:2: not valid YAML"),
    "duplicate key": (SERVICE + "  ports: []\n  ports: []\n", "m.yaml:6: the key 'ports' is here twice; it was already given on line 5"),
    "tab": ("a:\n\tb: 1\n", "m.yaml:2: not valid YAML"),
    "not UTF-8": (b"a: b\nc: \xff\n", "m.yaml:2: byte 8 is not UTF-8"),
    "NUL": (b"a: \0\n", "m.yaml:1: the character"),
    "merge key": ("a: &x {b: 1}\nc: {<<: *x}\n", "m.yaml:2: merge keys (<<)"),
    "tag": ("a: !!python/object:os.system x\n", "m.yaml:1: the tag !!python/object:os.system means nothing here"),
    "foreign tag": ("a: !ruby/object x\n", "the tag !ruby/object means nothing here"),
    "deep": ("[" * 100 + "]" * 100, "nested more than 64 levels deep"),
    "alias to nothing": ("a: *b\n", "m.yaml:1:"),
    "not a mapping": ("- a\n", "m.yaml:1: a document must be a mapping"),
    "no kind": ("apiVersion: v1\n", "m.yaml:1: kind: this field is required"),
    "unknown kind": ("apiVersion: v1\nkind: Servce\n", "m.yaml:2: Servce: kind: unknown kind Servce (did you mean Service?)"),
    "wrong apiVersion": ("apiVersion: v2\nkind: Service\n", "m.yaml:1: Service: apiVersion: Service is known as v1, not v2"),
    "unknown field": (SERVICE + "  ports: [{port: 80, targetport: 1}]\n", "m.yaml:5: Service/s: spec.ports[0].targetport: unknown field (did you mean targetPort?)"),
    "wrong type": (SERVICE + "  ports: [{port: eighty}]\n", "spec.ports[0].port: expected a whole number, found the string 'eighty'"),
    "missing name": ("apiVersion: v1\nkind: Service\nmetadata: {}\n", "metadata.name: this field is required"),
    "label not a string": (SERVICE.replace("name: s", "name: s, labels: {a: yes, b: true}") + "  ports: [{port: 80}]\n", "m.yaml:3: Service/s: metadata.labels.b: expected a string, found true; put it in quotes"),
    "enum": (SERVICE + "  type: Nodeport\n  ports: [{port: 80}]\n", "spec.type: the string 'Nodeport' is none of ClusterIP, NodePort, LoadBalancer, ExternalName (did you mean NodePort?)"),
    "SCTP": (SERVICE + "  ports: [{port: 80, protocol: SCTP}]\n", "m.yaml:5: Service/s: spec.ports[0].protocol: SCTP is not carried; TCP and UDP are"),
    "name": ("apiVersion: v1\nkind: Service\nmetadata: {name: A_b}\nspec: {ports: [{port: 80}]}\n", "metadata.name: 'A_b' is no DNS label"),
    "port range": (SERVICE + "  ports: [{port: 0}]\n", "spec.ports[0].port: 0 is no port; it must be between 1 and 65535"),
    "no ports": (SERVICE + "  selector: {a: b}\n", "spec.ports: at least one port is required"),
    "unnamed ports": (SERVICE + "  ports: [{port: 80}, {port: 81}]\n", "spec.ports[0].name: is required when a Service has several ports"),
    "same name": (SERVICE + "  ports: [{name: a, port: 80}, {name: a, port: 81}]\n", "spec.ports[1].name: the name 'a' is here twice"),
    "same port": (SERVICE + "  ports: [{name: a, port: 80}, {name: b, port: 80}]\n", "spec.ports[1].port: 80/TCP is here twice"),
    "node port range": (SERVICE + "  type: NodePort\n  ports: [{port: 80, nodePort: 80}]\n", "nodePort: 80 is out of range; node ports are between 30000 and 32767"),
    "node port type": (SERVICE + "  ports: [{port: 80, nodePort: 30000}]\n", "nodePort: needs type: NodePort or LoadBalancer"),
    "cluster IP": (SERVICE + "  clusterIP: 1.2.3\n  ports: [{port: 80}]\n", "spec.clusterIP: '1.2.3' is not an IP address"),
    "cluster IPs": (SERVICE + "  clusterIP: 127.96.0.1\n  clusterIPs: [127.96.0.2]\n  ports: [{port: 80}]\n", "spec.clusterIPs[0]: must be spec.clusterIP, 127.96.0.1"),
    "family": (SERVICE + "  clusterIP: 127.96.0.1\n  ipFamilies: [IPv6]\n  ports: [{port: 80}]\n", "spec.ipFamilies[0]: IPv6 is not the family of 127.96.0.1"),
    "headless NodePort": (SERVICE + "  clusterIP: None\n  type: NodePort\n  ports: [{port: 80}]\n", "spec.clusterIP: cannot be None for a Service of type NodePort"),
    "external name": (SERVICE + "  type: ExternalName\n", "spec.externalName: is required"),
    "affinity": (SERVICE + "  ports: [{port: 80}]\n  sessionAffinity: ClientIP\n  sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}\n", "timeoutSeconds: 0 is out of range; it must be between 1 and 86400"),
    "affinity off": (SERVICE + "  ports: [{port: 80}]\n  sessionAffinityConfig: {clientIP: {timeoutSeconds: 5}}\n", "spec.sessionAffinityConfig: needs sessionAffinity: ClientIP"),
    "source ranges": (SERVICE + "  type: LoadBalancer\n  loadBalancerSourceRanges: [10.0.0.1/8]\n  ports: [{port: 80}]\n", "did you mean 10.0.0.0/8?"),
    "unsupported": (SERVICE + "  loadBalancerClass: x\n  ports: [{port: 80}]\n", "spec.loadBalancerClass: warning: this field is known but not supported yet"),
    "workload address": (WORKLOAD + "{address: 10.0.0.300}\n", "spec.address: '10.0.0.300' is not an IP address"),
    "workload name": (WORKLOAD + "{address: a..b}\n", "spec.address: 'a..b' is neither an IP address nor a host name"),
    "workload name of numbers": (WORKLOAD + "{address: a.300}\n", "spec.address: 'a.300' is neither an IP address nor a host name"),
    "workload weight": (WORKLOAD + "{address: 10.0.0.1, weight: -1}\n", "spec.weight: -1 is out of range"),
    "workload port name": (WORKLOAD + "{address: 10.0.0.1, ports: {HTTP: 80}}\n", "spec.ports.HTTP: 'HTTP' is no port name"),
    "slice family": (SLICE + "addressType: IPv6\nendpoints: [{addresses: [10.0.0.1]}]\n", "endpoints[0].addresses[0]: 10.0.0.1 is not of the slice's addressType, IPv6"),
    "slice FQDN": (SLICE + "addressType: FQDN\nendpoints: [{addresses: [10.0.0.1]}]\n", "endpoints[0].addresses[0]: 10.0.0.1 is not a host name"),
    "slice empty": (SLICE + "addressType: IPv4\nendpoints: [{addresses: []}]\n", "endpoints[0].addresses: must hold 1 to 100 addresses"),
    "duration": (POLICY + TARGET + "  connections: {connectTimeout: 5}\n", "spec.connections.connectTimeout: 5 has no unit; write 5s if you mean seconds"),
    "duration word": (POLICY + TARGET + "  connections: {connectTimeout: soon}\n", "'soon' is not a duration; write a number and a unit"),
    "check": (POLICY + TARGET + "  healthCheck: {tcp: {}, http: {}}\n", "spec.healthCheck: needs exactly one of tcp and http"),
    "statuses": (POLICY + TARGET + "  healthCheck: {http: {expectedStatuses: [2xx]}}\n", "expectedStatuses[0]: '2xx' is no HTTP status (200)"),
    "algorithm": (POLICY + TARGET + "  loadBalancing: {algorithm: LeastConns}\n", "(did you mean LeastConnections?)"),
    "target": (POLICY + "  targetRefs: [{kind: service, name: s}]\n", "not to service (did you mean Service?)"),
    "percent": (POLICY + TARGET + "  outlierDetection: {maxEjectionPercent: 101}\n", "maxEjectionPercent: 101 is out of range"),
    "workers": (PROXY + "{workers: 0}\n", "spec.workers: 0 is out of range; it must be between 1 and 256"),
    "workers word": (PROXY + "{workers: many}\n", "spec.workers: expected a whole number or 'auto', found the string 'many'"),
    "CIDR": (PROXY + "{serviceCIDR: 10.0.0.1/8}\n", "spec.serviceCIDR: '10.0.0.1/8' has host bits set; did you mean 10.0.0.0/8?"),
    "admin": (PROXY + "{admin: {address: 0.0.0.0:15000}}\n", "spec.admin.address: an address that is not loopback needs tokenFile"),
    "ingress": (PROXY + "{ingress: {address: example.com:80}}\n", "spec.ingress.address: 'example.com' in 'example.com:80' is not an IP address"),
    "ingress port": (PROXY + "{ingress: {address: 0.0.0.0:0}}\n", "spec.ingress.address: 0 is no port"),
    "ingress TLS": (PROXY + "{ingress: {tlsAddress: 0.0.0.0}}\n", "spec.ingress.tlsAddress: "),
    "one ingress address": (PROXY + "{ingress: {address: 0.0.0.0:443}}\n", "spec.ingress.tlsAddress: 0.0.0.0:443 is the address for plain HTTP already"),
    "default certificate": (PROXY + "{ingress: {defaultCertificate: {key: a}}}\n", "spec.ingress.defaultCertificate: must have a secret, or certificate and key"),
    "too high up": (PROXY + "{tracing: {samplePercent: 5}}\n", "spec.tracing: unknown field (did you mean telemetry.tracing?)"),
    "much too high up": (PROXY.replace("spec:", "tracing:") + "{}\n", "tracing: unknown field (did you mean spec.telemetry.tracing?)"),
    "in several places": (PROXY + "{tokenFile: a}\n", "spec.tokenFile: unknown field"),
    "buffer": (PROXY + "{bufferSize: 1Ki}\n", "spec.bufferSize: 1024 is out of range"),
    "two proxies": (PROXY + "{}\n---\n" + PROXY.replace("name: x", "name: y") + "{}\n", "m.yaml:6: Proxy/y: there can be only one Proxy; another is in m.yaml:1"),
    "same name twice": (WORKLOAD + "{address: 10.0.0.1}\n---\n" + WORKLOAD + "{address: 10.0.0.2}\n", "m.yaml:8: Workload/w: metadata.name: there is one of this name already, in m.yaml:1"),
    "ignored": ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n", "m.yaml:2: Deployment/d: kind: warning: Deployment says nothing to meshproxy"),
    "route": ("apiVersion: gateway.networking.k8s.io/v1\nkind: TCPRoute\nmetadata: {name: d}\n", "TCPRoute would change where traffic goes, and this version does not read it"),
    "empty List": ("apiVersion: v1\nkind: List\nitems: 3\n", "m.yaml:2: List: kind: unknown kind List"),
    "tag on a list": (SERVICE + "  ports: !ruby/array [{port: 0}]\n", "m.yaml:5: Service/s: spec.ports[0].port: 0 is no port"),
    "dotted label": (SERVICE.replace("{name: s}", "\n  name: s\n  labels:\n    a.b/c: d\n    a.b/d: x y") + "  ports: [{port: 80}]\n", "m.yaml:7: Service/s: metadata.labels.a.b/d: 'x y' is no label value"),
    "null label": (SERVICE.replace("{name: s}", "{name: s, labels: {a: }}") + "  ports: [{port: 80}]\n", 'm.yaml:3: Service/s: metadata.labels.a: expected a string, found nothing (null); write "" if you mean an empty string'),
    "null where something must be": (SERVICE + "  ports: [{port: }]\n", "m.yaml:5: Service/s: spec.ports[0].port: this field is required"),
    "control characters": ("a: b\n? \"x\\n\\e[31m\"\n: c\nkind: Service\napiVersion: v1\n", "Service: x\\n\\x1b[31m: unknown field"),
    "IPv4 in IPv6": (SERVICE + "  clusterIP: ::ffff:10.0.0.1\n  ports: [{port: 80}]\n", "is an IPv4 address written as IPv6; write 10.0.0.1"),
    "scope": (SERVICE + "  clusterIP: fe80::1%eth0\n  ports: [{port: 80}]\n", "has a scope, which means something on one machine only"),
    "headless and not": (SERVICE + "  clusterIP: None\n  clusterIPs: [None, 10.0.0.1]\n  ports: [{port: 80}]\n", "spec.clusterIPs: None stands alone"),
    "one family twice": (SERVICE + "  clusterIPs: [10.0.0.1, 10.0.0.2]\n  ports: [{port: 80}]\n", "spec.clusterIPs[1]: is IPv4 as clusterIPs[0] is"),
    "single stack": (SERVICE + "  ipFamilyPolicy: SingleStack\n  ipFamilies: [IPv4, IPv6]\n  ports: [{port: 80}]\n", "SingleStack does not go with two IP families"),
    "external policy": (SERVICE + "  externalTrafficPolicy: Local\n  ports: [{port: 80}]\n", "spec.externalTrafficPolicy: needs type: NodePort or LoadBalancer, or externalIPs"),
    "source ranges without a load balancer": (SERVICE + "  loadBalancerSourceRanges: [10.0.0.0/8]\n  ports: [{port: 80}]\n", "spec.loadBalancerSourceRanges: needs type: LoadBalancer; the type is ClusterIP"),
    "quoted target port": (SERVICE + "  ports: [{port: 80, targetPort: '8080'}]\n", "remove the quotes if you mean a number"),
    "application protocol": (SERVICE + "  ports: [{port: 80, appProtocol: h 2}]\n", "spec.ports[0].appProtocol: 'h 2' is no protocol's name"),
    "check path": (POLICY + TARGET + '  healthCheck: {http: {path: "/a\\r\\nX: y"}}\n', "spec.healthCheck.http.path: '/a\\r\\nX: y' is no path"),
    "check host": (POLICY + TARGET + '  healthCheck: {http: {host: "a\\r\\nX: y"}}\n', "spec.healthCheck.http.host: 'a\\r\\nX: y' is no host name"),
    "target group": (POLICY + "  targetRefs: [{group: apps, kind: Service, name: s}]\n", "spec.targetRefs[0].group: 'apps' is not a Service's group"),
    "enormous buffer": (PROXY + "{bufferSize: '" + "9" * 5000 + "'}\n", "is more than 9223372036854775807, the largest quantity"),
    "annotated key twice": ("{a: 1, 'a': 2}\n", "m.yaml:1: the key 'a' is here twice"),
    "list": ("apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Servce\n", "m.yaml:5: Servce: kind: unknown kind"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_said(case: str) -> None:
    text, expected = CASES[case]
    messages = said(text)
    assert any(expected in message for message in messages), messages


def test_everything_is_said_at_once_in_the_order_of_the_file() -> None:
    text = (
        SERVICE
        + "  prots: []\n  clusterIP: 1.2.3\n  ports:\n  - {name: a, port: 99999}\n  - {name: b, port: 80, targetPort: [x]}\n---\nkind: 3\n"
    )
    lines = [finding.line for finding in load_text(text).findings]
    assert lines == sorted(lines)
    assert len(lines) >= 5


def test_a_mistake_does_not_hide_those_that_follow() -> None:
    text = (
        SERVICE
        + "  ports: [{port: 80}]\n  ports: []\n  selector: {<<: {a: b}}\n  type: !foreign ClusterIP\n  type: NodePort\n"
        + "---\nkind: Servce\napiVersion: v1\n---\n"
        + SERVICE.replace("name: s", "name: S")
        + "  externalIPs: [1, x]\n  ports: [{port: 80}]\n---\na: [\n"
    )
    lines = [finding.line for finding in load_text(text).findings]
    assert lines == [6, 7, 8, 9, 11, 16, 18, 21]


def test_what_follows_from_a_mistake_is_not_another() -> None:
    (only,) = said(SERVICE + "  type: Nodeport\n  ports: [{port: 80, nodePort: 30000}]\n")
    assert "spec.type" in only
    (only,) = said(SERVICE + "  ports: [{name: a, port: 80}, {name: b, port: 80, protocol: SCTP}]\n")
    assert "SCTP" in only


def test_the_name_of_a_broken_document_is_taken() -> None:
    text = SERVICE + "  prts: []\n---\n" + SERVICE + "  ports: [{port: 80}]\n"
    assert any("there is one of this name already, in m.yaml:1" in message for message in said(text))


def test_null_is_as_good_as_nothing() -> None:
    """`kubectl create --dry-run -o yaml` writes ``creationTimestamp: null``, Helm's templates empty ``annotations:``."""
    text = "apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n  creationTimestamp: null\n  annotations:\nspec:\n"
    loaded = load_text(text + "  selector:\n  ports: [{port: 80, name: }]\nstatus: {loadBalancer: {}}\n")
    assert loaded.findings == ()
    (service,) = loaded.resources
    assert isinstance(service, Service)
    assert (service.metadata.annotations, service.spec.selector, service.spec.ports[0].name) == ({}, {}, "")


def test_lists_are_unpacked() -> None:
    item = "- apiVersion: meshproxy.dev/v1\n  kind: Workload\n  metadata: {name: %s}\n  spec: {address: 10.0.0.1}\n"
    loaded = load_text("apiVersion: v1\nkind: List\nitems:\n" + item % "a" + item % "b")
    assert [resource.label for resource in loaded.resources] == ["Workload/a", "Workload/b"]
    assert loaded.places["Workload/b"].line == 8
    assert not any(load_text("apiVersion: v1\nkind: List\nitems:\n"))


def test_findings_are_short_whatever_the_file_holds() -> None:
    long = "x" * 1_000_000
    for text in (f"kind: {long}\napiVersion: v1\n", SERVICE + f"  {long}: 1\n", PROXY + f"{{bufferSize: {long}}}\n"):
        assert errors_in(load_text(text).findings)
        assert all(len(message) < 2000 for message in said(text))


def test_the_right_words_are_understood() -> None:
    text = (
        "# JSON is YAML, and so is nothing\n---\n---\n"
        '{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "no"},\n'
        ' "spec": {"ports": [{"port": 80, "targetPort": "http"}], "selector": {"on": "off"}}}\n'
        "---\n" + POLICY + TARGET + "  loadBalancing: {algorithm: wlc}\n  connections: {idleTimeout: 1h30m}\n"
    )
    loaded = load_text(text)
    assert loaded.findings == ()
    service, policy = loaded.resources
    assert isinstance(service, Service)
    assert isinstance(policy, TrafficPolicy)
    assert (service.metadata.namespace, service.spec.selector) == ("no", {"on": "off"})
    assert policy.spec.load_balancing.algorithm is Algorithm.LEAST_CONNECTIONS
    assert float(policy.spec.connections.idle_timeout) == 5400


def test_places_know_the_line_of_a_field() -> None:
    loaded = load_text(SERVICE + "  ports:\n  - name: a\n    port: 80\n  - name: b\n    port: 81\n")
    place = loaded.places["Service/s"]
    assert (place.file, place.line_of("spec.ports[1].port"), place.line_of("spec.ports[1].nodePort")) == (
        "m.yaml",
        9,
        8,
    )


def test_a_yaml_bomb_is_refused_quickly() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert any("aliases stand for more than" in message for message in said("\n".join(lines)))


def test_ten_megabytes_of_nonsense_are_refused() -> None:
    assert errors_in(load_text(b"\x07garbage: [" * 1_000_000).findings)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_give_findings_or_resources(data: bytes) -> None:
    load_text(data)


SNIPPETS = st.sampled_from(
    [
        "apiVersion",
        "kind",
        "metadata",
        "spec",
        "v1",
        "Service",
        "name",
        "ports",
        "port",
        "80",
        "x",
        "[",
        "]",
        "{",
        "}",
        ": ",
        ", ",
        "\n",
        "  ",
        "- ",
        "&a ",
        "*a",
        "<<",
        "---\n",
        '"',
        "'",
        "null",
        "|",
        "!!int ",
        "meshproxy.dev/v1",
    ]
)


@settings(max_examples=300)
@given(st.lists(SNIPPETS, max_size=40).map("".join))
def test_any_yaml_like_text_gives_findings_or_resources(text: str) -> None:
    load_text(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300)
@given(kind=st.sampled_from(sorted({kind for _, kind in KINDS})), spec=VALUES)
def test_any_document_of_a_known_kind_gives_findings_or_a_resource(kind: str, spec: object) -> None:
    api_version = {name: version for version, name in KINDS}[kind]
    document = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    loaded = load_text(json.dumps(document))
    assert loaded.resources or errors_in(loaded.findings)
