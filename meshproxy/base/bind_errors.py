"""Why an address could not be bound, for people."""

from __future__ import annotations

import errno
import os

from meshproxy.base.addresses import SocketAddress


def explain_bind_error(address: SocketAddress, error: OSError) -> str:
    """A sentence on why `address` could not be bound, and what would help."""
    match error.errno:
        case errno.EADDRINUSE:
            return f"{address} is in use by another program; stop that one, or use another address or port"
        case errno.EACCES | errno.EPERM:
            return (
                f"{address} needs a privilege, since its port is below net.ipv4.ip_unprivileged_port_start; "
                "use a higher port, give the program CAP_NET_BIND_SERVICE, or lower that setting (sysctl)"
            )
        case errno.EADDRNOTAVAIL:
            return f"{address.host} is not an address of this machine; add it to an interface (ip address add)"
        case errno.EMFILE | errno.ENFILE:
            return f"no file descriptor is left for {address}; raise the limit of open files"
        case _:
            return f"{address} could not be bound: {os.strerror(error.errno or 0)}"
