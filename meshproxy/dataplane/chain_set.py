"""Which of a listener's filter chains a TLS client means, by the server name in its ClientHello."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from meshproxy.snapshot.model import NO_SERVER_NAME

if TYPE_CHECKING:
    from meshproxy.dataplane.chains import Chain


class ChainSet:
    """The chains in force, by server name."""

    def __init__(self, chains: Iterable[Chain]) -> None:
        self._exact: dict[str, Chain] = {}
        self._wildcards: dict[str, Chain] = {}
        self._beginnings: list[tuple[str, Chain]] = []
        self._by_name = {chain.chain.name: chain for chain in chains}
        for chain in self._by_name.values():
            for name in chain.chain.server_names:
                if name.startswith("*."):
                    self._wildcards[name[1:]] = chain
                elif name.endswith("*"):
                    self._beginnings.append((name[:-1], chain))
                else:
                    self._exact[name] = chain

    def named(self, name: str) -> Chain | None:
        """The chain that is called `name`."""
        return self._by_name.get(name)

    def find(self, server_name: str) -> Chain | None:
        """The most specific: exact, then the longest wildcard, then a beginning, then the one for everything else."""
        found = self._exact.get(server_name or NO_SERVER_NAME)
        if found is not None:
            return found
        at = server_name.find(".")
        while self._wildcards and at >= 0:
            found = self._wildcards.get(server_name[at:])
            if found is not None:
                return found
            at = server_name.find(".", at + 1)
        for beginning, chain in self._beginnings:
            if server_name.startswith(beginning):
                return chain
        return self._exact.get("")

    def drain(self) -> None:
        """Their connections are to end when they can."""
        for chain in self._by_name.values():
            chain.draining = True


NO_CHAINS = ChainSet(())
