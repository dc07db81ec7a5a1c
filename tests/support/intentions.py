"""Intentions as Consul's API has them, and as far as a verdict."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from meshproxy.authorization.authorizer import Authorizer
from meshproxy.base.errors import Finding
from meshproxy.compiler.intentions import IntentionIndex
from meshproxy.registry.consul.entries import IntentionEntry
from meshproxy.registry.consul.intention_rules import convert
from meshproxy.resources import Proxy, ServiceIntentions
from tests.support.authorization import make_authorizer
from tests.support.loading import load_text

PROXY = """\
apiVersion: meshproxy.dev/v1
kind: Proxy
metadata: {name: web}
spec:
  identity: {serviceAccount: web, consul: {}}
  inbound: {services: [{name: web, port: 8080}]}
"""
PRECEDENCE = {(False, False): 9, (True, False): 8, (False, True): 6, (True, True): 5}


def entry(source: str, action: str = "", destination: str = "web", **fields: Any) -> dict[str, Any]:
    """One intention of the API's answer."""
    return {
        "SourceNS": "default",
        "SourceName": source,
        "DestinationNS": "default",
        "DestinationName": destination,
        "SourceType": "consul",
        "Action": action,
        "Precedence": PRECEDENCE[source == "*", destination == "*"],
        **fields,
    }


def permission(action: str, **http: Any) -> dict[str, Any]:
    return {"Action": action, "HTTP": http} if http else {"Action": action}


def converted(*entries: dict[str, Any], default: bool = True) -> tuple[ServiceIntentions, tuple[Finding, ...]]:
    """What a source makes of the answer for ``web``."""
    return convert("web", msgspec.convert(entries, tuple[IntentionEntry, ...]), default)


@cache
def _proxy() -> Proxy:
    proxy = load_text(PROXY).resources[0]
    assert isinstance(proxy, Proxy)
    return proxy


def authorizer(*entries: dict[str, Any], default: bool = True, http: bool = True) -> Authorizer:
    """What callers of ``web`` are judged by."""
    document, _ = converted(*entries, default=default)
    intended = IntentionIndex([document], _proxy()).of("web")
    return make_authorizer(intentions=intended.intentions, http=http)
