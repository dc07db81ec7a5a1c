"""The command line, against a real admin API and real files."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result
from msgspec.structs import replace

from meshproxy.admin.server import AdminServer
from meshproxy.base.addresses import SocketAddress
from meshproxy.cli.main import COMMANDS, main
from meshproxy.identity.expiry import CertificateState
from meshproxy.snapshot.tls import UpstreamTLS
from meshproxy.telemetry.access_log import AccessLogStatus
from tests.support.view import FakeView, make_identity_status, make_snapshot

Run = Callable[..., Result]


@pytest.fixture
def view() -> FakeView:
    return FakeView()


@pytest.fixture
def admin(view: FakeView) -> Iterator[SocketAddress]:
    """A real admin API in a thread of its own."""
    loop = asyncio.new_event_loop()
    server = AdminServer(view, SocketAddress("127.0.0.1", 0))
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield server.address
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def run(admin: SocketAddress) -> Run:
    return lambda *words: CliRunner(env={"MESHPROXY_ADMIN": str(admin)}).invoke(main, words)


def test_every_command_has_help() -> None:
    for name in COMMANDS:
        result = CliRunner().invoke(main, [name, "--help"])
        assert result.exit_code == 0, result.output


def test_tables(run: Run) -> None:
    lines = run("get", "services").output.splitlines()
    assert lines[0].split() == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "READY"]
    assert lines[1].split() == ["backend", "ClusterIP", "127.96.0.10", "<none>", "80/TCP", "1/3"]
    assert len(lines) == 2, "the other namespace is not asked for"
    assert run("get", "svc", "-A").output.splitlines()[2].split()[:2] == ["team", "other"]
    assert "connect refused" in run("get", "ep", "backend").output
    assert "app=backend" in run("get", "service", "-o", "wide").output


@pytest.mark.parametrize("kind", ["services", "endpoints", "workloads", "routes", "listeners", "clusters"])
def test_every_list_in_every_form(run: Run, kind: str) -> None:
    for form in ([], ["-o", "wide"], ["-A"]):
        assert run("get", kind, *form).exit_code == 0
    assert json.loads(run("get", kind, "-o", "json").output)
    assert yaml.safe_load(run("get", kind, "-o", "yaml").output)


@pytest.mark.parametrize(
    ("words", "begun", "completed"),
    [
        (["get"], "se", ["services"]),
        (["get", "svc"], "", ["backend"]),
        (["get", "-A", "services"], "", ["backend", "other"]),
        (["get", "-n", "team", "services"], "", ["other"]),
        (["get", "endpoints"], "b", ["backend"]),
        (["get", "config"], "", []),
        (["describe", "service"], "b", ["backend"]),
        (["describe", "route"], "s", ["shop"]),
        (["dns", "lookup"], "back", ["backend"]),
        (["--admin-that-is-none", "get"], "svc", []),
    ],
)
def test_shells_complete_kinds_and_names(
    admin: SocketAddress, monkeypatch: pytest.MonkeyPatch, words: list[str], begun: str, completed: list[str]
) -> None:
    monkeypatch.setenv("MESHPROXY_ADMIN", str(admin))
    found = ShellComplete(main, {}, "meshproxy", "_COMPLETE").get_completions(words, begun)
    assert [item.value for item in found] == completed


def test_no_name_is_completed_where_no_proxy_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHPROXY_ADMIN", "127.0.0.1:1")
    assert ShellComplete(main, {}, "meshproxy", "_COMPLETE").get_completions(["get", "services"], "") == []


def test_routes(run: Run) -> None:
    lines = run("get", "routes").output.splitlines()
    assert lines[0].split()[:6] == ["NAME", "RULE", "PARENT", "HOSTNAMES", "MATCHES", "BACKENDS"]
    assert lines[0].split()[6:] == ["REQUESTS", "ERRORS", "P99"]
    cart = "shop cart Service/default/backend:http * path under /cart backend:80 75%,gone:80 25%! 200 25% 4.98ms"
    assert lines[1].split() == cart.split()
    assert len(lines) == 3, "the other namespace is not asked for"
    wide = run("get", "httproute", "edge-route", "-n", "team", "-o", "wide").output.splitlines()[1].split()
    assert wide[:4] == ["edge-route", "0", "Gateway/team/edge/web", "shop.example.com"]
    assert "request timeout 10s; 2 retries on connect failure, reset" in run("get", "routes", "-o", "wide").output
    assert 'routes "shp" not found (did you mean shop?)' in run("get", "routes", "shp").output


def test_the_whole_config(run: Run) -> None:
    assert yaml.safe_load(run("get", "config").output)["version"] == "abc123"
    assert json.loads(run("get", "config", "-o", "json").output)["version"] == "abc123"


def test_what_is_not_there(run: Run) -> None:
    result = run("get", "services", "backnd")
    assert result.exit_code == 1
    assert 'services "backnd" not found (did you mean backend?)' in result.output
    assert run("get", "services", "-n", "empty").output == "No services found in namespace empty.\n"
    result = run("get", "servics")
    assert result.exit_code == 2
    assert "(did you mean services?)" in result.output


def test_describe(run: Run) -> None:
    output = run("describe", "service", "backend").output
    for part in ("Selector:           app=backend", "EndpointUnhealthy", "gone", "(x2)", "127.96.0.10:80"):
        assert part in output
    assert run("describe", "svc", "nobody").exit_code == 1


def test_describe_shows_how_requests_split(run: Run) -> None:
    output = run("describe", "route", "shop").output
    assert "Parents:            Service/default/backend:http" in output
    assert "  Filters:          set request header x-shop: north" in output
    assert "  Requests:         200: 25% failed, 7 retries, p50 3.75ms, p99 4.98ms" in output
    rows = [line.split() for line in output.splitlines()]
    assert ["BACKEND", "WEIGHT", "SHARE", "REQUESTS", "ACTUAL", "ERRORS", "RETRIES", "P50", "P99"] in rows
    assert ["backend:80", "3", "75%", "152", "76%", "1.32%", "7", "3.75ms", "4.98ms"] in rows
    assert "gone:80: there is no Service gone" in output
    assert run("describe", "httproute", "edge-route", "-n", "team").exit_code == 0
    assert "(did you mean shop?)" in run("describe", "route", "shpo").output
    rows = [line.split() for line in run("describe", "service", "backend").output.splitlines()]
    cart = "default/shop/cart Service/default/backend:http path under /cart 200 75% 152 25% 4.98ms"
    assert cart.split() in rows
    assert ["team/edge-route/0", "Gateway/team/edge/web", "path", "under", "/", "0", "100%", "0", "0%", "-"] in rows
    one = "backend-1 127.0.1.1:8080 Unknown <unknown> 100 1 100% 40 25% 4.98ms -"
    assert one.split() in rows, "its share is that of the requests, not of the connections"


def test_policies_and_what_they_refused(run: Run) -> None:
    rows = [line.split() for line in run("get", "authz").output.splitlines()]
    assert rows == [
        ["NAME", "ACTION", "SERVICE", "PORT", "RULES", "DENIED", "AUDITED"],
        ["no-cart", "Deny", "backend", "http", "1", "4", "0"],
        ["trial", "Audit", "backend", "http", "3", "0", "2"],
        ["cart", "=>", "web", "Allow", "backend", "http", "0", "0", "0"],
        ["shop", "=>", "web", "Permissions", "backend", "http", "2", "0", "0"],
        ["no", "intention", "for", "web", "Deny", "backend", "http", "0", "6", "0"],
        ["no", "policy", "<none>", "backend", "http", "0", "1", "0"],
    ]
    (edge,) = json.loads(run("get", "authorizationpolicies", "-n", "team", "-o", "json").output)
    assert (edge["name"], edge["service"], edge["port"], edge["action"]) == ("edge", "Gateway/edge", "web", "Allow")
    described = [line.split() for line in run("describe", "service", "backend").output.splitlines()]
    assert ["no-cart", "Deny", "http", "1", "4", "0"] in described


def test_describe_says_how_endpoints_are_secured(run: Run, view: FakeView, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "TLS to endpoints" not in run("describe", "service", "backend").output
    plain = make_snapshot()
    (cluster,), (assignment,) = plain.clusters, plain.assignments
    first, second = assignment.endpoints
    tls = UpstreamTLS(server_name="{port}", mesh=True, service_accounts=("default/a", "default/b"))
    meshed = replace(assignment, endpoints=(replace(first, mesh_port=15443), second))
    snapshot = replace(plain, clusters=(replace(cluster, tls=tls),), assignments=(meshed,))
    monkeypatch.setattr(view, "snapshot", lambda: snapshot)
    rows = [line.split() for line in run("describe", "service", "backend").output.splitlines()]
    assert ["backend-1", "127.0.1.1:8080", "mTLS", "15443", "default/a", "or", "default/b"] in rows
    assert ["backend-2", "127.0.1.2:8080", "none", "-", "-"] in rows


def test_status_counts_requests_and_lines(run: Run, view: FakeView) -> None:
    assert "Requests: 205: 24.4% failed, 7 retries, p50 3.75ms, p99 4.98ms" in run("status").output
    view.requests.clear()
    view.log = AccessLogStatus(path="/a.log", lines=3, dropped=2, problem="No space left on device")
    output = run("status").output
    assert "Requests: 0\nAccess log: 3 lines to /a.log, 2 dropped\n  No space left on device: " in output


def test_endpoints_with_their_requests(run: Run) -> None:
    lines = run("get", "endpoints", "-o", "wide").output.splitlines()
    assert lines[0].split()[-7:] == ["REQUESTS", "ERRORS", "P50", "P99", "RETRIES", "IDLE", "EJECTIONS"]
    assert lines[1].split()[-7:] == ["40", "25%", "3.75ms", "4.98ms", "0", "4", "0"]
    assert lines[2].split()[-7:] == ["0", "0%", "-", "-", "0", "0", "2"]


def test_how_handshakes_went(run: Run) -> None:
    status = run("status")
    assert status.exit_code == 0
    said = "TLS handshakes with clients: 9, 4 of them resumed; 3 failed (expired 2, unknown_ca 1)"
    assert said in status.output
    assert "TLS handshakes with endpoints: 3, 0 of them resumed; 1 failed (wrong_identity 1)" in status.output
    described = run("describe", "service", "backend").output
    said = "Handshakes, default/backend:http: 3, 0 of them resumed; 1 failed (wrong_identity 1)"
    assert said in described
    heads, *rows = (line.split() for line in run("get", "listeners", "-A", "-o", "wide").output.splitlines())
    (edge,) = (row for row in rows if "Gateway/edge" in row)
    assert edge[heads.index("HANDSHAKES") :][:3] == ["9", "unknown_ca", "1"]


def test_certificates_that_fail_handshakes(run: Run, view: FakeView) -> None:
    """One that expires soon is a warning, and what peers refuse by now is a failure."""
    (own,) = make_identity_status().certificates
    view.listed = (replace(own, state=CertificateState.EXPIRES_SOON),)
    result = run("status")
    assert (
        "  WARNING:     identity certificate spiffe://mesh.local/ns/default/sa/web (serial 1f) expires in 1.0 hours"
        in (result.output)
    )
    assert result.exit_code == 0
    view.listed = (replace(own, kind="Certificate", name="Secret/default/shop", state=CertificateState.EXPIRED),)
    view.tls_complaints = ("files:a.pem: the private key is not the certificate's",)
    result = run("status")
    assert "  PROBLEM:     certificate Secret/default/shop (serial 1f) has expired" in result.output
    assert "  PROBLEM:     files:a.pem: the private key is not the certificate's" in result.output
    assert result.exit_code == 1


def test_status_is_bad_when_something_is(run: Run, view: FakeView) -> None:
    result = run("status")
    assert result.exit_code == 0
    assert "m.yaml:3: Service/x: warning: odd" in result.output
    view.rejection = "refused by source files"
    result = run("status")
    assert result.exit_code == 1
    assert "REJECTED:    refused by source files (1s ago)" in result.output
    assert json.loads(run("status", "-o", "json").output)["config"]["rejection"]


def test_drain(run: Run, view: FakeView) -> None:
    assert run("drain").output == "draining\n"
    assert view.drained == 1


def test_a_proxy_that_is_not_there() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        result = CliRunner().invoke(main, ["status", "--admin", address])
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: no proxy answers at {address}: connection refused. Is it running?")
    assert CliRunner().invoke(main, ["status", "--admin", "nowhere"]).exit_code == 2


GOOD = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n"


def test_validate(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(GOOD)
    for arguments in ([str(tmp_path)], ["-c", str(tmp_path)]):
        result = CliRunner().invoke(main, ["validate", *arguments])
        assert (result.exit_code, result.output) == (0, "valid: 1 resource in 1 file\n")
    path.write_text(GOOD.replace("port: 80", "prt: 80"))
    result = CliRunner().invoke(main, ["validate", str(path)])
    assert result.exit_code == 1
    assert f"{path}:4: Service/s: spec.ports[0].prt: unknown field (did you mean port?)" in result.output
    assert result.output.endswith("2 errors in 1 file\n")
    result = CliRunner().invoke(main, ["validate", "-o", "json", "-"], input=GOOD.replace("80", "0"))
    (finding,) = json.loads(result.output)
    assert (finding["file"], finding["line"], finding["field"]) == ("<stdin>", 4, "spec.ports[0].port")
    assert CliRunner().invoke(main, ["validate"]).exit_code == 2
    assert CliRunner().invoke(main, ["validate", str(tmp_path / "nothing.yaml")]).exit_code == 1


def test_validate_sees_what_only_compiling_shows(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    clash = GOOD.replace("ports:", "clusterIP: 127.96.0.1, ports:")
    path.write_text(clash + "---\n" + clash.replace("name: s", "name: t"))
    result = CliRunner().invoke(main, ["validate", str(path)])
    assert result.exit_code == 1
    assert f"{path}:9: Service/t: spec.ports: 127.96.0.1:80/TCP is taken by Service/s already" in result.output


def test_schema() -> None:
    schema = json.loads(CliRunner().invoke(main, ["schema"]).output)
    assert {each["$ref"] for each in schema["anyOf"]} >= {"#/$defs/Service", "#/$defs/TrafficPolicy"}
    assert schema["$defs"]["Service"]["properties"]["kind"] == {"const": "Service"}
    assert schema["$defs"]["Connections"]["properties"]["connectTimeout"]["default"] == "5s"
    assert "wlc" in schema["$defs"]["Algorithm"]["enum"]
    single = json.loads(CliRunner().invoke(main, ["schema", "workload"]).output)
    assert single["$ref"] == "#/$defs/Workload"
    result = CliRunner().invoke(main, ["schema", "servce"])
    assert result.exit_code == 2
    assert "did you mean Service?" in result.output


def test_the_running_proxy_explains_its_routes(run: Run) -> None:
    result = run("route", "explain", "--host", "backend", "--path", "/cart")
    assert result.exit_code == 0
    assert "  rule:       default/shop/cart of HTTPRoute/default/shop" in result.output
    assert run("route", "explain", "--host", "shop.example.com", "--port", "8000").exit_code == 0


def test_certificates_and_the_identity(run: Run, view: FakeView) -> None:
    assert "No certificates found" in run("get", "certificates").output
    assert "Identity" not in run("status").output
    view.identity_status = make_identity_status()
    head, row = (line.split() for line in run("get", "cert", "-o", "wide").output.splitlines())
    assert head == ["KIND", "NAME", "ISSUER", "STATE", "EXPIRES", "FOR", "SERIAL", "NOT-BEFORE", "NOT-AFTER"]
    assert row[-6:-2] == ["Valid", "60m", "spiffe://mesh.local/ns/default/sa/web", "1f"]
    assert row[-2:] == ["1970-01-01T00:00:00Z", "1970-01-01T02:00:00Z"]
    assert "Identity: spiffe://mesh.local/ns/default/sa/web, Valid, for 60m more (from files)" in run("status").output
    assert run("status").exit_code == 0
    view.identity_status = make_identity_status(problem="the key is gone")
    result = run("status")
    assert "PROBLEM:     the key is gone" in result.output
    assert result.exit_code == 1
