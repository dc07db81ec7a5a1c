"""What a match demands besides its path."""

from __future__ import annotations

from meshproxy.base.regex import Pattern, compile_pattern
from meshproxy.routing.api import Request
from meshproxy.routing.cookies import cookie_value
from meshproxy.routing.query import query_value
from meshproxy.snapshot.routes import RouteMatch, ValueMatch


class ValueTest:
    """One header, query parameter or cookie."""

    __slots__ = ("_exact", "_pattern", "name")

    def __init__(self, match: ValueMatch) -> None:
        self.name = match.name.encode()
        self._exact = match.value.encode()
        self._pattern: Pattern | None = compile_pattern(match.value) if match.regex else None

    def holds(self, value: bytes | None) -> bool:
        """Whether `value` (None: it is not there) is what is wanted."""
        if value is None:
            return False
        if self._pattern is None:
            return value == self._exact
        return self._pattern.fullmatch(value) is not None


class Conditions:
    """All of them must hold. `rank` orders them by Gateway API precedence: the larger goes first.

    The specification ranks a method, then the number of headers, then of query parameters. Cookies, which it does
    not know, count between the last two: they are headers taken apart.
    """

    __slots__ = ("_cookies", "_headers", "_method", "_query", "rank")

    def __init__(self, match: RouteMatch) -> None:
        self._method = match.method.encode()
        self._headers = [ValueTest(each) for each in match.headers]
        self._cookies = [ValueTest(each) for each in match.cookies]
        self._query = [ValueTest(each) for each in match.query_params]
        self.rank = (bool(match.method), len(match.headers), len(match.cookies), len(match.query_params))

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return self.rank != (False, 0, 0, 0)

    def hold(self, request: Request) -> bool:
        """Whether `request` meets all of them."""
        if self._method and request.method != self._method:
            return False
        for test in self._headers:
            if not test.holds(request.header(test.name)):
                return False
        if self._cookies:
            cookies = request.header(b"cookie") or b""
            for test in self._cookies:
                if not test.holds(cookie_value(cookies, test.name)):
                    return False
        return not self._query or all(test.holds(query_value(request.query, test.name)) for test in self._query)
