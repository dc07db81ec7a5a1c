"""What a match demands besides its path."""

from __future__ import annotations

from meshproxy.base.regex import Pattern, compile_pattern
from meshproxy.routing.api import Request
from meshproxy.routing.cookies import cookie_value
from meshproxy.routing.query import query_value
from meshproxy.snapshot.routes import RouteMatch, ValueMatch

Seen = dict[bytes, bytes | None]
"""What was found in the request that is being looked up, by `ValueTest.key`: many rules ask for the same few things,
and looking through a head or a query that a client made long must not be done for each rule."""


class ValueTest:
    """One header, query parameter or cookie. `key` says which, across kinds."""

    __slots__ = ("_exact", "_pattern", "key", "name")

    def __init__(self, match: ValueMatch) -> None:
        self.name = match.name.encode()
        self.key = b""
        self._exact = match.value.encode()
        self._pattern: Pattern | None = compile_pattern(match.value) if match.regex else None

    def value_in(self, request: Request) -> bytes | None:
        """What `request` has; None where it has nothing."""
        raise NotImplementedError

    def holds(self, value: bytes | None) -> bool:
        """Whether `value` is what is wanted."""
        if value is None:
            return False
        if self._pattern is None:
            return value == self._exact
        return self._pattern.fullmatch(value) is not None


class HeaderTest(ValueTest):
    __slots__ = ()

    def __init__(self, match: ValueMatch) -> None:
        super().__init__(match)
        self.key = b":" + self.name

    def value_in(self, request: Request) -> bytes | None:
        return request.header(self.name)


class QueryTest(ValueTest):
    __slots__ = ()

    def __init__(self, match: ValueMatch) -> None:
        super().__init__(match)
        self.key = b"?" + self.name

    def value_in(self, request: Request) -> bytes | None:
        return query_value(request.query, self.name)


class CookieTest(ValueTest):
    __slots__ = ()

    def __init__(self, match: ValueMatch) -> None:
        super().__init__(match)
        self.key = b"=" + self.name

    def value_in(self, request: Request) -> bytes | None:
        cookies = request.header(b"cookie")
        return cookie_value(cookies, self.name) if cookies is not None else None


class Conditions:
    """All of them must hold. `rank` orders them by Gateway API precedence: the larger goes first.

    The specification ranks a method, then the number of headers, then of query parameters. Cookies, which it does
    not know, count between the last two: they are headers taken apart.
    """

    __slots__ = ("_method", "_tests", "rank")

    def __init__(self, match: RouteMatch) -> None:
        self._method = match.method.encode()
        self._tests: tuple[ValueTest, ...] = (
            *(HeaderTest(each) for each in match.headers),
            *(CookieTest(each) for each in match.cookies),
            *(QueryTest(each) for each in match.query_params),
        )
        self.rank = (bool(match.method), len(match.headers), len(match.cookies), len(match.query_params))

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self._method or self._tests)

    def hold(self, request: Request, seen: Seen) -> bool:
        """Whether `request` meets all of them."""
        if self._method and request.method != self._method:
            return False
        for test in self._tests:
            key = test.key
            if key in seen:
                value = seen[key]
            else:
                value = seen[key] = test.value_in(request)
            if not test.holds(value):
                return False
        return True
