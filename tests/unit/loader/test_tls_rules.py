# ruff: noqa: E501 a table reads best with a case on a line
"""What is said of Secrets, ConfigMaps, TLSRoutes and what Gateways say of TLS."""

from __future__ import annotations

from base64 import b64encode

import pytest

from meshproxy.loader.load import SourceText, load

PEM = "-----BEGIN CERTIFICATE-----"
KEY = "-----BEGIN PRIVATE KEY-----"
CRL = "-----BEGIN X509 CRL-----"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n"
ROUTE = "apiVersion: gateway.networking.k8s.io/v1\nkind: TLSRoute\nmetadata: {name: r}\nspec: "
PARENT = "parentRefs: [{name: g}]"
RULES = "rules: [{backendRefs: [{name: a, port: 1}]}]"
GATEWAY = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec: "


def listener(tls: str, protocol: str = "HTTPS") -> str:
    return f"{GATEWAY}{{listeners: [{{name: l, port: 443, protocol: {protocol}, {tls}}}]}}\n"


def gateway(tls: str) -> str:
    return f"{GATEWAY}{{listeners: [{{name: l, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{{name: c}}]}}}}], tls: {tls}}}\n"


def in_base64(text: str) -> str:
    return b64encode(text.encode()).decode()


PROXY = "apiVersion: meshproxy.dev/v1\nkind: Proxy\nmetadata: {name: p}\nspec: "
POLICY = "apiVersion: meshproxy.dev/v1\nkind: TrafficPolicy\nmetadata: {name: t}\nspec: "
BACKEND = "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {name: b}\nspec: "
TARGET = "targetRefs: [{kind: Service, name: s}]"


def inbound(text: str) -> str:
    return f"{PROXY}{{inbound: {{{text}}}}}\n"


def policy(tls: str) -> str:
    return f"{POLICY}{{{TARGET}, tls: {{{tls}}}}}\n"


def backend(validation: str) -> str:
    return f"{BACKEND}{{{TARGET}, validation: {{{validation}}}}}\n"


GOOD = {
    "inbound": inbound("address: 0.0.0.0:1, mode: Permissive, minVersion: '1.2', services: [{name: a, port: 1, namespace: n, address: '::1', appProtocol: http}]"),
    "mesh": policy("mode: Strict"),
    "simple": policy("mode: Simple, sni: a.com, subjectAltNames: [b.com, 'spiffe://a/b'], ca: {configMap: a}, certificate: {certificate: a, key: b}"),
    "backend": backend("hostname: a.com, caCertificateRefs: [{kind: ConfigMap, name: a}], subjectAltNames: [{type: URI, uri: 'spiffe://a/b'}, {type: Hostname, hostname: a.com}]"),
    "Opaque": SECRET + "data: {password: aGVsbG8=}\n",
    "TLS": f"{SECRET}type: kubernetes.io/tls\ndata: {{tls.crt: {in_base64(PEM)}, tls.key: {in_base64(KEY)}}}\n",
    "in lines": f"{SECRET}data:\n  ca.crt: |\n    {in_base64(PEM)[:8]}\n    {in_base64(PEM)[8:]}\n",
    "any ConfigMap": MAP + "data: {a: b}\nbinaryData: {c: AAAA}\n",
    "roots": MAP + f"data: {{ca.crt: {PEM}}}\n",
    "revocation lists": MAP + f"data: {{ca.crt: {PEM}, ca.crl: {CRL}}}\n",
    "secret revocation lists": SECRET + f"stringData: {{ca.crt: {PEM}, ca.crl: {CRL}}}\n",
    "files of revocation lists": listener("tls: {certificateRefs: [{name: a}], options: {meshproxy.dev/client-ca-file: a, meshproxy.dev/client-crl-file: b}}"),
    "a server's revocation lists": policy("mode: Simple, sni: a.com, ca: {file: a, crl: b}"),
    "files": listener("tls: {options: {meshproxy.dev/certificate-file: a, meshproxy.dev/key-file: b}}"),
    "passthrough": listener("tls: {mode: Passthrough}", "TLS"),
    "TLSRoute": f'{ROUTE}{{{PARENT}, hostnames: [a.com, "*.b.com"], {RULES}}}\n',
    "a Gateway's frontend": gateway("{frontend: {default: {validation: {caCertificateRefs: [{kind: ConfigMap, name: a}]}}}}"),
}  # fmt: skip

