"""The access log as the snapshot has it."""

from __future__ import annotations

from typing import Any

from meshproxy.base.command_operators import TEXT_FORMAT
from meshproxy.base.durations import Duration
from meshproxy.compiler.compile import compile_resources
from meshproxy.resources import ObjectMeta, Proxy
from meshproxy.resources.proxy import AccessLog, ProxySpec
from meshproxy.snapshot import model


def compiled(log: AccessLog | None) -> model.AccessLog | None:
    fields: dict[str, Any] = {"api_version": "meshproxy.dev/v1", "kind": "Proxy", "metadata": ObjectMeta(name="p")}
    return compile_resources((Proxy(spec=ProxySpec(access_log=log), **fields),)).snapshot.settings.access_log


def test_there_is_none_unless_it_is_asked_for() -> None:
    assert compiled(None) is None


def test_defaults() -> None:
    assert compiled(AccessLog()) == model.AccessLog(format=TEXT_FORMAT, fields=("user-agent", "x-forwarded-for"))


def test_everything() -> None:
    log = AccessLog(
        format="%REQ(X-Tenant?Referer)% %REQ(:PATH)%",
        path="/a.log",
        sample_percent=12.5,
        min_status=400,
        min_duration=Duration.parse("500ms"),
        flags=("UF",),
        always_errors=False,
    )
    assert compiled(log) == model.AccessLog(
        format="%REQ(X-Tenant?Referer)% %REQ(:PATH)%",
        fields=("referer", "x-tenant"),
        path="/a.log",
        sample=0.125,
        min_status=400,
        min_duration=0.5,
        flags=("UF",),
        always_errors=False,
    )


def test_json_needs_the_fields_of_its_members() -> None:
    log = compiled(AccessLog(format="json"))
    assert log is not None
    assert (log.format, log.fields) == ("json", ("user-agent", "x-forwarded-for"))
