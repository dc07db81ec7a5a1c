"""The messages in docs/troubleshooting.md are those that such mistakes have."""

from __future__ import annotations

import re

import pytest

from meshproxy.cli.manifests import read_manifests
from tests.meta.project import ROOT

TEXT = (ROOT / "docs" / "troubleshooting.md").read_text()
_SECTION = TEXT.partition("## Common mistakes")[2].partition("\n## ")[0]
MESSAGES = re.findall(r"^\| `([^`]+)` \|", _SECTION, re.MULTILINE)

ERRORS = """\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {ports: [{prot: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: canary}
spec: {rules: [{backendRefs: [{name: shop, port: 80, weight: ninety}]}]}
"""
WARNINGS = """\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  clusterIP: 10.96.0.10
  selector: {app: shop}
  ports: [{port: 80, targetPort: web}]
---
apiVersion: meshproxy.dev/v1
kind: Workload
metadata: {name: shop-1, labels: {app: shop}}
spec: {address: 127.0.30.1, ports: {http: 8080}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: canary}
spec: {parentRefs: [{name: shop}]}
---
apiVersion: meshproxy.dev/v1
kind: TrafficPolicy
metadata: {name: shop}
spec: {targetRefs: [{kind: Service, name: shops}]}
---
apiVersion: meshproxy.dev/v1
kind: Proxy
metadata: {name: shop}
spec: {inbound: {services: [{name: shop, port: 8080}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
"""


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("mistakes")
    texts = []
    for name, manifests in (("errors", ERRORS), ("warnings", WARNINGS)):
        path = directory / f"{name}.yaml"
        path.write_text(manifests)
        texts += [str(finding) for finding in read_manifests((str(path),)).findings]
    return "\n".join(texts)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_mistake_has_the_message_that_is_documented(findings: str, message: str) -> None:
    assert message in findings


def test_there_are_such_messages() -> None:
    assert len(MESSAGES) > 5
