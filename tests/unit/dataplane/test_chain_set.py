"""Which chain a server name, or none, belongs to."""

from __future__ import annotations

import pytest

from meshproxy.dataplane.chain_set import ChainSet
from meshproxy.dataplane.chains import Chain
from meshproxy.snapshot.model import NO_SERVER_NAME, FilterChain


class NamedChain(Chain):
    """One that is only looked for."""

    def __init__(self, name: str, *server_names: str) -> None:
        self.chain = FilterChain(name=name, server_names=server_names)


MESH = ChainSet([NamedChain("web", "outbound_.80_._.*", "web.default.svc", NO_SERVER_NAME, "*.consul")])
EDGE = ChainSet([NamedChain("exact", "a.example"), NamedChain("wild", "*.example"), NamedChain("rest", "")])


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
    chain = chains.find(server_name)
    assert (chain.chain.name if chain is not None else None) == found
