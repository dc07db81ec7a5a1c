"""What `meshproxy doctor` looks at on this machine."""

from __future__ import annotations

import ctypes
import enum
import os
import platform
import resource
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.bind_errors import explain_bind_error
from meshproxy.base.build import describe_build
from meshproxy.dns.resolv_conf import PATH, nameservers
from meshproxy.snapshot.model import Snapshot, Transport, open_listeners

DESCRIPTORS_WANTED = 65_536
"""Two for each connection, and as many again for those that are kept."""
KERNEL_WANTED = (4, 14)
"""Linux 4.14 is the oldest that is maintained by anybody; SO_REUSEPORT and epoll are older."""
_UNPRIVILEGED_PORTS = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_CAP_NET_BIND_SERVICE = 10
_STA_UNSYNC = 0x40
MAX_NAMESERVERS = 3
"""More of them libc does not ask (resolv.conf(5))."""
DNS_TIMEOUT = 1.0
"""Seconds."""
NS_OF_ROOT = bytes.fromhex("6d70 0100 0001 0000 0000 0000  00 0002 0001")
"""A DNS query (RFC 1035 §4.1): recursion desired; ``. NS IN``, which every resolver has at hand."""


class Grade(enum.StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Check(NamedTuple):
    """What was looked at, what was found, and what to do about it."""

    what: str
    grade: Grade
    found: str
    advice: str = ""


def machine() -> Iterator[Check]:
    """Checks that need no configuration."""
    yield _system()
    yield Check("build", Grade.OK, f"Python {platform.python_version()}, meshproxy {describe_build()}")
    yield _descriptors()
    yield _low_ports()
    yield _loopback()
    yield _clock()
    yield resolvers()


def _system() -> Check:
    release = platform.release()
    if sys.platform != "linux":
        return Check(
            "system", Grade.FAILED, f"{platform.system()} {release}", "meshproxy needs Linux (epoll, SO_REUSEPORT)"
        )
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if len(numbers) == 2 and numbers < KERNEL_WANTED:
        return Check("system", Grade.WARNING, f"Linux {release}", "use a kernel that is still maintained")
    return Check("system", Grade.OK, f"Linux {release} on {platform.machine()}, {len(os.sched_getaffinity(0))} CPUs")


def _descriptors() -> Check:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"up to {hard} open files: some {max(0, hard - 100) // 2} connections for each worker"
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS_WANTED:
        advice = (
            f"raise the hard limit: ulimit -Hn {DESCRIPTORS_WANTED}, LimitNOFILE= of systemd, or ulimits: of compose"
        )
        return Check("open files", Grade.WARNING, found, advice)
    return Check("open files", Grade.OK, found)


def _low_ports() -> Check:
    first = int(_UNPRIVILEGED_PORTS.read_text()) if _UNPRIVILEGED_PORTS.exists() else 1024
    if first <= 53 or _has_capability(_CAP_NET_BIND_SERVICE):
        return Check("low ports", Grade.OK, "every port can be bound, 53 and 80 included")
    advice = (
        "for ports below, give it CAP_NET_BIND_SERVICE (AmbientCapabilities= of systemd, cap_add: of compose), "
        "or sysctl -w net.ipv4.ip_unprivileged_port_start=53"
    )
    return Check("low ports", Grade.WARNING, f"ports from {first} can be bound", advice)


def _has_capability(number: int) -> bool:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return os.geteuid() == 0
    effective = next((line.split()[1] for line in lines if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> number & 1)


def _loopback() -> Check:
    """Virtual IPs lie in 127.0.0.0/8 by default, which Linux lets everyone bind."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.96.0.1", 0))
        except OSError as error:
            advice = "bring the loopback interface up (ip link set lo up), or set spec.serviceCIDR to this machine's"
            return Check("virtual IPs", Grade.FAILED, f"127.96.0.1 cannot be bound: {error.strerror}", advice)
    return Check("virtual IPs", Grade.OK, "addresses in 127.0.0.0/8 can be bound")


def _clock() -> Check:
    """Certificates live by the clock: adjtimex(2) says whether something keeps it."""
    buffer = ctypes.create_string_buffer(512)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(buffer) < 0:
        return Check("clock", Grade.WARNING, "nobody may ask whether it is synchronised", "see timedatectl")
    status = ctypes.c_int.from_buffer(buffer, 5 * ctypes.sizeof(ctypes.c_long)).value
    if status & _STA_UNSYNC:
        advice = (
            "run chrony or systemd-timesyncd: certificates are valid by the clock, and traces are put in order by it"
        )
        return Check("clock", Grade.WARNING, "the kernel's clock is not synchronised", advice)
    return Check("clock", Grade.OK, "synchronised")


def resolvers(servers_of: Path = PATH) -> Check:
    """Whether those answer whom programs on this machine ask for names."""
    try:
        servers = nameservers(servers_of.read_text(errors="replace"))[:MAX_NAMESERVERS]
    except OSError as error:
        return Check("names", Grade.WARNING, f"{servers_of}: {error.strerror}", "names of hosts cannot be resolved")
    if not servers:
        return Check("names", Grade.WARNING, f"{servers_of} names no server", "names of hosts cannot be resolved")
    silent = _silent(servers)
    if silent:
        found = f"no answer from {', '.join(each.host for each in silent)} in {servers_of}"
        advice = "names of hosts are resolved late, or not at all: is the network up, and are these the right servers?"
        return Check("names", Grade.WARNING, found, advice)
    return Check("names", Grade.OK, f"resolved by {', '.join(each.host for each in servers)}")


def _silent(servers: Sequence[SocketAddress]) -> list[SocketAddress]:
    """Those that do not answer; what they answer is all the same."""
    asked = [(each, _asked(each)) for each in servers]
    return [each for each, sock in asked if sock is None or not _is_answered(sock)]


def _asked(server: SocketAddress) -> socket.socket | None:
    """What its answer comes to; None where it cannot be asked."""
    try:
        sock = socket.socket(socket.AF_INET6 if server.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    except OSError:
        return None
    try:
        sock.settimeout(DNS_TIMEOUT)
        sock.connect((server.host, server.port))
        sock.send(NS_OF_ROOT)
    except OSError:
        sock.close()
        return None
    return sock


def _is_answered(sock: socket.socket) -> bool:
    with sock:
        try:
            return bool(sock.recv(512))
        except OSError:
            return False


def ports(snapshot: Snapshot, is_running: bool) -> Iterator[Check]:
    """Whether the addresses of a configuration can be bound; those of a proxy that is running are its own."""
    if is_running:
        yield Check("listeners", Grade.OK, "a proxy is running with this admin address: its ports are its own")
        return
    problems = list(_unbindable(snapshot))
    for problem in problems:
        yield Check("listeners", Grade.FAILED, problem)
    if not problems:
        yield Check("listeners", Grade.OK, f"all {len(snapshot.listeners)} can be bound")


def _unbindable(snapshot: Snapshot) -> Iterator[str]:
    addresses: list[tuple[str, SocketAddress, Transport]] = [
        (listener.service, listener.address, listener.transport) for listener in open_listeners(snapshot)
    ]
    addresses.append(("the admin API", snapshot.settings.admin, Transport.TCP))
    if snapshot.settings.dns is not None:
        addresses += [("DNS", snapshot.settings.dns.address, transport) for transport in Transport]
    for owner, address, transport in addresses:
        problem = _bind(address, socket.SOCK_STREAM if transport is Transport.TCP else socket.SOCK_DGRAM)
        if problem:
            yield f"{owner}: {problem}"


def _bind(address: SocketAddress, kind: socket.SocketKind) -> str:
    with socket.socket(socket.AF_INET6 if address.is_ipv6 else socket.AF_INET, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            return explain_bind_error(address, error)
    return ""


def state_directory(path: Path) -> Check:
    """Whether the last good configuration can be kept there."""
    parent = next((each for each in (path, *path.parents) if each.exists()), Path("/"))
    if os.access(parent, os.W_OK | os.X_OK):
        return Check("state", Grade.OK, f"{path} can be written")
    return Check(
        "state", Grade.FAILED, f"{path} cannot be written", f"chown or chmod {parent}, or choose another --state-dir"
    )
