"""Who calls, in every way that rules may name them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from meshproxy.base.spiffe import SpiffeId

Address = IPv4Address | IPv6Address


class Caller:
    """`principal` is a SPIFFE id that was verified, empty for none; `ip` the client's address.

    `namespace` and `service_account` (``namespace/name``) are what the id says, empty where it says none.
    """

    __slots__ = ("_address", "ip", "namespace", "principal", "service_account")

    def __init__(self, principal: str, ip: str) -> None:
        self.principal = principal
        self.ip = ip
        account = SpiffeId.parse(principal).service_account if principal else None
        self.namespace = account.namespace if account is not None else ""
        self.service_account = str(account) if account is not None else ""
        self._address: Address | None = None

    @property
    def address(self) -> Address:
        """The address to compare with networks: an IPv4 one in IPv6 clothes is IPv4."""
        if self._address is None:
            address = ip_address(self.ip.partition("%")[0])
            mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
            self._address = mapped or address
        return self._address

    def __str__(self) -> str:
        return f"{self.principal} at {self.ip}" if self.principal else self.ip
