"""Nodes of their own: network namespaces joined by a veth pair, each with its own loopback interface."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.programs import output_of, require
from tests.integration.proxy_process import ProxyProcess


@dataclass(frozen=True)
class Node:
    """A network namespace: `address` is reached from the other node, too."""

    name: str
    namespace: str
    address: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What to put before a command that is to run there."""
        return ("ip", "netns", "exec", self.namespace)

    async def run(self, *command: str) -> str:
        """The output of a command that runs there."""
        return await output_of(*self.prefix, *command)


class NodeProxy(ProxyProcess):
    """A proxy on a node; its admin API is asked from there."""

    def __init__(self, directory: Path, node: Node) -> None:
        super().__init__(directory, node.prefix)
        self.node = node

    def _request(self, path: str, method: str = "GET") -> tuple[int, str]:
        command = (*self.node.prefix, "curl", "-s", "-X", method, "-w", "\n%{http_code}", f"http://{self.admin}{path}")
        output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        body, _, status = output.rpartition("\n")
        if status == "000":
            raise ConnectionRefusedError(f"nothing answers on {self.admin}")
        return int(status), body


@contextmanager
def resolv_conf(node: Node, text: str) -> Iterator[None]:
    """What programs of the node find as ``/etc/resolv.conf`` (ip-netns(8)) while the body runs."""
    directory = Path("/etc/netns") / node.namespace
    directory.mkdir(parents=True)
    try:
        (directory / "resolv.conf").write_text(text)
        yield
    finally:
        shutil.rmtree(directory)


@asynccontextmanager
async def two_nodes() -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes that reach each other (in 198.18.0.0/15, RFC 2544's for tests); skips without rights."""
    require("ip", "curl")
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    unique = f"mp{os.getpid() % 100_000}"
    nodes = (Node("node-a", f"{unique}a", "198.18.0.1"), Node("node-b", f"{unique}b", "198.18.0.2"))
    try:
        try:
            for node in nodes:
                await output_of("ip", "netns", "add", node.namespace)
        except AssertionError as error:
            pytest.skip(f"no network namespace can be made here: {error}")
        await _join(nodes)
        yield nodes
    finally:
        _delete(nodes)


def _delete(nodes: tuple[Node, Node]) -> None:
    for node in nodes:
        subprocess.run(("ip", "netns", "del", node.namespace), capture_output=True, check=False)


async def _join(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    ends = ("veth0", "netns", first.namespace, "type", "veth", "peer", "name", "veth0", "netns", second.namespace)
    await output_of("ip", "link", "add", *ends)
    for node in nodes:
        await node.run("ip", "address", "add", f"{node.address}/24", "dev", "veth0")
        await node.run("ip", "link", "set", "veth0", "up")
        await node.run("ip", "link", "set", "lo", "up")
