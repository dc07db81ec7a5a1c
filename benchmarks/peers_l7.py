"""The proxies that the L7 benchmark compares, each set up to do the same with requests.

They route by host and path (`routes`), spread requests over several backends in turn, on connections that are kept on
both sides, say X-Forwarded-For, -Proto and -Host and a request id, and count requests by route. No access log, one
core. What a program cannot do is said where its configuration is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.peers import (
    RESERVE,
    Address,
    Meshproxy,
    Peer,
    Proxy,
    Starter,
    capacity,
    run,
    run_envoy,
    run_haproxy,
    run_meshproxy,
    run_nginx,
    those_here,
    write,
)
from benchmarks.processes import free_port
from benchmarks.routes import BODIES, HOSTS, Host, route_names

# -- meshproxy -----------------------------------------------------------------------

_MESHPROXY = """\
apiVersion: v1
kind: Service
metadata: {{name: bench}}
spec:
  selector: {{app: bench}}
  ports: [{{name: http, port: 80, targetPort: http}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  gatewayClassName: meshproxy
  addresses: [{{value: {address[0]}}}]
  listeners: [{{name: http, port: {address[1]}, protocol: HTTP}}]
"""
_WORKLOAD = """\
---
apiVersion: meshproxy.dev/v1
kind: Workload
metadata: {{name: bench-{index}, labels: {{app: bench}}}}
spec: {{address: {backend[0]}, ports: {{http: {backend[1]}}}}}
"""
_ROUTE = """\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  parentRefs: [{{name: edge}}]
  hostnames: [{name}]
  rules:
"""
_RULE = """\
  - {{matches: [{{path: {{value: {prefix}}}}}], backendRefs: [{{name: bench, port: 80}}]}}
"""


def start_meshproxy(
    directory: Path, backends: Sequence[Address], checkout: Path | None = None, spec: str = ""
) -> Meshproxy:
    """Run meshproxy, that of `checkout` if any, in front of `backends`; `spec` is more of the Proxy, lines of YAML."""
    address = ("127.0.0.1", free_port())
    parts = [_MESHPROXY.format(address=address)]
    parts += [_WORKLOAD.format(index=index, backend=backend) for index, backend in enumerate(backends)]
    parts += [_route(host) for host in HOSTS]
    return run_meshproxy(directory, "".join(parts), address, checkout, spec)


def _route(host: Host) -> str:
    return _ROUTE.format(name=host.name) + "".join(_RULE.format(prefix=prefix) for prefix in host.prefixes)


# -- HAProxy -------------------------------------------------------------------------
# It counts by backend and by server. A backend for each route would have connections of its own for each route; so
# routes are names in a table of counters, and share one backend.

_HAPROXY = """\
global
  nbthread 1
  maxconn {limit}
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
frontend front
  bind {address[0]}:{address[1]} backlog 4096
  maxconn {limit}
  http-request set-var(txn.route) base,map_beg({directory}/routes.map)
  http-request return status 404 unless {{ var(txn.route) -m found }}
  http-request track-sc0 var(txn.route) table routes
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  unique-id-format %{{+X}}o%ci:%cp_%Ts_%rt
  unique-id-header X-Request-Id
  default_backend back
backend back
  balance roundrobin
{servers}
backend routes
  stick-table type string len 64 size 4k store http_req_cnt,http_err_cnt,bytes_out_cnt
"""


def _start_haproxy(program: str, directory: Path, backends: Sequence[Address]) -> Proxy:
    address = ("127.0.0.1", free_port())
    lines = [f"{host}{prefix}{'' if prefix in BODIES else '/'} {name}\n" for name, host, prefix in route_names()]
    write(directory, "routes.map", "".join(lines))
    servers = "\n".join(f"  server s{port} {host}:{port}" for host, port in backends)
    text = _HAPROXY.format(address=address, directory=directory, servers=servers, limit=capacity())
    return run_haproxy(program, directory, text, address)


# -- nginx ---------------------------------------------------------------------------
# It has no counters by route: it does a little less than the others.

_NGINX = """\
worker_processes 1;
worker_rlimit_nofile {descriptors};
daemon off;
pid {directory}/nginx-http.pid;
error_log {directory}/nginx-http.error.log;
events {{ worker_connections {descriptors}; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_max_body_size 0;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  proxy_request_buffering off;
  proxy_max_temp_file_size 0;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Request-Id $request_id;
  upstream back {{
    {backends}
    keepalive {limit};
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
  }}
{servers}
}}
"""
_NGINX_SERVER = """\
  server {{
    listen {address[0]}:{address[1]}{options};
    server_name {name};
{locations}
  }}
"""


def _start_nginx(program: str, directory: Path, backends: Sequence[Address]) -> Proxy:
    address = ("127.0.0.1", free_port())
    text = _NGINX.format(
        descriptors=2 * capacity() + RESERVE // 2,
        directory=directory,
        backends=" ".join(f"server {host}:{port};" for host, port in backends),
        limit=capacity() // len(backends),
        servers="".join(_nginx_servers(address)),
    )
    return run_nginx(program, directory, text, address)


def _nginx_servers(address: Address) -> Iterator[str]:
    options = " backlog=4096"  # of an address, which the first server says
    for host in HOSTS:
        paths = (f"= {prefix}" if prefix in BODIES else f"{prefix}/" for prefix in host.prefixes)
        locations = "\n".join(f"    location {path} {{ proxy_pass http://back; }}" for path in paths)
        yield _NGINX_SERVER.format(address=address, options=options, name=host.name, locations=locations)
        options = ""


# -- Envoy ---------------------------------------------------------------------------

_ENVOY = """\
static_resources:
  listeners:
  - address: {{socket_address: {{address: {address[0]}, port_value: {address[1]}}}}}
    tcp_backlog_size: 4096
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          use_remote_address: true
          request_timeout: 0s
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
          route_config:
            request_headers_to_add: [{{header: {{key: x-forwarded-host, value: "%REQ(:AUTHORITY)%"}}}}]
            virtual_hosts:
{hosts}
  clusters:
  - name: back
    type: STATIC
    lb_policy: ROUND_ROBIN
    connect_timeout: 5s
    circuit_breakers:
      thresholds: [{{max_connections: {limit}, max_pending_requests: {limit}, max_requests: {limit}}}]
    load_assignment:
      cluster_name: back
      endpoints:
      - lb_endpoints:
{endpoints}
"""
_ENVOY_HOST = """\
            - name: {host.name}
              domains: ["{host.name}"]
              routes:
{routes}
"""
_ENVOY_ROUTE = (
    '              - {{match: {{path_separated_prefix: "{prefix}"}}, stat_prefix: "{stat}", '
    "route: {{cluster: back, timeout: 0s}}}}"
)
_ENVOY_ENDPOINT = """\
        - endpoint: {{address: {{socket_address: {{address: {backend[0]}, port_value: {backend[1]}}}}}}}"""


def _start_envoy(program: str, directory: Path, backends: Sequence[Address]) -> Proxy:
    address = ("127.0.0.1", free_port())
    text = _ENVOY.format(
        address=address,
        hosts="".join(_envoy_host(host) for host in HOSTS),
        endpoints="\n".join(_ENVOY_ENDPOINT.format(backend=backend) for backend in backends),
        limit=capacity(),
    )
    return run_envoy(program, directory, text, address)


def _envoy_host(host: Host) -> str:
    routes = (_ENVOY_ROUTE.format(prefix=prefix, stat=prefix.strip("/")) for prefix in host.prefixes)
    return _ENVOY_HOST.format(host=host, routes="\n".join(routes))


# -- Traefik -------------------------------------------------------------------------
# It has no request ids of its own; X-Real-Ip and X-Forwarded-Server come in their place.

_TRAEFIK = """\
global: {{checkNewVersion: false, sendAnonymousUsage: false}}
log: {{level: ERROR}}
entryPoints:
  web:
    address: "{address[0]}:{address[1]}"
    transport: {{respondingTimeouts: {{readTimeout: 0s, idleTimeout: 3600s}}}}
  metrics: {{address: "127.0.0.1:{metrics}"}}
metrics: {{prometheus: {{entryPoint: metrics, addRoutersLabels: true, addServicesLabels: true}}}}
serversTransport: {{maxIdleConnsPerHost: {limit}}}
providers: {{file: {{filename: "{directory}/routes.yaml", watch: false}}}}
"""
_TRAEFIK_ROUTER = """\
    {name}: {{entryPoints: [web], rule: "Host(`{host}`) && {path}", service: back}}
"""


def _start_traefik(program: str, directory: Path, backends: Sequence[Address]) -> Proxy:
    address = ("127.0.0.1", free_port())
    routers = "".join(
        _TRAEFIK_ROUTER.format(
            name=name.replace(".", "-"),
            host=host,
            path=f"Path(`{prefix}`)" if prefix in BODIES else f"PathPrefix(`{prefix}/`)",
        )
        for name, host, prefix in route_names()
    )
    servers = "".join(f"        - url: http://{host}:{port}\n" for host, port in backends)
    routes = f"http:\n  routers:\n{routers}  services:\n    back:\n      loadBalancer:\n        servers:\n{servers}"
    write(directory, "routes.yaml", routes)
    text = _TRAEFIK.format(address=address, metrics=free_port(), directory=directory, limit=capacity())
    command = [program, f"--configFile={write(directory, 'traefik.yaml', text)}"]
    return run("traefik", command, directory, address)


_STARTERS: Mapping[str, Starter] = {
    "haproxy": _start_haproxy,
    "nginx": _start_nginx,
    "envoy": _start_envoy,
    "traefik": _start_traefik,
}
ALL = ("meshproxy", *_STARTERS)


def peers(names: Sequence[str] = ALL, checkout: Path | None = None) -> tuple[list[Peer], list[str]]:
    """Those of `names` that can run here and the meshproxy of `checkout`, if any; and the names of the others."""
    return those_here(names, start_meshproxy, _STARTERS, checkout)
