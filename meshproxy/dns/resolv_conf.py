"""The system's resolvers, from ``/etc/resolv.conf`` (resolv.conf(5)), read again when it changes."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from meshproxy.base.addresses import SocketAddress

PATH = Path("/etc/resolv.conf")
BEHIND_STUB = Path("/run/systemd/resolve/resolv.conf")
"""What systemd-resolved itself asks (systemd-resolved.service(8))."""
STUB = "127.0.0.53"
"""Where it listens. It may be told to ask us, so we ask past it, as Docker and the kubelet do."""
PORT = 53


def nameservers(text: str) -> tuple[SocketAddress, ...]:
    """The addresses that its ``nameserver`` lines name, each once; libc, too, passes over what is none."""
    found: dict[SocketAddress, None] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                found[SocketAddress(str(ip_address(words[1])), PORT)] = None
            except ValueError:
                continue
    return tuple(found)


class SystemResolvers:
    """Owns what the files said last: `path`, or, where that names the stub alone, `behind_stub`."""

    def __init__(self, path: Path = PATH, behind_stub: Path = BEHIND_STUB) -> None:
        self._file = _WatchedFile(path)
        self._behind_stub = _WatchedFile(behind_stub)

    def current(self) -> tuple[SocketAddress, ...]:
        """The resolvers; a file is read where it is another than before."""
        found = self._file.nameservers()
        if [each.host for each in found] == [STUB]:
            return self._behind_stub.nameservers() or found
        return found


class _WatchedFile:
    """A file that cannot be read says nothing new."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._found: tuple[SocketAddress, ...] = ()

    def nameservers(self) -> tuple[SocketAddress, ...]:
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._found = nameservers(self._path.read_text(errors="replace"))
                self._seen = seen
        except OSError:
            return self._found
        return self._found
