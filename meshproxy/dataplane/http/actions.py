"""Rules as the data plane executes them: a table's `Rule` with everything that can be prepared once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from itertools import accumulate

from meshproxy.dataplane.cluster import Cluster
from meshproxy.dataplane.http.cors import CORSPolicy
from meshproxy.dataplane.http.counters import RequestCounters
from meshproxy.dataplane.http.forwarding import edited_request_head, request_head
from meshproxy.dataplane.http.header_edits import HeaderEdit, edits
from meshproxy.dataplane.http.persistence import Persistence
from meshproxy.dataplane.http.redirects import rewritten_target
from meshproxy.protocols.http1.request import RequestHead
from meshproxy.snapshot.routes import NO_FILTERS, Backend, Filters, HeaderMutation, Mirror, Redirect, Rewrite, Rule

_CORS_FIELDS = HeaderMutation(
    remove=(
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-allow-methods",
        "access-control-allow-headers",
        "access-control-expose-headers",
        "access-control-max-age",
    )
)
"""The gateway answers for the backend, whose own answers would make two."""


class MirrorAction:
    """Where a share of the requests goes as well."""

    __slots__ = ("cluster", "share")

    def __init__(self, config: Mirror, cluster: Cluster) -> None:
        self.cluster = cluster
        self.share = config.numerator / config.denominator


class BackendAction:
    """One backend of a rule, with the filters of both.

    `cluster` is None for a backend that does not exist or is not allowed. `edited` says that a request's head is
    changed in more than forwarding changes it.
    """

    __slots__ = (
        "answers", "cluster", "cors", "counters", "edited", "mirrors", "problem", "redirect", "request_edits",
        "response_edits", "rewrite",
    )  # fmt: skip

    def __init__(
        self, backend: Backend, rule: Filters, clusters: Mapping[str, Cluster], counters: RequestCounters
    ) -> None:
        own = backend.filters
        self.counters = counters
        self.cluster = clusters[backend.cluster] if backend.cluster else None
        self.problem = backend.problem
        self.redirect: Redirect | None = own.redirect
        self.rewrite: Rewrite | None = own.rewrite or rule.rewrite
        cors = own.cors or rule.cors
        self.cors = CORSPolicy(cors) if cors is not None else None
        self.answers = own.cors is not None or own.redirect is not None
        """Whether it may answer requests itself that its rule does not."""
        self.request_edits = edits(rule.request_headers, own.request_headers)
        taken = edits(_CORS_FIELDS) if cors is not None else ()
        self.response_edits: tuple[HeaderEdit, ...] = taken + edits(rule.response_headers, own.response_headers)
        self.mirrors = tuple(MirrorAction(each, clusters[each.cluster]) for each in (*rule.mirrors, *own.mirrors))
        self.edited = bool(self.rewrite or self.request_edits)

    def upstream_head(
        self, head: RequestHead, told: bytes, believed: bool, default_host: bytes, prefix: bytes, normalized: bool
    ) -> bytes:
        """The request's head with the filters' edits; `prefix` is what the rule matched.

        `normalized` says that the head's path is not as the client wrote it.
        """
        if not self.edited and not normalized:
            return request_head(head, told, believed, default_host)
        rewrite = self.rewrite
        target = rewritten_target(rewrite.path if rewrite else None, head, prefix)
        host = rewrite.hostname.encode() if rewrite and rewrite.hostname else None
        return edited_request_head(head, told, believed, default_host, target, host, self.request_edits)


class RuleAction:
    """One rule. `counters` count what it answers itself; each backend has its own."""

    __slots__ = (
        "_backends", "_bounds", "_known", "answers", "authorization", "backend_timeout", "cors", "counters", "name",
        "persistence", "redirect", "request_timeout", "response_edits", "retry", "sole", "trace_sampling",
    )  # fmt: skip

    def __init__(self, rule: Rule, clusters: Mapping[str, Cluster], counters: Callable[[str], RequestCounters]) -> None:
        """`counters` gives those of a backend by its name, and the rule's own for an empty one."""
        self.name = rule.name
        self.authorization = rule.authorization
        self.trace_sampling = rule.trace_sampling
        self.counters = counters("")
        self.redirect = rule.filters.redirect
        self.cors = CORSPolicy(rule.filters.cors) if rule.filters.cors is not None else None
        self.answers = self.cors is not None or self.redirect is not None
        """Whether it may answer requests itself."""
        self.response_edits = edits(rule.filters.response_headers)
        self.request_timeout = rule.request_timeout
        self.backend_timeout = rule.backend_timeout
        self.retry = rule.retry
        self.persistence = Persistence(rule.session_persistence) if rule.session_persistence is not None else None
        self._known = [
            (each.weight, BackendAction(each, rule.filters, clusters, counters(each.name)))
            for each in rule.backends
            if each.weight or self.persistence is not None
        ]
        """By weight, those that sessions may have begun at included."""
        self._backends = [action for weight, action in self._known if weight]
        self._bounds = list(accumulate(weight for weight, _ in self._known if weight))
        self.sole = self._backends[0] if len(self._backends) == 1 else None

    def choose(self, random: Callable[[], float]) -> BackendAction | None:
        """A backend, each as often as its weight says; None where there is none with a weight."""
        if self.sole is not None:
            return self.sole
        if not self._backends:
            return None
        return self._backends[bisect_right(self._bounds, random() * self._bounds[-1])]

    def backend_with(self, token: str) -> BackendAction | None:
        """The backend that has the endpoint which `token` means, whatever its weight is by now (GEP-1619)."""
        for _, backend in self._known:
            if backend.cluster is not None and backend.cluster.pool.upstream_by_token(token) is not None:
                return backend
        return None


def cluster_rule(cluster: Cluster, counters: RequestCounters) -> RuleAction:
    """What a listener does that has a cluster and no routes."""
    name = cluster.name
    rule = Rule(name=name, route="", filters=NO_FILTERS, backends=(Backend(cluster=name),))
    return RuleAction(rule, {name: cluster}, lambda _: counters)
