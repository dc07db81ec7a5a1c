"""Builders for DNS: snapshots from manifests, queries as clients send them, answers as a zone file has them."""

from __future__ import annotations

from collections.abc import Callable

import dns.message
import dns.rrset

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.errors import errors_in
from meshproxy.compiler.compile import compile_resources
from meshproxy.dns.query import Query, read_query
from meshproxy.dns.zone import Zone
from meshproxy.snapshot.model import DNSSettings, Snapshot
from tests.support.loading import load_text

SETTINGS = DNSSettings(address=SocketAddress("127.0.0.1", 15053))

MANIFESTS = """
apiVersion: meshproxy.dev/v1
kind: Proxy
metadata: {name: p}
spec: {serviceCIDR6: "fd00:96::/108"}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 127.96.0.10
  selector: {app: web}
  ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}]
---
apiVersion: v1
kind: Service
metadata: {name: both, namespace: shop}
spec: {clusterIPs: [127.96.0.11, "fd00:96::11"], selector: {app: both}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: pg, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: dual, namespace: shop}
spec: {clusterIP: None, ipFamilyPolicy: PreferDualStack, selector: {app: dual}, ports: [{name: x, port: 1}]}
---
apiVersion: v1
kind: Service
metadata: {name: portless}
spec: {clusterIP: None, selector: {app: portless}}
---
apiVersion: v1
kind: Service
metadata: {name: unready}
spec: {clusterIP: None, publishNotReadyAddresses: true, selector: {app: unready}, ports: [{name: x, port: 1}]}
---
apiVersion: v1
kind: Service
metadata: {name: empty}
spec: {clusterIP: None, selector: {app: nobody}, ports: [{name: x, port: 1}]}
---
apiVersion: v1
kind: Service
metadata: {name: ext}
spec: {type: ExternalName, externalName: Example.COM}
---
apiVersion: v1
kind: Service
metadata: {name: ext-ours}
spec: {type: ExternalName, externalName: web.default.svc.cluster.local}
---
apiVersion: v1
kind: Service
metadata: {name: ext-loop}
spec: {type: ExternalName, externalName: ext-loop.default.svc.cluster.local}
---
apiVersion: meshproxy.dev/v1
kind: Workload
metadata: {name: db-0, namespace: shop, labels: {app: db}}
spec: {address: 10.0.0.1, hostname: db-0, weight: 30}
---
apiVersion: meshproxy.dev/v1
kind: Workload
metadata: {name: db-1, namespace: shop, labels: {app: db}}
spec: {address: 10.0.0.2}
---
apiVersion: meshproxy.dev/v1
kind: Workload
metadata: {name: db-2, namespace: shop, labels: {app: db}}
spec: {address: 10.0.0.3, ready: false}
---
apiVersion: meshproxy.dev/v1
kind: Workload
metadata: {name: db-3, namespace: shop, labels: {app: db}}
spec: {address: 10.0.0.4, terminating: true, serving: true}
---
apiVersion: meshproxy.dev/v1
kind: Workload
metadata: {name: dual-0, namespace: shop, labels: {app: dual}}
spec: {address: 10.0.1.1, addresses: ["fd00::1"]}
---
apiVersion: meshproxy.dev/v1
kind: Workload
metadata: {name: portless-0, labels: {app: portless}}
spec: {address: 10.0.2.1, hostname: one}
---
apiVersion: meshproxy.dev/v1
kind: Workload
metadata: {name: unready-0, labels: {app: unready}}
spec: {address: 10.0.3.1, ready: false}
"""


def snapshot_of(text: str) -> Snapshot:
    """What manifests compile to."""
    loaded = load_text(text)
    compiled = compile_resources(loaded.resources)
    assert not errors_in((*loaded.findings, *compiled.findings))
    return compiled.snapshot


def make_zone(
    text: str = MANIFESTS, settings: DNSSettings = SETTINGS, usable: Callable[[str, str], bool] = lambda *_: True
) -> Zone:
    return Zone(snapshot_of(text), settings, usable)


def make_wire(name: str, kind: str = "A", *, edns: int = -1, payload: int = 1232, **flags: bool) -> bytes:
    """A query; `flags` are ``want_dnssec``, or ``recursion=False``."""
    message = dns.message.make_query(name, kind, use_edns=edns, payload=payload, want_dnssec=flags.get("dnssec", False))
    if not flags.get("recursion", True):
        message.flags &= ~dns.flags.RD
    return message.to_wire()


def make_query(name: str, kind: str = "A", *, tcp: bool = False, edns: int = -1, payload: int = 1232) -> Query:
    query = read_query(make_wire(name, kind, edns=edns, payload=payload), tcp=tcp)
    assert isinstance(query, Query)
    return query


def rrset_of(line: str) -> dns.rrset.RRset:
    """A record, from a line of a zone file."""
    name, ttl, rdclass, kind, data = line.split(maxsplit=4)
    return dns.rrset.from_text(name, int(ttl), rdclass, kind, data)


def lines(section: list[dns.rrset.RRset]) -> list[str]:
    """A section's records, each as a line of a zone file."""
    return [line for rrset in section for line in rrset.to_text().splitlines()]
