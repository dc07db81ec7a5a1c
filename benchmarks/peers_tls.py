"""The proxies that the TLS benchmark compares: mutual TLS with clients and with the backend, or with clients alone.

All of them speak TLS 1.3 with AES-128-GCM and X25519, and have P-256 certificates: clients and backend offer nothing
else. All of them tell the backend X-Forwarded-For, -Proto and -Host and a request id, and with mutual TLS by which
certificate the client came.
"""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.load import BACKEND_HEAD, run_backend
from benchmarks.peers import (
    LOAD_CPU,
    NGINX_STREAM,
    Address,
    Meshproxy,
    Peer,
    Proxy,
    Starter,
    capacity,
    find,
    run_envoy,
    run_haproxy,
    run_meshproxy,
    those_here,
    write,
)
from benchmarks.processes import Program, free_port

NAME = "bench.example.com"
SUITE = "TLS_AES_128_GCM_SHA256"
ALL = ("meshproxy", "haproxy", "envoy")

_OPENSSL = f"""\
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = suites
[suites]
Ciphersuites = {SUITE}
Groups = X25519
"""


@dataclass(frozen=True)
class Keys:
    """A CA and a certificate that serves as anybody's; `pem` is key and certificate in one file, `openssl` a config."""

    ca: Path
    certificate: Path
    key: Path
    pem: Path
    openssl: Path


def make_keys(directory: Path) -> Keys:
    """Make them with the openssl program."""
    keys = Keys(*(directory / name for name in ("ca.pem", "bench.pem", "bench.key", "both.pem", "openssl.cnf")))
    ca_key, request = directory / "ca.key", directory / "bench.csr"
    new = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    _quietly(*new, "-x509", "-keyout", str(ca_key), "-out", str(keys.ca), "-days", "2", "-subj", "/CN=bench CA")
    _quietly(*new, "-keyout", str(keys.key), "-out", str(request), "-subj", "/CN=bench")
    names = directory / "names"
    names.write_text(f"subjectAltName = DNS:{NAME}\nextendedKeyUsage = serverAuth, clientAuth\n")
    sign = ("openssl", "x509", "-req", "-in", str(request), "-CA", str(keys.ca), "-CAkey", str(ca_key), "-days", "2")
    _quietly(*sign, "-CAcreateserial", "-extfile", str(names), "-out", str(keys.certificate))
    keys.pem.write_text(keys.certificate.read_text() + keys.key.read_text())
    keys.openssl.write_text(_OPENSSL)
    for path in (keys.key, keys.pem):
        path.chmod(0o644)  # nginx' worker is another user
    return keys


