"""Nodes of their own: network namespaces joined by a veth pair, each with its own loopback interface."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.programs import output_of, require
from tests.integration.proxy_process import ProxyProcess

_PREFIX = "meshproxy-test-"
_NAMESPACES = Path("/run/netns")
_ETC = Path("/etc/netns")
"""What ``/etc`` has for one namespace only (ip-netns(8))."""


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
    directory = _ETC / node.namespace
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
    _clear_leftovers()
    nodes = tuple(
        Node(f"node-{letter}", namespace_of(os.getpid(), letter), f"198.18.0.{number}")
        for number, letter in enumerate("ab", start=1)
    )
    try:
        for node in nodes:
            await add_namespace(node.namespace)
        await _join(nodes)
        yield nodes[0], nodes[1]
    finally:
        for node in nodes:
            delete_namespace(node.namespace)


def namespace_of(pid: int, letter: str) -> str:
    """What a process of tests calls its namespace: one that was killed left it, which its name tells."""
    return f"{_PREFIX}{pid}-{letter}"


async def add_namespace(namespace: str) -> None:
    """Skips the test without rights."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    try:
        await output_of("ip", "netns", "add", namespace)
    except AssertionError as error:
        pytest.skip(f"no network namespace can be made here: {error}")


def delete_namespace(namespace: str) -> None:
    subprocess.run(("ip", "netns", "del", namespace), capture_output=True, check=False)


def _clear_leftovers() -> None:
    """Delete the namespaces whose owners are dead, with all that still runs there."""
    for namespace in (each.name for each in _NAMESPACES.glob(f"{_PREFIX}*")):
        owner = namespace.removeprefix(_PREFIX).partition("-")[0]
        if Path(f"/proc/{owner}").exists():
            continue
        listed = subprocess.run(("ip", "netns", "pids", namespace), capture_output=True, text=True, check=False)
        for pid in map(int, listed.stdout.split()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        delete_namespace(namespace)
        shutil.rmtree(_ETC / namespace, ignore_errors=True)


async def _join(nodes: Sequence[Node]) -> None:
    first, second = nodes
    ends = ("veth0", "netns", first.namespace, "type", "veth", "peer", "name", "veth0", "netns", second.namespace)
    await output_of("ip", "link", "add", *ends)
    for node in nodes:
        await node.run("ip", "address", "add", f"{node.address}/24", "dev", "veth0")
        await node.run("ip", "link", "set", "veth0", "up")
        await node.run("ip", "link", "set", "lo", "up")
