"""Which endpoint a request would rather have: its session's, its hash's, or the one its connection began with."""

from __future__ import annotations

from meshproxy.dataplane.cluster import Cluster
from meshproxy.dataplane.http.persistence import NO_KEY, HashKey, Persistence, Token, hash_key
from meshproxy.dataplane.http.retries import Retries
from meshproxy.dataplane.upstream import Upstream
from meshproxy.protocols.http1.request import RequestHead


class Preference:
    """One request's; used again for the next.

    `token` is what its session was given before. `reserved` is an upstream that was picked for it already.
    """

    __slots__ = ("key", "reserved", "token")

    def __init__(self) -> None:
        self.reserved: Upstream | None = None
        self.begin()

    def begin(self) -> None:
        """A new request."""
        self.key: HashKey = NO_KEY
        self.token: Token | None = None

    def hash(self, cluster: Cluster, head: RequestHead, new_value: bytes, *, secure: bool) -> None:
        """Hash what the cluster's policy says.

        `new_value` is for a client that is to be given a cookie, `secure` as for `Persistence.response_field`.
        """
        if cluster.config.hash_on:
            self.key = hash_key(cluster.config.hash_on, head, new_value, secure=secure)
            self.reserved = None

    def response_fields(
        self, persistence: Persistence | None, cluster: Cluster, upstream: Upstream, wall: float, *, secure: bool
    ) -> bytes:
        """The field lines that have the client show the same preference again; `wall` is Unix time."""
        if persistence is None:
            return self.key.response_field
        return self.key.response_field + persistence.response_field(self.token, cluster, upstream, wall, secure=secure)

    def pick(self, cluster: Cluster, client: str, retries: Retries) -> Upstream | None:
        """The upstream for the next try of a request of `client` (an IP address), if there is one."""
        tried, key = retries.tried, self.key.text
        reserved, self.reserved = self.reserved, None
        if reserved is not None and reserved.available and cluster.upstreams.get(reserved.key) is reserved:
            return reserved
        if self.token is not None and not tried:
            upstream = cluster.pool.upstream_by_token(self.token.endpoint)
            if upstream is not None:
                return upstream
        upstream = cluster.pick(client, tried, key)
        if upstream is None and retries.count:
            return cluster.pick(client, (), key)  # better the same one than none
        return upstream