def _quietly(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


# -- the backend ---------------------------------------------------------------------

_BACKEND = (
    BACKEND_HEAD
    + """\
  server {{
    listen {secure[0]}:{secure[1]} ssl backlog=8192;
    listen {plain[0]}:{plain[1]} backlog=8192;
    ssl_certificate {keys.certificate};
    ssl_certificate_key {keys.key};
    ssl_client_certificate {keys.ca};
    ssl_verify_client on;
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites {suite};
    location / {{ return 200 "hello world\\n"; }}
    location /bulk {{ root {directory}/www; }}
    location = /requests {{ stub_status; }}
    location = /told {{
      return 200 "$http_x_forwarded_for $http_x_forwarded_proto $http_x_forwarded_host $http_x_forwarded_client_cert\n";
    }}
  }}
}}
"""
)


def start_backend(directory: Path, keys: Keys) -> tuple[Program, Address, Address]:
    """(nginx, where it asks for certificates, where it speaks in clear)."""
    secure, plain = (("127.0.0.1", free_port()) for _ in range(2))
    text = _BACKEND.format(directory=directory, secure=secure, plain=plain, keys=keys, suite=SUITE)
    return run_backend(directory, text, (secure, plain)), secure, plain


def requests_of(plain: Address) -> int:
    """How many requests the backend has had so far, this one too (ngx_http_stub_status_module)."""
    with urllib.request.urlopen(f"http://{plain[0]}:{plain[1]}/requests", timeout=10) as answer:
        return int(answer.read().splitlines()[2].split()[2])


_CERTIFIER = """\
{module}
worker_processes 1;
daemon off;
pid {directory}/certifier.pid;
error_log {directory}/certifier.error.log;
events {{ worker_connections 4096; }}
stream {{
  proxy_ssl on;
  proxy_ssl_protocols TLSv1.3;
  proxy_ssl_certificate {keys.certificate};
  proxy_ssl_certificate_key {keys.key};
  proxy_ssl_server_name on;
  proxy_ssl_name {name};
  server {{ listen {address[0]}:{address[1]} backlog=4096; proxy_pass {proxy[0]}:{proxy[1]}; }}
}}
"""


def start_certifier(directory: Path, keys: Keys, proxy: Address) -> tuple[Program, Address]:
    """An nginx that shows `proxy` a certificate for wrk, which has no way to; on the load's CPU."""
    nginx = find("NGINX", "nginx")
    assert nginx is not None
    address = ("127.0.0.1", free_port())
    module = f"load_module {NGINX_STREAM};" if NGINX_STREAM.exists() else ""
    text = _CERTIFIER.format(module=module, directory=directory, keys=keys, name=NAME, address=address, proxy=proxy)
    command = [nginx, "-p", str(directory), "-c", write(directory, "certifier.conf", text)]
    program = Program("certifier", command, directory, LOAD_CPU, {"OPENSSL_CONF": str(keys.openssl)})
    program.wait_for_port(address)
    return program, address


# -- meshproxy -----------------------------------------------------------------------

_MESHPROXY = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: bench}}
spec:
  gatewayClassName: meshproxy
  addresses: [{{value: {address[0]}}}]
  listeners:
  - name: https
    port: {address[1]}
    protocol: HTTPS
    tls:
      options:
        meshproxy.dev/certificate-file: {keys.certificate}
        meshproxy.dev/key-file: {keys.key}
        {client}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: bench}}
spec:
  parentRefs: [{{name: bench}}]
  rules: [{{backendRefs: [{{name: bench, port: 80}}]}}]
---
apiVersion: v1
kind: Service
metadata: {{name: bench}}
spec: {{clusterIP: None, selector: {{app: bench}}, ports: [{{name: http, port: 80, targetPort: http}}]}}
---
apiVersion: meshproxy.dev/v1
kind: Workload
metadata: {{name: bench-1, labels: {{app: bench}}}}
spec: {{address: {backend[0]}, ports: {{http: {backend[1]}}}}}
{policy}"""
_POLICY = """\
---
apiVersion: meshproxy.dev/v1
kind: TrafficPolicy
metadata: {{name: bench}}
spec:
  targetRefs: [{{kind: Service, name: bench}}]
  tls:
    mode: Simple
    sni: {name}
    ca: {{file: {keys.ca}}}
    certificate: {{certificate: {keys.certificate}, key: {keys.key}}}
"""


def _start_meshproxy(
    directory: Path, backends: Sequence[Address], keys: Keys, checkout: Path | None = None, *, mutual: bool
) -> Meshproxy:
    address = ("127.0.0.1", free_port())
    client = f"meshproxy.dev/client-ca-file: {keys.ca}" if mutual else ""
    policy = _POLICY.format(name=NAME, keys=keys) if mutual else ""
    text = _MESHPROXY.format(address=address, backend=backends[0], keys=keys, client=client, policy=policy)
    return run_meshproxy(directory, text, address, checkout)


# -- HAProxy -------------------------------------------------------------------------

_HAPROXY = """\
global
  nbthread 1
  maxconn {limit}
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-bind-ciphersuites {suite}
  ssl-default-server-ciphersuites {suite}
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  http-reuse always
frontend front
  bind {address[0]}:{address[1]} backlog 4096 ssl crt {keys.pem} {client}
  maxconn {limit}
  option forwardfor
  http-request set-header X-Forwarded-Proto https
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  unique-id-format %{{+X}}o%ci:%cp_%Ts_%rt
  unique-id-header X-Request-Id
{tell}
  default_backend back
backend back
  server one {backend[0]}:{backend[1]} {server}
