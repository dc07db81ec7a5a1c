"""What routing asks of a request."""

from __future__ import annotations

from typing import Protocol


class Request(Protocol):
    """A request's head, in bytes as received.

    `host` is lower case, without port and trailing dot; `path` begins with ``/``, without query, dot segments
    resolved; `query` is without its ``?``. `method` is as sent.
    """

    @property
    def method(self) -> bytes: ...

    @property
    def host(self) -> bytes: ...

    @property
    def path(self) -> bytes: ...

    @property
    def query(self) -> bytes: ...

    def header(self, name: bytes) -> bytes | None:
        """All values of a header, joined by ``, `` (a cookie's by ``; ``); None without it. `name` is lower case."""
        ...