CASES = {
    "inbound address": (inbound("address: here, services: [{name: a, port: 1}]"), "Proxy/p: spec.inbound.address: "),
    "nothing inbound": (inbound("{}"[1:-1]), "spec.inbound.services: warning: nothing is served"),
    "inbound port": (inbound("services: [{name: a, port: 0}]"), "spec.inbound.services[0].port: 0 is no port"),
    "inbound name": (inbound("services: [{name: A, port: 1}]"), "services[0].name: 'A' is no DNS label"),
    "inbound twice": (inbound("services: [{name: a, port: 1}, {name: a, port: 1}]"), "services[1]: a:1 is here twice"),
    "inbound version": (inbound("minVersion: '1.1', services: [{name: a, port: 1}]"), "minVersion: "),
    "inbound host": (inbound("services: [{name: a, port: 1, address: localhost}]"), "services[0].address: "),
    "mesh port": ("apiVersion: meshproxy.dev/v1\nkind: Workload\nmetadata: {name: w}\nspec: {address: 10.0.0.1, mesh: {port: 0}}\n", "spec.mesh.port: 0 is no port"),
    "no sni": (policy("mode: Simple"), "spec.tls.sni: this field is required for mode: Simple"),
    "wild sni": (policy("mode: Simple, sni: '*.a.com'"), "spec.tls.sni: "),
    "idle sni": (policy("mode: Strict, sni: a.com"), "spec.tls.sni: warning: counts with mode: Simple only; mode is Strict"),
    "two roots": (policy("mode: Simple, sni: a.com, ca: {file: a, secret: b}"), "spec.tls.ca: must have exactly one of file, secret and configMap, and has file and secret"),
    "half a certificate": (policy("mode: Simple, sni: a.com, certificate: {key: b}"), "spec.tls.certificate: must have a secret, or certificate and key"),
    "both certificates": (policy("mode: Simple, sni: a.com, certificate: {secret: a, key: b}"), "spec.tls.certificate: must have a secret, or certificate and key, and not both"),
    "many names": (policy("mode: Simple, sni: a.com, subjectAltNames: [a, b, c, d, e, f]"), "spec.tls.subjectAltNames: has 6 items; 5 are the most"),
    "no authority": (backend("hostname: a.com"), "spec.validation: must have exactly one of caCertificateRefs and wellKnownCACertificates"),
    "no uri": (backend("hostname: a.com, wellKnownCACertificates: System, subjectAltNames: [{type: URI}]"), "subjectAltNames[0].uri: this field is required with type: URI"),
    "hostname and uri": (backend("hostname: a.com, wellKnownCACertificates: System, subjectAltNames: [{type: URI, uri: 'a://b', hostname: a}]"), "subjectAltNames[0].hostname: this field does not go with type: URI"),
    "a Gateway's backend": (backend("hostname: a.com, wellKnownCACertificates: System").replace("kind: Service", "kind: Gateway"), "spec.targetRefs[0].kind: a BackendTLSPolicy attaches to Services"),
    "no key": (f"{SECRET}type: kubernetes.io/tls\nstringData: {{tls.crt: {PEM}}}\n", "data.tls.key: this field is required for type: kubernetes.io/tls"),
    "not Base64": (SECRET + "data: {tls.crt: '%%%'}\n", "m.yaml:4: Secret/s: data.tls.crt: must be Base64 of a text"),
    "no PEM": (SECRET + "data: {tls.crt: aGVsbG8=}\n", "data.tls.crt: holds no certificate in PEM"),
    "key without PEM": (SECRET + "stringData: {tls.key: hello}\n", "stringData.tls.key: holds no private key in PEM"),
    "passphrase": (SECRET + "stringData: {tls.key: -----BEGIN ENCRYPTED PRIVATE KEY-----}\n", "the key has a passphrase"),
    "huge": (SECRET + f"stringData: {{tls.crt: {PEM + 'x' * 140_000}}}\n", "has 140027 bytes; 131072 are the most"),
    "roots without PEM": (MAP + "data: {ca.crt: hello}\n", "ConfigMap/m: data.ca.crt: holds no certificate in PEM"),
    "lists without PEM": (MAP + "data: {ca.crl: hello}\n", "ConfigMap/m: data.ca.crl: holds no revocation list in PEM (-----BEGIN X509 CRL-----…)"),
    "lists without roots": (listener("tls: {certificateRefs: [{name: a}], options: {meshproxy.dev/client-crl-file: b}}"), "options.meshproxy.dev/client-crl-file: goes with meshproxy.dev/client-ca-file"),
    "lists beside a Secret": (policy("mode: Simple, sni: a.com, ca: {secret: a, crl: b}"), "spec.tls.ca.crl: goes with file"),
    "no tls": (listener("hostname: a.com"), "spec.listeners[0].tls: this field is required for protocol: HTTPS"),
    "no certificate": (listener("tls: {}"), "spec.listeners[0].tls.certificateRefs: needs a Secret, or files"),
    "half the files": (listener("tls: {options: {meshproxy.dev/certificate-file: a}}"), "tls.options: meshproxy.dev/certificate-file and meshproxy.dev/key-file go together"),
    "option": (listener("tls: {certificateRefs: [{name: a}], options: {meshproxy.dev/min-versoin: '1.3'}}"), "there is no such option (did you mean meshproxy.dev/min-version?)"),
    "another's option": (listener("tls: {certificateRefs: [{name: a}], options: {example.com/a: b}}"), "tls.options.example.com/a: warning: this option is not meshproxy's"),
    "version": (listener("tls: {certificateRefs: [{name: a}], options: {meshproxy.dev/min-version: '1.1'}}"), "'1.1' is no version to begin with; there are 1.2 and 1.3"),
    "HTTPS passes through": (listener("tls: {mode: Passthrough}"), "tls.mode: HTTPS is read here"),
    "useless certificate": (listener("tls: {mode: Passthrough, certificateRefs: [{name: a}]}", "TLS"), "tls: warning: what passes through needs no certificate here"),
    "mode": (listener("tls: {mode: passthrough}"), "tls.mode: the string 'passthrough' is none of Terminate, Passthrough (did you mean Passthrough?)"),
    "certificate's name": (listener("tls: {certificateRefs: [{name: A}]}"), "certificateRefs[0].name: 'A' is no DNS name"),
    "no roots": (gateway("{frontend: {default: {validation: {}}}}"), "spec.tls.frontend.default.validation.caCertificateRefs: must name a ConfigMap or a Secret"),
    "fallback": (gateway("{frontend: {default: {validation: {mode: AllowInsecureFallback, caCertificateRefs: [{name: a}]}}}}"), "default.validation.mode: warning: clients may do without a certificate; one that is shown must be valid"),
    "port twice": (gateway("{frontend: {perPort: [{port: 1}, {port: 1}]}}"), "perPort[1].port: port 1 is here twice"),
    "no rules": (f"{ROUTE}{{{PARENT}, rules: []}}\n", "spec.rules: must hold a rule at least"),
    "two rules": (f"{ROUTE}{{{PARENT}, {RULES[:-1]}, {{backendRefs: [{{name: a, port: 1}}]}}]}}\n", "spec.rules[1]: warning: only the first rule counts"),
    "no backend": (f"{ROUTE}{{{PARENT}, rules: [{{}}]}}\n", "spec.rules[0].backendRefs: must name a Service at least"),
    "mesh": (f"{ROUTE}{{parentRefs: [{{group: '', kind: Service, name: a}}], {RULES}}}\n", "spec.parentRefs[0]: warning: TLSRoutes attach to Gateways only"),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD)
def test_nothing_is_said_of_what_is_right(case: str) -> None:
    assert load([SourceText("m.yaml", GOOD[case].encode())]).findings == ()


@pytest.mark.parametrize("case", CASES)
def test_what_is_said(case: str) -> None:
    text, expected = CASES[case]
    said = "\n".join(map(str, load([SourceText("m.yaml", text.encode())]).findings))
    assert expected in said


def test_what_is_secret_is_said_nowhere() -> None:
    loaded = load(
        [SourceText("m.yaml", (SECRET + "stringData: {tls.key: hunter2}\ndata: {tls.crt: aHVudGVyMg==}\n").encode())]
    )
    (secret,) = loaded.resources
    said = "\n".join(map(str, loaded.findings)) + repr(secret)
    assert "hunter2" not in said
    assert "aHVudGVyMg" not in said
