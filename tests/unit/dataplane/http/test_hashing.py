"""What of a request is hashed, and to whom that leads; and how many requests may be retries."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.dataplane.cluster import Cluster
from meshproxy.dataplane.http.persistence import hash_key
from meshproxy.protocols.http1.request import parse_request
from meshproxy.snapshot import model
from meshproxy.snapshot.http import HashOn, HashSource
from meshproxy.snapshot.model import Algorithm, Endpoint

USER = HashOn(source=HashSource.HEADER, name="x-user")
SESSION = HashOn(source=HashSource.COOKIE, name="session")
GIVEN = HashOn(source=HashSource.COOKIE, name="given", cookie_ttl=60.0)
FOR_NOW = HashOn(source=HashSource.COOKIE, name="given", cookie_ttl=0.0)
QUERY = HashOn(source=HashSource.QUERY_PARAM, name="u")
GIVE = b"\r\nset-cookie: given=new; Path=/; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize(
    ("hash_on", "target", "fields", "text", "said"),
    [
        ([USER], b"/", b"X-User: ann\r\n", "ann", b""),
        ([USER], b"/", b"X-User: \xe9\r\n", "\xe9", b""),
        ([USER], b"/", b"", None, b""),
        ([USER, QUERY], b"/?u=7", b"", "7", b""),
        ([USER, QUERY], b"/?u=7", b"X-User: ann\r\n", "ann", b""),
        ([QUERY, USER], b"/?v=7", b"X-User: ann\r\n", "ann", b""),
        ([SESSION], b"/", b"Cookie: a=b; session=s\r\n", "s", b""),
        ([SESSION], b"/", b"Cookie: a=b\r\n", None, b""),
        ([GIVEN], b"/", b"Cookie: given=old\r\n", "old", b""),
        ([GIVEN], b"/", b"", "new", GIVE + b"; Max-Age=60"),
        ([FOR_NOW], b"/", b"", "new", GIVE),
        ([GIVEN, USER], b"/", b"X-User: ann\r\n", "new", GIVE + b"; Max-Age=60"),
    ],
)
def test_the_first_that_a_request_has(
    hash_on: list[HashOn], target: bytes, fields: bytes, text: str | None, said: bytes
) -> None:
    data = b"GET " + target + b" HTTP/1.1\r\nHost: s\r\n" + fields + b"\r\n"
    head = parse_request(data)
    assert hash_key(tuple(hash_on), head, b"new", secure=False) == (text, said)
    secure = said.replace(b"SameSite=Lax", b"SameSite=Lax; Secure")
    assert hash_key(tuple(hash_on), head, b"new", secure=True) == (text, secure)


def make_cluster(**config: Any) -> Cluster:
    cluster = Cluster(model.Cluster(name="c", service="s", **config), Random(1), lambda: 0.0, lambda *_: None)
    endpoints = [Endpoint(address=SocketAddress(f"10.0.0.{number}", 80)) for number in range(20)]
    for _ in cluster.update_endpoints(endpoints, ()):
        pass
    return cluster


def picked(cluster: Cluster, client: str, key: str | None = None) -> str:
    upstream = cluster.pick(client, (), key)
    assert upstream is not None
    return upstream.key


@pytest.mark.parametrize("algorithm", [Algorithm.SOURCE_HASH, Algorithm.MAGLEV])
def test_a_key_goes_before_the_clients_address(algorithm: Algorithm) -> None:
    cluster = make_cluster(algorithm=algorithm)
    assert len({picked(cluster, f"client {number}", "ann") for number in range(50)}) == 1
    assert len({picked(cluster, "client", f"user {number}") for number in range(50)}) > 5
    assert picked(cluster, "client") == picked(cluster, "client", "") == picked(cluster, "anyone", "client")


@pytest.mark.parametrize("algorithm", [Algorithm.SOURCE_HASH, Algorithm.MAGLEV])
def test_a_key_whose_endpoint_was_tried_has_another_one_of_its_own(algorithm: Algorithm) -> None:
    cluster = make_cluster(algorithm=algorithm)
    first = cluster.upstreams[picked(cluster, "client", "ann")]
    others = {cluster.pick(f"client {number}", (first,), "ann") for number in range(50)}
    assert len(others) == 1
    assert first not in others


def test_affinity_is_by_the_clients_address_whatever_the_key() -> None:
    cluster = make_cluster(algorithm=Algorithm.SOURCE_HASH, affinity_timeout=60.0)
    assert len({picked(cluster, "client", f"user {number}") for number in range(50)}) == 1


@pytest.mark.parametrize(
    ("config", "under_way", "allowed"),
    [
        ({}, 0, 3),
        ({}, 15, 3),
        ({}, 100, 20),
        ({"retry_budget_percent": 50.0, "retry_budget_min": 0}, 9, 5),
        ({"retry_budget_percent": 0.0, "retry_budget_min": 0}, 100, 0),
        ({"max_retries": 1}, 1000, 1),
        ({"max_retries": 0, "retry_budget_min": 10}, 1000, 0),
    ],
)
def test_how_many_requests_may_be_retries(config: dict[str, Any], under_way: int, allowed: int) -> None:
    cluster = make_cluster(**config)
    cluster.open = under_way
    while cluster.pool.may_retry():
        cluster.pool.retries += 1
    assert cluster.pool.retries == allowed
