"""Patterns are compiled by RE2, within bounds, and refused with a sentence."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.base.regex import MAX_CHARACTERS, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("/v[0-9]+/.*", b"/v12/x", True),
        ("/v[0-9]+", b"/v1/x", False),
        ("a|ab", b"ab", True),
        ("(?i)yes", b"YES", True),
        ("(?P<name>a)(b)", b"ab", True),
        ("ä+", "ää".encode(), True),
        (".", b"\xff", False),
        ("", b"", True),
    ],
)
def test_all_of_the_text_must_match(pattern: str, text: bytes, matches: bool) -> None:
    assert (compile_pattern(pattern).fullmatch(text) is not None) is matches


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(a", "missing ): (a"),
        ("a(?=b)", "invalid perl operator: (?=; backreferences and lookaround are not supported"),
        (r"(a)\1", "backreferences and lookaround are not supported"),
        ("a{1001}", "1000 at most"),
        ("((a{100}){100}){100}", "1000 at most"),
        (r"\pL{300}", "use fewer and smaller repetitions"),
        (".{1000}", "use fewer and smaller repetitions"),
        ("*.example.com", r"write \* for the character itself"),
        ("a" * (MAX_CHARACTERS + 1), "4096 characters at most, this has 4097"),
        ("\ud800", "must be valid Unicode"),
        ("[z-a]", "invalid character class range: z-a"),
    ],
)
def test_what_is_said(pattern: str, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"regular expression") as raised:
        compile_pattern(pattern)
    assert said in str(raised.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(a|aa)+b", "(.*)*x", "(?:a?){200}a{200}b"])
def test_nothing_backtracks(pattern: str) -> None:
    compiled = compile_pattern(pattern)
    started = time.process_time()
    assert compiled.fullmatch(b"a" * 65536 + b"!") is None
    assert time.process_time() - started < 2


@given(st.text(max_size=40) | st.text(alphabet="()[]{}*+?|\\.^$ab0:=!<P", max_size=30))
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    try:
        pattern = compile_pattern(text)
    except ValueError:
        return
    pattern.fullmatch(b"/some/text")
