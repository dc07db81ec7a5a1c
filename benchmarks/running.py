"""What every benchmark does around its scenarios: proxies in turns, and where it was measured."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.load import start_backend
from benchmarks.peers import MAX_CONNECTIONS, RESERVE, Address, Peer, Proxy, find
from benchmarks.processes import raise_descriptor_limit
from benchmarks.report import Machine


def can_measure() -> bool:
    """Say so where the machine is too small; raise the limit of open files where it is not."""
    if len(os.sched_getaffinity(0)) < 2:
        print("the benchmark needs two CPUs: one for the proxy, one for load and backend", file=sys.stderr)
        return False
    raise_descriptor_limit(2 * MAX_CONNECTIONS + RESERVE)
    return True


@contextmanager
def running(directory: Path, chosen: Sequence[Peer]) -> Iterator[tuple[list[Proxy], tuple[Address, ...]]]:
    """The proxies, and the backends behind them."""
    backend, addresses = start_backend(directory)
    programs = [backend]
    try:
        proxies = []
        for peer in chosen:
            place = directory / peer.name
            place.mkdir()
            proxies.append(peer.start(place, addresses))
            programs.append(proxies[-1].program)
        yield proxies, addresses
    finally:
        for program in reversed(programs):
            program.stop()


def in_turns(proxies: Sequence[Proxy], number: int) -> tuple[Proxy, ...]:
    """The proxies in the order of round `number`: each round begins with another one."""
    first = number % len(proxies)
    return (*proxies[first:], *proxies[:first])


def machine_of(names: Sequence[str]) -> Machine:
    """This machine, and the versions of the programs of these names."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return Machine(
        cpu=models[0].partition(":")[2].strip() if models else platform.machine(),
        kernel=platform.release(),
        python=platform.python_version(),
        versions={name: version for name in names if (version := _version(name))},
    )


def _version(name: str) -> str:
    if name == "meshproxy":
        from meshproxy import __version__
        from meshproxy.base.build import describe_build

        return f"{__version__} ({describe_build()})"
    program = find(name.upper(), name)
    if program is None:
        return ""
    flag = {"envoy": "--version", "traefik": "version"}.get(name, "-v")
    output = subprocess.run([program, flag], capture_output=True, text=True, check=False)
    words = (output.stdout + output.stderr).replace("/", " ").split()
    return next((word.partition("-")[0] for word in words if word[:1].isdigit() and "." in word), "")
