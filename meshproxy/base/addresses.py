"""Socket addresses as values."""

from __future__ import annotations

from ipaddress import ip_address

import msgspec


class SocketAddress(msgspec.Struct, frozen=True, order=True, array_like=True):
    """An IP address literal and a port, 0 to 65535; written ``10.0.0.1:80`` or ``[::1]:80``."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.host

    @classmethod
    def parse(cls, text: str, default_port: int | None = None) -> SocketAddress:
        """Read ``host:port``, or ``host`` alone where there is a `default_port`.

        Raises `ValueError` with a sentence for people.
        """
        if default_port is not None:
            try:
                return cls(str(ip_address(text)), default_port)
            except ValueError:
                pass  # then it has to have a port
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text!r} is not an address; write IP:PORT, such as 127.0.0.1:15000 or [::1]:15000")
        try:
            return cls(str(ip_address(host)), int(port))
        except ValueError:
            raise ValueError(f"{host!r} in {text!r} is not an IP address") from None


def is_host_name(address: str) -> bool:
    """Whether an address that was checked is a name: IPv6 has colons, IPv4 nothing but digits and dots."""
    return ":" not in address and not address.replace(".", "").isdigit()


def host_port(host: str, port: int) -> str:
    """``host:port`` with IPv6 hosts in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
