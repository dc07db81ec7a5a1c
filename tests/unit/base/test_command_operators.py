"""Format strings with Envoy's command operators."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.base.command_operators import (
    JSON_FORMAT,
    OPERATORS,
    TEXT_FORMAT,
    FormatError,
    Operator,
    logged_fields,
    parse_format,
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("plain", ("plain",)),
        ("%RESPONSE_CODE%", (Operator("RESPONSE_CODE"),)),
        ("a %PROTOCOL% b", ("a ", Operator("PROTOCOL"), " b")),
        ("100%% of %DURATION%", ("100", "%", " of ", Operator("DURATION"))),
        ("%REQ(:METHOD)%", (Operator("REQ", ":method"),)),
        ("%REQ(X-A?User-Agent):7%", (Operator("REQ", "x-a", "user-agent", 7),)),
        ("%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%", (Operator("START_TIME", "%Y-%m-%dT%H:%M:%S.%3fZ"),)),
        ("%RESP(x-envoy-upstream-service-time)%", (Operator("RESP", "x-envoy-upstream-service-time"),)),
    ],
)
def test_formats(text: str, parts: tuple[str | Operator, ...]) -> None:
    assert parse_format(text) == parts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%RESPONSE_COD%", "there is no operator %RESPONSE_COD%"),
        ("50 % of", "'% of' begins with no operator such as %RESPONSE_CODE%; write %% for a percent sign"),
        ("%RESPONSE_CODE", "'%RESPONSE_CODE' begins with no operator"),
        ("%DURATION(x)%", "%DURATION% takes no argument"),
        ("%REQ%", "%REQ()% needs a field's name, as in %REQ(USER-AGENT)%"),
        ("%REQ(a b)%", "%REQ(a b)% needs a field's name"),
        ("%REQ(:SCHEME)%", "there is no :SCHEME in requests"),
        ("%RESP(SERVER)%", "%RESP(SERVER)%: of responses only X-ENVOY-UPSTREAM-SERVICE-TIME is logged"),
        ("%START_TIME(%Q)%", "START_TIME(%Q) has a directive that is not supported: %Q"),
    ],
)
def test_what_is_wrong_with_a_format(text: str, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_format(text)
    assert str(caught.value).startswith(message)


def test_an_unknown_word_comes_with_those_that_are_known() -> None:
    with pytest.raises(FormatError) as caught:
        parse_format("%RESPONSE_COD%")
    assert (caught.value.word, caught.value.known) == ("RESPONSE_COD", tuple(OPERATORS))


def test_the_fields_that_records_must_have() -> None:
    parts = parse_format("%REQ(:PATH)% %REQ(X-Tenant?Referer)% %REQ(X-REQUEST-ID)% %REQ(x-tenant)%")
    assert logged_fields(parts) == ("referer", "x-tenant")
    assert logged_fields(parse_format(TEXT_FORMAT)) == ("user-agent", "x-forwarded-for")
    assert logged_fields(parse_format("".join(JSON_FORMAT.values()))) == ("user-agent", "x-forwarded-for")


@given(st.text(st.sampled_from("%REQ(:METHOD)?START_TIME DURATION12é\n")))
def test_any_text_is_a_format_or_an_error(text: str) -> None:
    try:
        parts = parse_format(text)
    except FormatError:
        return
    assert all(parts)
