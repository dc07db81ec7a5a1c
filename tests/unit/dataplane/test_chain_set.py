"""Which chain a server name, or none, belongs to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from meshproxy.dataplane.chain_set import ChainSet
from meshproxy.dataplane.chains import Chain
from meshproxy.snapshot.model import NO_SERVER_NAME, FilterChain


def chain(name: str, *server_names: str) -> Chain:
    """What is looked for of one; a compiled class has no interpreted ones below it."""
    return cast("Chain", SimpleNamespace(chain=FilterChain(name=name, server_names=server_names)))


MESH = ChainSet([chain("web", "outbound_.80_._.*", "web.default.svc", NO_SERVER_NAME, "*.consul")])
EDGE = ChainSet([chain("exact", "a.example"), chain("wild", "*.example"), chain("rest", "")])


@pytest.mark.parametrize(
    ("chains", "server_name", "found"),
    [
        (MESH, "", "web"),
        (MESH, "outbound_.80_._.other.default.svc", "web"),
        (MESH, "web.default.dc1.internal.0f9e.consul", "web"),
        (MESH, "outbound_.81_._.web.default.svc", None),
        (MESH, "example.com", None),
        (EDGE, "a.example", "exact"),
        (EDGE, "b.c.example", "wild"),
        (EDGE, "example", "rest"),
        (EDGE, "", "rest"),
    ],
)
def test_the_most_specific_chain_is_found(chains: ChainSet, server_name: str, found: str | None) -> None:
    result = chains.find(server_name)
    assert (result.chain.name if result is not None else None) == found
