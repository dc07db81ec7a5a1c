"""Query parameters and cookies, as rules, hashing and session persistence read them."""

from __future__ import annotations

from http.cookies import SimpleCookie
from urllib.parse import parse_qsl, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.routing.cookies import cookie_value
from meshproxy.routing.query import query_value


@pytest.mark.parametrize(
    ("query", "name", "expected"),
    [
        (b"a=1", b"a", b"1"),
        (b"a=1&a=2", b"a", b"1"),
        (b"b=1&a=2", b"a", b"2"),
        (b"a", b"a", b""),
        (b"a=", b"a", b""),
        (b"a=b=c", b"a", b"b=c"),
        (b"A=1", b"a", None),
        (b"aa=1&ba=2", b"a", None),
        (b"x=a&b=a=1", b"a", None),
        (b"", b"a", None),
        (b"&&a=1&", b"a", b"1"),
        (b"a=x+y", b"a", b"x y"),
        (b"a=x%20y%2By", b"a", b"x y+y"),
        (b"a+b=1", b"a b", b"1"),
        (b"+=1", b"+", None),
        (b"%2B=1", b"+", b"1"),
        (b"%61=1", b"a", b"1"),
        (b"a=%C3%BC", b"a", "ü".encode()),
        (b"a=%zz%4", b"a", b"%zz%4"),
        (b"a=%2541", b"a", b"%41"),
        (b"a;b=1", b"a", None),
        (b"a=1;b=2", b"a", b"1;b=2"),
        (b"a=?x", b"a", b"?x"),
    ],
)
def test_query_parameters(query: bytes, name: bytes, expected: bytes | None) -> None:
    assert query_value(query, name) == expected


_NAMES = st.text("ab%+&= ü", min_size=1, max_size=3)


@given(st.lists(st.tuples(_NAMES, _NAMES), max_size=6), _NAMES)
def test_query_parameters_as_urllib_writes_them(pairs: list[tuple[str, str]], name: str) -> None:
    value = query_value(urlencode(pairs).encode(), name.encode())
    assert value == next((each.encode() for key, each in pairs if key == name), None)


@given(st.text("ab%+&=6172", max_size=20), st.text("ab ", min_size=1, max_size=2))
def test_query_parameters_as_urllib_reads_them(query: str, name: str) -> None:
    pairs = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
    expected = next((value.encode(errors="surrogateescape") for key, value in pairs if key == name), None)
    assert query_value(query.encode(), name.encode()) == expected


@given(st.binary(), st.binary(min_size=1, max_size=3))
def test_any_query_is_read(query: bytes, name: bytes) -> None:
    value = query_value(query, name)
    assert value is None or len(value) <= len(query)
    assert query_value(query + b"&" + quote_plus(name).encode() + b"=x", name) == (b"x" if value is None else value)


@pytest.mark.parametrize(
    ("cookies", "name", "expected"),
    [
        (b"a=1", b"a", b"1"),
        (b"a=1; a=2", b"a", b"1"),
        (b"b=1; a=2", b"a", b"2"),
        (b"b=1;a=2", b"a", b"2"),
        (b"b=1 ;\ta = 2 ", b"a", b"2"),
        (b'a="x y"', b"a", b"x y"),
        (b'a="', b"a", b'"'),
        (b'a=""', b"a", b""),
        (b'a="x', b"a", b'"x'),
        (b"a=x=y", b"a", b"x=y"),
        (b"a=", b"a", b""),
        (b"a", b"a", None),
        (b"A=1", b"a", None),
        (b"aa=1; b=a", b"a", None),
        (b"", b"a", None),
        (b";;a=1;", b"a", b"1"),
        (b"a=1, a=2", b"a", b"1, a=2"),
        (b"a=%41", b"a", b"%41"),
    ],
)
def test_cookies(cookies: bytes, name: bytes, expected: bytes | None) -> None:
    assert cookie_value(cookies, name) == expected


@given(st.dictionaries(st.text("abc-_", min_size=1, max_size=3), st.text('ab12 !,;"=', max_size=4), max_size=4))
def test_cookies_as_the_standard_library_writes_them(wanted: dict[str, str]) -> None:
    jar: SimpleCookie = SimpleCookie()
    for name, value in wanted.items():
        jar[name] = value
    header = "; ".join(f"{name}={morsel.coded_value}" for name, morsel in jar.items()).encode()
    for name, value in wanted.items():
        if not {'"', ";", ","}.intersection(value):  # written with escapes, which are the library's own
            assert cookie_value(header, name.encode()) == value.encode()


@given(st.binary(), st.binary(min_size=1, max_size=3))
def test_any_cookie_header_is_read(cookies: bytes, name: bytes) -> None:
    value = cookie_value(cookies, name)
    assert value is None or value in cookies
