"""Paths: normal forms, and prefixes replaced."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshproxy.routing.paths import normalize_path, replace_prefix

# RFC 3986 §5.2.4 and §5.4's references as paths of their own, §6.2.2's spellings, and what is left alone.
NORMALIZED = [
    (b"/a/b/c/./../../g", b"/a/g"),
    (b"/b/c/./g", b"/b/c/g"),
    (b"/b/c/g/.", b"/b/c/g/"),
    (b"/b/c/g/..", b"/b/c/"),
    (b"/b/c/..", b"/b/"),
    (b"/b/c/../", b"/b/"),
    (b"/b/c/../../../g", b"/g"),
    (b"/./g", b"/g"),
    (b"/../g", b"/g"),
    (b"/..", b"/"),
    (b"/.", b"/"),
    (b"/../..", b"/"),
    (b"/b/c/g.", b"/b/c/g."),
    (b"/b/c/.g", b"/b/c/.g"),
    (b"/b/c/g..", b"/b/c/g.."),
    (b"/b/c/..g", b"/b/c/..g"),
    (b"/b/c/...", b"/b/c/..."),
    (b"/a/%2e%2E/b", b"/b"),
    (b"/a/%2e/b", b"/a/b"),
    (b"/a/.%2e/b", b"/b"),
    (b"/%41%7a%30%2D%5F%7e", b"/Az0-_~"),
    (b"/%c3%bc%3a", b"/%C3%BC%3A"),
    (b"/a%2fb", b"/a%2Fb"),
    (b"/a/..%2fb", b"/a/..%2Fb"),
    (b"/a%00b", b"/a%00b"),
    (b"/a%5c..%5Cb", b"/a%5C..%5Cb"),
    (b"/a//b", b"/a//b"),
    (b"/a//../b", b"/a/b"),
    (b"//", b"//"),
    (b"/%252e%252e/a", b"/%252e%252e/a"),
    (b"/%25%32%65", b"/%252e"),
    (b"/a;x=../b", b"/a;x=../b"),
    (b"/", b"/"),
    (b"*", b"*"),
]


@pytest.mark.parametrize(("path", "expected"), NORMALIZED)
def test_normal_forms(path: bytes, expected: bytes) -> None:
    assert normalize_path(path) == expected


@pytest.mark.parametrize("path", [b"/", b"/a/b.c/d", b"/a//b", b"/~user/a;b=c", b"/index.html"])
def test_the_usual_path_stays_the_same_object(path: bytes) -> None:
    assert normalize_path(path) is path


@pytest.mark.parametrize("path", [b"/%", b"/a%", b"/%4", b"/%zz", b"/%4g", b"/%%41", b"/a%41%", b"/%u0041"])
def test_a_malformed_escape_is_none(path: bytes) -> None:
    assert normalize_path(path) is None


@given(st.binary(max_size=40).map(lambda tail: b"/" + tail) | st.text("/.%2eEfF5cA", max_size=30).map(str.encode))
@example(b"")
@example(b"./.")
def test_normal_forms_are_normal(path: bytes) -> None:
    normal = normalize_path(path)
    if normal is None:
        assert re.search(rb"%(?![0-9A-Fa-f]{2})", path)
        return
    assert normalize_path(normal) == normal
    if path.startswith(b"/"):
        assert normal.startswith(b"/")
        assert not {b".", b".."}.intersection(normal.split(b"/"))


# The table of Gateway API `HTTPPathModifier.replacePrefixMatch`, and rows that follow from it.
REPLACED = [
    (b"/foo/bar", b"/foo", b"/xyz", b"/xyz/bar"),
    (b"/foo/bar", b"/foo", b"/xyz/", b"/xyz/bar"),
    (b"/foo/bar", b"/foo/", b"/xyz", b"/xyz/bar"),
    (b"/foo/bar", b"/foo/", b"/xyz/", b"/xyz/bar"),
    (b"/foo", b"/foo", b"/xyz", b"/xyz"),
    (b"/foo/", b"/foo", b"/xyz", b"/xyz/"),
    (b"/foo/bar", b"/foo", b"", b"/bar"),
    (b"/foo/", b"/foo", b"", b"/"),
    (b"/foo", b"/foo", b"", b"/"),
    (b"/foo/", b"/foo", b"/", b"/"),
    (b"/foo", b"/foo", b"/", b"/"),
    (b"/foo", b"/foo/", b"/xyz", b"/xyz"),
    (b"/foo/bar", b"/foo", b"/", b"/bar"),
    (b"/foo//bar", b"/foo", b"/xyz", b"/xyz//bar"),
    (b"/foo/bar/", b"/foo", b"/x/y", b"/x/y/bar/"),
    (b"/", b"/", b"/xyz", b"/xyz/"),
    (b"/bar", b"/", b"/xyz", b"/xyz/bar"),
    (b"/bar", b"/", b"/", b"/bar"),
    (b"/", b"/", b"/", b"/"),
    (b"/prefix/one/two", b"/prefix/one", b"/one", b"/one/two"),
    (b"/strip-prefix/three", b"/strip-prefix", b"/", b"/three"),
]


@pytest.mark.parametrize(("path", "prefix", "replacement", "expected"), REPLACED)
def test_prefixes_are_replaced(path: bytes, prefix: bytes, replacement: bytes, expected: bytes) -> None:
    assert replace_prefix(path, prefix, replacement) == expected


@given(
    st.lists(st.text("ab", min_size=1, max_size=2), max_size=3), st.text("/a", max_size=5), st.text("/x", max_size=4)
)
def test_what_is_replaced_is_still_a_path(segments: list[str], rest: str, replacement: str) -> None:
    prefix = "/" + "/".join(segments)
    path = prefix.rstrip("/") + "/" + rest
    replaced = replace_prefix(path.encode(), prefix.encode(), f"/{replacement}".encode())
    assert replaced.startswith(b"/")
    assert replaced.endswith(rest.encode())