"""


_HAPROXY_TELL = "  http-request set-header X-Forwarded-Client-Cert Hash=%[ssl_c_der,sha2(256),hex]"


def _start_haproxy(program: str, directory: Path, backends: Sequence[Address], keys: Keys, *, mutual: bool) -> Proxy:
    address = ("127.0.0.1", free_port())
    client = f"ca-file {keys.ca} verify required" if mutual else ""
    server = f"ssl crt {keys.pem} ca-file {keys.ca} verify required sni str({NAME})" if mutual else ""
    text = _HAPROXY.format(
        address=address,
        backend=backends[0],
        keys=keys,
        client=client,
        tell=_HAPROXY_TELL if mutual else "",
        server=server,
        suite=SUITE,
        limit=capacity(),
    )
    return run_haproxy(program, directory, text, address)


# -- Envoy ---------------------------------------------------------------------------

_ENVOY = """\
static_resources:
  listeners:
  - address: {{socket_address: {{address: {address[0]}, port_value: {address[1]}}}}}
    tcp_backlog_size: 4096
    filter_chains:
    - transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: {mutual}
          common_tls_context:
            tls_params: {{tls_minimum_protocol_version: TLSv1_3}}
            tls_certificates:
            - {{certificate_chain: {{filename: {keys.certificate}}}, private_key: {{filename: {keys.key}}}}}
{client}
      filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          codec_type: HTTP1
          use_remote_address: true
{tell}          route_config:
            request_headers_to_add: [{{header: {{key: x-forwarded-host, value: "%REQ(:AUTHORITY)%"}}}}]
            virtual_hosts:
            - {{name: all, domains: ["*"], routes: [{{match: {{prefix: "/"}}, route: {{cluster: back}}}}]}}
          http_filters:
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: back
    type: STATIC
    connect_timeout: 5s
    circuit_breakers:
      thresholds: [{{max_connections: {limit}, max_pending_requests: {limit}, max_requests: {limit}}}]
    load_assignment:
      cluster_name: back
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: {backend[0]}, port_value: {backend[1]}}}}}}}
{server}
"""
_ENVOY_CLIENT = "            validation_context: {{trusted_ca: {{filename: {keys.ca}}}}}"
_ENVOY_TELL = """\
          forward_client_cert_details: SANITIZE_SET
          set_current_client_cert_details: {dns: true, uri: true}
"""
_ENVOY_SERVER = """\
    transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: {name}
        common_tls_context:
          tls_params: {{tls_maximum_protocol_version: TLSv1_3}}
          tls_certificates:
          - {{certificate_chain: {{filename: {keys.certificate}}}, private_key: {{filename: {keys.key}}}}}
          validation_context: {{trusted_ca: {{filename: {keys.ca}}}}}
"""


def _start_envoy(program: str, directory: Path, backends: Sequence[Address], keys: Keys, *, mutual: bool) -> Proxy:
    address = ("127.0.0.1", free_port())
    text = _ENVOY.format(
        address=address,
        backend=backends[0],
        keys=keys,
        mutual=str(mutual).lower(),
        client=_ENVOY_CLIENT.format(keys=keys) if mutual else "",
        tell=_ENVOY_TELL if mutual else "",
        server=_ENVOY_SERVER.format(keys=keys, name=NAME) if mutual else "",
        limit=capacity(),
    )
    return run_envoy(program, directory, text, address)


_STARTERS: Mapping[str, Callable[..., Proxy]] = {"haproxy": _start_haproxy, "envoy": _start_envoy}


def peers(
    names: Sequence[str], keys: Keys, checkout: Path | None = None, *, mutual: bool
) -> tuple[list[Peer], list[str]]:
    """Those of `names` that can run here and the meshproxy of `checkout`, if any; and the names of the others.

    They have mutual TLS with clients and backend, or TLS with clients alone.
    """
    ours = partial(_start_meshproxy, keys=keys, mutual=mutual)
    starters: Mapping[str, Starter] = {
        name: partial(start, keys=keys, mutual=mutual) for name, start in _STARTERS.items()
    }
    return those_here(names, ours, starters, checkout)
