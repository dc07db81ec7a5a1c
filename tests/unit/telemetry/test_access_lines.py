"""Lines of the access log."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.base.command_operators import JSON_FORMAT, OPERATORS, TEXT_FORMAT
from meshproxy.snapshot.model import AccessLog
from meshproxy.telemetry.access_lines import line_formatter
from tests.support.access import make_record

NOTHING: dict[str, Any] = {
    "method": "", "host": "", "target": "", "endpoint": "", "cluster": "", "rule": "", "request_id": "", "fields": {},
    "status": 400, "flags": "DPE", "detail": "the method is no token", "upstream_seconds": -1.0, "attempts": 0,
}  # fmt: skip


def line(text: str, **record: Any) -> str:
    return line_formatter(AccessLog(format=text))(make_record(**record))


def test_text_is_envoy_s() -> None:
    assert line(TEXT_FORMAT) == (
        '[2026-01-31T12:00:00.250Z] "GET /cart?x=1 HTTP/1.1" 200 - 3 14 12 7 "-" "curl/8" "id-1" "shop.example.com" '
        '"10.0.0.1:8080"\n'
    )
    assert (
        line(TEXT_FORMAT, **NOTHING)
        == '[2026-01-31T12:00:00.250Z] "- - HTTP/1.1" 400 DPE 3 14 12 - "-" "-" "-" "-" "-"\n'
    )


def test_json_has_istio_s_names() -> None:
    entry = json.loads(line("json"))
    assert list(entry) == list(JSON_FORMAT)
    assert entry["start_time"] == "2026-01-31T12:00:00.250Z"
    assert (entry["response_code"], entry["duration"], entry["upstream_service_time"]) == (200, 12, 7)
    assert (entry["route_name"], entry["upstream_cluster"]) == ("default/shop/cart", "default/cart:http")
    assert entry["x_forwarded_for"] is None
    assert json.loads(line("json", **NOTHING))["response_code_details"] == "the method is no token"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("%REQ(:METHOD)% 100%%", "GET 100%"),
        ("%REQ(X-NONE?USER-AGENT):4%", "curl"),
        ("%REQ(X-NONE?REFERER)%", "-"),
        ("%START_TIME(%d/%b/%Y:%H:%M:%S %%)%", "31/Jan/2026:12:00:00 %"),
        ("%START_TIME(%s.%3f %f)%", "1769860800.250 250000000"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "203.0.113.9"),
        ("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "192.0.2.1"),
        ("%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "2"),
        ("%RESPONSE_CODE_DETAILS%", "-"),
    ],
)
def test_operators(text: str, shown: str) -> None:
    assert line(text) == f"{shown}\n"


def test_details_are_one_word() -> None:
    assert line("%RESPONSE_CODE_DETAILS%", detail="no rule matches") == "no_rule_matches\n"


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_has_a_value(name: str) -> None:
    argument = {"REQ": "(HOST)", "RESP": "(X-ENVOY-UPSTREAM-SERVICE-TIME)"}.get(name, "")
    assert line(f"%{name}{argument}%", detail="x", flags="UF", fields={"host": "h"}).strip() not in ("", "-")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ('a" 200 - "', r"a\" 200 - \""),
        ("back\\slash", r"back\\slash"),
        ("two\r\nlines", r"two\x0d\x0alines"),
        ("\x1b[2Jclear", r"\x1b[2Jclear"),
        ("\u2028\u202e\x85", r"\xe2\x80\xa8\xe2\x80\xae\xc2\x85"),
        ("grüße 世界", "grüße 世界"),
    ],
)
def test_what_a_client_sent_stays_in_its_place(sent: str, shown: str) -> None:
    assert line('"%REQ(USER-AGENT)%"', fields={"user-agent": sent}) == f'"{shown}"\n'
    assert json.loads(line("json", fields={"user-agent": sent}))["user_agent"] == sent


@given(st.text())
def test_no_text_of_a_client_ends_a_line_or_a_quotation(sent: str) -> None:
    record = {"target": sent, "host": sent, "fields": {"user-agent": sent}, "detail": sent}
    for text in ('"%REQ(:PATH)%" "%REQ(:AUTHORITY)%" "%REQ(USER-AGENT)%" %RESPONSE_CODE_DETAILS%', "json"):
        written = line(text, **record)
        assert written.endswith("\n")
        assert written[:-1].isprintable()
        assert len(written.splitlines()) == 1
    unescaped = line(text.replace("json", '"%REQ(:PATH)%"'), **record).replace("\\\\", "").replace('\\"', "")
    assert unescaped.count('"') == 2
