"""A listener's HTTP side: which rule a request takes, and what clients are granted."""

from __future__ import annotations

from ipaddress import ip_network

from meshproxy.dataplane.authorizers import Authorizers
from meshproxy.dataplane.cluster import Cluster
from meshproxy.dataplane.http.actions import RuleAction, cluster_rule
from meshproxy.dataplane.http.context import HTTPContext
from meshproxy.dataplane.http.forwarding import ClientFacts
from meshproxy.dataplane.tls.peer import TLSFacts
from meshproxy.protocols.http1.request import RequestHead
from meshproxy.routing.router import Router
from meshproxy.snapshot import model


class RouteTables:
    """The routers in force, by table name; looked up for each request, so that a change is seen at once."""

    def __init__(self) -> None:
        self._routers: dict[str, Router[RuleAction]] = {}

    def put(self, name: str, router: Router[RuleAction]) -> None:
        self._routers[name] = router

    def remove(self, name: str) -> None:
        self._routers.pop(name, None)

    def get(self, name: str) -> Router[RuleAction] | None:
        return self._routers.get(name)

    def names(self) -> tuple[str, ...]:
        return tuple(self._routers)


class Frontend:
    """What `Downstream` and `Exchange` need of their listener. Replaced when its configuration is."""

    def __init__(
        self,
        config: model.Listener,
        cluster: Cluster | None,
        tables: RouteTables,
        authorizers: Authorizers,
        context: HTTPContext,
    ) -> None:
        self.name = config.name
        self.service = config.service
        self.cluster = config.cluster
        self.config = config.http
        self.context = context
        self.authorization = config.authorization
        self.authorizers = authorizers
        self.port = config.address.port
        self.default_host = str(config.address).encode()
        self.stream_idle_timeout = config.http.stream_idle_timeout
        self._tables = tables
        self._table = config.routes
        self._trusted = tuple(ip_network(each) for each in config.http.trusted_proxies)
        sole = cluster if not config.routes else None
        self.unmatched = context.counters(config.routes, sole.config.name if sole is not None else "")
        """Counts requests that no rule matched, and those that were none."""
        self._rule = cluster_rule(sole, self.unmatched) if sole is not None else None

    def facts(self, address: str, tls: TLSFacts | None) -> ClientFacts:
        """What is said of a client at `address`; which hosts it may ask for is looked at anew."""
        if tls is not None:
            tls.look_again()
        return ClientFacts(address, self._trusted, self.context.ids, tls)

    def find(self, head: RequestHead) -> tuple[RuleAction, bytes] | None:
        """(rule, the path prefix that it matched) for a request; None where no rule matches."""
        if self._rule is not None:
            return self._rule, b"/"
        router = self._tables.get(self._table)
        candidate = router.lookup(head) if router is not None else None
        if candidate is None:
            return None
        return candidate.target, candidate.prefix
