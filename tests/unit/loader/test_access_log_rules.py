"""What may be said of the access log."""

from __future__ import annotations

import pytest

from meshproxy.loader.load import SourceText, load

PROXY = """
apiVersion: meshproxy.dev/v1
kind: Proxy
metadata: {name: p}
spec:
  accessLog: {%s}
"""


def findings(fields: str) -> list[str]:
    loaded = load([SourceText("m.yaml", (PROXY % fields).encode())])
    return [f"{each.field}: {each.message}" for each in loaded.findings]


@pytest.mark.parametrize(
    "fields",
    [
        "",
        "format: json, path: /var/log/access.log",
        "format: text, path: '-'",
        "format: '%START_TIME(%s)% %REQ(X-A?:PATH):80%'",
        "samplePercent: 0.5, minStatus: 400, minDuration: 500ms, flags: [UF, UT], alwaysErrors: false",
    ],
)
def test_what_is_right(fields: str) -> None:
    assert findings(fields) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("format: jsn", "format: 'jsn' has no operator (did you mean json?); write text, json, or a format"),
        ("format: '%RESPONSE_COD%'", "format: there is no operator %RESPONSE_COD% (did you mean RESPONSE_CODE?)"),
        ("format: '%REQ(:PTH)%'", "format: there is no :PTH in requests (did you mean :PATH?)"),
        ("format: '50%'", "format: '%' begins with no operator"),
        ("path: access.log", "path: 'access.log' is no absolute path; write one, or - for standard output"),
        ("samplePercent: 101", "samplePercent: 101 is out of range; it must be between 0 and 100"),
        ("minStatus: 4", "minStatus: 4 is out of range; it must be between 100 and 599"),
        ("flags: [UF, XX]", "flags[1]: there is no response flag 'XX'; there are DC, DPE,"),
        ("pth: /a", "pth: unknown field (did you mean path?)"),
    ],
)
def test_what_is_wrong(fields: str, message: str) -> None:
    (finding,) = findings(fields)
    assert finding.startswith(f"spec.accessLog.{message}")


def test_a_format_has_an_end() -> None:
    (finding,) = findings(f"format: '{'%PROTOCOL%' * 1000}'")
    assert finding == "spec.accessLog.format: is longer than 4096 characters"
