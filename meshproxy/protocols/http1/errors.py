"""What a peer did wrong, and what it is told."""

from __future__ import annotations

from meshproxy.base.errors import ProtocolError


class MalformedRequest(ProtocolError):
    """A request that is not passed on. `status` is the answer; after it the connection's framing is lost."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class MalformedResponse(ProtocolError):
    """A response that is not passed on; `message` says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class MalformedBody(ProtocolError):
    """A chunked body that breaks RFC 9112 §7.1, or has more in its lines than is taken."""
