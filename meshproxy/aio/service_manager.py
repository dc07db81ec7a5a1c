"""Tells the service manager how this process does, where it wants to know: systemd's ``Type=notify`` (sd_notify(3))."""

from __future__ import annotations

import logging
import os
import socket

READY = "READY=1"
STOPPING = "STOPPING=1"
SOCKET_VARIABLE = "NOTIFY_SOCKET"

_log = logging.getLogger(__name__)


def tell_service_manager(state: str, status: str = "") -> None:
    """Say `state`, and in words for ``systemctl status`` what is going on. Does nothing where nobody asked."""
    address = os.environ.get(SOCKET_VARIABLE, "")
    if not address:
        return
    message = f"{state}\nSTATUS={status}" if status else state
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(message.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
        except OSError as error:
            _log.warning("the service manager at %s cannot be told %s: %s", address, state, error.strerror)
